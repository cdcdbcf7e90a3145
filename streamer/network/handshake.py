"""From a URL to an upgraded WebSocket over a Transport: DNS, TCP, proxy, TLS, HTTP upgrade.

All of it blocks, so that it belongs into a helper thread, and all of it together ends within
`connection.handshake_timeout`, whatever the other side does. websocket-client speaks the upgrade,
of which it sees what `upgrade.py` leaves; what comes behind it is kept.
"""

from __future__ import annotations

import select
import ssl
import time
from urllib.parse import urlsplit

import websocket

from streamer.config import ExchangeConfig
from streamer.connection_config import ConnectionConfig
from streamer.dialing.dial import dial
from streamer.errors import ConnectionLost, HandshakeError, SettingsError
from streamer.network import upgrade
from streamer.network.boundary import INTERNAL, explain_unexpected
from streamer.network.transport import Transport
from streamer.printable import printable

_SHOWN_BYTES_MAX = 300  # of what is theirs, in a line for people
_SELF_SIGNED, _SELF_SIGNED_IN_CHAIN, _NO_ISSUER, _NO_FIRST_ISSUER = 18, 19, 20, 21
_NOT_YET_VALID, _EXPIRED, _WRONG_HOST, _WRONG_ADDRESS = 9, 10, 62, 64  # X509_V_ERR_… of OpenSSL


def make_ssl_context(exchange: ExchangeConfig) -> ssl.SSLContext | None:
    """Return the context that all connections and REST share (a fresh one costs 20-30 ms).

    None when neither speaks TLS.

    Raises SettingsError when `exchange.ca_file` cannot be used.
    """
    schemes = {urlsplit(url).scheme for url in (exchange.websocket_url, exchange.rest_url)}
    if not schemes & {"wss", "https"}:
        return None
    context = ssl.create_default_context()  # the system's certificates; verifies host names
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION  # writing would have to wait for reading
    if exchange.ca_file is not None:
        try:
            context.load_verify_locations(exchange.ca_file)
        except (OSError, ssl.SSLError) as error:
            raise SettingsError(
                f"exchange.ca_file is {exchange.ca_file}, which cannot be used "
                f"({error.strerror or error}); expected a file of PEM certificates"
            ) from error
    if not exchange.verify_tls:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def open_transport(
    url: str,
    connection: ConnectionConfig,
    exchange: ExchangeConfig,
    ssl_context: ssl.SSLContext | None,
) -> Transport:
    """Return a transport on which the server has agreed to speak WebSocket.

    Frames that came right behind the agreement are kept: call `receive` without waiting first.
    Raises HandshakeError, and SettingsError for a URL that is none.
    """
    deadline = time.monotonic() + connection.handshake_timeout
    host, port, secure = _split_url(url)
    sock = dial(host, port, exchange.proxy_of("websocket_url"), deadline)
    transport = Transport(sock, ssl_context if secure else None, host)
    try:
        _shake_hands(transport, f"{host}:{port}", deadline)
        _upgrade(transport, url, deadline)
    except BaseException:
        transport.close()
        raise
    return transport


