"""What two reports of a process tell differently of its streams. Pure.

Of thousands of streams few have something new each second, and the rest are the same objects in
both reports: whoever follows the counts looks at the few.
"""

from __future__ import annotations

from dataclasses import dataclass

from streamer.messages import StreamCounts

Streams = tuple[StreamCounts, ...]
Changed = tuple[tuple[StreamCounts | None, StreamCounts], ...]
"""Streams as they were before (None: new) and as they are now."""


@dataclass(frozen=True, slots=True)
class StreamChanges:
    """From one report to a later one of the same process."""

    changed: Changed
    removed: Streams

    @property
    def is_other_set(self) -> bool:
        """Whether streams have come or gone."""
        return bool(self.removed) or any(before is None for before, _ in self.changed)


NO_CHANGES = StreamChanges((), ())


def changes(before: Streams, now: Streams) -> StreamChanges:
    """Return what is new in `now`."""
    if before is now:
        return NO_CHANGES
    if len(before) == len(now):
        pairs = [(old, new) for old, new in zip(before, now, strict=True) if old is not new]
        if all(old.stream == new.stream and old.symbol == new.symbol for old, new in pairs):
            return StreamChanges(tuple(pairs), ())
    known = {(one.stream, one.symbol): one for one in before}
    changed = [(known.pop((one.stream, one.symbol), None), one) for one in now]
    return StreamChanges(
        tuple((old, new) for old, new in changed if old is not new), tuple(known.values())
    )


def events_since(before: StreamCounts | None, now: StreamCounts) -> int:
    """Return how many events a stream has brought; one that came back counts from 0 again."""
    if before is None or now.events_total < before.events_total:
        return now.events_total
    return now.events_total - before.events_total
