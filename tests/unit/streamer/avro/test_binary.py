from __future__ import annotations

import io
from decimal import Decimal

import fastavro
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from streamer.avro import binary as avro_binary

DECIMAL_SCHEMA = {"type": "bytes", "logicalType": "decimal", "precision": 38, "scale": 18}


def by_fastavro(value: object, schema: object) -> bytes:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(schema), value)
    return out.getvalue()


@given(st.integers(-(2**63), 2**63 - 1))
@example(0)
@example(2**13 - 1)
@example(2**13)
@example(2**20)
@example(2**63 - 1)
@example(-(2**63))
def test_longs_are_those_of_fastavro(value: int) -> None:
    assert avro_binary.long(value) == by_fastavro(value, "long")


@given(st.text())
def test_strings_are_those_of_fastavro(text: str) -> None:
    assert avro_binary.string(text) == by_fastavro(text, "string")


@given(
    st.from_regex(r"[0-9]{1,20}", fullmatch=True),
    st.none() | st.from_regex(r"[0-9]{1,18}", fullmatch=True),
)
@example("0", None)
@example("99999999999999999999", "9" * 18)
@example("0", "000000000000000127")
@example("0", "000000000000000128")
def test_decimals_are_those_of_the_decimal_module(whole: str, fraction: str | None) -> None:
    text = whole if fraction is None else f"{whole}.{fraction}"
    schema = fastavro.parse_schema(DECIMAL_SCHEMA)

    read = fastavro.schemaless_reader(io.BytesIO(avro_binary.decimal(text)), schema)

    assert read == Decimal(text)


@pytest.mark.parametrize("text", ["0.35130000", "65000.12000000", "12345678901.5", "0"])
def test_decimals_are_as_short_as_they_can_be(text: str) -> None:
    assert avro_binary.decimal(text) == by_fastavro(Decimal(text), DECIMAL_SCHEMA)


@pytest.mark.parametrize(
    "text",
    [
        "", ".", "1.", ".5", "-1", "+1", "1e5", "NaN", "Infinity", "inf", " 1", "1 ", "1\n",
        "1_000", "1,5", "1.2.3", "0x1f", "１２", "٣", "²", "1.²", "1" * 21, "0." + "0" * 19,
    ],
)  # fmt: skip
def test_what_is_no_plain_decimal_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected|at most"):
        avro_binary.decimal(text)


def test_the_memory_of_high_bits_is_bounded() -> None:
    for high in range(1, avro_binary._MANY_VALUES + 10):
        avro_binary.long(high << 13)

    assert len(avro_binary._high_bits) <= avro_binary._MANY_VALUES
