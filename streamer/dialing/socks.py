"""SOCKS5: asking a proxy, over an open socket, to connect it to a target.

python-socks speaks it. Its own timeout holds per operation, and it opens sockets by itself; so it
is given a proxy "before" the real one, which is nothing but our connected socket, every operation
of which ends by the deadline.
"""

from __future__ import annotations

import socket
from typing import Any, cast

from python_socks import ProxyError, ProxyType
from python_socks.sync import Proxy as SocksProxy

from streamer.dialing.proxy import Proxy
from streamer.dialing.tcp import remaining, resolve
from streamer.errors import HandshakeError

_REASON_SHOWN = 100  # characters: the library's own are shorter


def connect_by_socks(
    sock: socket.socket, proxy: Proxy, host: str, port: int, deadline: float
) -> socket.socket:
    """Return `sock`, which it takes over, connected by its proxy to `host` and `port`.

    With the scheme socks5 the host is looked up here, with socks5h at the proxy. Nothing behind
    the proxy's answer is read. Raises HandshakeError with the label proxy, or dns for a look-up
    here; the socket is closed then.
    """
    with _DeadlineSocket(sock, deadline) as bounded:
        if proxy.scheme == "socks5":
            host = _first_address(host, port, deadline)
        client = SocksProxy(
            ProxyType.SOCKS5,
            proxy.host,
            proxy.port,
            proxy.user.reveal() if proxy.user else None,
            proxy.password.reveal() if proxy.password else None,
            rdns=True,  # what is to be looked up here has been
            forward=cast("SocksProxy", _Opened(bounded)),
        )
        try:
            client.connect(host, port)
        except TimeoutError as error:
            raise HandshakeError("proxy", f"{proxy} did not answer SOCKS in time") from error
        except ProxyError as error:
            reason = str(error)[:_REASON_SHOWN]
            raise HandshakeError(
                "proxy", f"{proxy} did not connect to {host}:{port}: {reason}{_hint(proxy, reason)}"
            ) from error
        except (OSError, ValueError) as error:  # ValueError: a name in no UTF-8
            raise HandshakeError("proxy", f"{proxy} failed: {error!r:.{_REASON_SHOWN}}") from error
        return bounded.released()


def _hint(proxy: Proxy, reason: str) -> str:
    if "No acceptable authentication" in reason:
        asks = "it takes none" if proxy.user else "it asks for a user and a password"
        return f" ({asks}; {proxy.scheme}://USER:PASSWORD@HOST:PORT)"
    return " (is it an HTTP proxy?)" if "version number: 72" in reason else ""  # H of HTTP


def _first_address(host: str, port: int, deadline: float) -> str:
    """Look a host up; an IPv4 address comes first, as a proxy may have no other network."""
    addresses = sorted(resolve(host, port, deadline), key=lambda found: found[0] != socket.AF_INET)
    return str(addresses[0][1][0])


class _DeadlineSocket(socket.socket):
    """A socket whose operations all end by one deadline: TimeoutError afterwards."""

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        super().__init__(sock.family, sock.type, sock.proto, sock.detach())
        self._deadline = deadline

    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
        """Receive, as ever."""
        self.settimeout(remaining(self._deadline))
        return super().recv(bufsize, flags)

    def sendall(self, data: Any, flags: int = 0, /) -> None:  # noqa: ANN401 - as its base has it
        """Send, as ever."""
        self.settimeout(remaining(self._deadline))
        super().sendall(data, flags)

    def released(self) -> socket.socket:
        """Return an ordinary socket in the place of this one, with its timeout."""
        timeout = self.gettimeout()
        sock = socket.socket(self.family, self.type, self.proto, self.detach())
        sock.settimeout(timeout)
        return sock


class _Opened:
    """A "proxy" that has connected us already: as much of one as the library asks for."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def connect(self, dest_host: str, dest_port: int, timeout: float) -> socket.socket:
        """Return the socket."""
        return self._sock
