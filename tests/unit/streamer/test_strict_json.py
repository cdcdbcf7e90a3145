from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from streamer.strict_json import encode, encode_readable
from tests.strict_json import VALUES, VALUES_READ, parsed

TEXTS = st.text(st.characters(exclude_categories=()), max_size=20)  # surrogates too
VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda one: st.lists(one, max_size=4) | st.dictionaries(TEXTS, one, max_size=4),
    max_leaves=20,
)


def read(value: object) -> object:
    """Return what is read of a value."""
    match value:
        case float():
            return value if math.isfinite(value) else None
        case str():
            return "".join(
                rf"\u{ord(one):04x}" if "\ud800" <= one <= "\udfff" else one for one in value
            )
        case list():
            return [read(one) for one in value]
        case dict():
            return {read(key): read(one) for key, one in value.items()}
    return value


@given(VALUE)
def test_a_strict_reader_takes_it_and_finds_the_same(value):
    encoded = encode(value)
    assert parsed(encoded) == read(value)
    assert not set(encoded) & set(range(0x20)), "one line"
    assert parsed(encode_readable(value)) == read(value)


def test_what_others_write_as_no_json():
    assert parsed(encode(VALUES)) == VALUES_READ
    assert parsed(encode([1.5, ("\udcff",), {"a": ["\ud800"]}])) == [
        1.5, ["\\udcff"], {"a": ["\\ud800"]},
    ]  # fmt: skip
    without_halves = {key: value for key, value in VALUES.items() if key in ("nan", "large")}
    assert encode(without_halves) == b'{"nan":null,"large":1%b}' % (b"0" * 40)


def test_for_people_it_has_lines():
    assert encode_readable({"a": [1, (2,)]}).decode().splitlines()[:2] == ["{", '  "a": [']
