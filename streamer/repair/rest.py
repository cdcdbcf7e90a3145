"""The exchange's REST interface: a question, and an answer or a trouble. Blocks; one thread.

Nothing here raises for what a server does: every outcome is an `RestResponse` or a `RestFailure`.
"""

from __future__ import annotations

import ssl
import time
from typing import Any

import urllib3

from streamer.config import ExchangeConfig
from streamer.dialing.proxy import parse_proxy
from streamer.repair.rest_requests import RestFailure, RestRequest, RestResponse
from streamer.secret import SecretUrl

ANSWER_BYTES_MAX = 4 << 20  # 1000 trades take 200 kB
_CHUNK_BYTES = 64 << 10
THROTTLED_SECONDS = 60.0  # where a 429 or 418 tells no time: the budget's minute
BLOCKED_SECONDS = 60.0  # 403, the firewall, tells none either


class RestClient:
    """Asks, over one kept connection, with verified TLS and the settings' proxy."""

    def __init__(
        self, exchange: ExchangeConfig, ssl_context: ssl.SSLContext | None, timeout_seconds: float
    ) -> None:
        self._url = f"{exchange.rest_url}/api/v3/"
        self._timeout_seconds = timeout_seconds
        headers = {"Accept": "application/json", "User-Agent": "vigil"}
        if exchange.time_unit == "us":  # as on the WebSocket: a trade has one value
            headers["X-MBX-TIME-UNIT"] = "MICROSECOND"
        options: dict[str, Any] = {"retries": False, "headers": headers, "ssl_context": ssl_context}
        proxy = exchange.proxy_of("rest_url")
        self._pool = _through(proxy, options) if proxy else urllib3.PoolManager(**options)

    def ask(self, request: RestRequest) -> RestResponse | RestFailure:
        """Return the answer, or why there is none, within about the timeout."""
        asked_at, deadline = time.time(), time.monotonic() + self._timeout_seconds
        try:
            response = self._pool.request(
                "GET",
                self._url + request.endpoint,
                fields=dict(request.parameters),
                timeout=urllib3.Timeout(total=self._timeout_seconds),
                preload_content=False,
                redirect=False,
            )
            try:
                body = _read(response, deadline)
                response.release_conn()
            except BaseException:
                response.close()
                raise
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            return RestFailure("unavailable", f"{request.endpoint}: {error}")
        return _outcome(request, response, body, asked_at, time.time())

    def close(self) -> None:
        """Close the kept connection."""
        self._pool.clear()


def _through(proxy_url: SecretUrl, options: dict[str, Any]) -> urllib3.PoolManager:
    """Return a pool through a proxy; urllib3 does not take the user from the proxy's URL."""
    proxy = parse_proxy(proxy_url)
    headers = None
    if (credentials := proxy.basic_credentials) is not None:
        # urllib3 encodes text in latin-1: so that each byte stays itself.
        headers = urllib3.make_headers(proxy_basic_auth=credentials.decode("latin-1"))
    host = f"[{proxy.host}]" if ":" in proxy.host else proxy.host
    return urllib3.ProxyManager(f"http://{host}:{proxy.port}", proxy_headers=headers, **options)


def _read(response: urllib3.BaseHTTPResponse, deadline: float) -> bytes:
    """Return the body. Raises ValueError when it takes too long, or is too long."""
    body = bytearray()
    while chunk := response.read1(_CHUNK_BYTES):  # what has come, not all of it
        body += chunk
        if len(body) > ANSWER_BYTES_MAX:
            raise ValueError(f"the answer is longer than {ANSWER_BYTES_MAX} bytes")
        if time.monotonic() > deadline:
            raise ValueError("the answer did not end in time")
    return bytes(body)


def _outcome(
    request: RestRequest,
    response: urllib3.BaseHTTPResponse,
    body: bytes,
    asked_at: float,
    answered_at: float,
) -> RestResponse | RestFailure:
    status, headers = response.status, response.headers
    used = _whole(headers.get("X-MBX-USED-WEIGHT-1M"))
    if status == 200:
        if body[:1] not in (b"[", b"{"):
            beginning = body[:60].decode("utf-8", "replace")
            text = f"{request.endpoint}: no JSON but {beginning!r}"
            return RestFailure("unavailable", text, used_weight=used)
        return RestResponse(body, asked_at, answered_at, used)
    text = f"{request.endpoint}: HTTP {status}: {body[:200].decode('utf-8', 'replace')}"
    wait = float(_whole(headers.get("Retry-After")) or 0)
    if status in (429, 418):
        return RestFailure("throttled", text, wait or THROTTLED_SECONDS, used)
    if status == 403:
        return RestFailure("blocked", text, wait or BLOCKED_SECONDS, used)
    if 400 <= status < 500:
        return RestFailure("refused", text, wait, used)
    return RestFailure("unavailable", text, wait, used)  # 5xx, and redirects to pages for people


def _whole(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdecimal() else None
