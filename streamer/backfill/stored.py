"""What a sink holds: which ids, which declared gaps, and the records next to what is missing."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from streamer.audit.auditor import (
    FALSE,
    Auditor,
    epoch_of,
    has_epoch,
    key_of,
    layout_of,
    place_of,
)
from streamer.audit.batches import Batch, Source, Unreadable
from streamer.audit.decoded import reader
from streamer.audit.layouts import GAPS
from streamer.audit.pattern import Mismatch, RecordPattern, number
from streamer.backfill.errors import BackfillError
from streamer.backfill.plan import Holding
from streamer.data.catalogue import BY_STREAM, REPAIRABLE, kind_of
from streamer.data.records import encoder, load_schema

Key = tuple[str, str]
"""Stream and symbol."""
Content = Mapping[str, bytes]
"""What a record says, by the names of its fields, encoded."""


def holdings(
    source: Source, symbols: Collection[str] | None, count: Callable[[int], None]
) -> dict[Key, Holding]:
    """Return what a sink holds of streams whose past can be asked for. Raises BackfillError.

    `count` is called with the number of records that were read.

    Of a stream whose ids began anew only the latest numbering counts: nobody tells the others.
    """
    auditor = Auditor(symbols=symbols)
    for batch in _batches(source):
        try:
            auditor.take(batch)
        except Mismatch as problem:
            raise _unreadable(f"{batch.place}: {problem}") from problem
        count(batch.count)
    lanes = auditor.lanes
    found: dict[Key, Holding] = {}
    for name, symbol in sorted(lanes.keys() | auditor.gaps.keys()):
        stream, _, epoch_text = name.partition(":")
        epoch = int(epoch_text or 0)
        if kind_of(stream) not in REPAIRABLE:
            continue
        key = stream, symbol
        if key in found and found[key].epoch > epoch:
            continue
        holding = found[key] = Holding(stream, symbol, epoch)
        for which, lane in lanes.get((name, symbol), {}).items():
            for first, last in lane.order.ids:
                holding.present.add(first, last)
                if which < 0:
                    holding.brought.add(first, last)
        gaps = auditor.gaps.get((name, symbol))
        if gaps is not None:
            holding.lost, holding.empty, holding.closed = gaps.lost, gaps.empty, gaps.filled
    return found


def neighbours(
    source: Source, asked: Mapping[Key, Collection[int]], epochs: Mapping[Key, int]
) -> dict[Key, dict[int, Content]]:
    """Return what the records with these ids say; of candles, those that are closed.

    `epochs` are the numberings of ids that are asked about: another one has the same ids again.
    """
    found: dict[Key, dict[int, Content]] = {key: {} for key in asked}
    for batch in _batches(source):
        if batch.schema.name == GAPS:
            continue
        layout = layout_of(batch.schema)
        names = ("record_id", *place_of(layout), *compared(layout.kind), layout.record.ordering[0])
        records = reader(batch.schema.definition, names)
        if not isinstance(records, RecordPattern):
            continue  # other programs' records, of which not all is comparable
        fields = records.fields
        indexes = {name: index for index, name in enumerate(fields)}
        place = [indexes[name] for name in place_of(layout)]
        counted, record_id = indexes[layout.record.ordering[0]], indexes["record_id"]
        closed = indexes.get("is_closed")
        for row in records.rows(batch.data, batch.count):
            if closed is not None and row[closed] == FALSE:
                continue
            where = tuple(row[index] for index in place)
            if has_epoch(layout, row[record_id]):
                where = (*where, epoch_of(row[record_id]))
            stream, symbol = key_of(layout, where)
            name, _, epoch_text = stream.partition(":")
            key = name, symbol
            if int(epoch_text or 0) != epochs.get(key, 0):
                continue
            event_id = number(row[counted])
            if event_id in asked.get(key, ()):
                found[key][event_id] = {each: row[indexes[each]] for each in compared(layout.kind)}
    return found


def compared(kind: str) -> tuple[str, ...]:
    """Return the fields that say the same of an event however it came."""
    shown = next(one for one in BY_STREAM.values() if one.name == kind).fields.shown
    return tuple(name for name in shown if name != "source")


def content_of(stream: str, symbol: str) -> Callable[[Any], Content]:
    """Return what tells the content of an event, as `neighbours` does of records."""
    kind = kind_of(stream)
    encode = encoder(stream, symbol)
    records = reader(load_schema(kind), compared(kind))

    def content(event: Any) -> Content:  # noqa: ANN401 - an event of the kind
        (row,) = records.rows(encode(event, 0), 1)
        return dict(zip(records.fields, row, strict=False))

    return content


def check_same(told: Content, stored: Content, factor: int, where: str) -> None:
    """Raise BackfillError unless an event says what its stored record says.

    Times are compared as exactly as they are told: `factor` is 1000 where that is a millisecond.
    """
    for name, value in told.items():
        is_same = value == stored[name]
        if name.endswith("_time"):
            was = number(stored[name])
            # A sink of `exchange.time_unit` ms has whole milliseconds, whatever is told now.
            coarse = max(factor, 1000 if was % 1000 == 0 else 1)
            is_same = number(value) // coarse == was // coarse
        if not is_same:
            raise BackfillError(
                f"{where}: {name} is not what the stream told and is stored: it is of another "
                "venue or symbol, or wrong; nothing of it is taken"
            )


def _batches(source: Source) -> Iterator[Batch]:
    for batch in source.batches():
        if isinstance(batch, Unreadable):
            raise _unreadable(str(batch))
        yield batch


def _unreadable(problem: str) -> BackfillError:
    return BackfillError(
        f"{problem}: what is missing cannot be told; `python -m streamer audit` lists all of it"
    )
