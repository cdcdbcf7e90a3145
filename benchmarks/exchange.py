"""A canned exchange: trades as fast as the reader takes them, a TLS record for every message.

Everything is encrypted before the flood begins, so that a flood costs this process next to
nothing and the reader is what is measured. One connection at a time; told by JSON lines on stdin:

    {"messages": N}             take a connection, say {"ready": true} once it is subscribed
    {"go": true}                send N trades, say {"sent": N}
    {"pace": R, "seconds": S}   send R trades per second instead, each with its own time
"""

from __future__ import annotations

import base64
import hashlib
import json
import socket
import ssl
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from struct import Struct
from typing import Any
from urllib.parse import unquote

from simulator.certificates import server_context
from simulator.payloads import combined, stream_payload
from simulator.tape import EVENT_DELAY_MICROSECONDS, Rhythm, SymbolTape

SYMBOLS = ("BTCUSDT", "ETHUSDT", "BNBUSDT")
STREAMS = tuple(f"{symbol.lower()}@trade" for symbol in SYMBOLS)

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3
_TEXT, _CLOSE = 0x81, 0x88
_SHORT = Struct(">BBH").pack
_TRADES_PER_SECOND = 1000.0  # of the tape: decides its times, not the speed
_PACED_EVERY_SECONDS = 0.001  # one record per message all the same
_ACCEPT_SECONDS = 150.0  # longer than any reader is waited for: a killed benchmark leaves nothing
_LEAD_SECONDS = 3600  # the tape lies in the past: an exchange's clock may not be ahead


