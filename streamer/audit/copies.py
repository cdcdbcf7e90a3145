"""The second look, at what came again: is each a copy of the first one? Pure.

A copy has the same record id and says the same; only how and when it came may differ. The first
look remembers numbers alone, so that a day fits into memory; contents are compared here, for the
few numbers that are there more than once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from operator import itemgetter

from streamer.audit.auditor import (
    FALSE,
    Key,
    epoch_of,
    has_epoch,
    key_of,
    layout_of,
    live_values,
    place_of,
)
from streamer.audit.batches import Batch
from streamer.audit.decoded import DecodedRecords, reader
from streamer.audit.layouts import COMPARED_WITHIN, GAPS, TOLD_APART
from streamer.audit.pattern import RecordPattern, Row, number
from streamer.audit.ranges import IdRanges

NUMBERS_AT_ONCE = 500_000
"""Compared in one look: some 100 MB; more of them take more looks."""


def portions(
    again: Mapping[Key, IdRanges], size: int = NUMBERS_AT_ONCE
) -> Iterator[dict[Key, IdRanges]]:
    """Yield the numbers in portions of at most `size`."""
    portion: dict[Key, IdRanges] = {}
    room = size
    for key, ranges in again.items():
        for first, last in ranges:
            position = first
            while position <= last:
                end = min(last, position + room - 1)
                portion.setdefault(key, IdRanges()).add(position, end)
                room -= end - position + 1
                position = end + 1
                if not room:
                    yield portion
                    portion, room = {}, size
    if portion:
        yield portion


class _Seen:
    """One number: the contents of the first record with it, and how often it was there."""

    __slots__ = ("content", "differs", "event_time", "times")

    def __init__(self, content: int) -> None:
        self.content = content
        self.event_time: bytes | None = None  # of a live record
        self.differs = False
        self.times = 0


_OF_CANDLES = TOLD_APART | {"record_id", "close_time", "first_trade_id", "last_trade_id"}
"""What may differ between closed candles of one open time: the `event_time` is in the id; close
times may be cut to a millisecond; REST and archives do not tell ids of trades."""


class SecondLook:
    """Takes the same batches again, and compares what has one of the numbers."""

    def __init__(self, numbers: Mapping[Key, IdRanges], *, of_candles: bool = False) -> None:
        """With `of_candles` the numbers are open times, and only closed candles are compared."""
        self._numbers = numbers
        self._of_candles = of_candles
        self._seen: dict[tuple[Key, int], _Seen] = {}
        # The first contents by number and part.
        self._parts: dict[tuple[Key, int, bytes], int] = {}
        self._readers: dict[int, RecordPattern | DecodedRecords] = {}

    def take(self, batch: Batch) -> None:
        """Take a batch that the first look has taken."""
        if batch.schema.name == GAPS:
            return
        layout = layout_of(batch.schema)
        if self._of_candles and layout.kind != "kline":
            return
        records = self._readers.get(id(batch.schema))
        if records is None:
            names = [field["name"] for field in batch.schema.definition["fields"]]
            records = self._readers[id(batch.schema)] = reader(batch.schema.definition, names)
        fields = records.fields
        place = itemgetter(*(fields.index(name) for name in place_of(layout)))
        counted, source = fields.index(layout.record.number), fields.index("source")
        time = fields.index("event_time") if "event_time" in fields else None
        left_out = _OF_CANDLES if self._of_candles else TOLD_APART
        compared = [index for index, name in enumerate(fields) if name not in left_out]
        closed = None
        if self._of_candles:
            counted, closed, time = fields.index("open_time"), fields.index("is_closed"), None
        part = fields.index(COMPARED_WITHIN) if COMPARED_WITHIN in fields else None
        live = live_values(batch.schema)
        record_id = fields.index("record_id")
        keys: dict[Row, Key] = {}
        for row in records.rows(batch.data, batch.count):
            if closed is not None and row[closed] == FALSE:
                continue
            here = place(row)
            if has_epoch(layout, row[record_id]):
                here = (*here, epoch_of(row[record_id]))
            key = keys.get(here)
            if key is None:
                key = keys[here] = key_of(layout, here)
            event_id = number(row[counted])
            if key not in self._numbers or event_id not in self._numbers[key]:
                continue
            content = hash(tuple(row[index] for index in compared))
            seen = self._seen.setdefault((key, event_id), _Seen(content))
            seen.times += 1
            first = seen.content
            if part is not None:
                first = self._parts.setdefault((key, event_id, row[part]), content)
            seen.differs |= first != content
            if time is not None and row[source] in live:
                seen.differs |= seen.event_time not in (None, row[time])
                seen.event_time = row[time]

    def differing(self) -> Iterator[tuple[Key, int]]:
        """Yield what is there more than once, and does not always say the same."""
        return (where for where, seen in self._seen.items() if seen.differs)

    def times(self) -> Iterator[tuple[Key, int, int]]:
        """Yield how often each number is there; nothing of candles, whose numbers are others."""
        if self._of_candles:
            return iter(())
        return ((key, event_id, seen.times) for (key, event_id), seen in self._seen.items())
