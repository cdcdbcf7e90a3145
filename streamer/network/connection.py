"""One WebSocket connection: its messages, subscriptions, pings and its end. No waiting in here.

The loop calls `receive` when the socket is readable (and once at the beginning: messages may have
come with the upgrade), and `tick` several times a second, which does what has become due.
"""

from __future__ import annotations

import math
import select
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import cast

from streamer.connection_config import ConnectionConfig
from streamer.errors import ConnectionEnded, ConnectionLost
from streamer.network import frames
from streamer.network.boundary import INTERNAL, explain_unexpected
from streamer.network.frame_pace import FramePace
from streamer.network.frames import FrameParser, ProtocolError
from streamer.network.subscriptions import SubscriptionResponse, Subscriptions
from streamer.network.transport import Transport

_BINARY_KEPT = 16  # the exchange sends none; a few are enough to see what they are
_ABNORMAL = 1006  # RFC 6455, 7.1.5: no close frame came


class Connection:
    """A connection from its upgrade to its end, used by one thread.

    It ends by ConnectionEnded from `receive` or `tick`, when everything that came before has been
    returned; the owner then forgets the socket and calls `abort`.

    `opened_at` and `last_message_at` (of a text message; at first the same as `opened_at`) are
    monotonic, `last_pong_time` is Unix time by `wall`, None before the first pong to our own
    ping. `missing_streams` are those that the exchange does not list though it acknowledged them.
    `shutdown_announced` is for who reads it to note that the exchange has told of its end: it is
    replaced then.
    """

    def __init__(
        self,
        connection_id: int,
        slot: str,
        transport: Transport,
        config: ConnectionConfig,
        now: float,
        wall: Callable[[], float],
        pace: FramePace,
    ) -> None:
        self.connection_id = connection_id
        self.slot = slot
        self.opened_at = now
        self.last_message_at = now
        self.last_pong_time: float | None = None
        self.shutdown_announced = False
        self._transport = transport
        self._config = config
        self._wall = wall
        self._parser = FrameParser(config.max_message_bytes)
        self._binary: deque[bytes] = deque(maxlen=_BINARY_KEPT)
        self._subscriptions = Subscriptions()
        self._trouble: str | None = None
        self._queue: deque[bytes] = deque()  # JSON that waits for its turn
        self._pace = pace
        self._turn_at = now  # of the next frame of ours
        self._pong_owed: bytes | None = None  # to the latest ping, as RFC 6455, 5.5.3 allows
        self._pong_was_last = False
        self._pings = 0
        self._ping_at = now + config.ping_every if config.ping_every else math.inf
        self._pong_deadline = math.inf
        self._subscribe_deadline = math.inf
        self._close_deadline = math.inf
        self._drained_at = now  # when everything that had come had been read
        # Not the error: once raised it would hold the frames that hold this, as in Transport.
        self._ending: tuple[str, int, str] | None = None

    def fileno(self) -> int:
        """Return the descriptor of the socket."""
        return self._transport.fileno()

    @property
    def wants_write(self) -> bool:
        """Whether bytes wait for the socket to be writable; `tick` sends them."""
        return self._transport.wants_write

    @property
    def unread_since(self) -> float | None:
        """When all that had come was last read; None when that was so at the last look."""
        return None if self._transport.drained else self._drained_at

    @property
    def subscribed(self) -> bool:
        """Whether every subscription asked for is acknowledged (and one was asked for)."""
        return self._subscriptions.acknowledged

    @property
    def missing_streams(self) -> tuple[str, ...]:
        """Streams that were acknowledged, but that LIST_SUBSCRIPTIONS did not name."""
        return self._subscriptions.missing

    def take_refused(self) -> Mapping[str, str]:
        """Return the streams whose subscription was refused since the last call, and why."""
        return self._subscriptions.take_refused()

    @property
    def listed(self) -> bool:
        """Whether all is acknowledged and LIST_SUBSCRIPTIONS was answered: nothing is open."""
        return self._subscriptions.complete

    @property
    def trouble(self) -> str | None:
        """What went wrong with a change of a good connection's streams; the rest stands."""
        return self._trouble or self._subscriptions.trouble

    @property
    def stuck(self) -> bool:
        """Whether a change was never answered, or a stream not taken back: another one helps."""
        return self._trouble is not None or self._subscriptions.stuck

    def holds(self, stream: str) -> bool:
        """Return whether frames of a stream may still come."""
        return self._subscriptions.holds(stream)

    @property
    def closing(self) -> bool:
        """Whether `close` was called."""
        return self._close_deadline < math.inf

    def receive(self, now: float) -> list[bytes]:
        """Return the payloads of the text messages that have arrived.

        Pings are answered on the way. Raises ConnectionEnded when the connection is over.
        """
        if self._ending is not None:
            raise ConnectionEnded(*self._ending)
        try:
            return self._receive(now)
        except ConnectionEnded:
            raise
        except Exception as error:
            raise self._end_unexpected(error, "reading what came") from error

    def _receive(self, now: float) -> list[bytes]:
        try:
            data = self._transport.receive()
        except ConnectionLost as error:
            raise self._end_lost(error) from error
        if self._transport.drained:
            self._drained_at = now
        if not data:
            return []
        try:
            items = self._parser.feed(data)
        except ProtocolError as error:
            payloads = self._sort(error.completed, now)
            self._transport.send(frames.encode_close(error.code, str(error)))
            self._end("protocol_error", _ABNORMAL, f"the server broke the protocol: {error}")
        else:
            if self._parser.only_text:
                payloads = cast(list[bytes], items)
            else:
                payloads = self._sort(items, now)
        if payloads:
            self.last_message_at = now
        elif self._ending is not None:
            raise ConnectionEnded(*self._ending)
        return payloads

    def take_binary(self) -> list[bytes]:
        """Return the binary messages since the last call, the latest few at most."""
        taken = list(self._binary)
        self._binary.clear()
        return taken

    def subscribe(self, streams: Sequence[str], now: float) -> None:
        """Ask for streams such as `btcusdt@trade`; `subscribed` and `missing_streams` tell.

        An answer has to come within `connection.handshake_timeout` of the last such message.
        """
        self.change(streams, (), now)

    def change(self, added: Sequence[str], removed: Sequence[str], now: float) -> None:
        """Give streams back, and ask for others: in this order, for there is a limit on them."""
        messages = self._subscriptions.give_back(removed) + self._subscriptions.ask(added)
        if not messages:
            return
        self._queue.extend(messages)
        self._send_due(now)
        self._await_answers(now)

    def answer(self, payload: bytes) -> bool:
        """Return whether a text payload is the answer to a control message, and note it.

        A refusal ends the connection: `tick` or `receive` raises it.
        """
        try:
            result = SubscriptionResponse.parse(payload)
            if result is None:
                return False
            messages = self._subscriptions.take(result)
        except Exception as error:  # noqa: BLE001 - it is told, and ends this connection
            self._end_unexpected(error, "taking the answer to a control message")
            return True
        if messages and not self.closing:
            self._queue.extend(messages)
            self._await_answers(self.last_message_at)
        if self._subscriptions.refusal is not None:
            self._end("subscription_refused", _ABNORMAL, self._subscriptions.refusal)
        elif self._subscriptions.complete:
            self._subscribe_deadline = math.inf
        return True

    def tick(self, now: float) -> None:
        """Do what is due: send what waits, ping, and give up what is overdue.

        Raises ConnectionEnded.
        """
        try:
            self._tick(now)
        except ConnectionEnded:
            raise
        except Exception as error:
            raise self._end_unexpected(error, "doing what was due") from error

    def _tick(self, now: float) -> None:
        self._transport.flush()
        lost = self._transport.lost
        if lost is not None and not self._readable():
            self._end_lost(lost)
        self._check_deadlines(now)
        if self._ending is not None:
            raise ConnectionEnded(*self._ending)
        self._send_due(now)

    def close(self, now: float, code: int = 1000) -> None:
        """Begin a clean close; what still arrives is still returned.

        It ends by ConnectionEnded: closed, or close_timeout after `connection.close_timeout`.
        """
        if self.closing:
            return
        self._queue.clear()
        self._ping_at = self._subscribe_deadline = self._pong_deadline = math.inf
        self._transport.send(frames.encode_close(code))
        self._close_deadline = now + self._config.close_timeout

    def abort(self) -> None:
        """Close the socket at once; may be called again."""
        self._transport.close()

    def _sort(self, items: Sequence[frames.Item], now: float) -> list[bytes]:
        """Return the text payloads and handle everything else."""
        payloads: list[bytes] = []
        for item in items:
            match item:
                case bytes():
                    payloads.append(item)
                case frames.Ping(payload):
                    self._pong_owed = payload
                    self._send_due(now)
                case frames.Pong(payload):
                    self._take_pong(payload, now)
                case frames.Binary(payload):
                    self._binary.append(payload)
                case frames.Close(code, reason):
                    self._take_close(code, reason)
        return payloads

    def _take_close(self, code: int, reason: str) -> None:
        if self.closing:
            self._end("closed", code, "closed as we asked")
            return
        self._transport.send(frames.encode_close(code))
        self._end("server_close", code, f"the server closed with {code} {reason!r}")

    def _take_pong(self, payload: bytes, now: float) -> None:
        if self._pong_deadline < math.inf and payload == self._ping_payload():
            self.last_pong_time = self._wall()
            self._pong_deadline = math.inf
            self._ping_at = now + self._config.ping_every

    def _ping_payload(self) -> bytes:
        return b"%d/%d" % (self.connection_id, self._pings)

    def _send_due(self, now: float) -> None:
        """Send one frame, if it is time for one: a pong first, but not pongs alone."""
        if now < self._turn_at:
            return
        ping_due = now >= self._ping_at and self._pong_deadline == math.inf
        others_wait = ping_due or bool(self._queue)
        if self._pong_owed is not None and not (self._pong_was_last and others_wait):
            frame = frames.encode(frames.PONG, self._pong_owed)
            self._pong_owed, self._pong_was_last = None, True
        elif others_wait:
            frame = (
                self._ping(now) if ping_due else frames.encode(frames.TEXT, self._queue.popleft())
            )
            self._pong_was_last = False
        else:
            return
        self._turn_at = now + self._pace.seconds
        self._transport.send(frame)

    def _ping(self, now: float) -> bytes:
        self._pings += 1
        self._pong_deadline = now + self._config.pong_within
        return frames.encode(frames.PING, self._ping_payload())

    def _await_answers(self, now: float) -> None:
        """Expect every answer within the time after the last message that waits has its turn."""
        last_turn = now
        if self._queue:
            last_turn = max(now, self._turn_at) + (len(self._queue) - 1) * self._pace.seconds
        self._subscribe_deadline = last_turn + self._config.handshake_timeout

    def _check_deadlines(self, now: float) -> None:
        if self._overdue(self._close_deadline, now):
            text = f"our close was not answered within {self._config.close_timeout:g} s"
            self._end("close_timeout", _ABNORMAL, text)
        elif self._overdue(self._pong_deadline, now):
            text = f"our ping was not answered within {self._config.pong_within:g} s"
            self._end("pong_timeout", _ABNORMAL, text)
        elif self._overdue(self._subscribe_deadline, now):
            text = (
                f"{self._subscriptions.unanswered} control messages were not answered within "
                f"{self._config.handshake_timeout:g} s"
            )
            self._subscribe_deadline = math.inf
            if self._subscriptions.agreed:
                self._trouble = text  # what it has agreed to still comes
            else:
                self._end("subscribe_timeout", _ABNORMAL, text)

    def _overdue(self, deadline: float, now: float) -> bool:
        """Whether what was due is late on the server's side, not only unread on ours."""
        return now >= deadline and (self._drained_at >= deadline or not self._readable())

    def _readable(self) -> bool:
        poll = select.poll()
        poll.register(self._transport, select.POLLIN)
        return bool(poll.poll(0))

    def _end_lost(self, lost: ConnectionLost) -> ConnectionEnded:
        # Many a server answers a close by hanging up: the end that we wished for all the same.
        reason = "closed" if self.closing else lost.reason
        return self._end(reason, _ABNORMAL, lost.detail)

    def _end_unexpected(self, error: Exception, doing: str) -> ConnectionEnded:
        return self._end(INTERNAL, _ABNORMAL, explain_unexpected(error, doing))

    def _end(self, reason: str, code: int, detail: str) -> ConnectionEnded:
        """Note why the connection is over; the first reason stands and is returned."""
        if self._ending is None:
            self._ending = (reason, code, detail)
        return ConnectionEnded(*self._ending)
