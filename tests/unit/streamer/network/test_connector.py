import threading
import weakref

import pytest

from streamer.config import ExchangeConfig
from streamer.connection_config import ConnectionConfig
from streamer.errors import HandshakeError, SettingsError
from streamer.network import boundary
from streamer.network import connector as module
from streamer.network.connector import Connector, Failed, Opened
from tests.unit.streamer.loopback import eventually, no_garbage_collector

CONNECTION, EXCHANGE = ConnectionConfig(), ExchangeConfig()


class FakeTransport:
    def __init__(self):
        self.closed = False

    def close(self):
        self.closed = True


class Opener:
    """Stands in for open_transport: each attempt waits until the test lets it go."""

    def __init__(self):
        self.go = threading.Event()
        self.transports = {}
        self.running = 0
        self.most = 0
        self.lock = threading.Lock()

    def __call__(self, url, connection, exchange, ssl_context):
        with self.lock:
            self.running += 1
            self.most = max(self.most, self.running)
        self.go.wait(10)
        with self.lock:
            self.running -= 1
        if url == "refused":
            raise HandshakeError("refused", "nobody there")
        if url == "bug":
            raise ZeroDivisionError
        if url == "setting":
            raise SettingsError("exchange.websocket_url is wrong")
        return self.transports.setdefault(url, FakeTransport())


@pytest.fixture
def opener(monkeypatch):
    monkeypatch.setattr(boundary, "_told", set())
    opener = Opener()
    monkeypatch.setattr(module, "open_transport", opener)
    yield opener
    opener.go.set()


@pytest.fixture
def woken():
    return threading.Semaphore(0)


@pytest.fixture
def connector(woken, opener):
    return Connector(woken.release)


def start(connector, connection_id, url):
    connector.start(connection_id, url, CONNECTION, EXCHANGE, None)


def test_results_are_handed_over_once_and_wake_the_loop(connector, opener, woken):
    start(connector, 1, "fine")
    start(connector, 2, "refused")
    assert connector.results() == []
    opener.go.set()
    assert woken.acquire(timeout=60)
    assert woken.acquire(timeout=60)
    by_id = {result.connection_id: result for result in connector.results()}
    assert isinstance(by_id[1], Opened)
    assert by_id[1].transport is opener.transports["fine"]
    assert isinstance(by_id[2], Failed)
    assert by_id[2].error.error_type == "refused"
    assert by_id[2].seconds >= 0
    assert connector.results() == []


def test_a_failure_is_freed_without_the_garbage_collector(connector, opener, woken):
    opener.go.set()
    with no_garbage_collector():
        start(connector, 1, "refused")
        assert woken.acquire(timeout=60)
        freed = [weakref.ref(result.error) for result in connector.results()]
        eventually(lambda: freed[0]() is None)


def test_no_more_than_a_few_at_once_and_all_are_served(connector, opener, woken):
    for number in range(12):
        start(connector, number, f"host {number}")
    eventually(lambda: opener.running == 4)
    opener.go.set()
    for _ in range(12):
        assert woken.acquire(timeout=60)
    assert opener.most == 4
    assert {result.connection_id for result in connector.results()} == set(range(12))


def test_what_nobody_wants_any_more_is_closed(connector, opener):
    start(connector, 1, "under way")
    eventually(lambda: opener.running == 1)
    connector.cancel(1)
    opener.go.set()
    eventually(lambda: opener.transports["under way"].closed if opener.transports else False)
    assert connector.results() == []


def test_a_result_that_waits_is_closed_when_cancelled(connector, opener, woken):
    opener.go.set()
    start(connector, 1, "ready")
    assert woken.acquire(timeout=60)
    connector.cancel(1)
    assert opener.transports["ready"].closed
    assert connector.results() == []


def test_close_forgets_everything(connector, opener, woken):
    for number in range(6):
        start(connector, number, f"host {number}")
    eventually(lambda: opener.running == 4)
    connector.close()
    opener.go.set()
    eventually(lambda: len(opener.transports) == 4)
    eventually(lambda: all(transport.closed for transport in opener.transports.values()))
    assert connector.results() == []


def test_an_error_that_nobody_foresaw_ends_the_attempt_only_and_is_told(
    connector, opener, woken, caplog
):
    opener.go.set()
    start(connector, 1, "bug")
    assert woken.acquire(timeout=60)
    (failed,) = connector.results()
    assert failed.error.error_type == "internal"
    assert "ZeroDivisionError" in str(failed.error)
    assert "ZeroDivisionError" in caplog.text


def test_a_wrong_setting_surfaces_in_the_loop(connector, opener, woken):
    opener.go.set()
    start(connector, 1, "setting")
    assert woken.acquire(timeout=60)
    with pytest.raises(SettingsError):
        connector.results()
