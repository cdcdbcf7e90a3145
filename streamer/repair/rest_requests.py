"""What is asked of the exchange's REST interface, and what is made of the answers. Pure.

Endpoints, weights and shapes are those of the exchange's rest-api.md (2026).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import msgspec

from streamer.data.events import AggTrade, Trade
from streamer.data.field_types import Whole
from streamer.data.streams import interval_of, kind_of
from streamer.data.summaries import Candle, Kline

RestFailureKind = Literal[
    "throttled", "blocked", "refused", "unknown_symbol", "unavailable", "misfit"
]
"""429 or 418; 403; another 4xx, which no repetition will heal; the same about the symbol; 5xx,
network, time, no JSON; and what is not what the stream told."""


@dataclass(frozen=True, slots=True)
class RestRequest:
    """What is asked: an endpoint below `/api/v3/`, its parameters and its weight."""

    endpoint: str
    parameters: tuple[tuple[str, str], ...]
    weight: int


@dataclass(frozen=True, slots=True)
class RestResponse:
    """The body of a good answer; Unix times in seconds."""

    body: bytes
    asked_at: float
    answered_at: float
    used_weight: int | None = None  # by everybody at this IP in the exchange's minute


@dataclass(frozen=True, slots=True)
class RestFailure:
    """Why there is no answer; `wait_seconds` is what the exchange asks for, for all requests."""

    kind: RestFailureKind
    detail: str
    wait_seconds: float = 0.0
    used_weight: int | None = None


class _RestTrade(msgspec.Struct, gc=False):
    id: Whole
    price: str
    qty: str
    time: Whole
    isBuyerMaker: bool  # noqa: N815 - the exchange's name


class _RestAggTrade(msgspec.Struct, gc=False):
    a: Whole
    p: str
    q: str
    f: Whole
    l: Whole  # noqa: E741 - the exchange's name
    T: Whole
    m: bool


_RestCandle = tuple[Whole, str, str, str, str, str, Whole, str, Whole, str, str, str]
"""Open time, open, high, low, close, volume, close time, quote volume, trades, what takers bought,
the same in the quote asset, and what is to be ignored."""
Page = list[Trade] | list[AggTrade] | list[Kline]


@dataclass(frozen=True, slots=True)
class Unusable:
    """An element of a page that no record can be made of, though it has an id."""

    id: int
    content: bytes
    error: str


class _Numbered(msgspec.Struct):
    id: Whole


class _NumberedAggregate(msgspec.Struct):
    a: Whole


class _Error(msgspec.Struct):
    code: int
    msg: str = ""


class _ServerTime(msgspec.Struct):
    serverTime: Whole  # noqa: N815 - the exchange's name


TRADES_WEIGHT, AGG_TRADES_WEIGHT, KLINES_WEIGHT, TIME_WEIGHT = 25, 4, 2, 1
PAGE_LIMIT = 1000
EARLIEST_SECONDS, LATEST_SECONDS = 1_499_990_400, 4_102_444_800  # the exchange opened; 2100
UNKNOWN_SYMBOL = -1121  # errors.md: "Invalid symbol."
REPAIRABLE = ("trade", "aggTrade", "kline")
"""The kinds of stream whose past can be asked for, by id or by time."""


def page_request(stream: str, symbol: str, first_id: int, limit: int) -> RestRequest:
    """Return the question for the events of a stream of a kind in REPAIRABLE from an id on.

    The ids of klines are open times in microseconds.
    """
    kind = kind_of(stream)
    if kind == "kline":
        from_milliseconds = -(-first_id // 1000)  # which the exchange takes in either unit
        asked = ("interval", interval_of(stream)), ("startTime", str(from_milliseconds))
        return RestRequest(
            "klines", (("symbol", symbol), *asked, ("limit", str(limit))), KLINES_WEIGHT
        )
    endpoint, weight = (
        ("historicalTrades", TRADES_WEIGHT) if kind == "trade" else ("aggTrades", AGG_TRADES_WEIGHT)
    )
    parameters = (("symbol", symbol), ("fromId", str(first_id)), ("limit", str(limit)))
    return RestRequest(endpoint, parameters, weight)


def latest_request(symbol: str) -> RestRequest:
    """Return the question for the latest aggregate trade, which tells the latest trade too."""
    return RestRequest("aggTrades", (("symbol", symbol), ("limit", "1")), AGG_TRADES_WEIGHT)


TIME_REQUEST = RestRequest("time", (), TIME_WEIGHT)


def kind_of_refusal(body: bytes) -> RestFailureKind:
    """Return what a 4xx is about that speaks of the question itself, by its body."""
    try:
        error = _decode(_error, body)
    except ValueError:
        return "refused"
    # Of -1100, illegal characters, the message names the parameter.
    about_symbol = error.code == -1100 and "'symbol'" in error.msg
    return "unknown_symbol" if error.code == UNKNOWN_SYMBOL or about_symbol else "refused"


def read_page(
    stream: str,
    symbol: str,
    body: bytes,
    *,
    in_milliseconds: bool = False,
    unusable: list[Unusable] | None = None,
) -> Page:
    """Return the events of an answer, in ascending order of ids, times in microseconds.

    REST does not tell when the exchange made the event: the trade's time, or when the candle was
    over, stands for it. A candle is closed for sure when there is another one after it.
    Raises ValueError for anything but the documented JSON; a trade of which the id alone can be
    read goes to `unusable` instead, if that is given.
    """
    factor = 1000 if in_milliseconds else 1
    kind = kind_of(stream)
    if kind == "kline":
        rows = _decode(_candles, body)
        return _ascending(
            [
                _kline(symbol, interval_of(stream), row, factor, is_closed=number < len(rows))
                for number, row in enumerate(rows, start=1)
            ]
        )
    if kind == "trade":
        return _ascending(
            [
                Trade("trade", each.time * factor, symbol, each.id, each.price, each.qty,
                      each.time * factor, each.isBuyerMaker, "backfill")
                for each in _elements(_trades, _trade, _numbered, body, unusable)
            ]
        )  # fmt: skip
    return _ascending(
        [
            AggTrade("aggTrade", each.T * factor, symbol, each.a, each.p, each.q, each.f, each.l,
                     each.T * factor, each.m, "backfill")
            for each in _elements(_agg_trades, _agg_trade, _numbered_aggregate, body, unusable)
        ]
    )  # fmt: skip


def read_time(body: bytes, *, in_milliseconds: bool = False) -> float:
    """Return the exchange's Unix time in seconds. Raises ValueError.

    A time that cannot be, such as one in another unit, would make all that the streams tell look
    wrong: every event's time is judged by it.
    """
    told = _decode(_time, body).serverTime
    seconds = told / (1e3 if in_milliseconds else 1e6)
    if not EARLIEST_SECONDS <= seconds < LATEST_SECONDS:
        unit = "milliseconds" if in_milliseconds else "microseconds"
        raise ValueError(f"serverTime {told} is no time of these days in {unit}")
    return seconds


def _kline(symbol: str, interval: str, row: _RestCandle, factor: int, *, is_closed: bool) -> Kline:
    begin, *prices, volume, end, quote_volume, trades, bought, bought_quote, _ = row
    opening, high, low, closing = prices
    candle = Candle(
        *(begin * factor, end * factor, symbol, interval, None, None),
        *(opening, closing, high, low, volume),
        *(trades, is_closed, quote_volume, bought, bought_quote),
    )
    # An open one, which nobody stores, is not of the future.
    event_time = candle.next_open_time if is_closed else candle.open_time
    return Kline("kline", event_time, symbol, candle, "backfill")


_trades = msgspec.json.Decoder(list[_RestTrade])
_agg_trades = msgspec.json.Decoder(list[_RestAggTrade])
_trade = msgspec.json.Decoder(_RestTrade)
_agg_trade = msgspec.json.Decoder(_RestAggTrade)
_numbered = msgspec.json.Decoder(_Numbered)
_numbered_aggregate = msgspec.json.Decoder(_NumberedAggregate)
_raw = msgspec.json.Decoder(list[msgspec.Raw])
_candles = msgspec.json.Decoder(list[_RestCandle])
_time = msgspec.json.Decoder(_ServerTime)
_error = msgspec.json.Decoder(_Error)
_T = TypeVar("_T")
_EventT = TypeVar("_EventT", Trade, AggTrade, Kline)


def _decode(decoder: msgspec.json.Decoder[_T], body: bytes) -> _T:
    try:
        return decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"not the documented JSON: {error}") from error


def _elements(
    page: msgspec.json.Decoder[list[_T]],
    element: msgspec.json.Decoder[_T],
    numbered: msgspec.json.Decoder[Any],
    body: bytes,
    unusable: list[Unusable] | None,
) -> list[_T]:
    """Decode a page: at once, or one by one where something is wrong with an element."""
    try:
        return _decode(page, body)
    except ValueError:
        if unusable is None:
            raise
    found = []
    for raw in _decode(_raw, body):
        content = bytes(raw)
        try:
            found.append(_decode(element, content))
        except ValueError as error:
            known = _decode(numbered, content)
            event_id = known.id if isinstance(known, _Numbered) else known.a
            unusable.append(Unusable(event_id, content, str(error)))
    return found


def _ascending(events: list[_EventT]) -> list[_EventT]:
    for before, after in itertools.pairwise(events):
        if before.id >= after.id:
            raise ValueError(f"ids are not ascending: {after.id} after {before.id}")
    return events
