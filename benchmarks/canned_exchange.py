"""A canned exchange for thousands of streams: WebSocket over TLS, and REST with its weight.

    python -m benchmarks.canned_exchange DIRECTORY --symbols 1500 --kinds trade --rate 1000

It says where it listens in a JSON line and serves until stdin ends. What is sent is that of
`canned_market`, at its time, each message in a TLS record of its own. No faults, no limits but the
request weight: `python -m simulator` is for those.
"""

from __future__ import annotations

import argparse
import heapq
import json
import select
import socket
import ssl
import sys
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from benchmarks.canned_market import KINDS, CannedMarket, Series
from benchmarks.exchange import Peer, frame, upgrade
from simulator.certificates import server_context

TICK_SECONDS = 0.005  # what is due within it leaves together, in records of its own
HISTORY_SECONDS = 300  # of the market before the start
WEIGHTS = {"time": 1, "aggTrades": 4, "historicalTrades": 25, "depth": 50}
WEIGHT_LIMIT = 6000  # a minute


class Connection:
    """One client's streams; a thread of its own serves it until it is gone."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext, market: CannedMarket) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sock = sock
        self._market = market
        self._context = context
        self._names: list[str] = []
        self._due: list[tuple[int, int, str, Series]] = []  # a heap: time, index

    def serve(self) -> None:
        """Serve until the client goes."""
        try:
            peer = Peer(self._sock, self._context)
            self._subscribe(upgrade(peer))
            while True:
                if select.select([self._sock], [], [], TICK_SECONDS)[0]:
                    answers = peer.received()
                    if answers is None:
                        return
                    for opcode, payload in answers:
                        self._answer(peer, opcode, payload)
                self._send_due(peer, time.time_ns() // 1000)
        except OSError:
            pass  # the client is gone
        finally:
            self._sock.close()

    def _subscribe(self, names: list[str]) -> None:
        now_us = time.time_ns() // 1000
        for name in names:
            series = self._market.series.get(name)
            if series is None or name in self._names:
                continue
            self._names.append(name)
            index = series.count(now_us)
            heapq.heappush(self._due, (series.time_us(index), index, name, series))

    def _answer(self, peer: Peer, opcode: int, payload: bytes) -> None:
        if opcode == 0x9:  # a ping
            peer.send(bytes((0x8A, len(payload))) + payload)
        if opcode != 0x1:
            return
        message = json.loads(payload)
        result = None
        match message["method"]:
            case "SUBSCRIBE":
                self._subscribe(message["params"])
            case "UNSUBSCRIBE":
                gone = set(message["params"])
                self._names = [name for name in self._names if name not in gone]
                self._due = [each for each in self._due if each[2] not in gone]
                heapq.heapify(self._due)
            case "LIST_SUBSCRIPTIONS":
                result = self._names
        peer.send(frame(json.dumps({"result": result, "id": message["id"]})))

    def _send_due(self, peer: Peer, now_us: int) -> None:
        due, frames = self._due, []
        while due and due[0][0] <= now_us:
            _, index, name, series = due[0]
            frames.append(frame(series.frame(index)))
            heapq.heapreplace(due, (series.time_us(index + 1), index + 1, name, series))
        if frames:
            peer.send_encrypted(peer.encrypted(frames))


class Rest(ThreadingHTTPServer):
    """REST: what is asked costs weight, and is refused beyond the limit."""

    daemon_threads = True

    def __init__(self, market: CannedMarket) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.market = market
        self.asked: Counter[str] = Counter()
        self.refused = 0
        self._lock = threading.Lock()
        self._minute, self._used = 0, 0

    def spend(self, endpoint: str) -> int:
        """Count a request; return what is used in this minute."""
        with self._lock:
            minute = int(time.time() // 60)
            if minute != self._minute:
                self._minute, self._used = minute, 0
            self._used += WEIGHTS.get(endpoint, 1)
            self.asked[endpoint] += 1
            self.refused += self._used > WEIGHT_LIMIT
            return self._used


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Rest

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        endpoint = parts.path.rpartition("/")[2]
        used = self.server.spend(endpoint)
        status, body = 200, ""
        if used > WEIGHT_LIMIT:
            status, body = 429, '{"code":-1003,"msg":"Too much request weight used"}'
        else:
            try:
                now_us = time.time_ns() // 1000
                body = self.server.market.answer(endpoint, dict(parse_qsl(parts.query)), now_us)
            except KeyError:
                status, body = 400, '{"code":-1121,"msg":"Invalid symbol."}'
        data = body.encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.send_header("X-MBX-USED-WEIGHT-1M", str(used))
        if status == 429:
            self.send_header("Retry-After", str(60 - int(time.time() % 60)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def main() -> None:
    """Serve until stdin ends; then say what REST was asked."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("directory", type=Path, help="for the certificate")
    parser.add_argument("--symbols", type=int, default=1500)
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--rate", type=float, default=1000.0, help="messages a second, all streams")
    parser.add_argument("--steepness", type=float, default=0.0, help="0: all symbols alike")
    parser.add_argument("--singles", type=int, default=7, help="of ten aggregates, single trades")
    options = parser.parse_args()
    begin_us = time.time_ns() // 1000 - HISTORY_SECONDS * 1_000_000
    kinds = options.kinds.split(",")
    market = CannedMarket(
        options.symbols, kinds, options.rate, begin_us, options.steepness, options.singles
    )
    context, ca_file = server_context(options.directory)
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    rest = Rest(market)
    threading.Thread(target=rest.serve_forever, daemon=True).start()
    threading.Thread(target=_listen, args=(listener, context, market), daemon=True).start()
    _say(
        websocket_url=f"wss://127.0.0.1:{listener.getsockname()[1]}",
        rest_url=f"http://127.0.0.1:{rest.server_address[1]}",
        ca_file=str(ca_file),
    )
    for _ in sys.stdin:
        _say(asked=rest.asked, refused=rest.refused)


def _listen(listener: socket.socket, context: ssl.SSLContext, market: CannedMarket) -> None:
    while True:
        sock, _ = listener.accept()
        served = Connection(sock, context, market)
        threading.Thread(target=served.serve, daemon=True).start()


def _say(**words: object) -> None:
    sys.stdout.write(json.dumps(words) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