class Tape:
    """The same trades for everyone, made once: frames with contiguous ids per symbol."""

    def __init__(self) -> None:
        start = (time.time_ns() // 1000) - _LEAD_SECONDS * 1_000_000
        rhythm = Rhythm(rate=_TRADES_PER_SECOND)
        self._tapes = [SymbolTape(1, symbol, rhythm, start) for symbol in SYMBOLS]
        self._frames: list[bytes] = []

    def frames(self, count: int) -> list[bytes]:
        """Return the first `count` frames, symbol by symbol in turn."""
        while len(self._frames) < count:
            self._frames.append(self.frame(len(self._frames)))
        return self._frames[:count]

    def frame(self, position: int, at_us: int | None = None) -> bytes:
        """Return one frame, with an event time of its own if asked for."""
        index, turn = divmod(position, len(SYMBOLS))
        trade = self._tapes[turn].event("trade", index)
        if at_us is not None:
            trade = trade._replace(time=at_us - EVENT_DELAY_MICROSECONDS)
        return frame(combined(STREAMS[turn], stream_payload(SYMBOLS[turn], trade, "us")))


def frame(text: str | bytes) -> bytes:
    """Return a server's text frame."""
    payload = text.encode() if isinstance(text, str) else text
    if len(payload) < 126:
        return bytes((_TEXT, len(payload))) + payload
    return _SHORT(_TEXT, 126, len(payload)) + payload


class Peer:
    """A client behind TLS that is kept in memory, so that records can be made in advance."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext) -> None:
        self._sock = sock
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._received = b""
        while True:
            try:
                self._tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                self._push()
                self._pull()
        self._push()

    def encrypted(self, frames: list[bytes]) -> bytes:
        """Return records that hold a frame each. They must be the next ones to be sent."""
        write = self._tls.write
        for each in frames:
            write(each)
        return self._outgoing.read()

    def send(self, data: bytes) -> None:
        """Send bytes in one record."""
        self._tls.write(data)
        self._push()

    def send_encrypted(self, records: bytes) -> None:
        """Send what `encrypted` has made."""
        self._sock.sendall(records)

    def until(self, mark: bytes) -> bytes:
        """Return what the client sends up to a mark, inclusive."""
        while mark not in self._received:
            self._received += self._read()
        head, found, self._received = self._received.partition(mark)
        return head + found

    def messages(self) -> Iterator[dict[str, Any]]:
        """Yield the JSON that the client sends, until it closes."""
        while True:
            while (parsed := _parse(self._received)) is None:
                if not (data := self._read()):
                    return
                self._received += data
            opcode, payload, self._received = parsed
            if opcode == _CLOSE:
                return
            if opcode == _TEXT:
                yield json.loads(payload)

    def received(self) -> list[tuple[int, bytes]] | None:
        """Return opcode and payload of the whole frames that have come; None when it is over.

        To be called when the socket is readable.
        """
        if not self._pull():
            return None
        is_over = False
        try:
            while data := self._tls.read(65536):
                self._received += data
            is_over = True
        except ssl.SSLWantReadError:
            self._push()
        except ssl.SSLError:
            is_over = True
        messages: list[tuple[int, bytes]] = []
        while (parsed := _parse(self._received)) is not None:
            opcode, payload, self._received = parsed
            is_over |= opcode == _CLOSE
            messages.append((opcode & 0x0F, payload))
        return None if is_over else messages

    def close(self) -> None:
        """Close the socket."""
        self._sock.close()

    def _read(self) -> bytes:
        while True:
            try:
                return self._tls.read(65536)
            except ssl.SSLWantReadError:
                self._push()
                if not self._pull():
                    return b""
            except ssl.SSLError:
                return b""

    def _pull(self) -> bool:
        try:
            data = self._sock.recv(65536)
        except OSError:
            return False
        self._incoming.write(data)
        return bool(data)

    def _push(self) -> None:
        if self._outgoing.pending:
            self._sock.sendall(self._outgoing.read())


def _parse(data: bytes) -> tuple[int, bytes, bytes] | None:
    """Return opcode, payload and what follows of a client's frame, None if it is incomplete."""
    if len(data) < 6:
        return None
    length, start = data[1] & 0x7F, 2
    if length == 126:
        length, start = int.from_bytes(data[2:4], "big"), 4
    end = start + 4 + length
    if len(data) < end:
        return None
    key = data[start : start + 4]
    payload = bytes(byte ^ key[i % 4] for i, byte in enumerate(data[start + 4 : end]))
    return data[0], payload, data[end:]


def upgrade(peer: Peer) -> list[str]:
    """Agree to speak WebSocket; return the streams that the URL asks for."""
    request = peer.until(b"\r\n\r\n")
    line, _, rest = request.partition(b"\r\n")
    headers = dict(header.split(b": ", 1) for header in rest.split(b"\r\n") if b": " in header)
    names = {name.lower(): value for name, value in headers.items()}
    digest = hashlib.sha1(names[b"sec-websocket-key"] + _GUID, usedforsecurity=False).digest()
    accept = base64.b64encode(digest)
    peer.send(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
    )
    _, _, named = line.split(b" ")[1].partition(b"streams=")
    return [name for name in unquote(named.partition(b"&")[0].decode()).split("/") if name]


def subscribe(peer: Peer) -> None:
    """Upgrade, and answer until everything is subscribed: by the URL, or by messages."""
    if upgrade(peer):
        return
    for message in peer.messages():
        listed = message["method"] == "LIST_SUBSCRIPTIONS"
        result = list(STREAMS) if listed else None
        peer.send(frame(json.dumps({"result": result, "id": message["id"]})))
        if listed:
            return


def send_paced(peer: Peer, tape: Tape, rate: float, seconds: float) -> int:
    """Send by the clock; an event's time is the moment at which it is handed to TLS."""
    began, sent = time.monotonic(), 0
    while (elapsed := time.monotonic() - began) < seconds:
        due = int(elapsed * rate)
        for position in range(sent, due):
            peer.send(tape.frame(position, at_us=time.time_ns() // 1000))
        sent = max(sent, due)
        time.sleep(_PACED_EVERY_SECONDS)
    return sent


def say(**words: object) -> None:
    """Tell the benchmark something."""
    sys.stdout.write(json.dumps(words) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Serve until stdin ends."""
    context, ca_file = server_context(Path(sys.argv[1]))
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(_ACCEPT_SECONDS)
    say(url=f"wss://127.0.0.1:{listener.getsockname()[1]}", ca_file=str(ca_file))
    tape = Tape()
    for line in sys.stdin:
        frames = tape.frames(json.loads(line)["messages"])
        sock, _ = listener.accept()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        peer = Peer(sock, context)
        try:
            subscribe(peer)
            records = peer.encrypted(frames)
            say(ready=True)
            order = json.loads(next(sys.stdin))
            if "pace" in order:
                say(sent=send_paced(peer, tape, order["pace"], order["seconds"]))
            else:
                peer.send_encrypted(records)
                say(sent=len(frames))
            for _ in peer.messages():
                pass
        except OSError as error:
            say(error=str(error))
        finally:
            peer.close()


if __name__ == "__main__":
    main()
