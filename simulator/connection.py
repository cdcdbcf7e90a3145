"""One client's WebSocket connection: what it is owed, and how it is treated."""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from collections import deque

from simulator import frames
from simulator.payloads import TimeUnit
from simulator.subscriptions import Subscriptions

log = logging.getLogger(__name__)
_MESSAGE_WINDOW_SECONDS = 1.0
_CLOSE_SECONDS = 5.0  # how long we wait for the answer to a close frame
_NEVER = float("inf")


class Connection:
    """A live connection. Times are those of the event loop."""

    def __init__(
        self,
        number: int,
        transport: asyncio.Transport,
        subscriptions: Subscriptions,
        unit: TimeUnit,
        lag_seconds: float,
    ) -> None:
        self.number = number
        self.subscriptions = subscriptions
        self.unit: TimeUnit = unit
        self.lag_microseconds = int(lag_seconds * 1e6)
        self.opened = asyncio.get_running_loop().time()
        self.batch: list[bytes] = []  # frames of the turn at work
        self.outbox: deque[tuple[int, list[bytes]]] = deque()  # with the time they are due
        self.closing = False  # nothing more is sent
        self.frozen = False  # half open: neither reads nor sends
        self.answers_pings_from = self.answers_messages_from = 0.0
        self.events_sent = self.pings_sent = self.pongs_received = self.pings_received = 0
        self.messages_received = 0
        self._transport = transport
        self._pings: dict[bytes, float] = {}  # unanswered, oldest first
        self._received: deque[float] = deque()

    def send(self, wanted: list[bytes]) -> bool:
        """Write frames, each in a TLS record of its own; False when the connection is past that."""
        if self.closing or self.frozen or self._transport.is_closing():
            return False
        self._transport.writelines(wanted)
        return True

    def send_due(self, now_microseconds: int) -> None:
        """Write the batches whose time has come."""
        while self.outbox and self.outbox[0][0] <= now_microseconds:
            batch = self.outbox.popleft()[1]
            if self.send(batch):
                self.events_sent += len(batch)

    def unsent_bytes(self) -> int:
        """Return how much waits because the client does not read."""
        try:
            return self._transport.get_write_buffer_size()
        except AttributeError:  # asyncio's TLS transport, once its peer has gone without a word
            return 0

    def ping(self, now: float) -> None:
        """Send a ping that the client must echo."""
        payload = str(int(now * 1000)).encode()
        self._pings.setdefault(payload, now)
        self.pings_sent += 1
        self.send([frames.frame(frames.PING, payload)])

    def take_pong(self, payload: bytes) -> None:
        """Note a pong; only an echo of a ping keeps the connection alive."""
        self.pongs_received += 1
        if payload in self._pings:
            while next(iter(self._pings)) != payload:
                del self._pings[next(iter(self._pings))]
            del self._pings[payload]

    def oldest_ping(self) -> float:
        """Return when the oldest unanswered ping was sent; never is infinity."""
        return next(iter(self._pings.values()), _NEVER)

    def within_limit(self, now: float, limit: int) -> bool:
        """Count an incoming message and tell whether there are not too many."""
        self.messages_received += 1
        self._received.append(now)
        while self._received[0] <= now - _MESSAGE_WINDOW_SECONDS:
            self._received.popleft()
        return len(self._received) <= limit

    async def close(self, code: int, reason: str) -> None:
        """Send a close frame, wait a little for the answer, and end the connection."""
        if self.closing or self.frozen:
            return
        log.info("connection %d: close %d %s", self.number, code, reason)
        self.send([frames.close_frame(code, reason)])
        self.closing = True
        await asyncio.sleep(_CLOSE_SECONDS)
        self._transport.close()

    def freeze(self) -> None:
        """Keep the TCP connection open and do nothing on it any more."""
        self.frozen = True
        self._transport.pause_reading()

    def reset(self) -> None:
        """End the connection with a TCP reset."""
        self.closing = True
        raw: socket.socket = self._transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    def as_json(self, now: float) -> dict[str, object]:
        """Return what the control API shows."""
        return {
            "number": self.number,
            "age_seconds": round(now - self.opened, 3),
            "subscriptions": list(self.subscriptions.names),
            "combined": self.subscriptions.combined,
            "time_unit": self.unit,
            "events_sent": self.events_sent,
            "messages_received": self.messages_received,
            "pings_sent": self.pings_sent,
            "pongs_received": self.pongs_received,
            "pings_received": self.pings_received,
            "closing": self.closing,
            "frozen": self.frozen,
        }
