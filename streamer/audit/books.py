"""Rebuilds every book from its snapshots and changes, and says where that is possible and right.

Pure but for the decoder. Prices and quantities are integers, as they lie in the records.
"""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from streamer.audit.batches import Batch, Source
from streamer.audit.decoded import parsed
from streamer.audit.findings import Finding
from streamer.audit.pattern import Mismatch
from streamer.audit.quotes import CHANGE_BYTES, BookTops, Quote, QuoteComparison, QuoteTally
from streamer.audit.table import time_text
from streamer.book.keeper import BookKeeper, Change, Levels, Snapshot
from streamer.book.rebuild import epoch_of
from streamer.data.catalogue import kind_of
from streamer.data.kinds.book_ticker import KIND as TICKER
from streamer.data.kinds.depth import KIND as DEPTH
from streamer.data.kinds.depth_snapshot import KIND as SNAPSHOT

BYTES_AT_ONCE = 256 << 20
"""What books that are rebuilt together may take. Of more symbols the records are read again."""
_BOOK_BYTES = 300_000  # of a snapshot of a thousand prices a side, and of a book while it changes
_GAP, _GAPS = "Gap", "gap"
Record = dict[str, Any]
Symbol = tuple[str, int]
"""A symbol and the epoch of its update ids."""


@dataclass(slots=True)
class BookFinding:
    """What was found of one stream of changes."""

    stream: str
    symbol: str
    changes: int = 0
    covered_us: int = 0  # in which the book is known
    total_us: int = 0  # from the first change to the last
    crossed: int = 0  # changes after which somebody would pay what somebody asks
    differing_snapshots: int = 0
    tops: BookTops = field(default_factory=BookTops)
    quotes: QuoteTally = field(default_factory=QuoteTally)  # that were recorded

    @property
    def covered(self) -> float:
        """The share of the time in which the book is known."""
        return self.covered_us / self.total_us if self.total_us else 0.0

    def problems(self) -> Iterator[str]:
        """Yield what is wrong, for people."""
        for count, what in (
            (self.crossed, "changes leave it crossed"),
            (self.differing_snapshots, "snapshots say something else"),
            (self.quotes.differing, "tops are not those of the quotes"),
        ):
            if count:
                yield f"{self.stream} {self.symbol}: the book is wrong: {count:,} {what}"
        if self.quotes.missing:
            yield (
                f"{TICKER.name} {self.symbol}: at least {self.quotes.missing:,} quotes are missing "
                f"and in no gap record: the top of the book ({self.stream}) changed without them"
            )

    def as_json(self) -> dict[str, Any]:
        """Return it for machines."""
        return {
            "stream": self.stream,
            "symbol": self.symbol,
            "changes": self.changes,
            "covered_share": round(self.covered, 6),
            "covered_seconds": self.covered_us / 1e6,
            "total_seconds": self.total_us / 1e6,
            "crossed": self.crossed,
            "differing_snapshots": self.differing_snapshots,
            "compared_tops": self.quotes.compared,
            "differing_tops": self.quotes.differing,
            "missing_quotes": self.quotes.missing,
            "missing_quotes_recorded": self.quotes.recorded,
            "missing_quote_ranges": [each.as_json() for each in self.quotes.ranges],
        }

    def lines(self) -> Iterator[str]:
        """Yield it for people: what is known, then where quotes are missing."""
        quotes = self.quotes
        yield (
            f"{self.stream} {self.symbol}: the book is known for {self.covered:.2%} of "
            f"{self.total_us / 1e6:,.1f} s ({self.changes:,} changes, {quotes.compared:,} tops "
            "compared with quotes)"
        )
        if quotes.recorded:
            yield (
                f"{TICKER.name} {self.symbol}: at least {quotes.recorded:,} quotes are missing "
                "where gap records say so"
            )
        for each in quotes.ranges:
            yield (
                f"{TICKER.name} {self.symbol}: at least {each.at_least:,} quotes are missing "
                f"between the updates {each.after_id} and {each.before_id}, received from "
                f"{time_text(each.from_us)} to {time_text(each.to_us)}"
            )


class _Portion:
    """Symbols whose books are rebuilt together: the first ones that are seen and not done yet."""

    def __init__(
        self, symbols: Collection[str] | None, done: Collection[str], sizes: Mapping[str, int]
    ) -> None:
        self.taken: set[str] = set()
        self.are_left = False
        self._symbols, self._done, self._sizes = symbols, done, sizes
        self._bytes = 0

    def __contains__(self, symbol: str) -> bool:
        if symbol in self.taken:
            return True
        if symbol in self._done or (self._symbols is not None and symbol not in self._symbols):
            return False
        size = self._sizes.get(symbol, _BOOK_BYTES)
        if self.taken and self._bytes + size > BYTES_AT_ONCE:
            self.are_left = True
            return False
        self.taken.add(symbol)
        self._bytes += size
        return True


def sizes_of(findings: Iterable[Finding]) -> dict[str, int]:
    """Return the bytes that the book of each symbol takes while it is rebuilt, about."""
    sizes: dict[str, int] = defaultdict(lambda: _BOOK_BYTES)
    for finding in findings:
        if finding.stream == SNAPSHOT.name:
            sizes[finding.symbol] += finding.records * _BOOK_BYTES
        elif kind_of(finding.stream) == DEPTH.name:
            sizes[finding.symbol] += finding.records * CHANGE_BYTES
    return dict(sizes)


def check_books(
    source: Source,
    symbols: Collection[str] | None = None,
    sizes: Mapping[str, int] = MappingProxyType({}),
) -> list[BookFinding]:
    """Rebuild all books of a source, of these symbols; None: of all.

    Reads each kind once for each portion of symbols that takes BYTES_AT_ONCE, by `sizes`.
    """
    findings: list[BookFinding] = []
    done: set[str] = set()
    while True:
        portion = _Portion(symbols, done, sizes)
        findings += _check(source, portion, is_first=not done)
        if not portion.are_left:
            return sorted(findings, key=lambda each: (each.stream, each.symbol))
        done |= portion.taken


