"""`/metrics`, `/healthz`, `/readyz` and `/status`, in a daemon thread beside the control loop.

The standard library's server: four GET routes for a scraper and a person need no more, and aiohttp
would cost the supervisor 9 MB (measured). The thread reads an immutable snapshot and nothing else.
"""

from __future__ import annotations

import json
import socket
import socketserver
import threading
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from monitor.health import obstacles, warnings
from monitor.metrics import registry_of
from monitor.snapshot import Snapshot
from monitor.status import as_status

STALE_SECONDS = 10.0  # the loop publishes every second; ten missed turns are a hang
REQUEST_SECONDS = 5.0  # a client that sends nothing holds a thread no longer
POLL_SECONDS = 0.1  # an end waits for it; ten looks a second cost 0.03 % of a core
TEXT = "text/plain; charset=utf-8"


class HttpError(RuntimeError):
    """The server cannot listen: says where and why."""


class MetricsServer:
    """Serves what was published last. Thread-safe towards the one who publishes."""

    def __init__(self, address: str = "127.0.0.1:9091") -> None:
        """Bind to `HOST:PORT` or `[IPV6]:PORT` (port 0: any free one). Raises HttpError."""
        host, _, port = address.rpartition(":")
        try:
            self._server = _Server((host.strip("[]"), int(port)), _Handler)
        except (OSError, ValueError, OverflowError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise HttpError(
                f"metrics cannot be served on {address!r}: {reason}; a free HOST:PORT is expected "
                "(ss --listening --tcp --processes names who has a port)"
            ) from error
        self._thread: threading.Thread | None = None

    @property
    def address(self) -> tuple[str, int]:
        """Host and port that are listened on."""
        host, port = self._server.server_address[:2]
        return str(host), int(port)

    def start(self) -> None:
        """Serve until `close`."""
        self._thread = threading.Thread(
            target=self._server.serve_forever,
            args=(POLL_SECONDS,),
            name="metrics",
            daemon=True,
        )
        self._thread.start()

    def publish(self, snapshot: Snapshot) -> None:
        """Let this be what is told from now on."""
        self._server.latest = snapshot, time.monotonic()

    def close(self) -> None:
        """Stop serving and give the port back."""
        if self._thread is not None:
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # a client that reads slowly must not delay the supervisor's end
    latest: tuple[Snapshot, float] | None = None

    def server_bind(self) -> None:
        """Bind, without the look-up of a name that HTTPServer makes and nobody needs."""
        socketserver.TCPServer.server_bind(self)

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        self.registry = registry_of(lambda: self.latest[0] if self.latest else None)
        super().__init__(address, handler)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = REQUEST_SECONDS
    server_version = "vigil"
    sys_version = ""

    def do_GET(self) -> None:
        """Answer one of the four paths."""
        path = urlsplit(self.path).path
        latest = self.server.latest
        if path == "/metrics":
            self._answer(
                HTTPStatus.OK, generate_latest(self.server.registry), CONTENT_TYPE_PLAIN_0_0_4
            )
        elif path == "/healthz":
            alive = latest is not None and time.monotonic() - latest[1] < STALE_SECONDS
            self._say(alive, "alive", "the control loop makes no progress")
        elif path == "/readyz":
            why = obstacles(latest[0]) if latest is not None else ("nothing is known yet",)
            also = warnings(latest[0]) if latest is not None else ()
            self._say(not why, "\n".join(("streaming", *also)), "\n".join((*why, *also)))
        elif path == "/status" and latest is not None:
            body = json.dumps(as_status(latest[0]), indent=2).encode()
            self._answer(HTTPStatus.OK, body, "application/json")
        elif path == "/status":
            self._say(False, "", "nothing is known yet")
        else:
            self._answer(
                HTTPStatus.NOT_FOUND, b"there are /metrics /healthz /readyz /status\n", TEXT
            )

    def _say(self, good: bool, yes: str, no: str) -> None:
        status = HTTPStatus.OK if good else HTTPStatus.SERVICE_UNAVAILABLE
        self._answer(status, f"{yes if good else no}\n".encode(), TEXT)

    def _answer(self, status: HTTPStatus, body: bytes, content_type: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: a scrape every few seconds is no news."""
