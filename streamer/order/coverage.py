"""When a stream was covered, where its ids tell of no gaps: what was not goes on record. Pure.

    unknown ── heard ──▶ covered ── lost ──▶ uncovered ── heard, or restored ──▶ covered

Quotes and tickers have ids that grow by jumps. What was missed of them cannot be told by ids, only
by the time in which nobody listened. Times are Unix microseconds.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Uncovered:
    """A time in which events may have been missed, both ends as they go on record."""

    from_us: int
    to_us: int


@dataclass(frozen=True, slots=True)
class Coverage:
    """The coverage of one stream of one symbol.

    `covered_from_us` is since when it was covered last: what was missed before is on record.
    `lost_us` is since when it is not covered; None while it is, or nothing was heard of it yet.
    """

    covered_from_us: int = 0
    lost_us: int | None = None

    @property
    def is_lost(self) -> bool:
        """Return whether it is not covered, and this is not on record yet."""
        return self.lost_us is not None


def lost(coverage: Coverage, heard_us: int | None) -> Coverage:
    """Return the coverage when no connection serves the stream any more.

    `heard_us` is when its last event came, by an earlier run if need be; None: there was none, and
    so nothing was covered that could be missed. A quiet stream that was covered since then is
    missed from there on: what is on record already is not put there again.
    """
    if coverage.is_lost or heard_us is None:
        return coverage
    return Coverage(coverage.covered_from_us, max(heard_us, coverage.covered_from_us))


def is_of_before(coverage: Coverage, received_us: int) -> bool:
    """Return whether what came then says nothing of now: the stream was lost later."""
    return coverage.lost_us is not None and received_us < coverage.lost_us


def covered(coverage: Coverage, now_us: int) -> tuple[Coverage, Uncovered | None]:
    """Return the coverage when an event has come, or a connection serves the stream again.

    With it comes what is to be put on record, before that event.
    """
    if coverage.lost_us is None:
        return coverage, None
    # The two times may be of two machines, the later one with the slower clock or more work.
    return Coverage(now_us), Uncovered(min(coverage.lost_us, now_us), now_us)


def dropped(
    coverage: Coverage, heard_us: int | None, from_us: int, to_us: int
) -> tuple[Coverage, Uncovered | None]:
    """Return the coverage after a time in which what came was not kept.

    Of a stream that is not covered the whole time is put on record when it is again.
    """
    if coverage.is_lost or heard_us is None:
        return coverage, None
    begin_us = max(min(heard_us, from_us), coverage.covered_from_us)
    return Coverage(to_us), Uncovered(begin_us, to_us)
