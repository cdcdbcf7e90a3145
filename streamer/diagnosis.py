"""What a streamer tells of itself when somebody asks why it grows: files in a directory.

Counts, sizes and places in the code; no value of an object, so that nothing secret is among them.
"""

from __future__ import annotations

import gc
import json
import logging
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from streamer.memory import heap
from streamer.memory.objects import Look, growth, largest, look

SHOWN: Final = 100  # types, and places of allocations
FILE_BYTES: Final = 4 << 20  # librdkafka tells a kilobyte for each partition and broker

log = logging.getLogger(__name__)


class Diagnosis:
    """Writes what it sees, with what has grown since the first and since the previous look."""

    def __init__(self, sink_tells: Callable[[], Mapping[str, str]]) -> None:
        """`sink_tells` returns what the sink's client says about itself, by file name."""
        self._sink_tells = sink_tells
        self._first: Look | None = None
        self._previous: Look | None = None
        self._looks = 0

    def write(self, directory: Path, within_seconds: float) -> dict[str, int | bool]:
        """Write the files (0600), the cheap ones first. Raises OSError.

        `within_seconds` bounds the look at objects alone, which takes half a second for a million.
        """
        for name, text in self._sink_tells().items():
            _write(directory / name, text[:FILE_BYTES])
        _write(directory / "allocator.json", json.dumps(_allocator(), indent=2))
        if (arenas := heap.arenas()) is not None:
            _write(directory / "allocator.xml", arenas)
        seen = look(within_seconds)
        self._looks += 1
        name = f"objects-{self._looks}.json"
        _write(directory / name, json.dumps(self._compared(seen), indent=2))
        if seen.complete:
            self._first = self._first or seen
            self._previous = seen
        _write_allocations(directory / "tracemalloc.txt")
        return {"looks": self._looks, "complete": seen.complete}

    def _compared(self, seen: Look) -> dict[str, Any]:
        document: dict[str, Any] = {
            "complete": seen.complete,
            "note": "untracked types (str, bytes, int, …) are estimates by their references",
            "objects": sum(seen.counts.values()),
            "largest": largest(seen, SHOWN),
        }
        for name, before in (("previous", self._previous), ("first", self._first)):
            if before is not None and seen.complete:
                document[f"growth_since_{name}_look"] = {
                    "seconds": round(seen.at - before.at, 3),
                    "types": growth(before, seen, SHOWN),
                }
        return document


def _allocator() -> dict[str, Any]:
    return {
        "mallinfo2": heap.statistics(),  # bytes, as in mallinfo(3); None: not this C library
        "pymalloc_allocated_blocks": sys.getallocatedblocks(),
        "gc_count": gc.get_count(),
        "gc_stats": gc.get_stats(),
        "gc_frozen_objects": gc.get_freeze_count(),
    }


def _write_allocations(path: Path) -> None:
    """Write where memory was allocated, if the process was started with PYTHONTRACEMALLOC."""
    import _tracemalloc  # the module in Python costs memory that nobody needs otherwise

    if not _tracemalloc.is_tracing():
        return
    import tracemalloc

    statistics = tracemalloc.take_snapshot().statistics("lineno")[:SHOWN]
    _write(path, "".join(f"{one}\n" for one in statistics))


def _write(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
