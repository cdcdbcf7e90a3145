"""From a URL to an upgraded WebSocket over a Transport: DNS, TCP, proxy, TLS, HTTP upgrade.

All of it blocks, so that it belongs into a helper thread, and all of it together ends within
`connection.handshake_timeout`, whatever the other side does. websocket-client speaks the upgrade;
it reads the answer byte by byte, but nothing is lost if it reads more.
"""

from __future__ import annotations

import select
import ssl
import time
from urllib.parse import urlsplit

import websocket

from streamer.config import ConnectionConfig, ExchangeConfig
from streamer.dialing.dial import dial
from streamer.errors import ConnectionLost, HandshakeError, SettingsError, UpgradeError
from streamer.network.transport import Transport

_ANSWER_BYTES_MAX = 64 * 1024  # an upgrade's answer with the HTML page of a firewall behind it
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
            "tls", f"{where} does not speak TLS as wanted: {error.reason or error}"
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
    sock = _UpgradeSocket(transport, deadline)
    try:
        websocket.create_connection(
            url,
            socket=sock,
            timeout=max(0.0, deadline - time.monotonic()),
            redirect_limit=0,  # it would follow one on a socket of its own
            skip_utf8_validation=True,
            enable_multithread=False,
        )
    except (websocket.WebSocketException, ConnectionLost, TimeoutError, ValueError) as error:
        # No variable for it: the error, this frame and so the transport would hold each other.
        raise (_find_refusal(bytes(sock.received), url) or _explain_failure(error, url)) from error
    else:
        transport.unread(sock.take_rest())
    finally:
        sock.let_go()


def _explain_failure(error: Exception, url: str) -> HandshakeError:
    """Return what went wrong when there was no answer, or none that HTTP knows."""
    if isinstance(error, (websocket.WebSocketTimeoutException, TimeoutError)):
        return HandshakeError("timeout", f"{url} did not answer the upgrade in time")
    if isinstance(error, (websocket.WebSocketConnectionClosedException, ConnectionLost)):
        return HandshakeError("lost", f"{url} hung up during the upgrade")
    return HandshakeError("upgrade", f"{url} is no WebSocket: {error}")


def _find_refusal(answer: bytes, url: str) -> UpgradeError | None:
    """Return the refusal in an HTTP answer, if it is one.

    It is looked for in the bytes themselves, because websocket-client waits for the whole body
    before it tells the status, and a Retry-After must not be lost with a body that never ends.
    """
    head, end, _ = answer.decode("latin-1").partition("\r\n\r\n")
    status_line, *lines = head.split("\r\n")
    version, _, status = status_line.partition(" ")
    code = status[:3]
    if not end or not version.startswith("HTTP/1.") or not code.isdigit() or code == "101":
        return None
    headers = {key.strip().lower(): value.strip() for key, _, value in map(_split_line, lines)}
    text = f"{url} answered the upgrade with HTTP {status}"
    if 300 <= int(code) < 400:
        text += f" to {headers.get('location', 'nowhere')}; redirects are not followed"
    retry_after = headers.get("retry-after", "")
    seconds = float(retry_after) if retry_after.isdecimal() else None
    if seconds is not None:
        text += f"; to be tried again after {retry_after} s"
    return UpgradeError(text, status=int(code), retry_after_seconds=seconds)


def _split_line(line: str) -> tuple[str, str, str]:
    return line.partition(":")


class _UpgradeSocket:
    """What websocket-client sees of a transport: a blocking socket with one deadline for all."""

    def __init__(self, transport: Transport, deadline: float) -> None:
        self._transport = transport
        self._deadline = deadline
        self._taken = 0
        self.received = bytearray()

    def recv(self, count: int) -> bytes:
        """Return up to `count` bytes, b"" at the end. Raises TimeoutError, ConnectionLost."""
        while self._taken == len(self.received):
            if len(self.received) > _ANSWER_BYTES_MAX:
                return b""
            data = self._transport.receive()
            if not data:
                self._transport.wait(self._deadline, select.POLLIN)
            self.received += data
        data = bytes(self.received[self._taken : self._taken + count])
        self._taken += len(data)
        return data

    def send(self, data: bytes) -> int:
        """Send everything. Raises TimeoutError."""
        self._transport.send(data)
        while self._transport.wants_write:
            self._transport.wait(self._deadline, select.POLLOUT)
            self._transport.flush()
        return len(data)

    def take_rest(self) -> bytes:
        """Return what was received beyond what was asked for."""
        return bytes(self.received[self._taken :])

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
