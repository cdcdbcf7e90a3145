"""What kinds of objects there are, and how their numbers change between two looks."""

from __future__ import annotations

import gc
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

BETWEEN_CLOCKS = 1000  # objects: about a millisecond
SAMPLED = 10_000  # referents of one object that are weighed; the others count as much in the mean
_OURS = 3  # references to an object while it is weighed: the list, the variable, the argument


@dataclass(frozen=True, slots=True)
class Look:
    """Counts and sizes in bytes by type. A look that is not complete stands for a part of all."""

    at: float  # monotonic
    counts: dict[str, int]
    sizes: dict[str, int]
    complete: bool


def look(within_seconds: float, clock: Callable[[], float] = time.monotonic) -> Look:
    """Count what the garbage collector tracks, and what that refers to directly.

    Texts, bytes and numbers are not tracked, but leak as well: each counts as the share of its
    references that is found here, since to remember which ones were counted would cost more memory
    than there may be. Takes about a second and 8 MB for a million objects.
    """
    began = clock()
    counts: Counter[type] = Counter()
    shares: defaultdict[type, float] = defaultdict(float)
    sizes: defaultdict[type, float] = defaultdict(float)
    until_clock = BETWEEN_CLOCKS
    complete = True
    for one in gc.get_objects():
        referents = gc.get_referents(one)
        until_clock -= 1 + min(len(referents), SAMPLED)
        if until_clock < 0:
            until_clock = BETWEEN_CLOCKS
            if clock() - began > within_seconds:
                complete = False
                break
        counts[type(one)] += 1
        sizes[type(one)] += sys.getsizeof(one, 0)
        stands_for = max(len(referents) / SAMPLED, 1.0)
        del referents[SAMPLED:]
        for referent in referents:
            if not gc.is_tracked(referent):
                share = stands_for / max(sys.getrefcount(referent) - _OURS, 1)
                shares[type(referent)] += share
                sizes[type(referent)] += share * sys.getsizeof(referent, 0)
    named_counts: Counter[str] = Counter()
    named_sizes: Counter[str] = Counter()
    for kind in sizes:
        name = f"{kind.__module__}.{kind.__qualname__}"
        named_counts[name] += counts[kind] + round(shares.get(kind, 0.0))
        named_sizes[name] += round(sizes[kind])
    return Look(began, dict(named_counts), dict(named_sizes), complete)


def growth(before: Look, after: Look, shown: int) -> list[dict[str, Any]]:
    """Return the types that grew most in bytes between two looks, most first."""
    rows = [
        {
            "type": name,
            "count": count - before.counts.get(name, 0),
            "bytes": after.sizes[name] - before.sizes.get(name, 0),
        }
        for name, count in after.counts.items()
    ]
    return _largest((row for row in rows if row["count"] or row["bytes"]), shown)


def largest(seen: Look, shown: int) -> list[dict[str, Any]]:
    """Return the types that hold most bytes, most first."""
    return _largest(
        (
            {"type": name, "count": count, "bytes": seen.sizes[name]}
            for name, count in seen.counts.items()
        ),
        shown,
    )


def _largest(rows: Iterable[dict[str, Any]], shown: int) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: (row["bytes"], row["count"]), reverse=True)[:shown]
