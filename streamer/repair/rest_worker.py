"""One question at a time, asked in a helper thread."""

from __future__ import annotations

import queue
import ssl
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from streamer.address_hold import AddressHold
from streamer.config import ExchangeConfig
from streamer.data.rest_page import RestRequest
from streamer.repair.rest_requests import RestFailure, RestResponse

if TYPE_CHECKING:  # it comes with the first question
    from streamer.repair.rest import RestClient


class Ask(Protocol):
    """Asks questions one after another, without waiting for the answers."""

    def start(self, request: RestRequest) -> None:
        """Begin to ask; only when the outcome of the one before was taken."""

    def take(self) -> RestResponse | RestFailure | None:
        """Return the outcome of the question, once, or None while there is none."""

    def close(self) -> None:
        """Ask no more."""


class RestWorker:
    """Asks the exchange; `wake` is called from the helper thread when there is an outcome.

    `hold` tells of what other streamers at this address were told. The thread, the client and its
    library (0.7 MiB) come with the first question.
    """

    def __init__(
        self,
        exchange: ExchangeConfig,
        ssl_context: ssl.SSLContext | None,
        timeout_seconds: float,
        wake: Callable[[], None],
        hold: AddressHold | None = None,
    ) -> None:
        self._exchange = exchange
        self._ssl_context = ssl_context
        self._timeout_seconds = timeout_seconds
        self._wake = wake
        self._hold = hold or AddressHold()
        self._requests: queue.SimpleQueue[RestRequest | None] = queue.SimpleQueue()
        self._outcomes: queue.SimpleQueue[RestResponse | RestFailure | BaseException] = (
            queue.SimpleQueue()
        )
        self._thread: threading.Thread | None = None

    def start(self, request: RestRequest) -> None:
        """As in Ask."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="rest", daemon=True)
            self._thread.start()
        self._requests.put(request)

    def take(self) -> RestResponse | RestFailure | None:
        """As in Ask. Raises what no server can cause, such as a missing library."""
        try:
            outcome = self._outcomes.get_nowait()
        except queue.Empty:
            return None
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    def close(self) -> None:
        """As in Ask; a question under way is left alone."""
        self._requests.put(None)

    def _work(self) -> None:
        try:
            from streamer.repair.rest import RestClient

            client = RestClient(self._exchange, self._ssl_context, self._timeout_seconds)
            while (request := self._requests.get()) is not None:
                self._outcomes.put(self._outcome(client, request))
                self._wake()
            client.close()
        except BaseException as error:  # noqa: BLE001 - it belongs to the loop's thread
            self._outcomes.put(error)
            self._wake()

    def _outcome(self, client: RestClient, request: RestRequest) -> RestResponse | RestFailure:
        if (seconds := self._hold.seconds()) > 0:
            detail = f"{request.endpoint}: not asked, the exchange limits this address"
            return RestFailure("throttled", detail, seconds)
        outcome = client.ask(request)
        if isinstance(outcome, RestFailure) and outcome.kind == "throttled":
            self._hold.hold(outcome.wait_seconds)
        return outcome
