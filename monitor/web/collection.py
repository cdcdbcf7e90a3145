"""Python's cyclic garbage collector, paused while a page is made."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collection_paused() -> Iterator[None]:
    """Begin no collection until the end of the block, in no thread.

    What a page is made of is thousands of objects that are freed without one. A collection that
    they would set off holds the interpreter, for up to 0.1 s where 4,500 streams are kept, and the
    supervisor's loop would wait for it. One that is due is made afterwards, so nothing piles up.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
