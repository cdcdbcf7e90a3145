"""The table of streams: what is wrong comes first; searched, sorted, a page at a time. Pure."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Final, Literal, NamedTuple, cast, get_args
from urllib.parse import parse_qs

from monitor.health import freshness
from monitor.snapshot import Snapshot, StreamerSnapshot

PAGE_ROWS: Final = 50
SEARCH_CHARACTERS_MAX: Final = 60  # several whole names
_FIELDS_MAX: Final = 8  # of a query; three are known

StreamState = Literal["silent", "unavailable", "repairing", "quiet", "ok"]
"""The worst first. `silent`: not up to date; `unavailable`: the exchange does not serve it;
`repairing`: events wait above an open gap; `quiet`: REST has no news either."""

Sort = Literal["worst", "name", "rate", "silence", "events"]

_RANK: Final = {state: rank for rank, state in enumerate(get_args(StreamState))}
_WELL: Final = frozenset({"quiet", "ok"})
_NOTHING_TOLD: Final = (0, None)
_STATE, _SILENCE = attrgetter("state"), attrgetter("silent_seconds")


class StreamRow(NamedTuple):
    """One stream of one symbol, as it is shown."""

    state: StreamState
    symbol: str
    stream: str
    streamer: str
    per_second: float
    silent_seconds: float
    events_total: int
    held: int  # events that wait above an open gap
    why: str  # of what is unavailable

    def as_json(self) -> dict[str, Any]:
        """Return the row as it is sent."""
        row = self._asdict()
        row["per_second"] = round(self.per_second, 2)
        row["silent_seconds"] = round(self.silent_seconds, 1)
        return row


@dataclass(frozen=True, slots=True)
class StreamQuery:
    """Which rows are asked for."""

    search: str = ""  # words that all are in a row's symbol, stream, state or streamer
    sort: Sort = "worst"
    page: int = 0


class QueryError(ValueError):
    """A query that cannot be answered: says what is expected."""


def query_of(text: str) -> StreamQuery:
    """Return what a URL's query asks for; other fields are ignored. Raises QueryError."""
    try:
        fields = parse_qs(text, max_num_fields=_FIELDS_MAX)
    except ValueError as error:
        raise QueryError(f"expected at most {_FIELDS_MAX} fields: {error}") from error
    search = fields.get("search", [""])[-1]
    sort = fields.get("sort", ["worst"])[-1]
    page = fields.get("page", ["0"])[-1]
    if len(search) > SEARCH_CHARACTERS_MAX:
        raise QueryError(f"search: expected at most {SEARCH_CHARACTERS_MAX} characters")
    if sort not in get_args(Sort):
        raise QueryError(f"sort: expected one of {', '.join(get_args(Sort))}")
    if not (page.isascii() and page.isdigit() and len(page) <= 6):
        raise QueryError("page: expected a number from 0")
    return StreamQuery(" ".join(search.lower().split()), cast(Sort, sort), int(page))


class StreamTable:
    """The streams of one snapshot. What an order or a search needs is made when it is asked for."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.rows = [
            row
            for streamer in snapshot.streamers
            for row in _rows(streamer, snapshot.stale_after_seconds)
        ]
        self._orders: dict[Sort, list[tuple[str, StreamRow]]] = {}

    def worst(self, count: int) -> list[StreamRow]:
        """Return the first rows of the order `worst`."""
        # Most are well: comparing their silence alone takes a third of the time.
        wrong = [row for row in self.rows if row.state not in _WELL]
        well = [row for row in self.rows if row.state in _WELL] if len(wrong) < count else []
        longest = heapq.nlargest(count, well, key=_SILENCE)
        return heapq.nsmallest(count, wrong + longest, key=_ORDERS["worst"])

    def counts(self) -> dict[StreamState, int]:
        """Return how many streams are in each state."""
        return {**dict.fromkeys(_RANK, 0), **Counter(map(_STATE, self.rows))}

    def page(self, query: StreamQuery) -> dict[str, Any]:
        """Return the rows of a query as they are sent, and how many there are."""
        words = query.search.split()
        found = [
            row for text, row in self._order(query.sort) if all(word in text for word in words)
        ]
        pages = max(-(-len(found) // PAGE_ROWS), 1)
        page = min(query.page, pages - 1)  # there are fewer than a moment ago
        shown = found[page * PAGE_ROWS : (page + 1) * PAGE_ROWS]
        return {
            "total": len(self.rows),
            "matched": len(found),
            "page": page,
            "pages": pages,
            "rows": [row.as_json() for row in shown],
        }

    def _order(self, sort: Sort) -> list[tuple[str, StreamRow]]:
        if sort not in self._orders:
            rows = sorted(self.rows, key=_ORDERS[sort])
            self._orders[sort] = [
                (f"{row.symbol} {row.stream} {row.state} {row.streamer}".lower(), row)
                for row in rows
            ]
        return self._orders[sort]


_ORDERS: Final[dict[Sort, Callable[[StreamRow], Any]]] = {
    "worst": lambda row: (
        min(_RANK[row.state], _RANK["quiet"]),
        -row.silent_seconds,
        row.symbol,
        row.stream,
    ),
    "name": lambda row: (row.symbol, row.stream),
    "rate": lambda row: (-row.per_second, row.symbol, row.stream),
    "silence": lambda row: (-row.silent_seconds, row.symbol, row.stream),
    "events": lambda row: (-row.events_total, row.symbol, row.stream),
}


def _rows(streamer: StreamerSnapshot, stale_after_seconds: float) -> Iterator[StreamRow]:
    fresh = freshness(streamer, stale_after_seconds)
    reported = streamer.report.streams if streamer.report is not None else ()
    # Of few: most neither hold anything back nor are asked about.
    told = {
        (one.stream, one.symbol): (one.pending, one.silence)
        for one in reported
        if one.pending or one.silence
    }
    # What a process that reports no more had is as old as its last report, and older by that.
    late_seconds = streamer.report_age_seconds or 0.0
    name = streamer.name
    for one in streamer.streams[:]:  # a copy: in a lazy sequence each index is a call
        key = (one.stream, one.symbol)
        held, silence = told.get(key, _NOTHING_TOLD)
        state: StreamState = "ok"
        if one.unavailable:
            state = "unavailable"
        elif not fresh.get(key, False):
            state = "silent"
        elif held:
            state = "repairing"
        elif silence == "quiet":
            state = "quiet"
        yield StreamRow(
            state,
            one.symbol,
            one.stream,
            name,
            one.per_second,
            one.silent_seconds + late_seconds,
            one.events_total,
            held,
            one.unavailable or "",
        )
