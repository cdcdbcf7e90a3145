"""The connections of all slots: opened within budget, subscribed, rotated, closed.

Everything here happens on the feed's thread and never waits; what blocks (name resolution, TCP,
TLS, the upgrade) runs in the connector's helper threads.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable
from random import Random
from selectors import EVENT_READ, EVENT_WRITE, BaseSelector
from ssl import SSLContext

from streamer.address_hold import AddressHold
from streamer.config import StreamerConfig
from streamer.errors import ConnectionEnded, UpgradeError
from streamer.feed_counters import FeedCounters
from streamer.network.backoff import AttemptBudget, FullJitter
from streamer.network.connection import Connection
from streamer.network.connection_log import ConnectionLog
from streamer.network.connector import Connector, Failed, Opened
from streamer.network.events import Accepted, Lost, NetworkEvent, Refused, Restored
from streamer.network.frame_pace import FramePace
from streamer.network.slot import Slot, SlotConnection
from streamer.network.slots import Slots
from streamer.unavailable import UnavailableStreams

EXCHANGE_CUT_SECONDS = 24 * 3600.0
PLANNED_BEFORE_CUT_SECONDS = 600.0  # time enough for a rotation that has to be tried again


class ConnectionManager:
    """Owns slots and connections.

    `covered(serving, wire_names, now)` tells whether a successor has been heard on every stream
    without a hole, so that its predecessor may go. What happens to streams waits in `take_events`,
    to be taken before anything that was received since. `unavailable` tells which streams the
    exchange refused before, and when they are due to be asked for again; `hold` what other
    streamers at this address were told.
    """

    def __init__(
        self,
        config: StreamerConfig,
        wire_names: Iterable[str],
        *,
        counters: FeedCounters,
        selector: BaseSelector,
        connector: Connector,
        ssl_context: SSLContext | None,
        covered: Callable[[SlotConnection, Iterable[str], float], bool],
        unavailable: UnavailableStreams,
        hold: AddressHold | None = None,
    ) -> None:
        random = Random()
        settings = config.connection
        self.slots = Slots(
            lambda: FullJitter(settings.backoff_initial, settings.backoff_max, random.random)
        )
        self._slot_of: dict[str, Slot] = {}  # by name; one that is closed stays for its last end
        self.connections: dict[int, Connection] = {}
        self.reading = True
        self._config = config
        self._log = ConnectionLog(counters, config.exchange.websocket_url)
        self._selector = selector
        self._connector = connector
        self._ssl_context = ssl_context
        self._covered = covered
        self._unavailable = unavailable
        self._events: list[NetworkEvent] = []
        self._followed: dict[int, int] = {}  # connection → the events that the selector awaits
        self._attempts: dict[int, Slot] = {}  # by the number that the connection will have
        self._retiring: dict[int, str] = {}  # connection → reason of the rotation that ended it
        self._numbers = itertools.count(1)
        self._budget = AttemptBudget(
            max(1, config.connection.attempts_limit // config.shard.count),
            config.connection.attempts_window,
        )
        self._hold = hold or AddressHold()
        self._pace = FramePace()
        self.change(wire_names, (), 0.0)
        # Times in µs are asked for here and on REST alike, so that a trade has one value.
        self._url = f"{config.exchange.websocket_url}/stream" + (
            "?timeUnit=MICROSECOND" if config.exchange.time_unit == "us" else ""
        )

    def take_events(self) -> list[NetworkEvent]:
        """Return what has happened to streams since the last call, in its order."""
        events, self._events = self._events, []
        return events

    def receive(self, connection: Connection, now: float) -> list[bytes]:
        """Return the text payloads that have come; an end is dealt with here."""
        try:
            return connection.receive(now)
        except ConnectionEnded as end:
            self._ended(connection, end, now)
            return []

    def tick(self, now: float) -> list[Connection]:
        """Take the results of attempts, begin those due, let every connection act.

        Returns the connections that have just been opened: they may hold messages already.
        """
        fresh: list[Connection] = []
        self._pace.recover(now)
        for result in self._connector.results():
            if isinstance(result, Opened):
                fresh.append(self._opened(result, now))
            else:
                self._failed(result, now)
        for slot in self.slots:
            self._attempt_if_due(slot, now)
        for connection in tuple(self.connections.values()):
            try:
                connection.tick(now)
            except ConnectionEnded as end:
                self._ended(connection, end, now)
                continue
            self._follow(connection, now)
        for slot in self.slots:
            self._finish_rotation(slot, now)
        if self._unavailable:
            self._ask_again(now)
        return fresh

    def resume(self, now: float) -> None:
        """Hold the time before this process for one in which nothing was heard."""
        for slot in self.slots:
            slot.dropped_at = now

    def change(self, added: Iterable[str], removed: Iterable[str], now: float) -> None:
        """Subscribe and unsubscribe on whatever serves the streams, a rotation's both included.

        A slot that is left without streams closes its connection.
        """
        taken = self.slots.remove(removed)  # first: there is room then
        placed = self.slots.add(added)
        self._slot_of.update({slot.name: slot for slot in placed})
        empty = self.slots.close_empty()
        for connection in tuple(self.connections.values()):
            slot = self._slot_of[connection.slot]
            slot_connection = slot.find(connection.connection_id)
            if slot in empty:
                self._retire(connection, "unsubscribed", now)
            elif slot_connection is not None and (slot in taken or slot in placed):
                connection.change(placed.get(slot, ()), taken.get(slot, ()), now)
                slot_connection.settled_at = None
                for name in taken.get(slot, ()):
                    slot_connection.first_ids.pop(name, None)
        for slot, names in placed.items():
            if not slot.live:
                self._events.append(Lost(tuple(names)))
        for slot in empty:
            slot.close()
            for number in [number for number, one in self._attempts.items() if one is slot]:
                self._connector.cancel(number)
                del self._attempts[number]

    def resubscribe(self, wire_names: Iterable[str], now: float) -> None:
        """Give streams back and ask for them again, on whatever serves them."""
        for name in wire_names:
            self._ask_for(name, now, anew=True)

    def _ask_again(self, now: float) -> None:
        """Ask for the streams that were refused, where it is time to."""
        for name in tuple(self._unavailable):
            if self._is_refused(name) and self._unavailable.due(name, now):
                self._unavailable.asked(name, now)
                self._ask_for(name, now, anew=False)

    def _ask_for(self, name: str, now: float, *, anew: bool) -> None:
        slot = self.slots.find(name)
        for slot_connection in (slot.active, slot.successor) if slot is not None else ():
            if slot_connection is None:
                continue
            connection = self.connections.get(slot_connection.connection_id)
            if connection is not None:
                connection.change((name,), (name,) if anew else (), now)
                slot_connection.settled_at = None

    def _is_refused(self, name: str) -> bool:
        return self._unavailable.reason(name) == "refused"

    def holds(self, wire_name: str) -> bool:
        """Return whether frames of a stream may still come."""
        return any(connection.holds(wire_name) for connection in self.connections.values())

    def first_ids(self, connection: Connection) -> dict[str, int] | None:
        """Return where to note first ids if the connection is a successor, else None."""
        successor = self._slot_of[connection.slot].successor
        if successor is None or successor.connection_id != connection.connection_id:
            return None
        return successor.first_ids

    @property
    def overlapping(self) -> bool:
        """Whether some stream comes on two connections."""
        return len(self.connections) > len(self.slots)

    def rotate(self, slot: Slot, reason: str, now: float) -> bool:
        """Begin to replace a slot's connection; False when that is under way or impossible."""
        if not slot.rotate(reason, now):
            return False
        if slot.rotation is not None:  # it has just been made
            self._log.rotation_started(slot, slot.rotation)
        return True

    def rotate_before_cut(self, max_age: float, now: float) -> None:
        """Rotate what has come of age: by our plan, and always before the exchange cuts."""
        limit = min(max_age, EXCHANGE_CUT_SECONDS - PLANNED_BEFORE_CUT_SECONDS)
        for slot in self.slots:
            if slot.active is not None and now - slot.active.opened_at >= limit:
                self.rotate(slot, "scheduled", now)

    def rotate_silent(self, is_dead: Callable[[str], bool], limit: float, now: float) -> None:
        """Rotate what serves a stream that is dead by its silence, the alone streamer's rule.

        A connection that has not lived that long itself is given its time: no storm.
        """
        for slot in self.slots:
            if slot.active is None or now - slot.active.opened_at < limit:
                continue
            if any(is_dead(name) for name in slot.wire_names):
                self.rotate(slot, "stale", now)

    @property
    def unread_since(self) -> float | None:
        """When all that had come was last read, on the connection that is furthest behind."""
        behind = [connection.unread_since for connection in self.connections.values()]
        return min((since for since in behind if since is not None), default=None)

    def read(self, reading: bool) -> None:
        """Read from now on, or leave what comes in the kernel's buffers."""
        self.reading = reading
        for connection in self.connections.values():
            self.follow_interest(connection)

    def follow_interest(self, connection: Connection) -> None:
        """Tell the selector what the connection waits for."""
        events = EVENT_READ if self.reading else 0
        if connection.wants_write:
            events |= EVENT_WRITE
        followed = self._followed.get(connection.connection_id, 0)
        if events == followed:  # a look at the selector's own map takes a dozen calls
            return
        self._followed[connection.connection_id] = events
        if not followed:
            self._selector.register(connection.fileno(), events, connection)
        elif not events:
            self._selector.unregister(connection.fileno())
        else:
            self._selector.modify(connection.fileno(), events, connection)

    def close(self) -> None:
        """End every connection at once; what they have not delivered by now is not wanted."""
        for connection in tuple(self.connections.values()):
            self._forget(connection)
        self._connector.close()

    def _attempt_if_due(self, slot: Slot, now: float) -> None:
        if slot.attempt_at is None or now < slot.attempt_at:
            return
        wait = max(self._budget.delay(now), self._hold.seconds())
        if wait > 0:
            slot.attempt_at = now + wait
            self._log.put_off(wait)
            return
        self._budget.spend(now)
        slot.attempted()
        self._log.attempting(slot)
        number = next(self._numbers)
        self._attempts[number] = slot
        self._connector.start(
            number,
            self._url,
            self._config.connection,
            self._config.exchange,
            self._ssl_context,
        )

    def _opened(self, result: Opened, now: float) -> Connection:
        slot = self._attempts.pop(result.connection_id)
        connection = Connection(
            result.connection_id,
            slot.name,
            result.transport,
            self._config.connection,
            now,
            time.time,
            self._pace,
        )
        self.connections[connection.connection_id] = connection
        slot.opened(connection.connection_id, now)
        names = [name for name in slot.wire_names if not self._is_refused(name)]
        connection.subscribe(names or slot.wire_names, now)
        self.follow_interest(connection)
        self._log.opened(connection)
        return connection

    def _failed(self, result: Failed, now: float) -> None:
        slot = self._attempts.pop(result.connection_id)
        error = result.error
        delay = slot.failed(now, error.retry_after_seconds)
        if isinstance(error, UpgradeError) and error.is_limit and error.retry_after_seconds:
            self._budget.hold(now + delay)  # whatever else wishes for a connection: bans grow
            self._hold.hold(delay)
        self._log.attempt_failed(slot, error, delay)
        if slot.rotation is not None:
            self._log.rotation_failed(slot, str(result.error))

    def _follow(self, connection: Connection, now: float) -> None:
        """Note a completed subscription once, and keep the selector's interest true."""
        slot = self._slot_of[connection.slot]
        slot_connection = slot.find(connection.connection_id)
        if slot_connection is not None:
            if slot_connection.settled_at is None and connection.listed:
                self._settled(slot, slot_connection, connection, now)
                if slot_connection.settled_at is None:
                    return  # it was given up
            if connection.shutdown_announced and slot_connection is slot.active:
                self.rotate(slot, "server_shutdown", now)
            if connection.trouble != slot_connection.trouble:
                self._troubled(slot, slot_connection, connection, now)
            # A successor serves nothing before the exchange has listed its streams.
            ready = (
                connection.listed if slot_connection is slot.successor else connection.subscribed
            )
            if slot_connection.subscribed_at is None and ready:
                slot.subscribed(connection.connection_id, now)
                if (seconds := slot.heard_again(now)) is not None:
                    self._events.append(Restored(tuple(slot.wire_names), seconds))
        if connection.connection_id in self.connections:
            self.follow_interest(connection)

    def _settled(
        self, slot: Slot, slot_connection: SlotConnection, connection: Connection, now: float
    ) -> None:
        """Take what the exchange lists; a successor that lacks what it replaces is given up."""
        missing = connection.missing_streams
        if missing and slot_connection is slot.successor and slot.active is not None:
            old = self.connections.get(slot.active.connection_id)
            worse = [
                name for name in missing if old is not None and name not in old.missing_streams
            ]
            if worse:
                text = f"the exchange does not list {', '.join(worse)} on the new connection"
                self._ended(connection, ConnectionEnded("not_listed", 1006, text), now)
                return
        slot_connection.settled_at = now
        for name, error in connection.take_refused().items():
            self._events.append(Refused(name, error))
        for name in tuple(self._unavailable):
            if self._is_refused(name) and connection.holds(name):
                self._events.append(Accepted(name))
        if missing:
            self._log.warning(slot, f"not subscribed, though asked for: {', '.join(missing)}")

    def _troubled(
        self, slot: Slot, slot_connection: SlotConnection, connection: Connection, now: float
    ) -> None:
        slot_connection.trouble = connection.trouble
        self._log.warning(slot, f"a change of its streams: {connection.trouble}")
        if connection.stuck:
            self.rotate(slot, "unanswered", now)

    def _finish_rotation(self, slot: Slot, now: float) -> None:
        successor, rotation = slot.successor, slot.rotation
        if successor is None or successor.settled_at is None or rotation is None:
            return
        if not self._covered(successor, slot.wire_names, now):
            return
        retired = slot.retire()
        self._log.rotation_completed(slot, rotation, retired, now)
        if retired is not None and (old := self.connections.get(retired.connection_id)) is not None:
            self._retire(old, rotation.reason, now)

    def _retire(self, connection: Connection, reason: str, now: float) -> None:
        """Close a connection as planned; what still arrives is still taken."""
        self._retiring.setdefault(connection.connection_id, reason)
        connection.close(now)

    def _ended(self, connection: Connection, end: ConnectionEnded, now: float) -> None:
        slot = self._slot_of[connection.slot]
        planned = self._retiring.pop(connection.connection_id, None)
        rotation = slot.rotation
        old = slot.active
        if self._pace.hear_close(end.code, now):
            self._log.slower(slot, self._pace.seconds)
        meaning = slot.ended(connection.connection_id, end.reason, now)
        self._forget(connection)
        if not slot.live:  # also when it was not before: some may have been heard already
            self._events.append(Lost(tuple(slot.wire_names)))
        self._log.ended(connection, end, planned, now, dropped=meaning == "dropped")
        if meaning == "replaced" and rotation is not None:
            self._log.rotation_completed(slot, rotation, old, now)
        elif meaning in {"successor", "dropped"} and rotation is not None:
            self._log.rotation_failed(slot, end.detail)

    def _forget(self, connection: Connection) -> None:
        self.connections.pop(connection.connection_id, None)
        slot = self._slot_of[connection.slot]
        if slot not in self.slots and all(
            other.slot != slot.name for other in self.connections.values()
        ):
            del self._slot_of[slot.name]
        if self._followed.pop(connection.connection_id, 0):
            self._selector.unregister(connection.fileno())
        connection.abort()
