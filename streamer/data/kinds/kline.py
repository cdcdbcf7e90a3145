"""Kind `kline`: the state of a candle, until it is closed."""

from __future__ import annotations

from typing import Literal

import msgspec

from streamer.avro.binary import long, plain_decimal, string
from streamer.data.binance_spot import KLINES_WEIGHT
from streamer.data.candle import Candle, became
from streamer.data.field_types import SOURCE_KEY, Source, Whole
from streamer.data.intervals import INTERVALS, interval_of
from streamer.data.record_head import BOOLEANS, SOURCES, Encode, RecordHead, id_or_null
from streamer.data.rest_page import RestRequest, Unusable, ascending, decode
from streamer.data.stream_kind import Check, Past, RecordFields, StreamKind
from streamer.data.value_checks import check_decimal, check_positive, check_times
from streamer.errors import FrameRejected

LONGEST_CANDLE_US = 31 * 24 * 3600 * 1_000_000  # a month


class Kline(
    msgspec.Struct,
    frozen=True,
    gc=False,
    rename={
        "event_type": "e",
        "event_time": "E",
        "symbol": "s",
        "candle": "k",
        "source": SOURCE_KEY,
    },
):
    """The state of a candle at `event_time`; the last one of a candle says that it is closed."""

    event_type: Literal["kline"]
    event_time: Whole
    symbol: str
    candle: Candle
    source: Source = "live"

    @property
    def id(self) -> int:
        """Its candle's open time: closed candles follow each other without a hole."""
        return self.candle.open_time


def _check_of(stream: str) -> Check:
    """Return the check of a stream's events, which must be of its interval too."""
    interval = interval_of(stream)

    def check(event: Kline, earliest_us: int, latest_us: int) -> None:
        _check(event, earliest_us, latest_us)
        if event.candle.interval != interval:
            raise FrameRejected("wrong_interval", f"i {event.candle.interval[:40]!r} on {stream}")

    return check


def _check(event: Kline, earliest_us: int, latest_us: int) -> None:
    """Raise FrameRejected unless times and numbers can be those of a candle; it may be empty."""
    candle = event.candle
    check_times(earliest_us, latest_us, E=event.event_time, t=candle.open_time)
    if not 0 <= candle.close_time - candle.open_time <= LONGEST_CANDLE_US:
        raise FrameRejected("bad_time", f"T {candle.close_time} is not soon after t")
    if candle.symbol != event.symbol:
        raise FrameRejected("wrong_symbol", f"k.s {candle.symbol[:40]!r} beside s")
    for letter, price in (
        ("o", candle.open),
        ("c", candle.close),
        ("h", candle.high),
        ("l", candle.low),
    ):
        check_positive("bad_price", letter, price)
    for letter, quantity in (
        ("v", candle.volume),
        ("q", candle.quote_volume),
        ("V", candle.taker_buy_volume),
        ("Q", candle.taker_buy_quote_volume),
    ):
        check_decimal("bad_quantity", letter, quantity, plain_decimal)


def _encoder(head: RecordHead) -> Encode:
    prefix, symbol, id_text = head.prefix, head.symbol, head.id_text.decode()

    def encode(event: Kline, received_us: int) -> bytes:
        candle = event.candle
        return b"".join(
            (
                prefix,
                string(f"{id_text}{candle.open_time}:{event.event_time}"),
                symbol,
                string(candle.interval),
                long(candle.open_time),
                long(candle.close_time),
                long(event.event_time),
                long(received_us),
                plain_decimal(candle.open),
                plain_decimal(candle.close),
                plain_decimal(candle.high),
                plain_decimal(candle.low),
                plain_decimal(candle.volume),
                plain_decimal(candle.quote_volume),
                plain_decimal(candle.taker_buy_volume),
                plain_decimal(candle.taker_buy_quote_volume),
                long(candle.trade_count),
                id_or_null(candle.first_trade_id),
                id_or_null(candle.last_trade_id),
                BOOLEANS[candle.is_closed],
                SOURCES[event.source],
            )
        )

    return encode


RestCandle = tuple[Whole, str, str, str, str, str, Whole, str, Whole, str, str, str]
"""Open time, open, high, low, close, volume, close time, quote volume, trades, what takers bought,
the same in the quote asset, and what is to be ignored."""
_candles = msgspec.json.Decoder(list[RestCandle])


def _request(stream: str, symbol: str, first_id: int, limit: int) -> RestRequest:
    """Return the request for candles; `first_id` is an open time in microseconds."""
    from_milliseconds = -(-first_id // 1000)  # which the exchange takes in either unit
    asked = ("interval", interval_of(stream)), ("startTime", str(from_milliseconds))
    parameters = (("symbol", symbol), *asked, ("limit", str(limit)))
    return RestRequest("klines", parameters, KLINES_WEIGHT)


def _read(
    stream: str,
    symbol: str,
    body: bytes,
    factor: int,
    unusable: list[Unusable] | None,
) -> list[Kline]:
    """Return the candles of a page. One is closed for sure when there is another one after it."""
    rows = decode(_candles, body)
    return ascending(
        [
            candle_of_row(symbol, interval_of(stream), row, factor, is_closed=number < len(rows))
            for number, row in enumerate(rows, start=1)
        ]
    )


def candle_of_row(
    symbol: str,
    interval: str,
    row: RestCandle,
    factor: int,
    *,
    is_closed: bool,
    source: Source = "backfill",
) -> Kline:
    """Return the event of a candle that is not told on its stream; times are times `factor`."""
    (
        begin,
        opening,
        high,
        low,
        closing,
        volume,
        end,
        quote_volume,
        trades,
        bought,
        bought_quote,
        _,
    ) = row
    candle = Candle(
        open_time=begin * factor,
        close_time=end * factor,
        symbol=symbol,
        interval=interval,
        first_trade_id=None,
        last_trade_id=None,
        open=opening,
        close=closing,
        high=high,
        low=low,
        volume=volume,
        trade_count=trades,
        is_closed=is_closed,
        quote_volume=quote_volume,
        taker_buy_volume=bought,
        taker_buy_quote_volume=bought_quote,
    )
    # An open one, which nobody stores, is not of the future.
    event_time = candle.next_open_time if is_closed else candle.open_time
    return Kline("kline", event_time, symbol, candle, source)


def _is_same(streamed: Kline, told: Kline) -> bool:
    return became(streamed.candle, told.candle)


def _differs(first: Kline, copy: Kline) -> bool:
    if first.event_time == copy.event_time and first.source == copy.source:
        return first.candle != copy.candle
    are_closed = first.candle.is_closed and copy.candle.is_closed
    return are_closed and not became(first.candle, copy.candle)


def _in_microseconds(event: Kline) -> Kline:
    candle = event.candle
    return msgspec.structs.replace(
        event,
        event_time=event.event_time * 1000,
        candle=msgspec.structs.replace(
            candle, open_time=candle.open_time * 1000, close_time=candle.close_time * 1000
        ),
    )


KIND = StreamKind(
    name="kline",
    streams=tuple(f"kline_{interval}" for interval in INTERVALS),
    event=Kline,
    event_type="kline",
    topic="market.crypto.klines.binance",
    ordering="candles",
    fields=RecordFields(
        ("open_time", "close_time", "event_time", "is_closed"),
        "event_time",
        part="interval",
        part_prefix="kline_",
        shown=("open_time", "open", "high", "low", "close", "volume", "trade_count", "is_closed"),
    ),
    check_of=_check_of,
    encoder=_encoder,
    in_microseconds=_in_microseconds,
    differs=_differs,
    past=Past(_request, _read, _is_same),
    ids_are_times=True,
)
