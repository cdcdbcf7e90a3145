"""CONNECT: asking an HTTP proxy, over an open socket, to connect us to a target."""

from __future__ import annotations

import base64
import re
import socket
from typing import NoReturn

from streamer.dialing.proxy import Proxy
from streamer.dialing.tcp import remaining
from streamer.errors import HandshakeError

_HEAD_BYTES_MAX = 16 * 1024  # a proxy's answer is a few hundred bytes
_STATUS_LINE_SHOWN = 100  # characters: mostly some 30
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})(?: .*)?", re.DOTALL)
_TLS_PORT = 443  # the only port that proxies let everybody connect to, mostly


def connect_by_http(
    sock: socket.socket, proxy: Proxy, host: str, port: int, deadline: float
) -> None:
    """Have the proxy at the other end of `sock` connect it to `host` and `port`.

    Nothing behind the proxy's answer is read. Raises HandshakeError with the label proxy; the
    socket stays open.
    """
    target = _target(host, port)
    request = f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n"
    if (credentials := proxy.basic_credentials) is not None:
        encoded = base64.b64encode(credentials).decode()
        request += f"Proxy-Authorization: Basic {encoded}\r\n"
    try:
        sock.settimeout(remaining(deadline))
        sock.sendall(f"{request}\r\n".encode())
        status_line = _read_head(sock, deadline).partition(b"\r\n")[0]
    except TimeoutError as error:
        raise HandshakeError("proxy", f"{proxy} did not answer CONNECT in time") from error
    except OSError as error:
        raise HandshakeError("proxy", f"{proxy} failed: {error}") from error
    status = _STATUS_LINE.fullmatch(status_line)
    if status is None or not status[1].startswith(b"2"):
        _refuse(proxy, target, status_line, int(status[1]) if status else 0)


def _target(host: str, port: int) -> str:
    if ":" in host:
        return f"[{host}]:{port}"
    try:
        return f"{host.encode('idna').decode()}:{port}"
    except UnicodeError as error:  # a label longer than 63
        raise HandshakeError("dns", f"{host} was not found: {error}") from error


def _refuse(proxy: Proxy, target: str, status_line: bytes, status: int) -> NoReturn:
    answer = repr(status_line[:_STATUS_LINE_SHOWN].decode("latin-1"))
    message = f"{proxy} did not connect to {target}; it answered {answer}"
    if status == 407 and proxy.user is None:
        message += ": it asks for a user and a password (http://USER:PASSWORD@HOST:PORT)"
    elif status == 407:
        message += ": it does not take this user and password as Basic authentication"
    elif status == 403 and not target.endswith(f":{_TLS_PORT}"):
        message += (
            f": many proxies allow port {_TLS_PORT} only, at which the exchange's hosts listen too"
        )
    raise HandshakeError("proxy", message)


def _read_head(sock: socket.socket, deadline: float) -> bytes:
    """Read up to the empty line and not a byte further. Raises OSError."""
    head = bytearray()
    while not head.endswith(b"\r\n\r\n"):
        sock.settimeout(remaining(deadline))
        byte = sock.recv(1)
        if not byte:
            raise ConnectionResetError("it closed the connection")
        head += byte
        if len(head) > _HEAD_BYTES_MAX:
            raise ConnectionResetError("its answer does not end")
    return bytes(head)
