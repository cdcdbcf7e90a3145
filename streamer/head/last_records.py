"""The last records of each stream and symbol, of what is read newest first. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

Record = dict[str, Any]
"""A decoded record, by field."""
GAP = "gap"
_STREAM_PART = 3  # of a record's id: binance:spot:SYMBOL:STREAM:…


def stream_of(kind: str, record: Record) -> str:
    """Return the stream of a record: `depth@100ms`, `kline_1m`, or `gap`. Raises ValueError."""
    if kind == GAP:
        return GAP  # its id names the stream that something is missing of
    try:
        return str(record["record_id"].split(":")[_STREAM_PART])
    except (LookupError, AttributeError, TypeError):
        raise ValueError("it has no record_id of ours") from None


@dataclass(frozen=True, slots=True)
class Wanted:
    """How many records of which streams and symbols."""

    per_stream: int
    streams: Collection[str] = ()  # none: all
    symbols: Collection[str] = ()  # likewise

    def takes(self, stream: str, symbol: str) -> bool:
        """Return whether a stream of a symbol is to be shown."""
        return (not self.streams or stream in self.streams) and (
            not self.symbols or symbol in self.symbols
        )


@dataclass(slots=True)
class LastRecords:
    """Collects the records of one kind that are wanted."""

    kind: str
    wanted: Wanted
    found: dict[tuple[str, str], list[Record]] = field(default_factory=dict)  # newest first

    def add(self, newest_first: Iterable[Record]) -> None:
        """Take records that are older than all before. Raises ValueError for one that is none."""
        for record in newest_first:
            place = stream_of(self.kind, record), str(record.get("symbol"))
            if self.wanted.takes(*place):
                records = self.found.setdefault(place, [])
                if len(records) < self.wanted.per_stream:
                    records.append(record)

    def are_complete(self, known: Collection[tuple[str, str]]) -> bool:
        """Return whether nothing that is older can be wanted; `known` are all that there are."""
        return bool(known) and all(
            len(self.found.get(place, ())) >= self.wanted.per_stream
            for place in known
            if self.wanted.takes(*place)
        )
