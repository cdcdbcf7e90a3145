"""What is told of connections: notices for the reports, counts, lines in the log."""

from __future__ import annotations

import logging

from streamer.errors import ConnectionEnded, HandshakeError
from streamer.feed_counters import FeedCounters
from streamer.network.connection import Connection
from streamer.network.slot import Rotation, Slot, SlotConnection

log = logging.getLogger(__name__)


class ConnectionLog:
    """Tells of attempts, connections and rotations; decides nothing."""

    def __init__(self, counters: FeedCounters, websocket_url: str) -> None:
        self._counters = counters
        self._websocket_url = websocket_url

    def put_off(self, seconds: float) -> None:
        """Tell that an attempt has to wait for the budget."""
        log.warning("connecting again in %.0f s: the exchange's limit on attempts", seconds)

    def attempting(self, slot: Slot) -> None:
        """Tell that an attempt begins."""
        self._counters.reconnect_delay_seconds = slot.delay_seconds
        if slot.reconnect_reason is not None:
            self._counters.reconnects[slot.reconnect_reason] += 1
            slot.reconnect_reason = None

    def attempt_failed(self, slot: Slot, error: HandshakeError, delay_seconds: float) -> None:
        """Tell that an attempt failed, and how long it is until the next."""
        self._counters.connection_errors[error.error_type] += 1
        self._counters.reconnect_delay_seconds = delay_seconds
        self._counters.notice(
            "connection_failed",
            slot=slot.name,
            error_type=error.error_type,
            error=str(error),
            retry_in_seconds=round(delay_seconds, 3),
        )
        log.warning(
            "%s: no connection (next attempt in %.1f s): %s", slot.name, delay_seconds, error
        )

    def opened(self, connection: Connection) -> None:
        """Tell that a connection is up."""
        self._counters.notice(
            "connection_opened",
            connection_id=connection.connection_id,
            slot=connection.slot,
            url=self._websocket_url,
        )

    def ended(
        self,
        connection: Connection,
        end: ConnectionEnded,
        planned: str | None,
        now: float,
        *,
        dropped: bool,
    ) -> None:
        """Tell that a connection is over; `planned` is why, when that was our plan."""
        number, slot_name = connection.connection_id, connection.slot
        if end.reason == "pong_timeout":
            self._counters.pong_timeouts_total += 1
            self._counters.notice("pong_timeout", connection_id=number, slot=slot_name)
        if planned is None:
            self._counters.connection_errors[end.reason] += 1
            log.warning("%s: connection %d ended: %s", slot_name, number, end)
        self._counters.notice(
            "connection_closed",
            connection_id=number,
            slot=slot_name,
            planned=planned is not None,
            dropped=dropped,
            reason=planned or end.reason,
            code=end.code,
            age_seconds=round(now - connection.opened_at, 3),
        )

    def rotation_started(self, slot: Slot, rotation: Rotation) -> None:
        """Tell that a slot's connection is to be replaced."""
        self._counters.notice(
            "rotation_started",
            slot=slot.name,
            reason=rotation.reason,
            from_connection=rotation.from_connection,
        )

    def rotation_completed(
        self, slot: Slot, rotation: Rotation, old: SlotConnection | None, now: float
    ) -> None:
        """Tell that a slot's new connection serves it; `old` is the one before."""
        self._counters.rotations[rotation.reason] += 1
        self._counters.notice(
            "rotation_completed",
            slot=slot.name,
            reason=rotation.reason,
            from_connection=old.connection_id if old else None,
            to_connection=slot.active.connection_id if slot.active else None,
            age_seconds=round(now - old.opened_at, 3) if old else None,
            seconds=round(now - rotation.started_at, 3),
        )

    def rotation_failed(self, slot: Slot, error: str) -> None:
        """Tell that a replacement came to nothing; it may be tried again."""
        self._counters.rotations_failed_total += 1
        reason = slot.rotation.reason if slot.rotation else "the old connection ended first"
        self._counters.notice("rotation_failed", slot=slot.name, reason=reason, error=error)

    def slower(self, slot: Slot, seconds: float) -> None:
        """Tell that the exchange complained, and what follows for our frames."""
        self.warning(
            slot,
            f"the exchange closed with 1008 (too many messages, or a late pong): control frames "
            f"are {seconds:g} s apart from now on",
        )

    def warning(self, slot: Slot, message: str) -> None:
        """Tell people of something about a slot."""
        self._counters.notice("warning", message=f"{slot.name}: {message}")
        log.warning("%s: %s", slot.name, message)
