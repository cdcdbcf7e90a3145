"""The URL of a proxy: what it may be, and its parts. Pure.

User and password may hold any character, percent-encoded. No message repeats any part of the
URL: what is taken for a host name may be half of a password.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, TypeAlias, cast
from urllib.parse import unquote_to_bytes, urlsplit

from streamer.secret import Secret, SecretUrl

EXAMPLE = "http://HOST:PORT, or http://USER:PASSWORD@HOST:PORT"
Scheme: TypeAlias = Literal["http", "socks5", "socks5h"]
_SCHEMES = ("http", "socks5", "socks5h")
_SOCKS_LENGTHS = range(1, 256)  # of user and password, by RFC 1929
_TEXT = ("utf-8", "surrogateescape")
_HOST_NAME = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*\.?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy; user and password are decoded, None when the URL has none.

    Bytes that are no UTF-8 are kept, as the error handler surrogateescape does.
    """

    scheme: Scheme
    host: str
    port: int
    user: Secret | None
    password: Secret | None

    @property
    def basic_credentials(self) -> bytes | None:
        """What HTTP's Basic authentication encodes in base64; None without a user."""
        if self.user is None:
            return None
        password = self.password.reveal() if self.password else ""
        return f"{self.user.reveal()}:{password}".encode(*_TEXT)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"the proxy {host}:{self.port}"


def parse_proxy(url: SecretUrl) -> Proxy:
    """Return the parts of a proxy's URL. Raises ValueError, saying what would be right."""
    text = url.reveal()
    scheme, separator, rest = text.partition("://")
    scheme = scheme.lower()
    if not separator:
        raise ValueError(f"has no scheme; expected {EXAMPLE}")
    if scheme == "https":
        raise ValueError(
            "asks for TLS to the proxy itself, which is not supported; expected http://HOST:PORT, "
            "through which the exchange is still reached inside TLS"
        )
    if scheme not in _SCHEMES:
        raise ValueError(
            f"has an unsupported scheme; expected {EXAMPLE}, or socks5:// or socks5h:// likewise"
        )
    if set("/?#\t\r\n") & set(rest.removesuffix("/")) or rest.count("@") > 1:
        raise ValueError(
            f"has more than host and port; expected {EXAMPLE} (a user or a password with /, ?, # "
            "or @ is written percent-encoded, such as %2F)"
        )
    try:
        parts = urlsplit(f"{scheme}://{rest}")
        host, port = parts.hostname or "", parts.port
    except ValueError:  # a port that is no number, half an IPv6 address
        host, port = "", None
    # Of what is in brackets urlsplit has made sure that it is an IPv6 address.
    is_host = ":" in host if "[" in rest else _HOST_NAME.fullmatch(host)
    if not is_host:
        raise ValueError(f"has no usable host and port; expected {EXAMPLE}")
    if not port:
        raise ValueError(f"has no port, 1 to 65535; expected {EXAMPLE}")
    try:
        user, password = _decoded(parts.username), _decoded(parts.password)
    except UnicodeEncodeError:
        raise ValueError(f"has a user or a password that is no text; expected {EXAMPLE}") from None
    if scheme != "http" and not _fit_for_socks(user, password):
        raise ValueError(
            "has a user or a password that SOCKS5 cannot take; expected both or none, each of 1 to "
            "255 ASCII characters"
        )
    return Proxy(cast("Scheme", scheme), host, port, user, password)


def _fit_for_socks(user: Secret | None, password: Secret | None) -> bool:
    if user is None:
        return True
    parts = [part.reveal() if part else "" for part in (user, password)]
    return all(part.isascii() and len(part) in _SOCKS_LENGTHS for part in parts)


def checked_proxy(value: object) -> object:
    """Return a setting's value: a usable proxy, empty, or of another type. Raises ValueError."""
    if isinstance(value, SecretUrl) and value:
        parse_proxy(value)
    return value


def _decoded(text: str | None) -> Secret | None:
    if text is None:
        return None
    return Secret(unquote_to_bytes(text.encode(*_TEXT)).decode(*_TEXT))
