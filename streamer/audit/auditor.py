"""The first look: every record's number, in the order in which they are stored. Pure."""

from __future__ import annotations

from collections import defaultdict

from streamer.audit.batches import Batch, Schema
from streamer.audit.decoded import DecodedRecords, reader
from streamer.audit.gaps import DeclaredGaps, gap_records
from streamer.audit.layouts import GAPS, LAYOUTS, Layout
from streamer.audit.order import Order
from streamer.audit.pattern import Mismatch, RecordPattern, Row, number, text
from streamer.avro_binary import long, string

Key = tuple[str, str]
"""Stream and symbol."""


class Lane:
    """The records of one stream and symbol in one partition."""

    __slots__ = ("backfilled", "first_received", "last_received", "order")

    def __init__(self, order: Order) -> None:
        self.order = order
        self.backfilled = 0
        self.first_received = b""
        self.last_received = b""


class _Lanes(dict[bytes, Lane]):
    """The lanes of a stream in a partition, by the encoded symbol."""

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        self._layout = layout

    def __missing__(self, symbol: bytes) -> Lane:
        lane = self[symbol] = Lane(self._layout.order())
        return lane


class Auditor:
    """Takes batches; `lanes` and `gaps` are what was found."""

    def __init__(self) -> None:
        self.records = 0
        self.gaps: dict[Key, DeclaredGaps] = defaultdict(DeclaredGaps)
        self._lanes: dict[tuple[str, int], _Lanes] = {}
        self._readers: dict[int, tuple[Schema, RecordPattern | DecodedRecords, frozenset[bytes]]]
        self._readers = {}

    @property
    def lanes(self) -> dict[Key, dict[int, Lane]]:
        """What was found by stream and symbol, and by partition."""
        found: dict[Key, dict[int, Lane]] = defaultdict(dict)
        for (stream, partition), lanes in self._lanes.items():
            for symbol, lane in lanes.items():
                found[stream, text(symbol)][partition] = lane
        return found

    def take(self, batch: Batch) -> None:
        """Take a batch. Raises Mismatch for what is no record of ours."""
        if batch.schema.name == GAPS:
            for record in gap_records(batch):
                self.gaps[record["stream"], record["symbol"]].take(record)
            return
        layout = layout_of(batch.schema)
        _, records, live = self._reader(batch.schema, layout)
        rows = records.rows(batch.data, batch.count)
        self.records += batch.count
        lanes = self._lanes.get((layout.stream, batch.lane))
        if lanes is None:
            lanes = self._lanes[layout.stream, batch.lane] = _Lanes(layout)
        self._count(layout, records.fields, rows, lanes, live)

    def _count(
        self,
        layout: Layout,
        fields: tuple[str, ...],
        rows: list[Row],
        lanes: _Lanes,
        live: frozenset[bytes],
    ) -> None:
        symbol, first, last, received, source = (fields.index(name) for name in layout.fields)
        is_one = first == last
        for row in rows:
            lane = lanes[row[symbol]]
            first_id = number(row[first])
            lane.order.take(first_id, first_id if is_one else number(row[last]))
            if row[source] not in live:
                lane.backfilled += 1
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
            values.add(long(field["type"]["symbols"].index("live")))
    return frozenset(values)
