from __future__ import annotations

from monitor.events import Entry, EventLog, as_json


def entry(number: int, kind: str = "gap") -> Entry:
    return Entry(float(number), 1_700_000_000.0 + number, kind, {"number": number})


def test_the_first_and_the_last_are_kept_and_all_are_counted() -> None:
    log = EventLog(first_kept=3, last_kept=4)
    for number in range(20):
        log.add(entry(number))
    assert [one.detail["number"] for one in log.all()] == [0, 1, 2, 16, 17, 18, 19]
    assert log.counts == {"gap": 20}
    assert log.dropped == 13


def test_the_latest_come_from_both_parts() -> None:
    log = EventLog(first_kept=3, last_kept=4)
    assert log.latest(5) == ()
    for number in range(4):
        log.add(entry(number))
    assert [one.detail["number"] for one in log.latest(3)] == [1, 2, 3]
    assert [one.detail["number"] for one in log.latest(1)] == [3]


def test_json() -> None:
    assert as_json(Entry(1.23456, 0.5, "note", {"a": 1}, "s", 2)) == {
        "time": "1970-01-01T00:00:00.500+00:00",
        "elapsed_seconds": 1.235,
        "kind": "note",
        "streamer": "s",
        "generation": 2,
        "detail": {"a": 1},
    }
