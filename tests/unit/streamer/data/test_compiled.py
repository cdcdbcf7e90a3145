"""The extension is built here, and held against the Python that it stands in for."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.avro import accelerator
from streamer.avro.binary import plain_decimal
from streamer.data import trade_values, value_checks
from streamer.data.compiled import Field, compiled_or
from streamer.data.kinds import agg_trade, book_ticker, trade
from streamer.data.kinds.agg_trade import AggTrade
from streamer.data.kinds.book_ticker import BookTicker
from streamer.data.kinds.trade import Trade
from streamer.data.record_head import LIVE, Encode, RecordHead, record_head
from streamer.routes import Routes
from tests.accelerator_build import build_accelerator, missing_tools
from tests.fuzzing import EXAMPLES, fuzz

few = settings(fuzz, max_examples=EXAMPLES // 3)
ID = st.integers(0, 2**63 - 1)
DIGITS = "0123456789"
NUMBER = st.text(DIGITS, min_size=1, max_size=20) | st.builds(
    "{}.{}".format,
    st.text(DIGITS, min_size=1, max_size=20),
    st.text(DIGITS, min_size=1, max_size=18),
)
NEARLY = st.text(alphabet="0123456789.-+eE_ ²٣ㄱ\x00", max_size=45) | st.text(max_size=5)
KIND_OF_SOURCE = st.sampled_from(["live", "backfill", "archive"])
ENDS = [
    *["0", "0.0", "127", "128", "9" * 20, "9" * 21, "0." + "9" * 18, "0." + "9" * 19, ""],
    *["9" * 20 + "." + "9" * 18, "0" * 38, "1" * 300, "1" * 300 + "x", ".", "1.", ".5", "1..2"],
    *["0.000000000000000127", "0.000000000000000128", "-1", "1\0", "\ud800", "٣", "1.2.3", "+1"],
    *["170141183460469231731", "0" * 21 + ".1", "1." + "0" * 19, "/", ":", "1:", "1/"],
    *["\u3131", "\u3131\u2e31", "1\u3131", "\U00013131", "\xb2", "1\xb2"],
]
INTEGERS = [
    *[0, 1, -1, -(2**63), 2**63 - 1, 2**63, -(2**63) - 1, 2**64, 2**64 + 1, 10**18, 10**19],
    *[63, 64, -64, -65, 2**13 - 1, 2**13, 2**62, 9, 10, 10**18 - 1, 2**32, 2**31],
]
VALUES_IN_JSON = st.one_of(
    st.none(), st.booleans(), st.floats(allow_nan=False), st.integers(), st.sampled_from(INTEGERS)
)


class Indexed:
    """Counts as an integer for C, and cannot be compared."""

    def __index__(self) -> int:
        return 5

    __int__ = __index__

    def __repr__(self) -> str:  # the same in each message
        return "Indexed()"


class Text(str):
    __slots__ = ()

    def partition(self, separator: str) -> tuple[str, str, str]:
        return "7", "", ""


ODD = st.sampled_from([Indexed(), Text("1.5")])
VALUES = st.one_of(ODD, VALUES_IN_JSON, NUMBER, NEARLY, st.binary(max_size=3), st.lists(st.none()))
HEAD = record_head("trade", "X", b"", 0)
HEADS = st.builds(
    record_head,
    st.just("trade"),
    st.sampled_from(["BTCUSDT", "币安人生USDT", "A" * 300]),
    st.sampled_from([b"", b"\xc3\x01abcdefgh"]),
    st.sampled_from([0, 1_700_000_000]),
)
EVENTS = (
    st.builds(Trade, st.just("trade"), ID, st.just("X"), ID, NUMBER, NUMBER, ID, st.booleans(),
              KIND_OF_SOURCE)
    | st.builds(AggTrade, st.just("aggTrade"), ID, st.just("X"), ID, NUMBER, NUMBER, ID, ID, ID,
                st.booleans(), KIND_OF_SOURCE)
    | st.builds(BookTicker, ID, st.just("X"), NUMBER, NUMBER, NUMBER, NUMBER)
)  # fmt: skip
MODULE_OF = {Trade: trade, AggTrade: agg_trade, BookTicker: book_ticker}
STREAMS = {"trade": Trade, "aggTrade": AggTrade, "bookTicker": BookTicker}
ROUTES = Routes(tuple(STREAMS), ("BTCUSDT",))
NOW_US = 1_760_000_000_000_000


@pytest.fixture(scope="session")
def extension(tmp_path_factory: pytest.TempPathFactory) -> Any:
    if (reason := missing_tools()) is not None:
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    path = build_accelerator(tmp_path_factory.mktemp("accelerator") / "built")
    found = importlib.util.spec_from_file_location("vigil_accelerator", path)
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def damaged(frame: bytes, place: int, insertion: bytes) -> bytes:
    place %= len(frame)
    return frame[:place] + insertion + frame[place + 1 :]


def outcome(call, *arguments: object) -> object:
    """What came of a call: its result, or the error's type and message."""
    try:
        return call(*arguments)
    except Exception as error:  # noqa: BLE001 - whatever it is, the twin's must be the same
        return type(error), str(error)


