from __future__ import annotations

import itertools
from collections.abc import Iterable

import pytest

from streamer.memory.trimmer import (
    LONGEST_WAIT_SECONDS,
    LOOK_EVERY_SECONDS,
    SHORTEST_WAIT_SECONDS,
    STILL_BYTES,
    WORTH_BYTES,
    HeapTrimmer,
    resident_bytes,
)

MIB = 1 << 20


class Heap:
    """A process whose memory is told by a list; a trim gives back what is told for it."""

    def __init__(self, sizes_mib: Iterable[float], freed_mib: float = 0.0) -> None:
        self._sizes = iter([round(size * MIB) for size in sizes_mib])
        self._freed = round(freed_mib * MIB)
        self.trims = 0
        self._trimmed = False
        self._latest = 0

    def resident(self) -> int:
        if self._trimmed:
            self._trimmed = False
            return self._latest - self._freed
        self._latest = next(self._sizes)
        return self._latest

    def trim(self) -> bool:
        self.trims += 1
        self._trimmed = True
        return True


def trims(heap: Heap, looks: int) -> list[bool]:
    trimmer = HeapTrimmer(heap.resident, heap.trim)
    return [trimmer.turn(1000.0 + LOOK_EVERY_SECONDS * number) for number in range(looks)]


def test_a_peak_is_trimmed_once_it_has_stopped_growing():
    heap = Heap([40, 40, 70, 90, 90, 40.5, 40.5], freed_mib=49.5)
    assert trims(heap, 7) == [False, False, False, False, True, False, False]


def test_memory_that_stays_is_trimmed_less_and_less_often():
    looks = 300
    heap = Heap([40] + [45] * looks)
    at = [number for number, trimmed in enumerate(trims(heap, looks)) if trimmed]
    apart = [after - before for before, after in itertools.pairwise(at)]
    longest = round(LONGEST_WAIT_SECONDS / LOOK_EVERY_SECONDS)
    assert at[0] == 2
    assert apart == [6, 12, 24, 48, longest, longest, longest]


def test_a_new_peak_that_gave_memory_back_is_followed_once_a_minute():
    looks = 60
    heap = Heap([40, *[60, 59] * looks], freed_mib=19.0)
    at = [number for number, trimmed in enumerate(trims(heap, looks)) if trimmed]
    assert {after - before for before, after in itertools.pairwise(at)} == {6}
    assert SHORTEST_WAIT_SECONDS == 6 * LOOK_EVERY_SECONDS


@pytest.mark.parametrize(
    ("freed_mib", "trimmed"),
    [
        (0, 152),  # only what objects take
        (7, 102),  # once, since the trim does not give it back
    ],
)
def test_a_second_peak_does_not_wait_for_what_stayed_of_the_first(freed_mib, trimmed):
    looks = 160
    heap = Heap([40, *[45] * 100, 55, *[52] * looks])  # 5 MiB stay: each trim of them was in vain
    free_mib = [1] * 102 + [1 + freed_mib] * looks  # a rest that no trim gives back either
    at = []
    trimmer = HeapTrimmer(heap.resident, heap.trim, lambda: free_mib[look] * MIB)
    for look in range(looks):
        if trimmer.turn(1000.0 + LOOK_EVERY_SECONDS * look):
            at.append(look)
    assert at == [2, 8, 20, 44, 92, trimmed]


def test_whatever_is_freed_there_is_a_minute_between_two_trims():
    looks = 20
    heap = Heap([40, *[60] * looks])
    freed = iter(range(0, 100 * looks, 7))  # more at each look
    trimmer = HeapTrimmer(heap.resident, heap.trim, lambda: next(freed) * MIB)
    at = [n for n in range(looks) if trimmer.turn(1000.0 + LOOK_EVERY_SECONDS * n)]
    assert at == [2, 8, 14]


def test_small_growth_between_two_looks_is_none():
    sizes = [40, 50, *(50 + number * (STILL_BYTES - 4096) / MIB for number in range(1, 4))]
    heap = Heap(sizes)
    assert trims(heap, 5) == [False, False, True, False, False]


def test_a_saw_tooth_that_gives_nothing_back_is_trimmed_less_and_less_often():
    looks = 360  # an hour
    heap = Heap([40, *[45, 50, 55, 48] * looks])
    at = [number for number, trimmed in enumerate(trims(heap, looks)) if trimmed]
    assert len(at) <= 10
    assert at[-1] - at[-2] >= LONGEST_WAIT_SECONDS / LOOK_EVERY_SECONDS


def test_a_size_that_is_kept_is_never_trimmed():
    small = 40 + (WORTH_BYTES - 4096) / MIB
    heap = Heap([40, small, 40, small, small, 40])
    assert not any(trims(heap, 6))
    assert heap.trims == 0


def test_while_it_grows_nothing_is_trimmed():
    heap = Heap(range(40, 60, 2))
    assert not any(trims(heap, 10))


def test_a_size_that_has_become_smaller_is_what_is_compared_with():
    heap = Heap([60, 40, 45, 45])
    assert trims(heap, 4) == [False, False, False, True]


def test_it_looks_no_more_often_than_it_says():
    heap = Heap([40, 60, 60])
    trimmer = HeapTrimmer(heap.resident, heap.trim)
    for now in (0.0, LOOK_EVERY_SECONDS / 2, LOOK_EVERY_SECONDS - 0.1, LOOK_EVERY_SECONDS):
        assert not trimmer.turn(now)  # twice in all: the third size is still to come
    assert trimmer.turn(2 * LOOK_EVERY_SECONDS)


def test_where_nobody_tells_the_memory_it_looks_once():
    looks = []

    def nobody() -> int:
        looks.append(1)
        raise FileNotFoundError

    trimmer = HeapTrimmer(nobody, lambda: True)
    assert not any(trimmer.turn(LOOK_EVERY_SECONDS * number) for number in range(3))
    assert len(looks) == 1


def test_the_memory_of_this_process_is_told():
    assert resident_bytes() > MIB
