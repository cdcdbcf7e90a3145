"""What the C library's allocator can be told and tells: glibc only, elsewhere nothing happens."""

from __future__ import annotations

import ctypes
from collections.abc import Callable

_M_ARENA_MAX = -8  # malloc.h
ARENAS = 2
"""Heaps for all threads: the loop's, and one for those that help it. By default each thread that
opens a connection may get one of its own, and what lives there across rotations keeps it: 3 MiB
more after 600 rotations, measured."""


def limit_arenas() -> bool:
    """Share few heaps among the threads; to be called before there are any. False: cannot be."""
    try:
        return bool(ctypes.CDLL(None).mallopt(_M_ARENA_MAX, ARENAS))
    except AttributeError:
        return False


def trim_memory() -> bool:
    """Give freed memory back to the system; False where the C library cannot (not glibc)."""
    try:
        return bool(ctypes.CDLL(None).malloc_trim(0))
    except AttributeError:
        return False


_MALLINFO2_FIELDS = (
    "arena", "ordblks", "smblks", "hblks", "hblkhd",
    "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost",
)  # fmt: skip


class _Mallinfo2(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_size_t) for name in _MALLINFO2_FIELDS)


def statistics() -> dict[str, int] | None:
    """Return what mallinfo2 tells of all arenas, in bytes and blocks; None without it.

    `fordblks` is free and not given back: fragmentation when it is large. `uordblks` is in use.
    """
    try:
        mallinfo2 = ctypes.CDLL(None).mallinfo2  # glibc 2.33
    except AttributeError:
        return None
    mallinfo2.restype = _Mallinfo2
    found = mallinfo2()
    return {name: getattr(found, name) for name in _MALLINFO2_FIELDS}


def arenas() -> str | None:
    """Return what malloc_info tells of each arena, as XML; None without it."""
    try:
        malloc_info = ctypes.CDLL(None).malloc_info
    except AttributeError:
        return None
    return written(lambda stream: malloc_info(0, stream))


def written(write: Callable[[ctypes.c_void_p], object]) -> str | None:
    """Return what a C function writes to a `FILE *`; None where there are none in memory."""
    libc = ctypes.CDLL(None)
    try:
        open_memstream, fclose = libc.open_memstream, libc.fclose
    except AttributeError:
        return None
    open_memstream.restype = ctypes.c_void_p
    buffer, size = ctypes.c_char_p(), ctypes.c_size_t()
    stream = open_memstream(ctypes.byref(buffer), ctypes.byref(size))
    if not stream:
        return None
    write(ctypes.c_void_p(stream))
    fclose(ctypes.c_void_p(stream))
    text = (buffer.value or b"").decode(errors="replace")
    libc.free(buffer)
    return text
