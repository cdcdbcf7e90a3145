import gc
import subprocess
import sys

import pytest

from streamer.memory import python_heap as module
from streamer.memory.python_heap import PythonHeap, parsed, python_heap

MIB = 1 << 20

TEXT = """\
# arenas allocated current         =                   26
26 arenas * 1048576 bytes/arena    =           27,262,976

# bytes in allocated blocks        =           18,573,680
# bytes in available blocks        =            7,770,304
33 unused pools * 16384 bytes      =              540,672
# bytes lost to pool headers       =               77,520
Total                              =           27,262,976

arena map counts
Total                              =              655,360
"""


def test_the_text_of_cpython_is_understood():
    assert parsed(TEXT) == PythonHeap(18_573_680, 7_770_304 + 540_672)


@pytest.mark.parametrize(
    "text",
    ["", TEXT.replace("available", "other"), TEXT.replace("allocated blocks", "x"), 2 * TEXT],
)
def test_another_text_tells_nothing(text):
    assert parsed(text) is None


def test_an_interpreter_without_it_tells_nothing(monkeypatch):
    monkeypatch.setattr("streamer.memory.python_heap.ctypes.pythonapi", object())
    assert python_heap() is None
    monkeypatch.undo()
    monkeypatch.setattr(module, "written", lambda write: None)
    assert python_heap() is None


@pytest.mark.skipif(python_heap() is None, reason="this interpreter does not tell of its arenas")
def test_what_is_freed_between_objects_that_live_is_told_as_free():
    gc.collect()
    before = python_heap()
    held = [str(number) * 20 for number in range(60_000)]
    full = python_heap()
    assert full.in_use - before.in_use > 4 * MIB
    kept = held[::50]  # a few on every page
    del held
    fragmented = python_heap()
    assert full.in_use - fragmented.in_use > 4 * MIB
    assert fragmented.free - full.free > 4 * MIB
    del kept


def test_another_allocator_tells_that_nothing_is_in_arenas():
    program = "from streamer.memory.python_heap import python_heap; print(python_heap())"
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONMALLOC": "malloc", "PYTHONPATH": "."},
    )
    assert done.stdout.strip() in ("None", "PythonHeap(in_use=0, free=0)")
