"""What is kept of a process: a row per bin of one minute, or of 15 s in runs up to 1 h."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left

MIB = 1 << 20
SHORT_RUN_SECONDS = 3600.0  # up to here bins are short, since there are few of them
HISTORY_SECONDS = 24 * 3600.0  # older bins are forgotten: the calibration knows 24 h
BIN_SECONDS = 60.0
SHORT_BIN_SECONDS = 15.0
_SMOOTHING_SECONDS = 300.0  # of the message rate before its running maximum is taken


def bin_seconds_for(horizon_seconds: float) -> float:
    """Return the bins' width: 15 s in runs up to 1 h, else 60 s."""
    return SHORT_BIN_SECONDS if horizon_seconds <= SHORT_RUN_SECONDS else BIN_SECONDS


class Bins:
    """Rows of (index, minima, cumulative messages, peak rate, rotations), appended as bins end.

    Bin i holds the samples with i·w < elapsed ≤ (i+1)·w, so a sample at the very end of a bin
    belongs to it and closes it. Bins without a sample have no row.
    """

    def __init__(self, width_seconds: float, *, accounts_for_all: bool = False) -> None:
        self.width_seconds = width_seconds
        self.accounts_for_all = accounts_for_all  # so that the rest is judged more strictly
        self.index = array("q")
        self.minimum_mb = array("d")
        self.unexplained_mb = array("d")  # of memory less what is accounted for; NaN when not told
        self.messages = array("d")  # cumulative at the bin's last sample, NaN when unknown
        self.peak_rate = array("d")  # running maximum of the smoothed rate per second
        self.rotations = array("q")  # indices of the bins in which a rotation happened
        self.given_back: list[tuple[int, float]] = []  # (index, MB) of collections and trims
        self._capacity = int(HISTORY_SECONDS / width_seconds)
        self._closed = -1
        self._open = -1
        self._open_minimum = self._open_unexplained = math.inf
        self._open_messages = math.nan
        self._open_rotation = False
        self._smooth_rate = math.nan
        self._peak_rate = 0.0

    def add(
        self,
        elapsed_seconds: float,
        memory_bytes: float,
        messages: float | None,
        rotation: bool,
        explained_bytes: float | None = None,
    ) -> bool:
        """Take a sample; return whether a bin was closed by it.

        Raises ValueError for a time that is negative or not finite; a sample that is older than
        the last closed bin changes nothing.
        """
        if not 0 <= elapsed_seconds < math.inf:
            raise ValueError(f"elapsed_seconds is {elapsed_seconds}; expected a finite age")
        position = elapsed_seconds / self.width_seconds
        at = max(math.ceil(position) - 1, 0)
        if at <= self._closed or at < self._open:
            return False
        closed = self._open >= 0 and at > self._open
        if closed:
            self._close()
        self._open = at
        self._open_minimum = min(self._open_minimum, memory_bytes)
        if explained_bytes is not None:
            self._open_unexplained = min(self._open_unexplained, memory_bytes - explained_bytes)
        if messages is not None:
            self._open_messages = messages
        self._open_rotation = self._open_rotation or rotation
        if position == at + 1:
            self._close()
            closed = True
        return closed

    def add_collection(self, elapsed_seconds: float, before: float, after: float) -> None:
        """Note what a collection with a trim gave back."""
        index = math.ceil(elapsed_seconds / self.width_seconds) - 1
        self.given_back.append((index, (before - after) / MIB))

    def _close(self) -> None:
        self._advance_rate()
        self.index.append(self._open)
        self.minimum_mb.append(self._open_minimum / MIB)
        told = self._open_unexplained < math.inf
        self.unexplained_mb.append(self._open_unexplained / MIB if told else math.nan)
        self.messages.append(self._open_messages)
        self.peak_rate.append(self._peak_rate)
        if self._open_rotation:
            self.rotations.append(self._open)
        self._closed, self._open = self._open, -1
        self._open_minimum = self._open_unexplained = math.inf
        self._open_rotation = False
        self._open_messages = math.nan
        if len(self.index) >= 2 * self._capacity:  # in one go, so that it costs nothing per bin
            self._forget()

    def _advance_rate(self) -> None:
        if not self.index:
            return
        seconds = (self._open - self.index[-1]) * self.width_seconds
        rate = (self._open_messages - self.messages[-1]) / seconds
        if not rate >= 0:  # unknown, or the count began anew
            return
        if math.isnan(self._smooth_rate):
            self._smooth_rate = rate
        else:
            weight = 1 - math.exp(-seconds / _SMOOTHING_SECONDS)
            self._smooth_rate += weight * (rate - self._smooth_rate)
        self._peak_rate = max(self._peak_rate, self._smooth_rate)

    def _forget(self) -> None:
        keep = len(self.index) - self._capacity
        for column in (
            self.index,
            self.minimum_mb,
            self.unexplained_mb,
            self.messages,
            self.peak_rate,
        ):
            del column[:keep]
        self.given_back = [row for row in self.given_back if row[0] >= self.index[0]]
        del self.rotations[: bisect_left(self.rotations, self.index[0])]

    @property
    def end_bin(self) -> int:
        """Index after the last closed bin."""
        return self._closed + 1
