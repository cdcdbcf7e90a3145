"""A connected socket to a host, straight or through a proxy: one way for WebSocket and REST."""

from __future__ import annotations

import socket

from streamer.dialing.http_connect import connect_by_http
from streamer.dialing.proxy import parse_proxy
from streamer.dialing.tcp import connect
from streamer.errors import HandshakeError, SettingsError
from streamer.secret import SecretUrl


def dial(host: str, port: int, proxy_url: SecretUrl | None, deadline: float) -> socket.socket:
    """Return a socket that is connected to `host` and `port`, by the proxy when there is one.

    It is blocking, with some timeout set, and nothing has been read from beyond the proxy: TLS
    begins on it. All of it together ends by the monotonic `deadline`, whatever a proxy does.

    Raises HandshakeError: with the label proxy for whatever the proxy did or did not do, else
    dns, refused, unreachable or timeout. Raises SettingsError for a proxy's URL that is none;
    settings that were loaded hold no such URL.
    """
    if proxy_url is None:
        return connect(host, port, deadline)
    try:
        proxy = parse_proxy(proxy_url)
    except ValueError as error:
        raise SettingsError(f"exchange.proxy {error}") from None
    try:
        sock = connect(proxy.host, proxy.port, deadline)
    except HandshakeError as error:
        raise HandshakeError("proxy", f"the proxy: {error}") from error
    try:
        if proxy.scheme != "http":
            # Here: only who has such a proxy depends on the library.
            from streamer.dialing.socks import connect_by_socks

            return connect_by_socks(sock, proxy, host, port, deadline)
        connect_by_http(sock, proxy, host, port, deadline)
    except BaseException:
        sock.close()
        raise
    return sock
