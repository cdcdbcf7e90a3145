"""Faults: what may be asked for, when they are due, and what they do to events."""

from __future__ import annotations

from itertools import chain

import pytest

from simulator.faults import KINDS, MEANINGS, EventFault, Schedule, Value, parse_text

SYMBOLS = ("BTCUSDT", "ETHUSDT")
NAME, EVENT = "btcusdt@trade", ("btcusdt@trade", "trade", "BTCUSDT")


def at_work(
    now: float = 0.0, connections: frozenset[int] | None = None, **keys: Value
) -> EventFault:
    return EventFault(Schedule(SYMBOLS).add(dict(keys), now), now, connections)


def delivered(fault: EventFault, count: int, connection: int = 1) -> list[bytes]:
    """Return what a connection gets of `count` events, numbered from 1."""

    def frames(number: int) -> list[bytes]:
        wanted = [b"%d" % number]
        if fault.used_up or not fault.takes(*EVENT, number):
            return wanted
        return fault.deliver(connection, wanted, [b"bad"])

    return list(chain.from_iterable(frames(number) for number in range(1, count + 1)))


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_can_be_asked_for_by_its_name_alone(kind: str) -> None:
    record = Schedule(SYMBOLS).add({"kind": kind}, 0.0)
    assert record.fault.arguments == KINDS[kind]
    assert record.as_json()["kind"] == kind
    assert MEANINGS[kind]


def test_text_and_json_say_the_same() -> None:
    schedule = Schedule(SYMBOLS)
    by_text = schedule.add(parse_text("at=1m kind=stall symbol=BTCUSDT duration=500ms"), 0.0).fault
    by_json = schedule.add(
        {"at": 60, "kind": "stall", "symbol": "BTCUSDT", "duration": 0.5}, 0.0
    ).fault
    assert (by_text.at, by_text.arguments) == (by_json.at, by_json.arguments)


@pytest.mark.parametrize(
    ("text", "cure"),
    [
        ("kind=nosuch", "there are reset"),
        ("at=3s", "kind None is unknown"),
        ("kind=reset code=1", "reset has no 'code'; there are at, connection"),
        ("kind=stall symbol=XUSDT", "expected BTCUSDT, ETHUSDT"),
        ("kind=stall stream=depht", "expected trade"),
        ("kind=stall duration=soon", "duration='soon'"),
        ("kind=withhold count=-1", "below 0"),
        ("kind=withhold count=0", "expected 1 to"),
        ("kind=close code=70000", "expected 1000 to 4999"),
        ("kind=rest_error status=200", "expected 400 to 599"),
        ("kind=malformed variant=odd", "expected all"),
        ("kind=reset connection=first", "connection='first'"),
        ("kind=refuse_connections how=rude", "expected tcp, 503, hang"),
        ("reset", "expected key=value"),
    ],
)
def test_mistakes_are_explained(text: str, cure: str) -> None:
    with pytest.raises(ValueError, match="(?i)" + cure.replace("(", r"\(")):
        Schedule(SYMBOLS).add(parse_text(text), 0.0)


def test_faults_are_due_in_the_order_of_their_times() -> None:
    schedule = Schedule(SYMBOLS)
    for at in (3, 1, 2):
        schedule.add({"kind": "reset", "at": at}, 100.0)
    assert schedule.next_time() == 101.0
    assert [record.fault.at for record in schedule.due(102.5)] == [1.0, 2.0]
    assert schedule.due(102.5) == []
    assert [record.fault.at for record in schedule.due(103.0)] == [3.0]
    assert schedule.next_time() is None


def test_withheld_events_are_listed_and_the_next_ones_come() -> None:
    fault = at_work(kind="withhold", count=2)
    assert delivered(fault, 4) == [b"3", b"4"]
    assert fault.record.as_json()["withheld"] == {NAME: {"first_id": 1, "last_id": 2, "events": 2}}


def test_duplicates_follow_at_once() -> None:
    assert delivered(at_work(kind="duplicate"), 2) == [b"1", b"1", b"2"]


def test_reordered_events_come_in_reverse() -> None:
    assert delivered(at_work(kind="reorder", count=3), 4) == [b"3", b"2", b"1", b"4"]


def test_a_burst_comes_at_once_and_in_order() -> None:
    fault = at_work(kind="burst", count=3)
    assert delivered(fault, 2) == []
    assert delivered(fault, 2) == [b"1", b"2", b"1", b"2"]  # held ones first, then the live one


def test_bad_frames_come_before_the_event() -> None:
    fault = at_work(kind="malformed", variant="not_json", count=2)
    assert delivered(fault, 3) == [b"bad", b"1", b"bad", b"2", b"3"]
    assert fault.record.as_json()["withheld"] == {}


def test_a_stall_loses_events_until_its_time_is_over() -> None:
    fault = at_work(kind="stall", symbol="BTCUSDT", duration=10)
    assert delivered(fault, 3) == []
    assert fault.record.affected == {NAME: [1, 3, 3]}
    assert not fault.takes("ethusdt@trade", "trade", "ETHUSDT", 1)
    assert not fault.ended(9.9)
    assert fault.ended(10.0)


def test_a_stall_may_mean_one_stream_of_a_symbol() -> None:
    fault = at_work(kind="stall", symbol="BTCUSDT", stream="aggTrade")
    assert not fault.takes(*EVENT, 1)
    assert fault.takes("btcusdt@aggTrade", "aggTrade", "BTCUSDT", 1)


def test_counted_faults_stay_with_one_stream() -> None:
    fault = at_work(kind="reorder", count=2)
    assert fault.takes(*EVENT, 1)
    assert not fault.takes("ethusdt@trade", "trade", "ETHUSDT", 1)


def test_a_fault_may_concern_one_connection() -> None:
    assert at_work(kind="stall").concerns(1, 2)
    fault = at_work(kind="silent_connection", connections=frozenset({2}))
    assert fault.concerns(2)
    assert not fault.concerns(1, 3)
