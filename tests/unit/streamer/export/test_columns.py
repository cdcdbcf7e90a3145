from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pyarrow
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.avro.binary import signed_decimal
from streamer.avro.container_schema import container_schema
from streamer.data.catalogue import BY_NAME
from streamer.data.records import load_schema
from streamer.export.columns import arrow_schema, arrow_type, column

DECIMAL = {"type": "bytes", "logicalType": "decimal", "precision": 38, "scale": 18}
TIME = {"type": "long", "logicalType": "timestamp-micros"}
LEVELS = {
    "type": "array",
    "items": {
        "type": "record",
        "name": "Level",
        "fields": [{"name": "price", "type": DECIMAL}, {"name": "quantity", "type": DECIMAL}],
    },
}


@given(st.lists(st.integers(-(10**38) + 1, 10**38 - 1)))
def test_decimals_are_exact(scaled):
    numbers = [Decimal(f"{number}E-18") for number in scaled]
    encoded = [signed_decimal(f"{number:f}")[1:] for number in numbers]
    assert column(DECIMAL, encoded).to_pylist() == numbers


def test_a_number_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="more than 38 digits"):
        column(DECIMAL, [(10**38).to_bytes(17, "big")])


@pytest.mark.parametrize(
    ("kind", "values", "read"),
    [
        ("string", ["a", "ü"], ["a", "ü"]),
        ("long", [1, -(2**63)], [1, -(2**63)]),
        ("boolean", [True, False], [True, False]),
        (["null", "long"], [None, 7], [None, 7]),
        (["null", DECIMAL], [None, b"\x00"], [None, Decimal("0E-18")]),
        (TIME, [1_000_001], [datetime(1970, 1, 1, 0, 0, 1, 1, UTC)]),
        (["null", TIME], [None, 0], [None, datetime(1970, 1, 1, tzinfo=UTC)]),
        ({"type": "enum", "name": "S", "symbols": ["a"]}, ["a"], ["a"]),
        ({"type": "string"}, ["a"], ["a"]),
        (
            LEVELS,
            [[], [{"price": b"\x01", "quantity": b"\xff"}] * 2],
            [[], [{"price": Decimal("1E-18"), "quantity": Decimal("-1E-18")}] * 2],
        ),
    ],
)
def test_a_column_holds_what_was_encoded(kind, values, read):
    found = column(kind, values)
    assert found.to_pylist() == read
    assert found.type == arrow_type(kind)
    found.validate(full=True)


@pytest.mark.parametrize("kind", [["long", "string"], "null", {"type": "map", "values": "long"}])
def test_a_type_without_a_column_is_refused(kind):
    with pytest.raises(ValueError, match="has no column here"):
        arrow_type(kind)


@pytest.mark.parametrize("kind", [*BY_NAME, "gap"])
def test_every_kind_has_columns(kind):
    schema = arrow_schema(container_schema(load_schema(kind)))
    assert schema.names == [field["name"] for field in load_schema(kind)["fields"]]
    assert schema.field("record_id") == pyarrow.field("record_id", pyarrow.string(), nullable=False)
