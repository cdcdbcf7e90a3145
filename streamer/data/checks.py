"""What a type cannot say: values that an event may hold. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from streamer.avro.binary import ZERO, decimal, level_decimal, plain_decimal, signed_decimal
from streamer.data.events import AggTrade, BookTicker, Depth, Level, Trade
from streamer.data.streams import interval_of, kind_of
from streamer.data.summaries import Candle, Kline, MiniTicker, Ticker
from streamer.errors import FrameRejected

ERROR_TYPES = {
    "binary": "a binary message; the exchange sends text only",
    "invalid_utf8": "text that is not UTF-8",
    "not_json": "no JSON",
    "truncated": "JSON that ends too early",
    "too_deep": "JSON that is nested too deeply to be decoded",
    "missing_field": "a field is missing",
    "wrong_type": "a field has another type than documented, or the event is of another kind",
    "bad_id": "an id below 0, above 2⁶³ − 1, absurdly far ahead, or first above last",
    "bad_time": "a time that cannot be, as in another unit",
    "bad_price": "no positive plain decimal number",
    "bad_quantity": "no positive plain decimal number, or not even zero where that is allowed",
    "wrong_symbol": "the payload's symbol is not that of its stream",
    "wrong_interval": "the payload's interval is not that of its stream",
    "unknown_stream": "a supported kind, but a stream that nobody asked for",
    "not_combined": "an event without the envelope that tells its stream",
    "differing_copy": "what came again under its ids says something else than at first",
    "unknown_shape": "JSON that is no event, answer or notice of the exchange",
    "internal": "a mistake of ours in decoding it, which the log tells once in full",
}
"""Stable labels of FrameRejected, with their meaning."""


UNMEASURED_US = 398 * 24 * 3600 * 1_000_000
"""How far the exchange's clock may be ahead of ours while that was never measured: the longest
that a certificate is valid, since TLS ends with a clock that is further behind. A wrong unit is
further away still."""
MEASURED_US = 5 * 60 * 1_000_000
"""The same once the offset is known: what two measurements can miss, and more."""


@dataclass(slots=True)
class TimeWindow:
    """Which Unix times are plausible, so that no unit is taken for another.

    `earliest_us` is the exchange's first day; `ahead_us` is how far the exchange's clock may be
    ahead of ours, see `follow`.
    """

    earliest_us: int = int(datetime(2017, 7, 14, tzinfo=UTC).timestamp()) * 1_000_000
    ahead_us: int = UNMEASURED_US

    def follow(self, offset_seconds: float) -> None:
        """Judge by the measured offset from now on: the exchange's clock less ours."""
        self.ahead_us = round(offset_seconds * 1e6) + MEASURED_US


LONGEST_CANDLE_US = 31 * 24 * 3600 * 1_000_000  # a month


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


def check_depth(event: Depth, earliest_us: int, latest_us: int) -> None:
    """Raise FrameRejected unless time, ids and every level can be those of a book's change."""
    _check_times(earliest_us, latest_us, E=event.event_time)
    if event.id > event.last_update_id:
        raise FrameRejected("bad_id", f"U {event.id} is above u {event.last_update_id}")
    _check_levels("b", event.bids)
    _check_levels("a", event.asks)


def check_kline(event: Kline, earliest_us: int, latest_us: int) -> None:
    """Raise FrameRejected unless times and numbers can be those of a candle; it may be empty."""
    candle = event.candle
    _check_times(earliest_us, latest_us, E=event.event_time, t=candle.open_time)
    if not 0 <= candle.close_time - candle.open_time <= LONGEST_CANDLE_US:
        raise FrameRejected("bad_time", f"T {candle.close_time} is not soon after t")
    if candle.symbol != event.symbol:
        raise FrameRejected("wrong_symbol", f"k.s {candle.symbol[:40]!r} beside s")
    for letter, price in zip("ochl", _prices(candle), strict=True):
        _check_positive("bad_price", letter, price)
    for letter, quantity in (
        *(("v", candle.volume), ("q", candle.quote_volume)),
        *(("V", candle.taker_buy_volume), ("Q", candle.taker_buy_quote_volume)),
    ):
        _decimal("bad_quantity", letter, quantity, plain_decimal)


