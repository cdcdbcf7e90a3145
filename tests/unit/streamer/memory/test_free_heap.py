import pytest

from streamer.memory.free_heap import FreeHeap, HeapUse
from streamer.memory.heap import statistics
from streamer.memory.paced_look import LOOK_EVERY_SECONDS


class Heap:
    """A C heap whose numbers are set."""

    def __init__(self):
        self.free, self.in_use = 100, 900
        self.now = 1000.0
        self.watch = FreeHeap(self._look, lambda: True, lambda: self.now)

    def _look(self):
        return {"fordblks": self.free, "uordblks": self.in_use, "hblkhd": 50}

    def freed(self, free):
        self.free = free
        self.now += LOOK_EVERY_SECONDS
        return self.watch.use().free


def test_free_is_what_was_in_use_since_the_last_trim():
    heap = Heap()
    assert heap.watch.use() == HeapUse(in_use=950, free=0)  # a trim may have given it back
    assert [heap.freed(free) for free in (400, 250, 60, 90)] == [300, 150, 0, 30]
    assert heap.watch.free_bytes() == 30


def test_what_a_trim_has_given_back_takes_no_memory():
    heap = Heap()
    heap.watch.use()
    assert heap.freed(700) == 600
    assert heap.watch.trim() is True
    assert heap.watch.use().free == 0, "looked at once, not 10 s later"
    assert heap.freed(720) == 20


def test_without_this_c_library_nothing_is_told():
    assert FreeHeap(lambda: None).use() is None
    assert FreeHeap(lambda: None).free_bytes() == 0


@pytest.mark.skipif(statistics() is None, reason="the C library has no mallinfo2")
def test_the_heap_of_this_process_is_told():
    assert FreeHeap().use().in_use > 0
