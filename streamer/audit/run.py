"""Both looks at a source, with a word now and then for who waits."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

from streamer.audit.auditor import Auditor
from streamer.audit.batches import Batch, Source, Unreadable
from streamer.audit.books import BookFinding
from streamer.audit.copies import SecondLook, portions
from streamer.audit.findings import Finding, candles_again, conclude, numbers_again
from streamer.audit.pattern import Mismatch
from streamer.audit.period import ALWAYS, Period

PROGRESS_SECONDS = 5.0

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """Everything that was found, and what could not be read."""

    findings: list[Finding]
    unreadable: list[str]
    records: int
    seconds: float
    problems_of_files: list[str] = field(default_factory=list)
    not_judged: list[str] = field(default_factory=list)  # which is no problem, and not explained
    books: list[BookFinding] = field(default_factory=list)

    def problems(self, *, no_copies: bool) -> bool:
        """Return whether anything is not explained."""
        return bool(self.unreadable or self.problems_of_files or self.problems_of_books()) or any(
            finding.problems(no_copies=no_copies) for finding in self.findings
        )

    def problems_of_books(self) -> list[str]:
        """Return what is wrong with rebuilt books."""
        return [problem for book in self.books for problem in book.problems()]

    def as_json(self, *, no_copies: bool) -> dict[str, Any]:
        """Return it for machines."""
        return {
            "explained": not self.problems(no_copies=no_copies) and not self.not_judged,
            "problems": self.problems_of_files + self.problems_of_books(),
            "not_judged": self.not_judged,
            "records": self.records,
            "seconds": round(self.seconds, 3),
            "unreadable": self.unreadable,
            "books": [book.as_json() for book in self.books],
            "streams": [finding.as_json() for finding in self.findings],
        }


def audit(
    source: Source,
    say: Say,
    period: Period = ALWAYS,
    symbols: Collection[str] | None = None,
) -> Outcome:
    """Read a source, once or twice; of the period and the symbols alone, if there are any."""
    began = time.monotonic()
    auditor = Auditor(period, symbols)
    progress = _Progress(source, say)
    unreadable: list[str] = []
    for batch in source.batches():
        if isinstance(batch, Unreadable):
            unreadable.append(str(batch))
            continue
        try:
            auditor.take(batch)
        except Mismatch as problem:
            unreadable.append(f"{batch.place}: {problem}")
        progress.count(batch)
    looks = []
    again = [(portion, False) for portion in portions(numbers_again(auditor))]
    again += [(portion, True) for portion in portions(candles_again(auditor))]
    for portion, of_candles in again:
        total = sum(ranges.total for ranges in portion.values())
        say(f"{total:,} numbers are there more than once or late: comparing them")
        look = SecondLook(portion, of_candles=of_candles)
        for batch in source.batches():
            if isinstance(batch, Batch):
                _again(look, batch)
        looks.append(look)
    findings = conclude(auditor, looks)
    return Outcome(
        findings=findings,
        problems_of_files=list(_absent(findings, symbols or ())),
        unreadable=list(dict.fromkeys(unreadable)),
        records=auditor.records,
        seconds=time.monotonic() - began,
    )


def _absent(findings: list[Finding], symbols: Collection[str]) -> Iterator[str]:
    """Yield the streams that are there of some symbols, and not of others that are asked about."""
    there = {(finding.stream, finding.symbol) for finding in findings}
    for stream in sorted({finding.stream for finding in findings}) or ["any stream"]:
        for symbol in symbols:
            if (stream, symbol) not in there:
                yield f"{stream} {symbol}: no records"


def _again(look: SecondLook, batch: Batch) -> None:
    try:
        look.take(batch)
    except Mismatch:
        return  # the first look has named it


class _Progress:
    """Says how far a long reading has come."""

    def __init__(self, source: Source, say: Say) -> None:
        self._source = source
        self._say = say
        self._records = self._bytes = 0
        self._began = time.monotonic()
        self._said_at = self._began

    def count(self, batch: Batch) -> None:
        self._records += batch.count
        self._bytes += len(batch.data)
        now = time.monotonic()
        if now - self._said_at < PROGRESS_SECONDS:
            return
        self._said_at = now
        done = None
        if self._source.total_records:
            done = self._records / self._source.total_records
        elif self._source.total_bytes:
            done = self._bytes / self._source.total_bytes
        share = f"{min(done, 1.0):.0%}, " if done is not None else ""
        rate = self._records / (now - self._began)
        self._say(f"{share}{self._records:,} records, {rate:,.0f} a second")
