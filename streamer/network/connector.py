"""Opening connections in helper threads: everything that blocks, away from the loop."""

from __future__ import annotations

import ssl
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from streamer.config import ExchangeConfig
from streamer.connection_config import ConnectionConfig
from streamer.errors import HandshakeError, SettingsError
from streamer.network.boundary import INTERNAL, explain_unexpected
from streamer.network.handshake import open_transport
from streamer.network.transport import Transport

_THREADS_MAX = 4  # attempts at once; more wait in line, as their slots would anyway


@dataclass(frozen=True, slots=True)
class Opened:
    """An attempt succeeded; the transport belongs to whoever takes this."""

    connection_id: int
    transport: Transport
    seconds: float  # from the beginning of the attempt


@dataclass(frozen=True, slots=True)
class Failed:
    """An attempt failed."""

    connection_id: int
    error: HandshakeError
    seconds: float


@dataclass(frozen=True, slots=True)
class _Request:
    connection_id: int
    url: str
    connection: ConnectionConfig
    exchange: ExchangeConfig
    ssl_context: ssl.SSLContext | None


class Connector:
    """Opens transports in the background and hands them over.

    `wake` is called from a helper thread whenever `results` has something new; it must be safe to
    call from any thread, and quick.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._lock = threading.Lock()
        self._waiting: deque[_Request] = deque()
        self._wanted: set[int] = set()
        self._results: list[Opened | Failed] = []
        self._crash: BaseException | None = None
        self._threads = 0

    def start(
        self,
        connection_id: int,
        url: str,
        connection: ConnectionConfig,
        exchange: ExchangeConfig,
        ssl_context: ssl.SSLContext | None,
    ) -> None:
        """Begin an attempt; its result comes under `connection_id`."""
        request = _Request(connection_id, url, connection, exchange, ssl_context)
        with self._lock:
            self._wanted.add(connection_id)
            self._waiting.append(request)
            if self._threads >= _THREADS_MAX:
                return
            self._threads += 1
        threading.Thread(target=self._work, name="connector", daemon=True).start()

    def results(self) -> list[Opened | Failed]:
        """Return what is ready, never waiting.

        A SettingsError of an attempt is raised here.
        """
        with self._lock:
            crash, self._crash = self._crash, None
            ready, self._results = self._results, []
            self._wanted.difference_update(result.connection_id for result in ready)
        if crash is not None:
            for result in ready:
                _discard(result)
            raise crash
        return ready

    def cancel(self, connection_id: int) -> None:
        """Forget an attempt; what it opens, or has opened, is closed."""
        with self._lock:
            self._wanted.discard(connection_id)
            unwanted = [r for r in self._results if r.connection_id == connection_id]
            self._results = [r for r in self._results if r.connection_id != connection_id]
        for result in unwanted:
            _discard(result)

    def close(self) -> None:
        """Forget every attempt."""
        with self._lock:
            self._waiting.clear()
            self._wanted.clear()
            unwanted, self._results = self._results, []
        for result in unwanted:
            _discard(result)

    def _work(self) -> None:
        """Serve requests until none waits."""
        while True:
            with self._lock:
                if not self._waiting:
                    self._threads -= 1
                    return
                request = self._waiting.popleft()
                if request.connection_id not in self._wanted:
                    continue
            try:
                # No variable: a failure's frames lead to this one, which would hold it in turn.
                self._hand_over(_open(request))
            except BaseException as error:  # noqa: BLE001 - it belongs to the loop's thread
                with self._lock:
                    self._crash = error
            self._wake()

    def _hand_over(self, result: Opened | Failed) -> None:
        with self._lock:
            wanted = result.connection_id in self._wanted
            if wanted:
                self._results.append(result)
        if not wanted:
            _discard(result)


def _open(request: _Request) -> Opened | Failed:
    began = time.monotonic()
    try:
        transport = open_transport(
            request.url, request.connection, request.exchange, request.ssl_context
        )
    except HandshakeError as error:
        return Failed(request.connection_id, error, time.monotonic() - began)
    except SettingsError:
        raise
    except Exception as error:  # noqa: BLE001 - what came made it, and ends the attempt only
        text = explain_unexpected(error, "a connection was opened")
        return Failed(
            request.connection_id, HandshakeError(INTERNAL, text), time.monotonic() - began
        )
    return Opened(request.connection_id, transport, time.monotonic() - began)


def _discard(result: Opened | Failed) -> None:
    if isinstance(result, Opened):
        result.transport.close()
