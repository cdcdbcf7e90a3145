"""Which slot subscribes which stream, while streams come and go. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator

from streamer.data.binance_spot import STREAMS_PER_CONNECTION
from streamer.network.backoff import FullJitter
from streamer.network.slot import Slot

STREAMS_PER_SLOT = STREAMS_PER_CONNECTION - 24  # and some room


class Slots:
    """The slots in use, by number; a number is never used again.

    A stream that was removed is still told to be of its slot, until it is forgotten.
    """

    def __init__(self, backoff: Callable[[], FullJitter]) -> None:
        self._backoff = backoff
        self._slots: list[Slot] = []
        self._slot_of: dict[str, Slot] = {}
        self._numbers = itertools.count(1)

    def __iter__(self) -> Iterator[Slot]:
        return iter(self._slots)

    def __len__(self) -> int:
        return len(self._slots)

    def __contains__(self, slot: Slot) -> bool:
        return slot in self._slots

    def find(self, name: str) -> Slot | None:
        """Return the slot of a stream, or None when nothing is known of it."""
        return self._slot_of.get(name)

    def add(self, names: Iterable[str]) -> dict[Slot, list[str]]:
        """Put streams where there is room, the first slots first; return what went where.

        Slots that are new are among the keys.
        """
        waiting = list(names)
        placed: dict[Slot, list[str]] = {}
        while waiting:
            with_room = (one for one in self._slots if len(one.wire_names) < STREAMS_PER_SLOT)
            slot = next(with_room, None) or self._open()
            room = STREAMS_PER_SLOT - len(slot.wire_names)
            placed[slot], waiting = waiting[:room], waiting[room:]
            slot.wire_names += tuple(placed[slot])
            self._slot_of.update(dict.fromkeys(placed[slot], slot))
        return placed

    def remove(self, names: Iterable[str]) -> dict[Slot, list[str]]:
        """Take streams out of their slots; return what was taken from where."""
        taken: dict[Slot, list[str]] = {}
        for name in names:
            taken.setdefault(self._slot_of[name], []).append(name)
        for slot, gone in taken.items():
            away = set(gone)
            slot.wire_names = tuple(name for name in slot.wire_names if name not in away)
        return taken

    def close_empty(self) -> list[Slot]:
        """Take the slots without streams out of use and return them."""
        empty = [slot for slot in self._slots if not slot.wire_names]
        self._slots = [slot for slot in self._slots if slot.wire_names]
        return empty

    def forget(self, name: str) -> None:
        """Know nothing more of a stream that was removed."""
        self._slot_of.pop(name, None)

    def _open(self) -> Slot:
        slot = Slot(f"slot-{next(self._numbers)}", (), self._backoff())
        self._slots.append(slot)
        return slot
