"""The exchange's REST interface: a question, and an answer or a trouble. Blocks; one thread.

Nothing here raises for what a server does: every outcome is an `RestResponse` or a `RestFailure`.
"""

from __future__ import annotations

import ssl
import time
from urllib.parse import urlencode

from streamer.config import ExchangeConfig
from streamer.data.binance_spot import REST_MICROSECONDS, REST_PATH
from streamer.data.rest_page import RestRequest
from streamer.dialing.dial import dial
from streamer.dialing.http_connection import HttpConnection
from streamer.repair.rest_outcome import failure_of, outcome_of
from streamer.repair.rest_requests import RestFailure, RestResponse


class RestClient:
    """Asks, over one kept connection, with verified TLS and the settings' proxy."""

    def __init__(
        self, exchange: ExchangeConfig, ssl_context: ssl.SSLContext | None, timeout_seconds: float
    ) -> None:
        self._timeout_seconds = timeout_seconds
        self._headers = {"Accept": "application/json", "User-Agent": "vigil"}
        if exchange.time_unit == "us":  # as on the WebSocket: a trade has one value
            name, value = REST_MICROSECONDS
            self._headers[name] = value
        proxy = exchange.proxy_of("rest_url")
        self._connection = HttpConnection(
            exchange.rest_url,
            lambda host, port, deadline: dial(host, port, proxy, deadline),
            ssl_context,
        )

    def ask(self, request: RestRequest) -> RestResponse | RestFailure:
        """Return the answer, or why there is none, within the timeout, all of it counted."""
        path = f"{REST_PATH}{request.endpoint}"
        if request.parameters:
            path += f"?{urlencode(request.parameters)}"
        deadline = time.monotonic() + self._timeout_seconds
        try:
            answer = self._connection.ask(
                "GET", path, self._headers, deadline, request.answer_bytes_max
            )
        except Exception as error:  # noqa: BLE001 - whatever bytes came, they end this question only
            return failure_of(request.endpoint, error)
        return outcome_of(request.endpoint, answer)

    def close(self) -> None:
        """Close the kept connection."""
        self._connection.close()
