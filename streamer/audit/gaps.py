"""The gaps that are recorded in the sink itself. Pure but for the decoder."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from streamer.audit.batches import Batch
from streamer.audit.pattern import Mismatch
from streamer.audit.ranges import IdRanges
from streamer.data.events import FILLED
from streamer.order.sequence import EMPTY

NO_LOSS = (EMPTY, "not_wanted", "delisted")
"""Reasons of gaps that are no loss: there are no such ids, the settings were without them, or the
exchange did not trade them any more."""


@dataclass(frozen=True, slots=True)
class TimeGap:
    """A time in which a stream without contiguous ids was not heard: Unix times in µs."""

    from_us: int
    to_us: int
    reason: str


class DeclaredGaps:
    """What is declared of one stream of one symbol; a record that comes again counts once."""

    def __init__(self) -> None:
        self.lost = IdRanges()
        self.no_loss = IdRanges()
        self.empty = IdRanges()  # of `no_loss`: ids that do not exist
        self.filled = IdRanges()  # of `lost`, by records that close gaps
        self.times: list[TimeGap] = []
        self.records_by_reason: dict[str, int] = {}
        self.ids_by_reason: dict[str, int] = {}
        self._known: set[str] = set()

    def take(self, record: dict[str, Any]) -> None:
        """Take a gap record; times are whole numbers."""
        if record["record_id"] in self._known:
            return
        self._known.add(record["record_id"])
        reason = record["reason"]
        self.records_by_reason[reason] = self.records_by_reason.get(reason, 0) + 1
        if record["missing"] is None:
            self.times.append(TimeGap(record["from_time"], record["to_time"], reason))
            return
        ends = record["first_id"], record["last_id"]
        if record["first_id"] is None:  # candles: they open from one time on, before the other
            ends = record["from_time"], record["to_time"] - 1
        told = self.no_loss if reason in NO_LOSS else self.lost
        (self.filled if reason == FILLED else told).add(*ends)
        if reason == EMPTY:
            self.empty.add(*ends)
        self.ids_by_reason[reason] = self.ids_by_reason.get(reason, 0) + record["missing"]


def gap_records(batch: Batch) -> Iterator[dict[str, Any]]:
    """Yield the gap records of a batch. Raises Mismatch."""
    import fastavro  # here: few have gaps

    from streamer.audit.decoded import parsed

    schema = parsed(batch.schema.definition)
    stream = io.BytesIO(batch.data)
    for _ in range(batch.count):
        try:
            record: Any = fastavro.schemaless_reader(stream, schema, None)
        except Exception as error:
            raise Mismatch(f"a gap record cannot be decoded: {error}") from error
        yield record