def check_mini_ticker(event: MiniTicker, earliest_us: int, latest_us: int) -> None:
    """Raise FrameRejected unless time and numbers can be; all are zero where nobody traded."""
    _check_times(earliest_us, latest_us, E=event.event_time)
    for letter, price in zip("ochl", _prices(event), strict=True):
        _decimal("bad_price", letter, price, plain_decimal)
    for letter, quantity in (("v", event.volume), ("q", event.quote_volume)):
        _decimal("bad_quantity", letter, quantity, plain_decimal)


def check_ticker(event: Ticker, earliest_us: int, latest_us: int) -> None:
    """As `check_mini_ticker`; the changes may be below zero."""
    _check_times(earliest_us, latest_us, E=event.event_time, C=event.close_time)
    if event.open_time > event.close_time:
        raise FrameRejected("bad_time", f"O {event.open_time} is after C {event.close_time}")
    for letter, number in (("p", event.price_change), ("P", event.price_change_percent)):
        _decimal("bad_price", letter, number, signed_decimal)
    for letter, price in (
        *(("w", event.weighted_average_price), ("x", event.previous_price)),
        *(("c", event.last_price), ("b", event.bid_price), ("a", event.ask_price)),
        *(("o", event.open), ("h", event.high), ("l", event.low)),
    ):
        _decimal("bad_price", letter, price, plain_decimal)
    for letter, quantity in (
        *(("Q", event.last_quantity), ("B", event.bid_quantity), ("A", event.ask_quantity)),
        *(("v", event.volume), ("q", event.quote_volume)),
    ):
        _decimal("bad_quantity", letter, quantity, plain_decimal)


Check = Callable[[Any, int, int], None]
"""Takes an event, the earliest and the latest Unix time in microseconds that can be, and raises
FrameRejected."""
_CHECKS: dict[str, Check] = {
    "trade": check_trade,
    "aggTrade": check_agg_trade,
    "bookTicker": check_book_ticker,
    "depth": check_depth,
    "miniTicker": check_mini_ticker,
    "ticker": check_ticker,
}


def check_of(stream: str) -> Check:
    """Return the check of a stream's events: those of klines must be of its interval too."""
    kind = kind_of(stream)
    if kind != "kline":
        return _CHECKS[kind]
    interval = interval_of(stream)

    def check(event: Kline, earliest_us: int, latest_us: int) -> None:
        check_kline(event, earliest_us, latest_us)
        if event.candle.interval != interval:
            raise FrameRejected("wrong_interval", f"i {event.candle.interval[:40]!r} on {stream}")

    return check


def _prices(summary: Candle | MiniTicker) -> tuple[str, str, str, str]:
    return summary.open, summary.close, summary.high, summary.low


def _check_times(earliest_us: int, latest_us: int, **times: int) -> None:
    for letter, time_us in times.items():
        if not earliest_us <= time_us <= latest_us:
            raise FrameRejected(
                "bad_time",
                f"{letter} {time_us}: not within {earliest_us} to {latest_us} microseconds",
            )


def _check_levels(letter: str, levels: list[Level]) -> None:
    for price, quantity in levels:
        if _decimal("bad_price", letter, price, level_decimal) == ZERO:
            raise FrameRejected("bad_price", f"{letter}: expected above zero, not {price}")
        _decimal("bad_quantity", letter, quantity, level_decimal)


def _check_side(letter: str, price: str, quantity: str) -> None:
    size = _decimal("bad_quantity", letter.upper(), quantity)
    if _decimal("bad_price", letter, price) == ZERO != size:
        raise FrameRejected("bad_price", f"{letter}: zero, but there is a quantity of {quantity}")


def _check_positive(error_type: str, letter: str, text: str) -> None:
    if _decimal(error_type, letter, text) == ZERO:
        raise FrameRejected(error_type, f"{letter}: expected above zero, not {text}")


def _decimal(
    error_type: str, letter: str, text: str, read: Callable[[str], bytes] = decimal
) -> bytes:
    try:
        return read(text)
    except ValueError as error:
        raise FrameRejected(error_type, f"{letter}: {error}") from error


_TIME_FIELDS = {"E", "T", "k.t", "k.T", "O", "C"}


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
