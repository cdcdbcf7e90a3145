"""`python -m streamer book`: an order book as it was at a time, from a sink's records."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from streamer.audit.batches import Batch, Source
from streamer.book.rebuild import Book, NoChanges, NotCovered, Record, rebuild
from streamer.data.kinds.depth import KIND as DEPTH
from streamer.data.kinds.depth_snapshot import KIND as SNAPSHOT
from streamer.data.stream_kind import StreamKind
from streamer.sink_command import (
    NOTHING,
    SinkParser,
    kafka_place,
    reads_kafka,
    say,
    settings_of,
    time_argument,
)

SHOWN, NOT_COVERED = 0, 3
"""Exit codes of its own; NOT_COVERED: the records do not tell the book at this time."""

_EPILOG = """\
Times are those of the exchange's clock, UTC. The book is that after the last change up to --at; it
is known only where a snapshot was stored (depth_snapshots) and no change is missing since, up to
the last price of the snapshot. Files in progress are read to their last whole block.

Exit codes: 0 the book is shown; 2 usage or configuration; 3 the records do not cover this time, and
why; 4 there are no changes of this book.
"""


def main(arguments: Sequence[str]) -> int:
    """Run the command and return its exit code."""
    parser = SinkParser(
        "book",
        "Rebuilds an order book from snapshots and the changes that follow them.",
        _EPILOG,
    )
    add = parser.add_argument
    parser.add_directory()
    add("--symbol", required=True, type=str.upper, metavar="S", help="such as BTCUSDT")
    add(
        "--at",
        type=time_argument,
        metavar="TIME",
        help="such as 2026-11-27T13:30 (default: the last)",
    )
    add("--stream", choices=DEPTH.streams, help="of changes (default: the one that is there)")
    add("--levels", type=int, default=10, metavar="N", help="shown of each side (default: 10)")
    parser.add_kafka()
    parser.add_settings()
    add("--json", action="store_true", help="for machines, on stdout: every level")
    options = parser.parse(arguments)

    from streamer.audit.sources import files_of, topics_of  # after the usage is known to be right

    settings, kinds = settings_of(options), (DEPTH.name, SNAPSHOT.name)
    source: Source
    if reads_kafka(options, settings):
        source, where = topics_of(settings.kafka, kinds), kafka_place(settings.kafka)
    else:
        directory: Path = options.directory or settings.sink.directory
        source, where = files_of(directory, kinds), str(directory)
    return _show(source, where, options)


def _show(source: Source, where: str, options: argparse.Namespace) -> int:
    records, symbol = _Records(source, options.symbol), options.symbol
    stream = options.stream or records.stream()
    try:
        book = rebuild(records.of(SNAPSHOT), records.of(DEPTH, stream), options.at)
    except NoChanges:
        say(
            f"{where}: no changes of a book of {symbol}; the streams depth and depth@100ms "
            "bring them"
        )
        return NOTHING
    except NotCovered as reason:
        say(f"{stream} of {symbol}: {reason}")
        return NOT_COVERED
    if options.json:
        print(json.dumps(_document(symbol, stream, book), indent=2))  # noqa: T201 - asked for
    else:
        for line in _table(symbol, stream, book, options.levels):
            print(line)  # noqa: T201 - likewise
    return SHOWN


class _Records:
    """The records of a symbol, in the order in which they are stored."""

    def __init__(self, source: Source, symbol: str) -> None:
        self._source = source
        self._symbol = symbol
        self._unreadable: set[str] = set()  # told once, however often it is read

    def of(self, kind: StreamKind, stream: str | None = None) -> Iterator[Record]:
        """Yield those of a kind, of one of its streams if it is named."""
        from streamer.head.decoding import decoded, parsed

        schemas: dict[int, Any] = {}
        for batch in self._source.batches():
            if not isinstance(batch, Batch):
                self._tell(str(batch))
                continue
            if batch.schema.name != kind.event.__name__:
                continue
            try:
                schema = schemas.get(id(batch.schema))
                if schema is None:
                    schema = schemas[id(batch.schema)] = parsed(batch.schema.definition)
                records = decoded(batch.data, schema)
            except ValueError as error:
                self._tell(f"{batch.place}: {error}")
                continue
            for record in records:
                if record["symbol"] == self._symbol and stream in (None, record.get("stream")):
                    yield record

    def stream(self) -> str | None:
        """Return the stream whose changes are there, the one that tells more where both are."""
        found: str | None = None
        for record in self.of(DEPTH):
            found = record["stream"]
            if found != "depth":
                break
        return found

    def _tell(self, problem: str) -> None:
        if problem not in self._unreadable:
            self._unreadable.add(problem)
            say(f"unreadable: {problem}")


def _table(symbol: str, stream: str | None, book: Book, levels: int) -> Iterator[str]:
    yield f"{symbol} after the update {book.last_update_id} of {_text(book.changed_us)} ({stream})"
    rows = [("bid quantity", "bid", "ask", "ask quantity")]
    for index in range(min(levels, max(len(book.bids), len(book.asks)))):
        bid, ask = (
            tuple(map(_number, side[index])) if index < len(side) else ("", "")
            for side in (book.bids, book.asks)
        )
        rows.append((bid[1], bid[0], ask[0], ask[1]))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for row in rows:
        cells = zip(row, widths, strict=True)
        yield "  ".join(cell.rjust(width) for cell, width in cells).rstrip()
    yield f"{len(book.bids):,} bids and {len(book.asks):,} asks are known"


def _document(symbol: str, stream: str | None, book: Book) -> dict[str, Any]:
    return {
        "symbol": symbol,
        "stream": stream,
        "last_update_id": book.last_update_id,
        "changed_time": _text(book.changed_us),
        "bids": [list(map(_number, level)) for level in book.bids],
        "asks": [list(map(_number, level)) for level in book.asks],
        "bids_limit": None if book.bids_limit is None else _number(book.bids_limit),
        "asks_limit": None if book.asks_limit is None else _number(book.asks_limit),
    }


def _number(value: Decimal) -> str:
    return f"{value.normalize():f}"


def _text(unix_us: int) -> str:
    return datetime.fromtimestamp(unix_us / 1e6, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