def _split_url(url: str) -> tuple[str, int, bool]:
    """Return host, port and whether TLS is wanted. Raises SettingsError."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
        (host or "").encode("idna")
    except ValueError:  # a port that is no number, half an IPv6 address, an empty label
        host = port = None
    if not host or parts.scheme not in ("ws", "wss"):
        raise SettingsError(
            f"exchange.websocket_url leads to {url!r}, which is no usable URL; expected "
            "wss://HOST:PORT or ws://HOST:PORT"
        )
    secure = parts.scheme == "wss"
    return host, port or (443 if secure else 80), secure


def _shake_hands(transport: Transport, where: str, deadline: float) -> None:
    try:
        transport.do_handshake(deadline)
    except ssl.SSLCertVerificationError as error:
        raise HandshakeError("tls", _explain_certificate(error, where)) from error
    except ssl.SSLError as error:
        raise HandshakeError(
            "tls", f"{where} does not offer TLS as required: {error.reason or error}"
        ) from error
    except ConnectionLost as error:
        raise HandshakeError("lost", f"{where} hung up during the TLS handshake") from error
    except TimeoutError as error:
        raise HandshakeError("timeout", f"{where} did not answer in time (TLS)") from error


def _explain_certificate(error: ssl.SSLCertVerificationError, where: str) -> str:
    """Return what is wrong with a certificate, and what helps."""
    code = error.verify_code
    if code in (_SELF_SIGNED, _SELF_SIGNED_IN_CHAIN, _NO_ISSUER, _NO_FIRST_ISSUER):
        problem = (
            "is not signed by an authority that is trusted here; if it is the right one, name the "
            "file of its authority's certificate in exchange.ca_file"
        )
    elif code in (_WRONG_HOST, _WRONG_ADDRESS):
        problem = "is made out for another host name; check exchange.websocket_url"
    elif code == _EXPIRED:
        problem = "has expired, or the clock here is wrong"
    elif code == _NOT_YET_VALID:
        problem = "is not valid yet, or the clock here is wrong"
    else:
        problem = "was refused"
    return f"the certificate of {where} {problem} ({error.verify_message.rstrip('.')})"


def _upgrade(transport: Transport, url: str, deadline: float) -> None:
    sock = _UpgradeSocket(transport, url, deadline)
    try:
        websocket.create_connection(
            url,
            socket=sock,
            timeout=max(0.0, deadline - time.monotonic()),
            redirect_limit=0,  # it would follow one on a socket of its own
            skip_utf8_validation=True,
            enable_multithread=False,
        )
    except HandshakeError:
        raise
    except Exception as error:
        # No variable for it: the error, this frame and so the transport would hold each other.
        raise _explain_failure(error, url) from error
    else:
        transport.unread(sock.take_rest())
    finally:
        sock.let_go()


def _explain_failure(error: Exception, url: str) -> HandshakeError:
    """Return what went wrong when there was no answer, or one that the library refused."""
    if isinstance(error, (websocket.WebSocketTimeoutException, TimeoutError)):
        return HandshakeError("timeout", f"{url} did not answer the upgrade in time")
    if isinstance(error, (websocket.WebSocketConnectionClosedException, ConnectionLost)):
        return HandshakeError("lost", f"{url} hung up during the upgrade")
    if isinstance(error, websocket.WebSocketException):
        shown = printable(str(error), _SHOWN_BYTES_MAX)
        return HandshakeError("upgrade", f"{url} is no WebSocket: {shown}")
    return HandshakeError(INTERNAL, f"{url}: {explain_unexpected(error, 'it was upgraded')}")


class _UpgradeSocket:
    """What websocket-client sees of a transport: a blocking socket with one deadline for all.

    It sees no more of the answer than what `upgrade.read_head` leaves of its head.
    """

    def __init__(self, transport: Transport, url: str, deadline: float) -> None:
        self._transport = transport
        self._url = url
        self._deadline = deadline
        self._head: bytes | None = None  # what is left to be read of it
        self._rest = b""

    def recv(self, count: int) -> bytes:
        """Return up to `count` bytes, b"" at the end.

        Raises TimeoutError, ConnectionLost, and HandshakeError for an answer that is no agreement.
        """
        if self._head is None:
            self._head = self._receive_head()
        data, self._head = self._head[:count], self._head[count:]
        return data

    def _receive_head(self) -> bytes:
        received = bytearray()
        end = 0
        while not end:
            if len(received) > upgrade.HEAD_BYTES_MAX:
                raise HandshakeError(
                    "upgrade",
                    f"{self._url} is no WebSocket: the head of its answer has more than "
                    f"{upgrade.HEAD_BYTES_MAX} bytes",
                )
            data = self._transport.receive()
            if not data:
                self._transport.wait(self._deadline, select.POLLIN)
            looked_at = len(received)
            received += data
            end = upgrade.find_head_end(received, looked_at)
        self._rest = bytes(received[end:])
        return upgrade.read_head(bytes(received[:end]), self._url)

    def send(self, data: bytes) -> int:
        """Send everything. Raises TimeoutError."""
        self._transport.send(data)
        while self._transport.wants_write:
            self._transport.wait(self._deadline, select.POLLOUT)
            self._transport.flush()
        return len(data)

    def take_rest(self) -> bytes:
        """Return what was received behind the head."""
        return self._rest

    def let_go(self) -> None:
        """Forget the transport, lest it outlive its end.

        A WebSocket of websocket-client and its parser hold each other and this: only the garbage
        collector frees them.
        """
        del self._transport

    def gettimeout(self) -> float:
        """Return the seconds left, by which websocket-client tells that this blocks."""
        return max(0.001, self._deadline - time.monotonic())

    def close(self) -> None:
        """Do nothing: the transport's owner closes it."""
