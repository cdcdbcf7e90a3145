from __future__ import annotations

import io

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.avro.fields import read_fields

SCHEMA = {
    "type": "record",
    "name": "Any",
    "fields": [
        {"name": "text", "type": "string"},
        {"name": "flag", "type": "boolean"},
        {"name": "number", "type": {"type": "long", "logicalType": "timestamp-micros-of-ours"}},
        {"name": "some", "type": ["null", "long"]},
        {"name": "half", "type": "float"},
        {"name": "whole", "type": "double"},
        {"name": "place", "type": {"type": "enum", "name": "Place", "symbols": ["a", "b", "c"]}},
        {
            "name": "levels",
            "type": {
                "type": "array",
                "items": {
                    "type": "record",
                    "name": "Level",
                    "fields": [
                        {"name": "price", "type": "bytes"},
                        {"name": "size", "type": "int"},
                    ],
                },
            },
        },
        {"name": "last", "type": "long"},
    ],
}
PARSED = fastavro.parse_schema(SCHEMA)
longs = st.integers(-(1 << 63), (1 << 63) - 1)
records = st.fixed_dictionaries(
    {
        "text": st.text(max_size=70),
        "flag": st.booleans(),
        "number": longs,
        "some": st.none() | longs,
        "half": st.just(0.5),
        "whole": st.just(0.25),
        "place": st.sampled_from(["a", "b", "c"]),
        "levels": st.lists(
            st.fixed_dictionaries({"price": st.binary(max_size=9), "size": st.integers(0, 9)}),
            max_size=3,
        ),
        "last": longs,
    }
)


def encoded(record: object) -> bytes:
    stream = io.BytesIO()
    fastavro.schemaless_writer(stream, PARSED, record)
    return stream.getvalue()


@given(records, st.binary(max_size=3))
def test_fields_are_as_another_writer_wrote_them(record, before):
    wanted = ("text", "number", "some", "place", "last")

    found = read_fields(SCHEMA["fields"], before + encoded(record), len(before), wanted)

    assert found == {
        **{name: record[name] for name in ("number", "some", "last")},
        "text": record["text"].encode(),
        "place": "abc".index(record["place"]),
    }


def test_an_array_in_blocks_with_their_lengths_is_skipped():
    fields = [
        {"name": "levels", "type": {"type": "array", "items": "long"}},
        {"name": "last", "type": "int"},
    ]
    data = b"\x03\x04\x02\x04" + b"\0" + b"\x0e"  # two longs in two bytes, the end, and 7

    assert read_fields(fields, data, 0, ("last",)) == {"last": 7}


def test_it_reads_no_further_than_it_must():
    assert read_fields(SCHEMA["fields"], b"\x02a", 0, ("text",)) == {"text": b"a"}


def test_a_field_that_there_is_not_is_not_found():
    assert read_fields([{"name": "a", "type": "null"}], b"", 0, ("b",)) == {}


@pytest.mark.parametrize(
    ("fields", "data"),
    [
        ([{"name": "a", "type": "long"}], b"\x80"),
        ([{"name": "a", "type": "Named"}], b"\x02"),
        ([{"name": "a", "type": ["null"]}], b"\x02"),
        ([{"name": "a", "type": {}}], b""),
    ],
)
def test_what_cannot_be_read_is_a_value_error(fields, data):
    with pytest.raises(ValueError, match="no such record"):
        read_fields(fields, data, 0, ("b",))
