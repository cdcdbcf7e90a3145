"""Findings for people: a line for each stream and symbol, then what is not explained. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from streamer.audit.findings import Finding
from streamer.data.catalogue import KINDS, kind_of
from streamer.data.events import FILLED

_HEADINGS = (
    "stream",
    "symbol",
    "first id",
    "last id",
    "records",
    "missing",
    "copies",
    "disorder",
    "back-filled",
    "gaps",
)
_JUMPING = frozenset(kind.name for kind in KINDS if kind.ordering == "increasing")
_LEFT = 2  # columns of text; the others are numbers
_SHARE_SHOWN = 0.0001


def table(findings: Iterable[Finding], *, no_copies: bool = False) -> list[str]:
    """Return the lines."""
    findings = list(findings)
    rows = [_HEADINGS, *(_row(finding) for finding in findings)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    lines = [_aligned(row, widths) for row in rows]
    for finding in findings:
        lines += _details(finding, no_copies=no_copies)
    return lines


def jumping(findings: Iterable[Finding]) -> list[str]:
    """Return what to say of streams whose numbers grow by jumps, where nothing else tells."""
    names = sorted({f.stream for f in findings if kind_of(f.stream) in _JUMPING})
    return [
        f"not judged: {name}: its numbers grow by jumps, missing ones cannot be recognised"
        for name in names
    ]


def _row(finding: Finding) -> tuple[str, ...]:
    return (
        finding.stream,
        finding.symbol,
        "–" if finding.first_id is None else str(finding.first_id),
        "–" if finding.last_id is None else str(finding.last_id),
        f"{finding.records:,}",
        f"{finding.missing:,}",
        f"{finding.copies:,}",
        f"{finding.disorder:,}",
        _share(finding.backfilled, finding.records),
        f"{sum(finding.gap_records.values()) - finding.gap_records.get(FILLED, 0):,}",
    )


def _share(part: int, whole: int) -> str:
    if not part:
        return "0 %"
    share = part / whole
    return f"{share:.2%}" if share >= _SHARE_SHOWN else f"{part:,} of them"


def _aligned(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = [
        cell.ljust(width) if column < _LEFT else cell.rjust(width)
        for column, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]
    return "  ".join(cells).rstrip()


def _details(finding: Finding, *, no_copies: bool) -> list[str]:
    name = f"{finding.stream} {finding.symbol}"
    lines = [f"{name}: {problem}" for problem in finding.problems(no_copies=no_copies)]
    span = _span if kind_of(finding.stream) == "kline" else _range
    lines += [f"{name}: missing {span(*one)}" for one in finding.missing_ranges]
    if finding.differing_ids:
        ids = ", ".join(map(str, finding.differing_ids))
        lines.append(f"{name}: copies differ of {ids}")
    if finding.apart_ids:
        lines.append(f"{name}: they are {', '.join(map(str, finding.apart_ids))}")
    if finding.untimely_ids:
        lines.append(f"{name}: out of time are {', '.join(map(str, finding.untimely_ids))}")
    for reason, records in finding.gap_records.items():
        if reason == FILLED:
            continue
        ids_text = f", {finding.gap_ids[reason]:,} ids" if reason in finding.gap_ids else ""
        lines.append(f"{name}: {records:,} recorded gap(s), {reason}{ids_text}")
    if finding.filled:
        lines.append(f"{name}: {finding.filled:,} of these were filled later")
    lines += [
        f"{name}: not received from {time_text(gap.from_us)} to {time_text(gap.to_us)}"
        for gap in finding.gap_times
    ]
    if len(finding.partitions) > 1:
        numbers = ", ".join(map(str, finding.partitions))
        lines.append(f"{name}: in the partitions {numbers}; order is judged within each")
    return lines


def _range(first: int, last: int) -> str:
    return str(first) if first == last else f"{first} to {last} ({last - first + 1:,})"


def _span(first_us: int, last_us: int) -> str:
    return f"{time_text(first_us)} to {time_text(last_us)}"


def time_text(unix_us: int) -> str:
    """Return a Unix time in microseconds, for people: UTC, to the millisecond."""
    return datetime.fromtimestamp(unix_us / 1e6, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
