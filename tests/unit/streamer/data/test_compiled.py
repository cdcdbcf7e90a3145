"""The extension is built here, and held against the Python that it stands in for."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.avro import accelerator
from streamer.avro.binary import plain_decimal
from streamer.data.compiled import Field, compiled_or
from streamer.data.kinds import agg_trade, book_ticker, trade
from streamer.data.kinds.agg_trade import AggTrade
from streamer.data.kinds.book_ticker import BookTicker
from streamer.data.kinds.trade import Trade
from streamer.data.record_head import LIVE, Encode, RecordHead, record_head
from tests.fuzzing import EXAMPLES

SOURCE = Path(__file__).parents[4] / "accelerator"
ID = st.integers(0, 2**63 - 1)
NUMBER = st.from_regex(r"[0-9]{1,20}(\.[0-9]{1,18})?", fullmatch=True)
NEARLY = st.text(alphabet="0123456789.-+eE_ ²٣\x00", max_size=45) | st.text(max_size=5)
KIND_OF_SOURCE = st.sampled_from(["live", "backfill", "archive"])
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


@pytest.fixture(scope="session")
def extension(tmp_path_factory: pytest.TempPathFactory) -> Any:
    if shutil.which("cc") is None or not Path(sysconfig.get_path("include"), "Python.h").exists():
        reason = "no C compiler or no Python.h (Debian packages gcc, libc6-dev, python3-dev)"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    source = tmp_path_factory.mktemp("accelerator") / "source"
    shutil.copytree(SOURCE, source, ignore=shutil.ignore_patterns("build", "*.c", "*.egg-info"))
    built = subprocess.run(
        [
            *[sys.executable, "-c", "import setuptools; setuptools.setup()"],
            *["-q", "build_ext", "--inplace"],
        ],
        cwd=source,
        env=os.environ | {"CFLAGS": "-O1 -Wall -Werror"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    (path,) = source.glob("vigil_accelerator*.so")
    found = importlib.util.spec_from_file_location("vigil_accelerator", path)
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def outcome(call, *arguments: object) -> object:
    try:
        return call(*arguments)
    except (ValueError, TypeError, LookupError, ArithmeticError) as error:
        return type(error), str(error)


def both_of(extension: Any, event: Any, head: RecordHead) -> tuple[Encode, Encode]:
    """Return what encodes an event, compiled and in Python."""
    kind = MODULE_OF[type(event)]
    suffix = LIVE if kind is book_ticker else b""
    compiled = compiled_or(kind._encoder, kind.FIELDS, suffix=suffix, accelerator=extension)
    return compiled(head), kind._encoder(head)


def test_the_streamer_takes_it(extension: Any) -> None:
    assert accelerator.load(lambda _: extension) == (extension, "")


@given(NUMBER | NEARLY)
@settings(max_examples=EXAMPLES // 4, deadline=None)
def test_numbers_are_those_of_the_twin_and_refused_as_by_it(extension: Any, text: str) -> None:
    assert outcome(extension.plain_decimal, text) == outcome(plain_decimal, text)


@pytest.mark.parametrize(
    "text",
    [
        "0", "0.0", "127", "128", "9" * 20, "9" * 21, "0." + "9" * 18, "0." + "9" * 19, "",
        "9" * 20 + "." + "9" * 18, "0" * 38, "1" * 300, "1" * 300 + "x", ".", "1.", ".5", "1..2",
        "0.000000000000000127", "0.000000000000000128", "-1", "1\0", "\ud800",
    ],
)  # fmt: skip
def test_ends_of_what_a_number_can_be(extension: Any, text: str) -> None:
    assert outcome(extension.plain_decimal, text) == outcome(plain_decimal, text)


@given(HEADS, EVENTS, ID)
@settings(max_examples=EXAMPLES // 4, deadline=None)
def test_records_are_those_of_the_twin(
    extension: Any, head: RecordHead, event: Any, received_us: int
) -> None:
    compiled, in_python = both_of(extension, event, head)

    assert compiled(event, received_us) == in_python(event, received_us)


@pytest.mark.parametrize("value", [0, 1, -1, 2**13 - 1, 2**13, 2**63 - 1, -(2**63)])
def test_ends_of_what_a_long_can_be(extension: Any, value: int) -> None:
    event = Trade("trade", value, "X", max(value, 0), "1", "2", value, False)
    compiled, in_python = both_of(extension, event, HEAD)

    assert compiled(event, value) == in_python(event, value)


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
        extension.RecordEncoder(b"", b"", b"", fields, b"")


@pytest.mark.parametrize(
    "event",
    [
        Trade("trade", 1 << 63, "X", 1, "1", "2", 3, False),
        Trade("trade", 1, "X", 1, "x", "2", 3, False),
        Trade("trade", 1, "X", 1, None, "2", 3, False),
        Trade("trade", 1, "X", 1, "1", "2", 3, False, "elsewhere"),
        Trade("trade", None, "X", 1, "1", "2", 3, False),
        object(),
    ],
)
def test_what_is_no_event_is_an_error_and_no_crash(extension: Any, event: Any) -> None:
    with pytest.raises((ValueError, TypeError, LookupError, ArithmeticError, AttributeError)):
        extension.RecordEncoder(b"", b"", b"", trade.FIELDS, b"")(event, 1)


def test_without_it_python_encodes() -> None:
    def make(head: RecordHead) -> Any:
        return make

    assert compiled_or(make, trade.FIELDS, accelerator=None) is make
