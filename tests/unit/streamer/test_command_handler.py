import pytest

from streamer.command_handler import REMEMBERED, Requests
from streamer.diagnosis import Diagnosis
from streamer.errors import SinkUnavailable
from streamer.messages import COMMANDS, Command
from streamer.subscription_manager import Change


class Slot:
    def __init__(self, name):
        self.name = name


class ConnectionManager:
    def __init__(self, possible=True):
        self.slots = (Slot("slot-1"), Slot("slot-2"))
        self.rotated = []
        self._possible = possible

    def rotate(self, slot, reason, now):
        if self._possible:
            self.rotated.append((slot.name, reason, now))
        return self._possible


@pytest.fixture
def connection_manager():
    return ConnectionManager()


@pytest.fixture
def stopped():
    return []


class SubscriptionManager:
    """Remembers what is wanted; its sink takes no NOUSDT."""

    def __init__(self):
        self.wanted = []

    def change(self, streams, symbols, now):
        if "NOUSDT" in symbols:
            raise SinkUnavailable("no topic")
        self.wanted.append((tuple(streams), tuple(symbols)))
        return Change(("ethusdt@trade",), ())


@pytest.fixture
def subscription_manager():
    return SubscriptionManager()


@pytest.fixture
def requests(connection_manager, subscription_manager, stopped):
    return Requests(
        connection_manager,
        subscription_manager,
        lambda reason, within_seconds=None: stopped.append((reason, within_seconds)),
        Diagnosis(lambda: {"client.json": "{}"}),
        lambda: True,
    )


def test_rotate_takes_all_slots_or_one(requests, connection_manager):
    assert requests.carry_out(Command("1", "rotate", 5.0), 10.0).ok
    assert connection_manager.rotated == [("slot-1", "command", 10.0), ("slot-2", "command", 10.0)]
    connection_manager.rotated.clear()
    arguments = {"slot": "slot-2", "reason": "stale"}
    assert requests.carry_out(Command("2", "rotate", 5.0, arguments), 11.0).ok
    assert connection_manager.rotated == [("slot-2", "stale", 11.0)]


def test_a_slot_that_is_not_there_is_refused(requests, connection_manager):
    answer = requests.carry_out(Command("1", "rotate", 5.0, {"slot": "slot-9"}), 10.0)
    assert not answer.ok
    assert "slot-9" in answer.detail
    assert not connection_manager.rotated


def test_a_rotation_that_cannot_begin_is_not_answered_as_done():
    requests = Requests(
        ConnectionManager(possible=False),
        SubscriptionManager(),
        lambda *_: None,
        Diagnosis(dict),
        lambda: True,
    )
    assert not requests.carry_out(Command("1", "rotate", 5.0), 10.0).ok


def test_the_same_id_is_carried_out_once_and_answered_alike(requests, connection_manager):
    first = requests.carry_out(Command("1", "rotate", 5.0), 10.0)
    again = requests.carry_out(Command("1", "rotate", 5.0), 12.0)
    assert again == first
    assert len(connection_manager.rotated) == 2


def test_the_memory_of_answers_is_bounded(requests, connection_manager):
    for number in range(REMEMBERED + 1):
        requests.carry_out(Command(str(number), "rotate", 5.0), 1.0)
    connection_manager.rotated.clear()
    requests.carry_out(Command("0", "rotate", 5.0), 2.0)
    assert connection_manager.rotated, "the oldest answer has been forgotten"


@pytest.mark.parametrize("name", ["drain", "stop"])
def test_drain_and_stop_wish_for_the_end_within_the_deadline(requests, stopped, name):
    assert requests.carry_out(Command("1", name, 5.0), 10.0).ok
    assert stopped == [(name, 5.0)]


def test_collect_says_what_it_did(requests):
    answer = requests.carry_out(Command("1", "collect", 5.0), 10.0)
    assert answer.ok
    assert isinstance(answer.result["collected_objects"], int)
    assert answer.result["trimmed"] is True


def test_an_unknown_command_is_refused_with_those_there_are(requests):
    answer = requests.carry_out(Command("1", "explode", 5.0), 10.0)
    assert not answer.ok
    assert all(name in answer.detail for name in COMMANDS)


def reload(**arguments):
    return Command("id", "reload", 5.0, arguments)


def test_reload_wants_other_streams_and_says_what_changed(requests, subscription_manager):
    answer = requests.carry_out(reload(symbols="btcusdt, ETHUSDT", streams="trade"), 1.0)
    assert subscription_manager.wanted == [(("trade",), ("BTCUSDT", "ETHUSDT"))]
    assert answer.ok
    assert answer.detail == "added ethusdt@trade"
    assert answer.result == {"added": 1, "removed": 0}


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({"symbols": "BTC/USDT", "streams": "trade"}, "expected a symbol such as BTCUSDT"),
        ({"symbols": "BTCUSDT", "streams": "trades"}, "expected trade, "),
        ({"symbols": "BTCUSDT", "streams": " ,"}, "expected symbols and streams"),
        ({"streams": "trade"}, "expected symbols and streams"),
        ({"symbols": 7, "streams": "trade"}, "expected symbols and streams"),
        ({"symbols": "NOUSDT", "streams": "trade"}, "no topic"),
    ],
)
def test_a_reload_that_cannot_be_is_refused_and_says_why(
    requests, subscription_manager, arguments, why
):
    answer = requests.carry_out(reload(**arguments), 1.0)
    assert not answer.ok
    assert why in answer.detail
    assert not subscription_manager.wanted


def test_a_diagnosis_goes_into_a_directory_that_is_there(requests, tmp_path):
    arguments = {"directory": str(tmp_path)}
    first = requests.carry_out(Command("1", "diagnose", 5.0, arguments), 10.0)
    assert (first.ok, first.result["looks"]) == (True, 1)
    assert {"client.json", "objects-1.json"} <= {one.name for one in tmp_path.iterdir()}
    for number, wrong in enumerate(({}, {"directory": "here"}, {"directory": "/nowhere/at/all"})):
        answer = requests.carry_out(Command(f"w{number}", "diagnose", 5.0, wrong), 10.0)
        assert not answer.ok
        assert "directory: an absolute path" in answer.detail or "No such file" in answer.detail
