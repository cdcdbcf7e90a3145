"""HTTP questions over one kept connection: each ends by one deadline, and brings so many bytes.

`http.client` speaks HTTP over a `BoundedSocket`; what it takes for an ordinary answer though its
end cannot be told is refused here.
"""

from __future__ import annotations

import http.client
import re
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from streamer.dialing.bounded_socket import BoundedSocket
from streamer.dialing.tcp import remaining
from streamer.errors import HandshakeError

HEAD_BYTES_MAX = 64 << 10  # status line, headers and 1xx answers before: mostly 1 kB
_READ_BYTES = 64 << 10
_LENGTH = re.compile(r"[0-9]{1,10}", re.ASCII)  # http.client takes a sign, and reads on for ever
Dial = Callable[[str, int, float], socket.socket]
"""Returns a socket that is connected to a host and port by a monotonic deadline."""


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """A whole answer; names of headers are lower case, the first one of a name counts.

    Times are Unix times in seconds: when the question was sent, on an open connection, and when
    the answer was complete.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    asked_at: float
    answered_at: float


class HttpConnection:
    """Asks the server of `url` (http or https, without path), one question at a time.

    With https, inside TLS by `ssl_context`. The connection is kept while it can be trusted to be
    at the beginning of an answer.
    """

    def __init__(self, url: str, dial: Dial, ssl_context: ssl.SSLContext | None) -> None:
        parts = urlsplit(url)
        self._ssl_context = ssl_context if parts.scheme == "https" else None
        self._dial = dial
        self._host = parts.hostname or ""
        default_port = 443 if parts.scheme == "https" else 80
        self._port = parts.port or default_port
        self._http = http.client.HTTPConnection(self._host, self._port)
        self._http.default_port = default_port  # otherwise Host would name 443
        self._http.auto_open = 0
        self._socket: BoundedSocket | None = None

    def ask(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        deadline: float,
        bytes_max: int,
        content: bytes | None = None,
    ) -> HttpAnswer:
        """Return the answer, whatever its status, by the monotonic `deadline`.

        Raises OSError, http.client.HTTPException and ValueError for an answer that is none, that
        takes too long, or has more than `bytes_max` bytes, and HandshakeError when there is no
        connection; whatever it was, the connection is closed then.
        """
        try:
            sock = self._connected(deadline)
            sock.begin(deadline, HEAD_BYTES_MAX)
            asked_at = time.time()
            self._http.request(method, path, content, dict(headers))
            return self._answer(sock, asked_at, deadline, bytes_max)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the kept connection; the next question opens another one."""
        self._http.close()
        if self._socket is not None:
            self._socket.disconnect()
            self._socket = None

    def _answer(
        self, sock: BoundedSocket, asked_at: float, deadline: float, bytes_max: int
    ) -> HttpAnswer:
        response = self._http.getresponse()
        _check_framing(response.status, response.headers, bytes_max)
        # Framing has its share: a chunk of one byte comes with five more.
        sock.begin(deadline, bytes_max)
        body = bytearray()
        while chunk := response.read1(_READ_BYTES):
            body += chunk
        if response.length:
            raise ValueError(f"the answer ended {response.length} bytes before its Content-Length")
        answered_at = time.time()
        response.close()
        if response.will_close:
            self.close()
        first_of_each = {name.lower(): text for name, text in reversed(response.headers.items())}
        return HttpAnswer(response.status, first_of_each, bytes(body), asked_at, answered_at)

    def _connected(self, deadline: float) -> BoundedSocket:
        if self._socket is not None and not self._socket.is_idle():
            self.close()  # the server has closed it, or told something that nobody asked for
        if self._socket is None:
            sock = self._dial(self._host, self._port, deadline)
            if self._ssl_context is not None:
                sock = self._inside_tls(sock, self._ssl_context, deadline)
            self._http.sock = self._socket = BoundedSocket(sock)
        return self._socket

    def _inside_tls(
        self, sock: socket.socket, context: ssl.SSLContext, deadline: float
    ) -> ssl.SSLSocket:
        try:
            sock.settimeout(remaining(deadline))
            return context.wrap_socket(sock, server_hostname=self._host)
        except OSError as error:
            sock.close()
            reason = getattr(error, "verify_message", "") or str(error)
            text = f"TLS with {self._host}:{self._port} failed: {reason}"
            label = "tls" if isinstance(error, ssl.SSLError) else "lost"
            raise HandshakeError(label, text) from error


def _check_framing(status: int, headers: http.client.HTTPMessage, bytes_max: int) -> None:
    """Raise ValueError when nobody can tell where an answer ends, or how to read it."""
    if status < 200:
        raise ValueError(f"HTTP {status} is no answer")
    codings = headers.get_all("Transfer-Encoding", [])
    lengths = headers.get_all("Content-Length", [])
    if codings and (len(codings) > 1 or codings[0].strip().lower() != "chunked" or lengths):
        raise ValueError(
            f"the answer has the Transfer-Encoding {', '.join(codings)!r}, and the Content-Length "
            f"{', '.join(lengths)!r}; expected chunked without a length, or a length alone"
        )
    if lengths and (len({*lengths}) > 1 or not _LENGTH.fullmatch(lengths[0])):
        raise ValueError(
            f"the answer has the Content-Length {', '.join(lengths)!r}; expected one number"
        )
    if lengths and int(lengths[0]) > bytes_max:
        raise ValueError(f"the answer has {lengths[0]} bytes; expected {bytes_max} at most")
    content_coding = headers.get("Content-Encoding", "identity").strip().lower()
    if content_coding not in ("", "identity"):
        raise ValueError(f"the answer is encoded by {content_coding!r}, for which nobody asked")
