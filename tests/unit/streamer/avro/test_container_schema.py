"""The header's schema describes the same bytes, and every reader that people use takes it."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import avro.schema
import fastavro
import polars
import pytest
from fastavro.schema import fingerprint, to_parsing_canonical_form

from streamer.avro.container_schema import container_schema
from streamer.avro.files import block, header

SCHEMAS = Path(__file__).parents[4] / "streamer" / "schemas"
KINDS = sorted(path.stem for path in SCHEMAS.glob("*.avsc"))
SYNC = b"0123456789abcdef"
POLARS_TYPES = {
    "string": "String",
    "long": "Int64",
    "boolean": "Boolean",
    "bytes": "Binary",
    "decimal": "Decimal(precision=38, scale=18)",
    "timestamp-micros": "Datetime(time_unit='us', time_zone='UTC')",
    "enum": "Categorical",
}


def schema_of(kind: str) -> dict[str, Any]:
    schema: dict[str, Any] = json.loads((SCHEMAS / f"{kind}.avsc").read_text())
    return schema


def written(kind: str) -> bytes:
    return header(container_schema(schema_of(kind)), "null", SYNC)


def polars_type(kind: Any) -> str:
    if isinstance(kind, list):
        return polars_type(next(one for one in kind if one != "null"))
    if isinstance(kind, str):
        return POLARS_TYPES[kind]
    if kind["type"] == "array":
        fields = {one["name"]: polars_type(one["type"]) for one in kind["items"]["fields"]}
        inner = ", ".join(f"'{name}': {one}" for name, one in fields.items())
        return f"List(Struct({{{inner}}}))"
    return POLARS_TYPES[kind.get("logicalType", kind["type"])]


@pytest.mark.parametrize("kind", KINDS)
def test_polars_reads_every_kind_with_its_types(kind, tmp_path):
    path = tmp_path / "empty.avro"
    path.write_bytes(written(kind))

    found = {name: str(one) for name, one in polars.read_avro(path).schema.items()}

    fields = container_schema(schema_of(kind))["fields"]
    assert found == {field["name"]: polars_type(field["type"]) for field in fields}


def names_of(schema: Any) -> list[str]:
    """Return the full names that are defined, in order; Apache's parser refuses one twice."""
    if isinstance(schema, list):
        return [name for one in schema for name in names_of(one)]
    if not isinstance(schema, dict):
        return []
    inner = [name for value in schema.values() for name in names_of(value)]
    own = [f"{schema.get('namespace')}.{schema['name']}"] if "fields" in schema else []
    return own + inner


@pytest.mark.parametrize("kind", KINDS)
def test_apache_parses_it_and_no_name_is_defined_twice(kind):
    schema = container_schema(schema_of(kind))
    avro.schema.parse(json.dumps(schema))
    assert len(set(names_of(schema))) == len(names_of(schema))


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_left_that_stops_a_reader(kind):
    fields = container_schema(schema_of(kind))["fields"]
    assert all("default" not in field for field in fields)
    assert [field["name"] for field in fields] == [f["name"] for f in schema_of(kind)["fields"]]
    assert all(field.get("doc") for field in fields)  # which a reader of the file wants


@pytest.mark.parametrize("kind", KINDS)
def test_the_fingerprint_of_a_message_is_that_of_the_header_too(kind):
    """Avro's canonical form has no defaults, so that only a type that is used twice differs."""
    schema, of_the_file = schema_of(kind), container_schema(schema_of(kind))
    ours, theirs = (
        fingerprint(to_parsing_canonical_form(one), "CRC-64-AVRO") for one in (schema, of_the_file)
    )
    assert (ours == theirs) == (names_of(schema) == names_of(of_the_file))
    assert ours == theirs or "Level" in str(names_of(schema))


def test_a_type_that_is_used_twice_is_read_by_the_schema_that_names_it_once(tmp_path):
    schema = schema_of("depth")
    level = {"price": "1.5", "quantity": "0"}
    record = {"record_id": "r", "symbol": "BTCUSDT", "stream": "depth", "first_update_id": 1}
    record |= {"last_update_id": 3, "event_time": 4, "received_time": 5, "source": "live"}
    record |= {
        "bids": [{key: Decimal(value) for key, value in level.items()}],
        "asks": [{key: Decimal(value) for key, value in level.items()}] * 2,
    }
    path = tmp_path / "depth.avro"
    with path.open("wb") as file:
        fastavro.schemaless_writer(file, fastavro.parse_schema(schema), record)
    data = path.read_bytes()
    path.write_bytes(written("depth") + block([data], "null", SYNC))
    with path.open("rb") as file:
        assert [len(one["asks"]) for one in fastavro.reader(file, reader_schema=schema)] == [2]
    assert polars.read_avro(path)["asks"][0].to_list() == record["asks"]
    assert "default" in schema["fields"][-1]  # a copy was changed, not what it was made of


def test_what_is_in_unions_maps_and_fixed_is_copied():
    fixed = {"type": "fixed", "name": "Hash", "size": 4}
    schema = {
        "type": "record",
        "name": "R",
        "namespace": "n",
        "fields": [
            {"name": "a", "type": ["null", fixed], "default": None},
            {"name": "b", "type": {"type": "map", "values": "n.Hash"}},
            {"name": "c", "type": "Hash"},
        ],
    }
    a, b, c = (field["type"] for field in container_schema(schema)["fields"])
    assert a == ["null", fixed]
    assert b == {"type": "map", "values": {**fixed, "namespace": "n.b"}}
    assert c == {**fixed, "namespace": "n.c"}
