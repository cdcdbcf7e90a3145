"""Encoders of the records that sum up a span of time: klines and 24-hour tickers.

As in `streamer.data.records`: the schemas' fields in their order. These come about once a second
per stream, so that nothing is remembered between them.
"""

from __future__ import annotations

from collections.abc import Callable

from streamer.avro.binary import long, optional_long, plain_decimal, signed_decimal, string
from streamer.data.field_types import Source
from streamer.data.summaries import Kline, MiniTicker, Ticker

_SOURCES: dict[Source, bytes] = {"live": b"\0", "backfill": b"\2"}  # positions in the enum
_BOOLEANS = (b"\0", b"\1")


def kline_encoder(id_text: str, symbol: bytes, prefix: bytes) -> Callable[[Kline, int], bytes]:
    """Return the encoder of klines.

    `id_text` is what every record id begins with, `symbol` the encoded symbol, `prefix` what goes
    before each record. The encoder takes an event and when it came, in Unix microseconds.
    """

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
                _id(candle.first_trade_id),
                _id(candle.last_trade_id),
                _BOOLEANS[candle.is_closed],
                _SOURCES[event.source],
            )
        )

    return encode


def mini_ticker_encoder(
    id_text: str, symbol: bytes, prefix: bytes
) -> Callable[[MiniTicker, int], bytes]:
    """Return the encoder of miniTickers; parameters as of `kline_encoder`."""

    def encode(event: MiniTicker, received_us: int) -> bytes:
        return b"".join(
            (
                prefix,
                string(f"{id_text}{event.event_time}"),
                symbol,
                long(event.event_time),
                long(received_us),
                plain_decimal(event.close),
                plain_decimal(event.open),
                plain_decimal(event.high),
                plain_decimal(event.low),
                plain_decimal(event.volume),
                plain_decimal(event.quote_volume),
                _SOURCES["live"],
            )
        )

    return encode


def ticker_encoder(id_text: str, symbol: bytes, prefix: bytes) -> Callable[[Ticker, int], bytes]:
    """Return the encoder of tickers; parameters as of `kline_encoder`."""

    def encode(event: Ticker, received_us: int) -> bytes:
        return b"".join(
            (
                prefix,
                string(f"{id_text}{event.event_time}"),
                symbol,
                long(event.event_time),
                long(received_us),
                long(event.open_time),
                long(event.close_time),
                signed_decimal(event.price_change),
                signed_decimal(event.price_change_percent),
                plain_decimal(event.weighted_average_price),
                plain_decimal(event.previous_price),
                plain_decimal(event.last_price),
                plain_decimal(event.last_quantity),
                plain_decimal(event.bid_price),
                plain_decimal(event.bid_quantity),
                plain_decimal(event.ask_price),
                plain_decimal(event.ask_quantity),
                plain_decimal(event.open),
                plain_decimal(event.high),
                plain_decimal(event.low),
                plain_decimal(event.volume),
                plain_decimal(event.quote_volume),
                _id(event.first_trade_id),
                _id(event.last_trade_id),
                long(event.trade_count),
                _SOURCES["live"],
            )
        )

    return encode


def _id(trade_id: int | None) -> bytes:
    """Return an id, or null where there is none: -1 on the wire."""
    return optional_long(None if trade_id == -1 else trade_id)
