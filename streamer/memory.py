"""Memory that is free and not given back yet."""

from __future__ import annotations

import ctypes


def trim_memory() -> bool:
    """Give freed memory back to the system; False where the C library cannot (not glibc)."""
    try:
        return bool(ctypes.CDLL(None).malloc_trim(0))
    except AttributeError:
        return False