def both_of(extension: Any, event_type: type, head: RecordHead) -> tuple[Encode, Encode]:
    """What encodes such events, compiled and in Python."""
    kind = MODULE_OF[event_type]
    suffix = LIVE if kind is book_ticker else b""
    compiled = compiled_or(kind._encoder, kind.FIELDS, suffix=suffix, accelerator=extension)
    return compiled(head), kind._encoder(head)


def without_twin(*arguments: object) -> bytes:
    raise AssertionError(f"asked its twin about {arguments}")


def test_the_streamer_takes_it(extension: Any) -> None:
    assert accelerator.load(lambda _: extension) == (extension, "")


@given(NUMBER)
@few
def test_numbers_are_encoded_as_by_the_twin_without_asking_it(extension: Any, text: str) -> None:
    assert extension.DecimalEncoder(without_twin)(text) == plain_decimal(text)


@pytest.mark.parametrize("text", [*ENDS, Text("1.5")])
def test_ends_of_what_a_number_can_be(extension: Any, text: str) -> None:
    encode = extension.DecimalEncoder(plain_decimal)

    assert outcome(encode, text) == outcome(plain_decimal, text)


@given(NEARLY | st.one_of(st.none(), st.integers(), st.binary()))
@few
def test_what_is_no_number_is_refused_as_by_the_twin(extension: Any, text: Any) -> None:
    encode = extension.DecimalEncoder(plain_decimal)

    assert outcome(encode, text) == outcome(plain_decimal, text)


@given(HEADS, EVENTS, ID)
@few
def test_records_are_those_of_the_twin_without_asking_it(
    extension: Any, head: RecordHead, event: Any, received_us: int
) -> None:
    kind = MODULE_OF[type(event)]
    suffix = LIVE if kind is book_ticker else b""
    make = compiled_or(lambda _: without_twin, kind.FIELDS, suffix=suffix, accelerator=extension)

    assert make(head)(event, received_us) == kind._encoder(head)(event, received_us)


@given(HEADS, EVENTS, st.data(), ID | VALUES)
@few
def test_whatever_an_event_holds_comes_out_as_by_the_twin(
    extension: Any, head: RecordHead, event: Any, data: st.DataObject, received_us: Any
) -> None:
    field = data.draw(st.sampled_from(event.__struct_fields__))
    event = msgspec.structs.replace(event, **{field: data.draw(VALUES)})
    compiled, in_python = both_of(extension, type(event), head)

    assert outcome(compiled, event, received_us) == outcome(in_python, event, received_us)


