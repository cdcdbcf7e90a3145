"""A slot: one subscription set, and which connection serves it. Pure: no clock, no I/O.

Life of a slot. `connect` is wished for when nothing serves it; the connection becomes the
`active` one when it is subscribed. A rotation wishes for a second connection while the first goes
on; when that one is subscribed it is the `successor`, both are heard, and once nothing can be
missed any more the successor becomes the active one and the old one retires. Whichever of the
two ends first, the other serves the slot.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from streamer.network.backoff import FullJitter
from streamer.retry_after import BAN_SECONDS_MAX

End = Literal["foreign", "successor", "replaced", "dropped", "down"]
"""What the end of a connection meant: it was none of the slot's any more; the successor of a
rotation that will be tried again; the successor serves in its place; the slot was left without a
live connection; or it had none anyway."""

SETTLED_SECONDS = 60.0
"""A connection that lived this long was a good one: the next delay is the first again."""


@dataclass(slots=True)
class SlotConnection:
    """A connection of the slot, as far as the slot cares."""

    connection_id: int
    opened_at: float
    subscribed_at: float | None = None
    settled_at: float | None = None  # since when nothing of its subscriptions is open
    trouble: str | None = None  # with a change of them, as far as told
    first_ids: dict[str, int] = field(default_factory=dict)  # by wire name; while rotating


@dataclass(slots=True)
class Rotation:
    """A replacement under way."""

    reason: str
    started_at: float
    from_connection: int | None


class Slot:
    """The state of one slot.

    Attributes:
        name: what reports and commands call it.
        wire_names: its streams, such as `btcusdt@trade`; they change while it lives.
        attempt_at: monotonic time of the next attempt to connect, or None when none is wished
            for or one is under way.
        drops_total: times the slot was left without a live connection outside our plan.

    """

    def __init__(self, name: str, wire_names: Iterable[str], backoff: FullJitter) -> None:
        self.name = name
        self.wire_names = tuple(wire_names)
        self.active: SlotConnection | None = None
        self.successor: SlotConnection | None = None
        self.rotation: Rotation | None = None
        self.attempt_at: float | None = 0.0
        self.connecting = False
        self.drops_total = 0
        self.dropped_at: float | None = None  # while nothing is heard after a drop
        self.delay_seconds = 0.0
        self.reconnect_reason: str | None = None
        self._backoff = backoff

    @property
    def live(self) -> bool:
        """Whether a subscribed connection serves the slot."""
        return any(
            slot_connection is not None and slot_connection.subscribed_at is not None
            for slot_connection in (self.active, self.successor)
        )

    def attempted(self) -> None:
        """Note that an attempt to connect is under way."""
        self.attempt_at, self.connecting = None, True

    def opened(self, connection_id: int, now: float) -> None:
        """Note that an attempt succeeded: the connection is up, not yet subscribed."""
        self.connecting = False
        slot_connection = SlotConnection(connection_id, now)
        if self.active is None:
            self.active = slot_connection
        else:
            self.successor = slot_connection

    def subscribed(self, connection_id: int, now: float) -> None:
        """Note that the exchange acknowledged every subscription of the connection."""
        slot_connection = self.find(connection_id)
        if slot_connection is not None:
            slot_connection.subscribed_at = now

    def heard_again(self, now: float) -> float | None:
        """Return for how many seconds nothing was heard, once, when that is over."""
        if self.dropped_at is None or not self.live:
            return None
        seconds, self.dropped_at = now - self.dropped_at, None
        return seconds

    def failed(self, now: float, retry_after: float | None = None) -> float:
        """Note that an attempt failed; return the delay until the next, in seconds."""
        self.connecting = False
        asked = min(retry_after or 0.0, BAN_SECONDS_MAX)  # whoever asks
        self.delay_seconds = max(self._backoff.next_delay(), asked)
        self.attempt_at = now + self.delay_seconds
        return self.delay_seconds

    def ended(self, connection_id: int, reason: str, now: float) -> End:
        """Note that a connection of the slot ended, and say what that meant."""
        slot_connection = self.find(connection_id)
        if slot_connection is None:
            return "foreign"
        if now - slot_connection.opened_at >= SETTLED_SECONDS:
            self._backoff.reset()
        if slot_connection is self.successor:
            self.successor = None
            self.failed(now)  # the rotation stays wished for
            return "successor"
        was_live = self.live
        self.active, self.successor, self.rotation = self.successor, None, None
        if self.active is None:
            self.reconnect_reason = reason
            if not self.connecting:
                self.failed(now)
        if self.live:
            return "replaced"
        if was_live:
            self.drops_total += 1
            self.dropped_at = now
            return "dropped"
        return "down"

    def rotate(self, reason: str, now: float) -> bool:
        """Wish for a replacement; return False when one is under way or nothing is served."""
        if self.rotation is not None or self.active is None:
            return False
        self.rotation = Rotation(reason, now, self.active.connection_id)
        self.attempt_at = (
            now  # nothing is under way: an attempt implies a rotation or no connection
        )
        return True

    def retire(self) -> SlotConnection | None:
        """Put the successor in the place of the active connection and return the old one."""
        retired, self.active = self.active, self.successor
        self.successor = self.rotation = None
        self.attempt_at = None
        return retired

    def close(self) -> None:
        """Wish for nothing any more: what serves it is no longer its business."""
        self.active = self.successor = self.rotation = self.attempt_at = None
        self.connecting = False

    def find(self, connection_id: int) -> SlotConnection | None:
        """Return the serving connection of that number, or None."""
        for slot_connection in (self.active, self.successor):
            if slot_connection is not None and slot_connection.connection_id == connection_id:
                return slot_connection
        return None
