"""How the records of each kind say where they belong, and what order they promise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from streamer.audit.candles import Candles
from streamer.audit.order import Aggregates, Contiguous, Increasing, Order
from streamer.data.catalogue import KINDS
from streamer.data.stream_kind import Ordering, RecordFields

GAPS = "Gap"
"""The schema of what is declared missing."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The fields of a schema that are needed, and what takes their order."""

    kind: str
    record: RecordFields
    order: Callable[[], Order]

    @property
    def fields(self) -> tuple[str, ...]:
        """What to read of every record."""
        more = tuple(name for name in (self.record.part, self.record.time) if name is not None)
        return ("record_id", "symbol", "received_time", "source", *self.record.ordering, *more)

    def stream(self, part: str | None) -> str:
        """Return the name of the stream, as in settings and gap records."""
        return self.kind if part is None else f"{self.record.part_prefix}{part}"


_ORDERS: dict[Ordering, Callable[[], Order]] = {
    "contiguous": Contiguous,
    "aggregates": Aggregates,
    "ranges": Contiguous,
    "increasing": Increasing,
    "candles": Candles,
}
LAYOUTS = {
    kind.event.__name__: Layout(kind.name, kind.fields, _ORDERS[kind.ordering]) for kind in KINDS
}
"""By the name of the record's schema."""

DIRECTORIES = (*(layout.kind for layout in LAYOUTS.values()), "gap")
"""The directories of the sink `files`; gaps last."""

TOLD_APART = frozenset({"received_time", "source", "event_time", "reason"})
"""What may differ between copies: how, when and why a record came. REST does not tell
`event_time`; only snapshots have a reason."""

COMPARED_WITHIN = "levels"
"""Records with the same id are compared where this is the same: a start with another
`depth_snapshots.levels` may take a snapshot after the same update, and both are right."""
