"""A TCP connection to a host, straight or through an HTTP proxy, before a deadline.

websocket-client has both, but its timeouts hold per operation only, so that a server that drips
bytes holds it for ever; it tries a second address only when the first one refuses, not when it is
silent; and it does neither for a socket that is given to it, as ours is.
"""

from __future__ import annotations

import base64
import queue
import socket
import threading
import time
from typing import TypeAlias
from urllib.parse import SplitResult, unquote, urlsplit

from streamer.errors import HandshakeError, SettingsError
from streamer.secret import SecretUrl

_HEAD_BYTES_MAX = 16 * 1024  # a proxy's answer is a few hundred bytes
_Address: TypeAlias = tuple[int, str | None, object]


def connect(host: str, port: int, deadline: float) -> socket.socket:
    """Return a socket connected to the first of the host's addresses that answers.

    `deadline` is monotonic; each address gets an even share of what is left, so that a silent
    one cannot use up the time of the next. Raises HandshakeError.
    """
    addresses = _resolve(host, port, deadline)
    failure: OSError | None = None
    for index, (family, address) in enumerate(addresses):
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.settimeout(_remaining(deadline) / (len(addresses) - index))
            sock.connect(address)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            sock.close()
            failure = error
        else:
            return sock
    try:
        raise _unreachable(f"{host}:{port}", failure) from failure
    finally:
        del failure  # it holds this frame: an attempt is freed without the garbage collector


def connect_through_proxy(
    proxy_url: SecretUrl, host: str, port: int, deadline: float
) -> socket.socket:
    """Return a socket that the HTTP proxy has connected to `host` and `port` (CONNECT).

    Raises HandshakeError, with the label proxy for whatever the proxy did or did not do, and
    SettingsError for a URL that is none.
    """
    proxy = split_proxy(proxy_url)
    where = f"the proxy {proxy.hostname}:{proxy.port}"
    try:
        sock = connect(proxy.hostname or "", proxy.port or 0, deadline)
    except HandshakeError as error:
        raise HandshakeError("proxy", f"the proxy: {error}") from error
    target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    request = f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n"
    if proxy.username:
        user = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
        request += f"Proxy-Authorization: Basic {base64.b64encode(user.encode()).decode()}\r\n"
    try:
        sock.settimeout(_remaining(deadline))
        sock.sendall(f"{request}\r\n".encode())
        status_line = _read_head(sock, deadline).split(b"\r\n")[0].decode("latin-1")
    except TimeoutError as error:
        sock.close()
        raise HandshakeError("proxy", f"{where} did not answer CONNECT in time") from error
    except OSError as error:
        sock.close()
        raise HandshakeError("proxy", f"{where} failed: {error}") from error
    version, _, answer = status_line.partition(" ")
    if not version.startswith("HTTP/1.") or not answer.startswith("2"):
        sock.close()
        raise HandshakeError(
            "proxy", f"{where} did not connect to {target}; it answered {status_line!r}"
        )
    return sock


def _unreachable(where: str, failure: OSError | None) -> HandshakeError:
    if isinstance(failure, ConnectionRefusedError):
        return HandshakeError("refused", f"{where} refused the connection")
    if isinstance(failure, TimeoutError):
        return HandshakeError("timeout", f"{where} did not answer in time (TCP)")
    reason = failure.strerror if failure else "it has no address"
    return HandshakeError("unreachable", f"{where} cannot be reached: {reason}")


def split_proxy(proxy_url: SecretUrl) -> SplitResult:
    """Return the parts of a proxy's URL. Raises SettingsError."""
    try:
        proxy = urlsplit(proxy_url.reveal())
        usable = proxy.scheme == "http" and bool(proxy.hostname) and bool(proxy.port)
    except ValueError:  # a port that is no number
        usable = False
    if not usable:
        raise SettingsError(  # without the value: it may hold a password
            "exchange.proxy is no usable URL; expected http://HOST:PORT, "
            "or http://USER:PASSWORD@HOST:PORT"
        )
    return proxy


def _resolve(
    host: str, port: int, deadline: float
) -> list[tuple[socket.AddressFamily, tuple[object, ...]]]:
    """Look a host up; getaddrinfo knows no timeout, so that a thread of its own waits for it.

    A resolver that hangs keeps that thread until it gives up by its own rules, mostly within
    half a minute; the thread is a daemon and holds up nothing.
    """
    answers: queue.SimpleQueue[list[tuple[socket.AddressFamily, tuple[object, ...]]] | OSError]
    answers = queue.SimpleQueue()

    def look_up() -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:  # UnicodeError: a label longer than 63
            answers.put(error if isinstance(error, OSError) else OSError(str(error)))
        else:
            answers.put([(family, address) for family, _, _, _, address in found])

    threading.Thread(target=look_up, name=f"resolve {host}", daemon=True).start()
    try:
        answer = answers.get(timeout=_remaining(deadline))
    except (queue.Empty, TimeoutError) as error:
        raise HandshakeError("dns", f"looking up {host} took too long") from error
    if isinstance(answer, OSError):
        reason = answer.strerror or str(answer)
        raise HandshakeError("dns", f"{host} was not found: {reason}") from answer
    return answer


def _read_head(sock: socket.socket, deadline: float) -> bytes:
    """Read up to the empty line and not a byte further. Raises OSError."""
    head = bytearray()
    while not head.endswith(b"\r\n\r\n"):
        sock.settimeout(_remaining(deadline))
        byte = sock.recv(1)
        if not byte:
            raise ConnectionResetError("it closed the connection")
        head += byte
        if len(head) > _HEAD_BYTES_MAX:
            raise ConnectionResetError("its answer does not end")
    return bytes(head)


def _remaining(deadline: float) -> float:
    """Return the seconds left; TimeoutError when there are none."""
    remaining = deadline - time.monotonic()
    if remaining <= 0:
        raise TimeoutError("timed out")
    return remaining
