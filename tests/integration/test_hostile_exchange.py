"""A streamer at an exchange that sends what it never should: it goes on, and ends as asked."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import socket
import threading
from contextlib import suppress

from tests.audit import audit_files, await_caught_up
from tests.exchange import Exchange
from tests.streaming import Process, at_exchange, eventually
from tests.unit.streamer.loopback import exactly, read_head

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3
FORGED = b"\x1b]0;title\x07\\n2026-01-01T00:00:00Z error forged"
DEEPEST = range(900, 1000)  # brackets: what decodes may be too deep for other things
REFUSALS = (
    b"HTTP/1.1 \xb2\xb2\xb2 x\r\n\r\n",
    b"HTTP/1.1 503 " + FORGED + b"\r\nRetry-After: -5\r\n\r\n",
    b"HTTP/1.1 503 " + b"x" * 100_000 + b"\r\nSet-Cookie: a/b=c\r\n\r\n",
    b"HTTP/1.1 500 No\r\nRetry-After: \xb2\r\n\r\n",
)
FRAMES = (
    *(b"[" * depth + b"]" * depth for depth in DEEPEST),
    *(b'{"id":%s,"result":null}' % one for one in (b"true", b"1.5", b"[1]", b"9" * 400)),
    b'{"error":{"code":[],"msg":{"a":"' + FORGED + b'"}},"id":99}',
    *(b'{"e":"serverShutdown","E":1}',) * 300,
)


class HostileExchange(threading.Thread):
    """Refuses the first attempts, each in its way; then serves every one until it closes."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"ws://127.0.0.1:{self.listener.getsockname()[1]}"
        self.attempts = 0
        self.listed = 0
        self.asked: list[object] = []

    def run(self) -> None:
        while True:
            sock, _ = self.listener.accept()
            self.attempts += 1
            threading.Thread(target=self._serve, args=(sock, self.attempts), daemon=True).start()

    def _serve(self, sock: socket.socket, number: int) -> None:
        with sock, suppress(ConnectionError):  # the streamer may end any connection at any moment
            self._speak(sock, number)

    def _speak(self, sock: socket.socket, number: int) -> None:
        request = read_head(sock)
        if not request:
            return
        if number <= len(REFUSALS):
            sock.sendall(REFUSALS[number - 1])
            return
        (key,) = re.findall(rb"Sec-WebSocket-Key: (\S+)", request)
        accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
        sock.sendall(
            b"HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSet-Cookie: a/b=c\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
        )
        self._send(sock, *FRAMES)
        self.asked.append(self._receive(sock)["method"])
        self._send(sock, b'{"result":null,"id":1}')
        self.asked.append(self._receive(sock)["method"])
        self._send(sock, b'{"result":[["x"]],"id":2}', *FRAMES)
        self.listed += 1
        while sock.recv(4096):  # until the streamer has enough
            pass

    def _send(self, sock: socket.socket, *payloads: bytes) -> None:
        for payload in payloads:
            sock.sendall(b"\x81\x7e" + len(payload).to_bytes(2, "big") + payload)

    def _receive(self, sock: socket.socket) -> dict[str, object]:
        """Return the next message of the client; each is one frame of fewer than 126 bytes."""
        while True:
            first, length = exactly(sock, 2)
            key, payload = exactly(sock, 4), exactly(sock, length & 0x7F)
            if first & 0x0F == 1:  # text; the rest are a ping, a pong or a close
                return json.loads(bytes(one ^ key[at % 4] for at, one in enumerate(payload)))


def test_a_hostile_exchange_ends_no_streamer(tmp_path):
    exchange = HostileExchange()
    exchange.start()
    settings = {
        "exchange.websocket_url": exchange.url,
        "exchange.rest_url": "http://127.0.0.1:1",
        "exchange.symbols": "BTCUSDT",
        "exchange.streams": "trade",
        "connection.backoff_initial": "50ms",
        "connection.backoff_max": "100ms",
        "repair.enabled": "false",
        "sink.kind": "null",
        "sink.directory": str(tmp_path),
    }
    arguments = [part for item in settings.items() for part in ("--set", "=".join(item))]
    with Process(tmp_path / "streamer.log", "streamer", *arguments) as process:
        # The announced shutdown makes the first connection be replaced.
        eventually(
            lambda: exchange.listed >= 2 or process.process.poll() is not None,
            what="a second connection",
        )
        assert process.process.poll() is None, process.output
        assert process.stop() == 0
    assert exchange.asked[1::2].count("LIST_SUBSCRIPTIONS") >= 1
    assert set(exchange.asked) == {"SUBSCRIBE", "LIST_SUBSCRIPTIONS"}
    lines = process.output.split("\n")
    assert all(line.isprintable() for line in lines)
    assert all(len(line) < 5000 for line in lines)
    assert "Traceback" not in process.output
    assert "not followed" in process.output
    assert not any(line.startswith("2026-01-01") for line in lines)


def test_a_complaint_about_our_frames_is_learned_from(tmp_path):
    """An exchange that takes fewer of them than ours documents: one 1008, and none after it."""
    records = tmp_path / "records"
    limit = ("--message-limit", "1")
    with Exchange(tmp_path, rate=50, symbols=("BTCUSDT",), extra=limit) as exchange:
        settings = {"sink.directory": records, "connection.backoff_initial": "200ms"}
        arguments = at_exchange(exchange, **settings)
        with Process(tmp_path / "streamer.log", "streamer", *arguments) as process:
            eventually(lambda: "control frames are 1 s apart" in process.output, what="a complaint")
            served_at = exchange.status()["time"]
            eventually(lambda: exchange.status()["time"] - served_at > 3.0)
            assert exchange.status()["attempts_total"] == 2, process.output
            assert exchange.status()["connections"] == 1
            await_caught_up(exchange, records)
            assert process.stop() == 0
        assert audit_files(exchange, records, "trade", "BTCUSDT").clean, process.output
