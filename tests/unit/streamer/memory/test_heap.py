import ctypes
import subprocess
import sys
from xml.etree import ElementTree

import pytest

from streamer.memory.heap import ARENAS, limit_arenas, trim_memory

_PROGRAM = """
import ctypes, threading
from streamer.memory.heap import limit_arenas
assert limit_arenas()
libc = ctypes.CDLL(None)
barrier = threading.Barrier(12)
def work():
    barrier.wait()
    bytearray(1000)
    barrier.wait()
threads = [threading.Thread(target=work) for _ in range(12)]
for thread in threads: thread.start()
for thread in threads: thread.join()
libc.fopen.restype = ctypes.c_void_p
out = libc.fopen(b"/dev/stdout", b"w")
libc.malloc_info(0, ctypes.c_void_p(out))
libc.fflush(ctypes.c_void_p(out))
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_info"), reason="not glibc")
def test_many_threads_share_few_heaps():
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM], capture_output=True, text=True, check=True
    )
    heaps = ElementTree.fromstring(done.stdout).findall("heap")
    assert 1 <= len(heaps) <= ARENAS


def test_another_c_library_is_no_error(monkeypatch):
    monkeypatch.setattr("ctypes.CDLL", lambda _: object())
    assert not limit_arenas()
    assert not trim_memory()
