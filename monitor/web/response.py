"""Requests and responses as values, and the headers that every response has. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from http import HTTPStatus

TEXT = "text/plain; charset=utf-8"
JSON = "application/json"

SECURITY_HEADERS = (
    # Nothing is loaded from elsewhere, nothing inline runs, and nobody frames it.
    (
        "Content-Security-Policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        # No text becomes markup, whatever a script does with it.
        "require-trusted-types-for 'script'; trusted-types 'none'",
    ),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
)


@dataclass(frozen=True, slots=True)
class Request:
    """What a client asks; header names in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]

    @property
    def path(self) -> str:
        """The target without a query, and without scheme and host where a proxy sends them."""
        path = self.target.partition("?")[0]
        if path.lower().startswith(("http://", "https://")):
            path = "/" + path.partition("://")[2].partition("/")[2]
        return path

    @property
    def query(self) -> str:
        """What comes after the question mark."""
        return self.target.partition("?")[2]

    @property
    def from_another_site(self) -> bool:
        """Whether a page of a stranger asks, other than by a link that somebody has followed.

        Browsers say so to this machine and over TLS; nobody else sends these headers.
        """
        site = self.headers.get("sec-fetch-site", "none")
        linked = self.headers.get("sec-fetch-mode") == "navigate"
        return site not in ("none", "same-origin") and not linked


@dataclass(frozen=True, slots=True)
class Response:
    """What is answered, as a whole."""

    status: HTTPStatus
    body: bytes
    content_type: str = TEXT
    headers: tuple[tuple[str, str], ...] = ()
    cache_control: str = "no-store"  # the next second has other figures

    @property
    def all_headers(self) -> list[tuple[str, str]]:
        """The headers, those that every response has among them; one request per connection."""
        return [
            ("Content-Type", self.content_type),
            ("Content-Length", str(len(self.body))),
            ("Cache-Control", self.cache_control),
            ("Connection", "close"),
            *SECURITY_HEADERS,
            *self.headers,
        ]


def said(status: HTTPStatus, text: str, *headers: tuple[str, str]) -> Response:
    """Return a response of one or more lines of plain text."""
    return Response(status, f"{text}\n".encode(), headers=headers)


def refusal(
    request: Request, host_allowed: Callable[[str], bool], paths: Collection[str]
) -> Response | None:
    """Return why a request is not answered, or None when it is."""
    host = request.headers.get("host", "")
    # Without a Host it is HTTP/1.0, which no browser speaks.
    if "host" in request.headers and not host_allowed(host):
        return said(
            HTTPStatus.FORBIDDEN,
            f"Host {host!r} is not allowed: expected an IP address, localhost, or a name in the "
            'setting monitor.allowed_hosts, such as ["vigil.example.org"]',
        )
    if request.from_another_site:
        return said(HTTPStatus.FORBIDDEN, "expected a request of this site's own page")
    if request.method not in ("GET", "HEAD"):
        return said(
            HTTPStatus.METHOD_NOT_ALLOWED,
            "expected GET or HEAD: this port only reads; commands are given by `vigil`, "
            "on the control socket",
            ("Allow", "GET, HEAD"),
        )
    if request.path not in paths:
        return said(HTTPStatus.NOT_FOUND, f"expected one of: {' '.join(paths)}")
    return None
