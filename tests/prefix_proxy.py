"""A reverse proxy that serves one upstream below a prefix, and passes on what comes as it comes."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

PREFIX = "/monitoring/vigil"


@contextmanager
def prefix_proxy(host: str, port: int) -> Iterator[str]:
    """Yield the URL of the prefix, with a slash at its end."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if not self.path.startswith(f"{PREFIX}/"):
                self.send_error(404)
                return
            upstream = http.client.HTTPConnection(host, port, timeout=60)
            headers = {name: value for name, value in self.headers.items() if name != "Connection"}
            upstream.request("GET", self.path.removeprefix(PREFIX), headers=headers)
            answer = upstream.getresponse()
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                if name.lower() != "transfer-encoding":  # this one ends with the connection
                    self.send_header(name, value)
            self.end_headers()
            with suppress(OSError, http.client.HTTPException):  # one of them has gone
                while data := answer.read1(65536):
                    self.wfile.write(data)
            upstream.close()

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}{PREFIX}/"
    finally:
        server.shutdown()
        server.server_close()