@pytest.mark.parametrize("value", [0, 1, 2, None, 1.0, "x", True, False])
def test_a_boolean_that_is_none_is_the_twins(extension: Any, value: Any) -> None:
    event = Trade("trade", 1, "X", 2, "1", "2", 3, value)
    compiled, in_python = both_of(extension, Trade, HEAD)

    assert outcome(compiled, event, 4) == outcome(in_python, event, 4)


def test_an_id_that_is_no_integer_is_the_twins_even_where_it_is_no_field(extension: Any) -> None:
    encode = extension.RecordEncoder(lambda *_: b"twin", b"", b"", b"", (), b"")

    assert encode(SimpleNamespace(id=Indexed()), 1) == b"twin"


@pytest.mark.parametrize("value", [*INTEGERS, Indexed(), True, 1.0])
@pytest.mark.parametrize("field", ["id", "event_time", "trade_time", None])
def test_ends_of_what_a_long_can_be(extension: Any, field: str | None, value: Any) -> None:
    event = Trade("trade", 1, "X", 2, "1", "2", 3, False)
    if field is not None:
        event = msgspec.structs.replace(event, **{field: value})
    received_us = value if field is None else 4
    compiled, in_python = both_of(extension, Trade, HEAD)

    assert outcome(compiled, event, received_us) == outcome(in_python, event, received_us)


def test_an_error_of_the_twin_has_no_other_behind_it(extension: Any) -> None:
    compiled, _ = both_of(extension, Trade, HEAD)

    with pytest.raises(AttributeError) as raised:
        compiled(object(), 1)

    assert raised.value.__context__ is None


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ([Field("long", "id")] * 17, ValueError),
        ([Field("enum", "source", {"live": b"ab"})], ValueError),
        ([Field("enum", "source", {"live": "a"})], ValueError),
        ([("float", "id", {})], KeyError),
    ],
)
def test_what_it_cannot_write_is_refused_at_once(extension: Any, fields, error) -> None:
    with pytest.raises(error):
        extension.RecordEncoder(without_twin, b"", b"", b"", fields, b"")


FRAMES = st.builds(
    lambda stream, data: msgspec.json.encode({"stream": f"btcusdt@{stream}", "data": data}),
    st.sampled_from(list(STREAMS)),
    st.fixed_dictionaries(
        {"s": st.just("BTCUSDT"), "e": st.sampled_from(list(STREAMS)), "m": st.booleans()},
        optional={
            **dict.fromkeys("tafluT", ID | VALUES_IN_JSON),
            "E": ID | VALUES_IN_JSON,
            **dict.fromkeys("pqbBA", NUMBER | NEARLY | VALUES_IN_JSON),
        },
    ),
)


@given(st.binary(max_size=80) | FRAMES | st.builds(damaged, FRAMES, st.integers(0), st.binary()))
@few
def test_whatever_bytes_come_they_end_as_with_the_twin(extension: Any, frame: bytes) -> None:
    def encoded(decimal: Callable[[str], bytes], encoders: dict[str, Encode]) -> bytes:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(trade_values, "decimal", decimal)
            patch.setattr(value_checks.check_decimal, "__defaults__", (decimal,))
            route = ROUTES.find(frame)
            event = route.decode(frame, NOW_US)
            return encoders[route.stream](event, NOW_US)

    heads = {stream: record_head(stream, "BTCUSDT", b"", 0) for stream in STREAMS}
    pairs = {stream: both_of(extension, STREAMS[stream], heads[stream]) for stream in STREAMS}

    compiled = outcome(
        encoded,
        extension.DecimalEncoder(plain_decimal),
        {stream: pair[0] for stream, pair in pairs.items()},
    )
    assert compiled == outcome(
        encoded, plain_decimal, {stream: pair[1] for stream, pair in pairs.items()}
    )


def test_without_it_python_encodes() -> None:
    def make(head: RecordHead) -> Any:
        return make

    assert compiled_or(make, trade.FIELDS, accelerator=None) is make
