"""How the records of each kind say where they belong, and what order they promise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from streamer.audit.candles import Candles
from streamer.audit.order import Aggregates, Contiguous, Increasing, Order

GAPS = "Gap"
"""The schema of what is declared missing."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The fields of a schema that are needed; all records have symbol, received_time, source.

    `ordering` names what the order takes: whole numbers, or a boolean as 0 and 1. `number` is the
    one among them that tells records apart.
    """

    kind: str
    ordering: tuple[str, ...]
    number: str
    order: Callable[[], Order]
    part: str | None = None  # the field that tells the streams of a kind apart
    part_prefix: str = ""  # of its value, in the name of the stream
    time: str | None = None  # the field that rises with the number, where REST fills holes

    @property
    def fields(self) -> tuple[str, ...]:
        """What to read of every record."""
        more = tuple(name for name in (self.part, self.time) if name is not None)
        return ("record_id", "symbol", "received_time", "source", *self.ordering, *more)

    def stream(self, part: str | None) -> str:
        """Return the name of the stream, as in settings and gap records."""
        return self.kind if part is None else f"{self.part_prefix}{part}"


LAYOUTS = {
    "Trade": Layout("trade", ("trade_id",), "trade_id", Contiguous, time="trade_time"),
    "AggTrade": Layout(
        "aggTrade",
        ("aggregate_trade_id", "first_trade_id", "last_trade_id"),
        "aggregate_trade_id",
        Aggregates,
        time="trade_time",
    ),
    "BookTicker": Layout("bookTicker", ("update_id",), "update_id", Increasing),
    "Depth": Layout(
        "depth",
        ("first_update_id", "last_update_id"),
        "last_update_id",
        Contiguous,
        part="stream",
    ),
    "Kline": Layout(
        "kline",
        ("open_time", "close_time", "event_time", "is_closed"),
        "event_time",
        Candles,
        part="interval",
        part_prefix="kline_",
    ),
    "MiniTicker": Layout("miniTicker", ("event_time",), "event_time", Increasing),
    "Ticker": Layout("ticker", ("event_time",), "event_time", Increasing),
}
"""By the name of the record's schema."""

KINDS = (*(layout.kind for layout in LAYOUTS.values()), "gap")
"""The directories of the sink `files`; gaps last."""

TOLD_APART = frozenset({"received_time", "source", "event_time"})
"""What may differ between copies: how and when a record came. REST does not tell `event_time`."""
