"""Simulated exchanges for the tests of its servers, and an independent client for them."""

from __future__ import annotations

import json
import socket
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect

from tests.exchange import Exchange
from tests.waiting import WITHIN_SECONDS, eventually

# The client reads and writes in two threads, which Python's TLS sockets do not take: under load it
# was seen to hang in its handshake.
PLAIN = "--plain"
WAIT_SECONDS = WITHIN_SECONDS


class Client:
    """A client of one exchange."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.context: ssl.SSLContext | None = None
        if exchange.ca_file is not None:
            self.context = ssl.create_default_context(cafile=str(exchange.ca_file))

    def open(self, path: str, **options: Any) -> ClientConnection:
        url = self.exchange.websocket_url + path
        # Without a bound on its queue it reads even what no test asks for, as far as closing.
        options = {"compression": None, "ping_interval": None, "max_queue": None, **options}
        return connect(url, ssl=self.context, legacy=True, **options)

    def rest(self, path: str, **headers: str) -> tuple[int, Any, dict[str, str]]:
        """Return status, JSON and headers of a REST request."""
        request = urllib.request.Request(
            self.exchange.rest_url + "/api/v3/" + path, headers=headers
        )
        try:
            with urllib.request.urlopen(
                request, context=self.context, timeout=WAIT_SECONDS
            ) as answer:
                return answer.status, json.loads(answer.read()), dict(answer.headers)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read()), dict(error.headers)


class RawClient:
    """TLS in memory over a plain socket, so that a test sees what TCP does. Sends one upgrade."""

    def __init__(self, client: Client, path: str) -> None:
        host, port = client.exchange.websocket_url.removeprefix("wss://").split(":")
        assert client.context is not None
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = client.context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self.socket = socket.create_connection((host, int(port)), WAIT_SECONDS)
        while True:
            try:
                self.tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                self.step()
        self.tls.write(
            f"GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
            "".encode()
        )

    def step(self) -> bytes:
        """Send what TLS has to send, then return what TCP brings next."""
        self.socket.sendall(self._outgoing.read())
        received = self.socket.recv(1 << 16)
        self._incoming.write(received)
        return received

    def records(self) -> list[bytes]:
        """Return the contents of the complete TLS records received, one each."""
        contents = []
        try:
            while True:
                contents.append(self.tls.read(1 << 16))  # gives one record at most
        except ssl.SSLWantReadError:
            return contents


def receive(connection: ClientConnection) -> Any:
    """Return the next message, decoded."""
    return json.loads(connection.recv(timeout=WAIT_SECONDS))


def receive_answer(connection: ClientConnection) -> Any:
    """Return the next answer to a control message, past the events before it."""
    while True:
        message = receive(connection)
        if "stream" not in message and "e" not in message and "u" not in message:
            return message


def receive_until(connection: ClientConnection, stop: Callable[[Any], bool]) -> list[Any]:
    """Return the messages up to the one that `stop` is true for, included."""
    messages = [receive(connection)]
    while not stop(messages[-1]):
        messages.append(receive(connection))
    return messages


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """An exchange that only undemanding tests use: no faults, no limits reached."""
    directory = tmp_path_factory.mktemp("shared")
    with Exchange(directory, rate=300, extra=[PLAIN]) as exchange:
        yield Client(exchange)


@pytest.fixture(scope="session")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    symbols = ("BTCUSDT", "ETHUSDT")
    directory = tmp_path_factory.mktemp("faulty")
    with Exchange(directory, rate=300, symbols=symbols, extra=[PLAIN]) as exchange:
        yield Client(exchange)


@pytest.fixture
def secure(tmp_path: Path) -> Iterator[Client]:
    """An exchange that speaks TLS, as by default, for `RawClient`."""
    with Exchange(tmp_path, rate=300, symbols=("BTCUSDT", "ETHUSDT")) as exchange:
        yield Client(exchange)


@pytest.fixture
def client(faulty: Client) -> Client:
    """An exchange for faults that end with their test, without connections."""
    eventually(lambda: not faulty.exchange.connections(), what="the end of the connections")
    return faulty


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Client]]:
    """Start exchanges of this test's own, with options."""
    with ExitStack() as stack:

        def start(*extra: str, rate: float = 300, symbols: str = "BTCUSDT,ETHUSDT") -> Client:
            options = [PLAIN, *extra]
            exchange = Exchange(tmp_path, rate=rate, symbols=symbols.split(","), extra=options)
            return Client(stack.enter_context(exchange))

        yield start
