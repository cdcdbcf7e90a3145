"""The feed: brings due events from the tape (or a recording) to the connections that want them."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from simulator import frames, malformed
from simulator.connection import Connection
from simulator.faults import EventFault
from simulator.payloads import TimeUnit, combined, stream_payload
from simulator.replay import Replay
from simulator.summaries import Source, Summary
from simulator.summary_payloads import summary_payload
from simulator.tape import EVENT_DELAY_MICROSECONDS, STREAMS, Aggregate, BookTicker, Event, Trade

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Channel:
    """One stream of one symbol while somebody listens."""

    name: str
    stream: str
    tape: Source
    cursor: int
    listeners: dict[int, Connection]
    is_dense: bool  # every event of the tape is sent
    due_at: int = 0  # when the one at the cursor is; or earlier, before it was looked at


class Feed:
    """Connections, what they listen to, and the events they are owed. Times are Unix µs."""

    def __init__(
        self, tapes: dict[str, dict[str, Source]], replay: Replay | None, buffer_limit_bytes: int
    ) -> None:
        """Deliver from `tapes`, by symbol and stream, or from a recording."""
        self.connections: dict[int, Connection] = {}
        self.faults: list[EventFault] = []
        self.events_total = 0
        self._known = {
            f"{symbol.lower()}@{stream}": (stream, tape)
            for symbol, by_stream in tapes.items()
            for stream, tape in by_stream.items()
            if replay is None
        }
        self._replay = replay
        self._buffer_limit_bytes = buffer_limit_bytes
        self._channels: dict[str, _Channel] = {}

    def refresh(self, connection: Connection, now: int) -> None:
        """Follow a change of a connection's subscriptions; events come from now on."""
        number, wanted = connection.number, connection.subscriptions.names
        if connection.closing or number not in self.connections:
            wanted = {}
        for name, channel in list(self._channels.items()):
            if name not in wanted:
                channel.listeners.pop(number, None)
            if not channel.listeners:
                del self._channels[name]
        for name in wanted:
            if name not in self._channels and name in self._known:
                stream, tape = self._known[name]
                cursor = tape.index_after(stream, now - EVENT_DELAY_MICROSECONDS)
                self._channels[name] = _Channel(name, stream, tape, cursor, {}, stream in STREAMS)
            if name in self._channels:
                self._channels[name].listeners[number] = connection
        if self._replay is not None and any(name in self._replay.names for name in wanted):
            self._replay.start(now)

    def turn(self, now: int) -> int:
        """Deliver everything due and return when there is more to do."""
        self.faults = [fault for fault in self.faults if not self._finished(fault, now)]
        due: list[tuple[int, _Channel, Event | Summary]] = []
        later = now + 1_000_000
        for channel in self._channels.values():
            while channel.due_at <= now:
                event = channel.tape.event(channel.stream, channel.cursor)
                channel.due_at = event.time + EVENT_DELAY_MICROSECONDS
                if channel.due_at > now:  # to make it anew each turn would take most of the time
                    break
                channel.cursor += 1
                if channel.is_dense or event.changed:  # type: ignore[union-attr]
                    due.append((event.time, channel, event))
            later = min(later, channel.due_at)
        due.sort(key=_time)
        for _, channel, event in due:
            self._deliver(channel, event)
        if self._replay is not None:
            later = min(later, self._deliver_recorded(self._replay, now))
        return min(later, self._flush(now))

    def _deliver(self, channel: _Channel, event: Event | Summary) -> None:
        self.events_total += 1
        symbol = channel.tape.symbol
        active = [
            fault
            for fault in self.faults
            if not fault.used_up
            and fault.concerns(*channel.listeners)
            and fault.takes(channel.name, channel.stream, symbol, event.id)
        ]
        ready: dict[tuple[str, bool], bytes] = {}
        for connection in channel.listeners.values():
            variant = (connection.unit, connection.subscriptions.combined)
            if (made := ready.get(variant)) is None:
                payload = payload_of(symbol, event, connection.unit)
                text = combined(channel.name, payload) if variant[1] else payload
                made = ready[variant] = frames.frame(frames.TEXT, text.encode())
            wanted = [made]
            for fault in active:
                if fault.concerns(connection.number):
                    special = self._special_frames(fault, channel, event, connection)
                    wanted = fault.deliver(connection.number, wanted, special)
            connection.batch.extend(wanted)

    def _special_frames(
        self, fault: EventFault, channel: _Channel, event: Event | Summary, connection: Connection
    ) -> list[bytes]:
        if fault.kind not in ("malformed", "fragment"):
            return []
        payload = payload_of(channel.tape.symbol, event, connection.unit)
        wrapped = connection.subscriptions.combined
        if fault.kind == "fragment":
            text = combined(channel.name, payload) if wrapped else payload
            return frames.fragmented(frames.TEXT, text.encode())
        variant = str(fault.record.fault.arguments["variant"])
        return malformed.frames_of(variant, channel.name, payload, wrapped=wrapped)

    def _deliver_recorded(self, replay: Replay, now: int) -> int:
        for name, recorded in replay.due(now):
            self.events_total += 1
            for connection in self.connections.values():
                if name in connection.subscriptions.names:
                    connection.batch.append(frames.frame(frames.TEXT, recorded))
        return replay.next_time(now)

    def _flush(self, now: int) -> int:
        later = now + 1_000_000
        for connection in list(self.connections.values()):
            if connection.batch:
                connection.outbox.append((now + connection.lag_microseconds, connection.batch))
                connection.batch = []
            connection.send_due(now)
            if connection.outbox:
                later = min(later, connection.outbox[0][0])
            if connection.unsent_bytes() > self._buffer_limit_bytes and not connection.closing:
                log.warning("connection %d does not read: dropped", connection.number)
                connection.reset()
        return later

    def _finished(self, fault: EventFault, now: int) -> bool:
        if not fault.ended(now / 1e6):
            return False
        fault.record.ended_at = now / 1e6
        for connection in self.connections.values():  # those that did not get the last event
            connection.batch.extend(fault.release(connection.number))
        return True


def payload_of(symbol: str, event: Event | Summary, unit: TimeUnit) -> str:
    """Return the raw payload of any stream's event."""
    if isinstance(event, (Trade, BookTicker, Aggregate)):
        return stream_payload(symbol, event, unit)
    return summary_payload(symbol, event, unit)


def _time(due: tuple[int, _Channel, Event | Summary]) -> int:
    return due[0]
