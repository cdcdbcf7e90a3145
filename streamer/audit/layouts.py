"""How the records of each kind say where they belong, and what order they promise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from streamer.audit.order import Contiguous, Increasing, Order

GAPS = "Gap"
"""The schema of what is declared missing."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The fields of a schema that are needed; all records have symbol, received_time, source."""

    stream: str
    first: str  # the field with the number of the record, or the first one that it covers
    last: str  # the same, or the last one
    order: Callable[[], Order]

    @property
    def fields(self) -> tuple[str, ...]:
        """What to read of every record."""
        return ("symbol", self.first, self.last, "received_time", "source")


LAYOUTS = {
    "Trade": Layout("trade", "trade_id", "trade_id", Contiguous),
    "AggTrade": Layout("aggTrade", "aggregate_trade_id", "aggregate_trade_id", Contiguous),
    "BookTicker": Layout("bookTicker", "update_id", "update_id", Increasing),
}
"""By the name of the record's schema."""

KINDS = ("trade", "aggTrade", "bookTicker", "gap")
"""The directories of the sink `files`; gaps last."""

TOLD_APART = frozenset({"received_time", "source", "event_time"})
"""What may differ between copies: how and when a record came. REST does not tell `event_time`."""
