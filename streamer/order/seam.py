"""Where a stream goes from one machine to another: whether something is missing between. Pure.

The successor hears a stream, says so, and the predecessor goes on for an overlap before it ends. So
what the successor heard first has come to the predecessor as well, unless that one was deaf (its
connection was gone, or dead without a word) or behind: then what it missed before the successor
listened is missing for good, where ids tell of no gaps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Seam:
    """The two sides of a stream that moves; times are Unix microseconds of the successor's clock.

    `heard_us` is since when the successor has all that the exchange sends; None: it is not so, such
    as when its connection was lost meanwhile. `first_us` is when its first event came.
    """

    last_id: int  # of the predecessor's last record
    heard_us: int | None
    first_id: int | None = None  # None: nothing has come so far
    first_us: int = 0


def unproven(seams: Mapping[str, Seam], within_us: int) -> set[str]:
    """Return the names of streams of which something may be missing between the two sides.

    `within_us` is for how long after `heard_us` the predecessor has taken what came, at least. A
    stream in which nothing came so early is proven by another one that moves with it.
    """
    proven = {name for name, seam in seams.items() if _meets(seam)}
    return {
        name
        for name, seam in seams.items()
        if seam.heard_us is None
        or (name not in proven and (not proven or _is_early(seam, seam.heard_us + within_us)))
    }


def _meets(seam: Seam) -> bool:
    """Return whether both sides had one event, as far as is known."""
    return seam.first_id is not None and seam.first_id <= seam.last_id


def _is_early(seam: Seam, until_us: int) -> bool:
    return seam.first_id is not None and seam.first_us < until_us