def _check(source: Source, symbols: _Portion, *, is_first: bool) -> list[BookFinding]:
    snapshots: dict[Symbol, list[Snapshot]] = defaultdict(list)
    gaps: dict[str, list[tuple[int, int]]] = defaultdict(list)  # of quotes, times in µs

    def take_first(name: str, record: Record) -> None:
        if name == SNAPSHOT.event.__name__:
            snapshots[record["symbol"], epoch_of(record)].append(
                Snapshot(
                    record["last_update_id"],
                    record["levels"],
                    _levels(record["bids"]),
                    _levels(record["asks"]),
                )
            )
        elif record["stream"] == TICKER.name and record["from_time"] is not None:
            gaps[record["symbol"]].append((record["from_time"], record["to_time"]))

    _each(source, (SNAPSHOT.event.__name__, _GAP), (SNAPSHOT.name, _GAPS), symbols, take_first)
    if is_first and not snapshots and not symbols.are_left:
        return []
    books: dict[tuple[str, Symbol], _Rebuilt] = {}

    def take_change(_: str, record: Record) -> None:
        symbol = record["symbol"], epoch_of(record)
        book = books.get((record["stream"], symbol))
        if book is None:
            finding = BookFinding(record["stream"], symbol[0])
            book = books[record["stream"], symbol] = _Rebuilt(finding, snapshots.get(symbol, []))
        book.take(record)

    _each(source, (DEPTH.event.__name__,), (DEPTH.name,), symbols, take_change)
    snapshots.clear()
    quotes: dict[Symbol, _Quotes] = {}

    def take_quote(_: str, record: Record) -> None:
        symbol = record["symbol"], epoch_of(record)
        if symbol not in quotes:
            of_symbol = [book.finding for (_, its), book in books.items() if its == symbol]
            quotes[symbol] = _Quotes(of_symbol, gaps[symbol[0]])
        quotes[symbol].take(record)

    _each(source, (TICKER.event.__name__,), (TICKER.name,), symbols, take_quote)
    return [books[key].finish() for key in sorted(books)]


class _Rebuilt:
    """One book while its changes are read."""

    def __init__(self, finding: BookFinding, snapshots: list[Snapshot]) -> None:
        self.finding = finding
        self._keeper = BookKeeper(snapshots)
        self._time_us: int | None = None

    def take(self, record: Record) -> None:
        keeper, finding = self._keeper, self.finding
        change = Change(
            record["first_update_id"],
            record["last_update_id"],
            record["event_time"],
            _levels(record["bids"]),
            _levels(record["asks"]),
        )
        if keeper.reached_id is not None and change.last_id <= keeper.reached_id:
            return  # a copy
        was_known = keeper.last_id is not None and change.first_id <= keeper.last_id + 1
        is_next = keeper.reached_id is not None and change.first_id <= keeper.reached_id + 1
        is_known = keeper.take(change)
        finding.changes += 1
        if self._time_us is not None:
            passed_us = max(0, change.time_us - self._time_us)
            finding.total_us += passed_us
            finding.covered_us += passed_us if was_known else 0
        self._time_us = change.time_us
        finding.tops.add(change, keeper.bids, keeper.asks, is_known=is_known, is_next=is_next)
        finding.crossed += is_known and keeper.is_crossed

    def finish(self) -> BookFinding:
        self.finding.differing_snapshots = self._keeper.differing
        return self.finding


class _Quotes:
    """The quotes of one symbol, each of which holds until the next one."""

    def __init__(self, findings: list[BookFinding], gaps: list[tuple[int, int]]) -> None:
        self._comparisons = [QuoteComparison(each.tops, each.quotes) for each in findings]
        self._gaps = gaps
        self._latest: Quote | None = None

    def take(self, record: Record) -> None:
        quote = Quote(
            record["update_id"],
            record["received_time"],
            (_integer(record["bid_price"]), _integer(record["bid_quantity"])),
            (_integer(record["ask_price"]), _integer(record["ask_quantity"])),
        )
        latest = self._latest
        if latest is not None and quote.update_id <= latest.update_id:
            return  # a copy
        is_recorded = latest is not None and self._is_gap(latest.received_us, quote.received_us)
        for comparison in self._comparisons:
            comparison.take(quote, is_recorded=is_recorded)
        self._latest = quote

    def _is_gap(self, from_us: int, to_us: int) -> bool:
        return any(begin < to_us and end > from_us for begin, end in self._gaps)


def _each(
    source: Source,
    names: Collection[str],
    kinds: Collection[str],
    symbols: _Portion,
    take: Callable[[str, Record], None],
) -> None:
    """Give each record of these schemas to `take`; what cannot be read was named before."""
    import fastavro  # here: few have books

    for batch in source.batches(kinds):
        if not isinstance(batch, Batch) or batch.schema.name not in names:
            continue
        try:
            schema, stream = parsed(batch.schema.definition), io.BytesIO(batch.data)
            for _ in range(batch.count):
                record: Any = fastavro.schemaless_reader(stream, schema, None)
                if record["symbol"] in symbols:
                    take(batch.schema.name, record)
        except (Mismatch, ValueError, LookupError, EOFError, TypeError):
            continue


def _levels(levels: list[dict[str, bytes]]) -> Levels:
    return tuple((_integer(each["price"]), _integer(each["quantity"])) for each in levels)


def _integer(encoded: bytes) -> int:
    return int.from_bytes(encoded, "big", signed=True)
