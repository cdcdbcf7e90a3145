"""The comparison of two runs as people read it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from monitor.compare import Change, Comparison, Line
from monitor.estimates import Estimate
from monitor.report.text import amount

CAVEATS_SHOWN: Final = 20  # more, and the runs have little in common anyway; --json has all
_RULE: Final = "─" * 104


def comparison_table(comparison: Comparison, old: Path, new: Path) -> str:
    """Return each figure before and now, the difference with its interval, and what it means."""
    lines = [
        _RULE,
        f"{'figure':<29} {'before':>10} {'now':>10} {'difference (90 % interval)':>30} "
        f"{'matters from':>12}  result",
        _RULE,
    ]
    for one in comparison.lines:
        name = f"{one.name}, {one.unit}"
        margin = "–" if one.margin is None else amount(one.margin)
        lines.append(
            f"{name:<29} {_value(one.old):>10} {_value(one.new):>10} {_difference(one):>30} "
            f"{margin:>12}  {_words(one.change)}"
        )
        if one.reason:
            lines.append(f"    {one.reason}")
    lines += [_RULE, *_remarks(comparison)]
    for title, path, verdict in (
        ("before", old, comparison.old_verdict),
        ("now", new, comparison.new_verdict),
    ):
        lines.append(f"{title + ':':<8} {path} (its own verdict: {verdict})")
    lines += [f"outcome: {comparison.outcome}{_because(comparison)}", _RULE, ""]
    return "\n".join(lines)


def _remarks(comparison: Comparison) -> Iterator[str]:
    for one in comparison.criteria:
        yield f"no longer passed: {one}"
    for one in comparison.caveats[:CAVEATS_SHOWN]:
        yield f"not the same: {one}"
    if len(comparison.caveats) > CAVEATS_SHOWN:
        yield f"… {len(comparison.caveats) - CAVEATS_SHOWN} more that is not the same (--json)"


def _because(comparison: Comparison) -> str:
    told: tuple[Change, ...] = ("worse", "cannot_tell")
    reasons = [
        f"{_words(change)}: {', '.join(names)}"
        for change in told
        if (names := comparison.of(change))
    ]
    if comparison.new_verdict != "pass":
        reasons.insert(0, f"the verdict now is {comparison.new_verdict}")
    return f" ({'; '.join(reasons)})" if reasons else " (nothing is worse)"


def _words(change: Change) -> str:
    return change.replace("_", " ")


def _value(estimate: Estimate | None) -> str:
    return amount(estimate.value if estimate else None)


def _difference(line: Line) -> str:
    found = line.difference
    if found is None:
        return "–"
    value, low, high = (_signed(one) for one in (found.value, found.low, found.high))
    return f"{value} ({low} to {high})"


def _signed(value: float) -> str:
    return f"{'+' if value > 0 else ''}{amount(value)}"
