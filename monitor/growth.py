"""Growth of memory by floors: what remains at the low points, late against early.

End points decide by luck: a peak at the end or a dip at the start is no growth. A floor is the
10th percentile of the minima of many bins, and the spread of the minima around it gives the
interval. What the first minutes allocate (imports, first buffers) is left out, in short runs at
least until the first event has come: on a busy machine a launch takes longer than a tenth of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from monitor.series import Bin

SKIP_SECONDS = 600.0  # at most; in short runs a tenth, or until there are events
SHARE = 5  # the floors are taken over the first and the last fifth of what is left
FEWEST_BINS = 15  # below, a fifth holds fewer than three minima


@dataclass(frozen=True, slots=True)
class Growth:
    """Growth of the floor in bytes, with an interval, and the bins that it rests on."""

    bytes: float
    low_bytes: float
    high_bytes: float
    bins: int


def growth(bins: Sequence[Bin], bin_seconds: float) -> Growth | None:
    """Return the growth of one process, or None while there is too little to tell."""
    if not bins:
        return None
    tenth = (bins[-1].index + 1) * bin_seconds / 10
    skip = min(SKIP_SECONDS, max(tenth, _launched(bins) * bin_seconds))
    settled = [one.rss_min_bytes for one in bins if one.index * bin_seconds >= skip]
    if len(settled) < FEWEST_BINS:
        return None
    part = len(settled) // SHARE
    early, late = sorted(settled[:part]), sorted(settled[-part:])
    return Growth(
        bytes=_percentile(late, 0.1) - _percentile(early, 0.1),
        low_bytes=late[0] - _percentile(early, 0.5),
        high_bytes=_percentile(late, 0.5) - early[0],
        bins=len(settled),
    )


def _launched(bins: Sequence[Bin]) -> int:
    """Return how many bins it took until there were events; 0 where none came."""
    return next((one.index + 1 for one in bins if one.messages_total), 0)


def _percentile(ordered: Sequence[int], share: float) -> float:
    position = share * (len(ordered) - 1)
    below = int(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (position - below)
