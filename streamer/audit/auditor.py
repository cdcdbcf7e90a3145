"""The first look: every record's number, in the order in which they are stored. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from operator import itemgetter
from typing import Any

from streamer.audit.batches import Batch, Schema
from streamer.audit.decoded import DecodedRecords, reader
from streamer.audit.gaps import DeclaredGaps, gap_records
from streamer.audit.layouts import GAPS, LAYOUTS, Layout
from streamer.audit.order import Order
from streamer.audit.pattern import Mismatch, RecordPattern, Row, number, text
from streamer.audit.period import ALWAYS, Period
from streamer.audit.ranges import IdRanges
from streamer.avro.binary import long, string
from streamer.data.binance_spot import RECORD_ID_PREFIX
from streamer.data.catalogue import NUMBERED

FALSE = b"\0"
UNTIMELY_US = 1_000_000
"""How much older than the one before a trade may be: the exchange's servers differ by less."""
_SEPARATORS, _NO_EPOCHS = 4, 1 << 10  # colons of a record id without an epoch
Key = tuple[str, str]
"""Stream and symbol."""


class Lane:
    """The records of one stream and symbol in one partition."""

    __slots__ = (
        "backfilled", "first_received", "foreign_ids", "id_prefix", "last_received",
        "order", "previous", "untimely", "was_backfilled",
    )  # fmt: skip

    def __init__(self, order: Order, id_prefix: bytes) -> None:
        self.order = order
        self.id_prefix = id_prefix  # of the text of its records' ids
        self.foreign_ids = 0
        self.backfilled = 0
        self.first_received = b""
        self.last_received = b""
        self.untimely = IdRanges()  # back-filled, and older or younger than their neighbours
        self.previous: Row = ()
        self.was_backfilled = False

    def compare_times(self, one: tuple[int, int], other: tuple[int, int]) -> None:
        """Compare number and time of two records, of which at least one came by REST."""
        (first_id, first_us), (second_id, second_us) = one, other
        if second_id == first_id + 1 and second_us < first_us - UNTIMELY_US:
            which = first_id if self.was_backfilled else second_id
            self.untimely.add(which, which)


class _Lanes(dict[Row, Lane]):
    """The lanes of a kind in a partition, by the encoded symbol and what tells streams apart."""

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        self.layout = layout

    def __missing__(self, place: Row) -> Lane:
        stream, symbol = key_of(self.layout, place)
        prefix = f"{RECORD_ID_PREFIX}:{symbol}:{stream}:".encode()
        lane = self[place] = Lane(self.layout.order(), prefix)
        return lane


