"""What a type cannot say: values that an event may hold. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec

from streamer.avro_binary import ZERO, decimal
from streamer.errors import FrameRejected
from streamer.events import AggTrade, BookTicker, Trade

ERROR_TYPES = {
    "binary": "a binary message; the exchange sends text only",
    "invalid_utf8": "text that is not UTF-8",
    "not_json": "no JSON",
    "truncated": "JSON that ends too early",
    "missing_field": "a field is missing",
    "wrong_type": "a field has another type than documented, or the event is of another kind",
    "bad_id": "an id below 0, above 2⁶³ − 1, absurdly far ahead, or first above last",
    "bad_time": "a time that cannot be, as in another unit",
    "bad_price": "no positive plain decimal number",
    "bad_quantity": "no positive plain decimal number",
    "wrong_symbol": "the payload's symbol is not that of its stream",
    "unknown_stream": "a supported kind, but a stream that nobody asked for",
    "not_combined": "an event without the envelope that tells its stream",
    "unknown_shape": "JSON that is no event, answer or notice of the exchange",
}
"""Stable labels of FrameRejected, with their meaning."""


@dataclass(frozen=True, slots=True)
class TimeWindow:
    """Which Unix times are plausible, so that no unit is taken for another.

    `earliest_us` is the exchange's first day; `ahead_us` is how far the exchange's clock may be
    ahead of ours: far more than a clock that anyone looks after, far less than a wrong unit.
    """

    earliest_us: int = int(datetime(2017, 7, 14, tzinfo=UTC).timestamp()) * 1_000_000
    ahead_us: int = 5 * 60 * 1_000_000


def check_trade(event: Trade | AggTrade, earliest_us: int, latest_us: int) -> None:
    """Raise FrameRejected unless times, price and quantity can be those of a trade."""
    if not (
        earliest_us <= event.event_time <= latest_us
        and earliest_us <= event.trade_time <= latest_us
    ):
        times = f"E {event.event_time}, T {event.trade_time}"
        raise FrameRejected(
            "bad_time", f"{times}: not within {earliest_us} to {latest_us} microseconds"
        )
    try:
        is_positive = decimal(event.price) != ZERO and decimal(event.quantity) != ZERO
    except ValueError:
        is_positive = False
    if not is_positive:  # which of the two, and why, is worth time only now
        _check_positive("bad_price", "p", event.price)
        _check_positive("bad_quantity", "q", event.quantity)


def check_agg_trade(event: AggTrade, earliest_us: int, latest_us: int) -> None:
    """As `check_trade`, and the trade ids must be in order."""
    check_trade(event, earliest_us, latest_us)
    if event.first_trade_id > event.last_trade_id:
        raise FrameRejected("bad_id", f"f {event.first_trade_id} is above l {event.last_trade_id}")


def check_book_ticker(event: BookTicker, earliest_us: int, latest_us: int) -> None:
    """Raise FrameRejected unless each side can be one of a book; an empty side is all zero."""
    _check_side("b", event.bid_price, event.bid_quantity)
    _check_side("a", event.ask_price, event.ask_quantity)


def _check_side(letter: str, price: str, quantity: str) -> None:
    size = _decimal("bad_quantity", letter.upper(), quantity)
    if _decimal("bad_price", letter, price) == ZERO != size:
        raise FrameRejected("bad_price", f"{letter}: zero, but there is a quantity of {quantity}")


def _check_positive(error_type: str, letter: str, text: str) -> None:
    if _decimal(error_type, letter, text) == ZERO:
        raise FrameRejected(error_type, f"{letter}: above zero is wanted, not {text}")


def _decimal(error_type: str, letter: str, text: str) -> bytes:
    try:
        return decimal(text)
    except ValueError as error:
        raise FrameRejected(error_type, f"{letter}: {error}") from error


_TIME_FIELDS = "ET"


UNDECODABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What decoding foreign bytes raises: a frame of 10,000 brackets is the last one."""


def rejection(error: Exception) -> FrameRejected:
    """Return the rejection for one of UNDECODABLE: what was found wrong with a frame."""
    text = str(error)
    if isinstance(error, UnicodeDecodeError):
        return FrameRejected("invalid_utf8", text)
    if isinstance(error, RecursionError):
        return FrameRejected("too_deep", "nested too deeply")
    if not isinstance(error, msgspec.ValidationError):
        return FrameRejected("truncated" if "truncated" in text else "not_json", text)
    if "missing required field" in text:
        return FrameRejected("missing_field", text)
    field = text.rpartition("$.data.")[2].rstrip("`")
    if ">=" in text or "<=" in text:  # of the right type, but outside its range
        return FrameRejected("bad_time" if field in _TIME_FIELDS else "bad_id", text)
    return FrameRejected("wrong_type", text)
