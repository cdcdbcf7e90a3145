"""The detector: takes samples, evaluates at fixed bins, keeps the lowest evidence of late."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from monitor.leak.assessment import CONVICTION, Assessment, score_of
from monitor.leak.bins import HISTORY_SECONDS, SHORT_RUN_SECONDS, Bins, bin_seconds_for
from monitor.leak.evidence import Evidence, weigh
from monitor.leak.explain import explain, too_early

_SKIP_SECONDS = 600.0  # imports, first connections, first buffers: nobody's leak
_SHORTEST_WINDOW_SECONDS = 7200.0
_SHORTEST_WINDOW_SHORT_RUN_SECONDS = 1080.0
_EVALUATE_SECONDS = 300.0
_EVALUATE_SHORT_RUN_SECONDS = 60.0
_HOLD_SECONDS = 1800.0  # suspicion must last so long before a conviction
_HOLD_SHORT_RUN_SECONDS = 180.0
_HOLD_EXPLAINED_SECONDS = 600.0  # a collection would tell nothing that is not accounted for
_BUILDING_UP_Z = 2.5  # evidence may have been weaker by so much: from conviction to suspicion


class LeakDetector:
    """Judges one process by its memory, seen from outside. Make a new one for a new process.

    `horizon_seconds` is the planned length of the run; up to 1 h bins are 15 s wide and windows
    short, else bins are 60 s wide. Without a planned end give 86,400.

    The result depends on nothing but, per bin: the minimum of memory, the last cumulative count
    of messages and whether a rotation happened. One call per bin at the bin's end with these
    three repeats every assessment to the letter. Bins end at multiples of
    `bin_seconds_for(horizon_seconds)` after the start of the process; a sample taken exactly at
    such a time belongs to the bin that ends there. Bins without samples are left out. Minima must
    be kept unrounded (bytes, or MiB as written by repr).

    `reference` holds elapsed seconds and memory in bytes, oldest first, of an earlier run that is
    known to be good: its warm-up explains this one's, which makes early verdicts possible.

    `accounts_for_all`: what is told as `explained_bytes` holds every cache, and free heap, so that
    the rest may be judged with less tolerance and less delay. Else it may warm up as all memory.
    """

    def __init__(
        self,
        horizon_seconds: float,
        reference: Iterable[tuple[float, float]] | None = None,
        *,
        accounts_for_all: bool = False,
    ) -> None:
        if not horizon_seconds > 0:
            raise ValueError(f"horizon_seconds is {horizon_seconds}; expected more than 0")
        short = horizon_seconds <= SHORT_RUN_SECONDS
        width = bin_seconds_for(horizon_seconds)
        self._bins = Bins(width, accounts_for_all=accounts_for_all)
        self._reference = _reference(reference, width)
        self._skip = int(min(_SKIP_SECONDS, horizon_seconds / 10) / width)
        self._shortest = int(
            (_SHORTEST_WINDOW_SHORT_RUN_SECONDS if short else _SHORTEST_WINDOW_SECONDS) / width
        )
        self._longest = int(HISTORY_SECONDS / width)
        self._every = int((_EVALUATE_SHORT_RUN_SECONDS if short else _EVALUATE_SECONDS) / width)
        hold = _HOLD_SHORT_RUN_SECONDS if short else _HOLD_SECONDS
        self._recent: deque[Evidence] = deque(maxlen=int(hold / width) // self._every + 1)
        self._hold_explained = min(
            int(_HOLD_EXPLAINED_SECONDS / width) // self._every + 1, self._recent.maxlen or 1
        )
        self._due = self._skip + self._shortest
        self._latched = 0.0
        self._assessment = too_early(0.0, self._due * width)

    @property
    def accounts_for_all(self) -> bool:
        """Whether what is told holds every cache, and free heap; settable before it is told."""
        return self._bins.accounts_for_all

    @accounts_for_all.setter
    def accounts_for_all(self, value: bool) -> None:
        self._bins.accounts_for_all = value

    def observe(
        self,
        elapsed_seconds: float,
        memory_bytes: float,
        messages_total: float | None = None,
        rotation: bool = False,
        explained_bytes: float | None = None,
    ) -> None:
        """Take a sample of a process that was started `elapsed_seconds` ago.

        `memory_bytes` is RSS, or better USS or PSS, but always the same. `messages_total` counts
        from the start of the process. `rotation` is true for the first sample after one.
        `explained_bytes` is what of the memory the process accounts for: pages of files, free heap
        that is still mapped, and what bounded caches and queues hold; None where it does not tell.
        Only where it was told in every bin of a window it counts there.
        Raises ValueError for a time or a memory that cannot be.
        """
        if not self._bins.add(
            elapsed_seconds, memory_bytes, messages_total, rotation, explained_bytes
        ):
            return
        end = self._bins.end_bin
        if end < self._due:
            return
        self._due = (end // self._every + 1) * self._every
        self._evaluate(end)

    def collected(self, elapsed_seconds: float, before_bytes: float, after_bytes: float) -> None:
        """Take the result of a garbage collection with a trim of the heap, asked for on suspicion.

        What is given back was fragmentation or garbage: growth of which half or more came back
        is held. To repeat a verdict, tell it before the bin of `elapsed_seconds` ends.
        """
        self._bins.add_collection(elapsed_seconds, before_bytes, after_bytes)

    def assess(self) -> Assessment:
        """Return the assessment of the last evaluation: every 5 min, each minute up to 1 h."""
        return self._assessment

    def _evaluate(self, end: int) -> None:
        width = self._bins.width_seconds
        evidence = weigh(self._bins, self._windows(end), self._reference)
        if evidence is None:
            return
        self._recent.append(evidence)
        told = self._bins.accounts_for_all and evidence.floors.explained_mb is not None
        needed = self._hold_explained if told else self._recent.maxlen or 1
        held = list(self._recent)[-needed:]
        full = len(held) == needed
        lasting = min(evidence.z, min(item.z for item in held) + _BUILDING_UP_Z)
        current = score_of(lasting if full else min(lasting, 2.0))
        if current > CONVICTION:
            self._latched = max(self._latched, current)
        self._assessment = explain(evidence, max(current, self._latched), current, end * width)

    def _windows(self, end: int) -> list[int]:
        window = min(end - self._skip, self._longest)
        windows = []
        while window >= self._shortest:
            windows.append(window)
            window //= 2
        return windows[:4]


def _reference(curve: Iterable[tuple[float, float]] | None, width: float) -> Bins | None:
    if curve is None:
        return None
    bins = Bins(width)
    for elapsed_seconds, memory_bytes in curve:
        bins.add(elapsed_seconds, memory_bytes, None, False)
    return bins if len(bins.index) else None