class Auditor:
    """Takes batches; `lanes` and `gaps` are what was found."""

    def __init__(self, period: Period = ALWAYS, symbols: Collection[str] | None = None) -> None:
        """Count only what was received in the period, of these symbols; None: of all.

        What a back-fill brought counts whenever it came.
        """
        self.records = 0
        self._period = period
        self._symbols = None if symbols is None else {string(symbol): symbol for symbol in symbols}
        self.gaps: dict[Key, DeclaredGaps] = defaultdict(DeclaredGaps)
        self._lanes: dict[tuple[str, int], _Lanes] = {}
        self._readers: dict[int, tuple[Schema, RecordPattern | DecodedRecords, frozenset[bytes]]]
        self._readers = {}

    @property
    def lanes(self) -> dict[Key, dict[int, Lane]]:
        """What was found by stream and symbol, and by partition."""
        found: dict[Key, dict[int, Lane]] = defaultdict(dict)
        for (_, partition), lanes in self._lanes.items():
            for place, lane in lanes.items():
                found[key_of(lanes.layout, place)][partition] = lane
        return found

    def take(self, batch: Batch) -> None:
        """Take a batch. Raises Mismatch for what is no record of ours."""
        if batch.schema.name == GAPS:
            for record in gap_records(batch):
                key = gap_key(record)
                if self._symbols is None or key[1] in self._symbols.values():
                    self.gaps[key].take(record)
            return
        layout = layout_of(batch.schema)
        _, records, live = self._reader(batch.schema, layout)
        rows = self._wanted(records.fields, records.rows(batch.data, batch.count), batch.lane)
        self.records += len(rows)
        lanes = self._lanes.get((layout.kind, batch.lane))
        if lanes is None:
            lanes = self._lanes[layout.kind, batch.lane] = _Lanes(layout)
        self._count(layout, records.fields, rows, lanes, live)

    def _wanted(self, fields: tuple[str, ...], rows: list[Row], lane: int) -> list[Row]:
        if self._symbols is not None:
            symbol = fields.index("symbol")
            rows = [row for row in rows if row[symbol] in self._symbols]
        # What a back-fill brought was received later than what it fills.
        if self._period.is_bounded and lane >= 0:
            received = fields.index("received_time")
            rows = [row for row in rows if number(row[received]) in self._period]
        return rows

    def _count(
        self,
        layout: Layout,
        fields: tuple[str, ...],
        rows: list[Row],
        lanes: _Lanes,
        live: frozenset[bytes],
    ) -> None:
        place = itemgetter(*(fields.index(name) for name in place_of(layout)))
        received, source = fields.index("received_time"), fields.index("source")
        ordering = [fields.index(name) for name in layout.record.ordering]
        flag = fields.index("is_closed") if "is_closed" in layout.record.ordering else None
        only = ordering[0] if len(ordering) == 1 else None
        counted = fields.index(layout.record.number)
        time = fields.index(layout.record.time) if layout.record.time is not None else None
        record_id = fields.index("record_id")
        separators = _SEPARATORS if layout.kind in NUMBERED else _NO_EPOCHS
        for row in rows:
            if row[record_id].count(b":", 1) > separators:  # the first byte is a length
                lane = lanes[*place(row), epoch_of(row[record_id])]
            else:
                lane = lanes[place(row)]
            event_id = number(row[counted])
            if only is not None:
                lane.order.take(event_id)
            elif flag is None:
                lane.order.take(*(number(row[index]) for index in ordering))
            else:
                numbers = [number(row[index]) for index in ordering]
                lane.order.take(*numbers[:-1], row[flag] != FALSE)
            told = b"%b%d" % (lane.id_prefix, event_id)
            if not (row[record_id].endswith(told) or _is_of(row[record_id], lane, event_id)):
                lane.foreign_ids += 1
            backfilled = row[source] not in live
            if backfilled:
                lane.backfilled += 1
            if time is not None:
                if lane.previous and (backfilled or lane.was_backfilled):
                    before = lane.previous
                    lane.compare_times(
                        (number(before[counted]), number(before[time])),
                        (number(row[counted]), number(row[time])),
                    )
                lane.previous, lane.was_backfilled = row, backfilled
            lane.last_received = row[received]
            if not lane.first_received:
                lane.first_received = row[received]

    def _reader(
        self, schema: Schema, layout: Layout
    ) -> tuple[Schema, RecordPattern | DecodedRecords, frozenset[bytes]]:
        found = self._readers.get(id(schema))
        if found is None:
            records = reader(schema.definition, layout.fields)
            # With the schema, so that its id is not given to another one.
            found = self._readers[id(schema)] = schema, records, live_values(schema)
        return found


def _is_of(record_id: bytes, lane: Lane, event_id: int) -> bool:
    """Return whether a record id with more than a number behind the stream is that of a record."""
    text_at = 1 if record_id[0] < 0x80 else 2
    return record_id.startswith(lane.id_prefix, text_at) and record_id.endswith(b":%d" % event_id)


def gap_key(record: dict[str, Any]) -> Key:
    """Return where a gap record belongs: its record id has the epoch before `gap`."""
    before = str(record["record_id"]).rpartition(":gap:")[0].split(":")
    stream = ":".join([record["stream"], *before[4:]])
    return stream, record["symbol"]


def place_of(layout: Layout) -> tuple[str, ...]:
    """Return the fields that tell streams and symbols apart."""
    return ("symbol", "symbol" if layout.record.part is None else layout.record.part)


def key_of(layout: Layout, place: Row) -> Key:
    """Return stream and symbol from the fields of `place_of`, and the epoch if there is one."""
    symbol, part, *epoch = place
    stream = layout.stream(None if layout.record.part is None else text(part))
    return ":".join([stream, *(each.decode() for each in epoch)]), text(symbol)


def epoch_of(record_id: bytes) -> bytes:
    """Return the epoch in a record id: what is between stream and number."""
    return record_id.split(b":")[-2]


def has_epoch(layout: Layout, record_id: bytes) -> bool:
    """Return whether a record id is of an epoch; that of a candle has another number there."""
    return layout.kind in NUMBERED and record_id.count(b":", 1) > _SEPARATORS


def layout_of(schema: Schema) -> Layout:
    """Return the layout of a record's schema. Raises Mismatch for a foreign one."""
    layout = LAYOUTS.get(schema.name)
    if layout is None:
        raise Mismatch(f"records of {schema.name or 'no name'}: {', '.join(LAYOUTS)} are known")
    return layout


def live_values(schema: Schema) -> frozenset[bytes]:
    """Return how the source `live` is encoded, by a pattern and by the general decoder."""
    values = {string("live")}
    for field in schema.definition["fields"]:
        if field["name"] == "source" and isinstance(field["type"], dict):
            symbols = field["type"].get("symbols")
            if not isinstance(symbols, list) or "live" not in symbols:
                raise Mismatch("its field source has no value live")
            values.add(long(symbols.index("live")))
    return frozenset(values)
