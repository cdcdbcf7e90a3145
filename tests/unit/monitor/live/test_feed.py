from __future__ import annotations

import json

import pytest

from monitor.live import feed
from monitor.live.feed import Cursor, Message, event, stalled
from monitor.live.streams import StreamTable
from monitor.soak_plans import PROFILES
from streamer.messages import Notice
from tests import strict_json
from tests.strict_json import nasty_snapshot
from tests.unit.monitor.observations import EPOCH
from tests.unit.monitor.runs import Run


def message(run: Run) -> Message:
    snapshot = run.recorder.snapshot(run.now, EPOCH + run.now)
    return Message(snapshot, StreamTable(snapshot))


def parsed(data: bytes) -> dict[str, object]:
    found = {}
    for part in data.decode().split("\n\n"):
        if part:
            name, body = part.split("\n")
            found[name.removeprefix("event: ")] = json.loads(body.removeprefix("data: "))
    return found


def test_a_new_client_gets_everything_and_then_what_changes() -> None:
    run = Run(None).seconds(5)
    cursor = Cursor()
    first = parsed(message(run).after(cursor))
    assert set(first) == {"state", "memory", "events"}
    (launched,) = first["events"]
    assert (launched["number"], launched["kind"], launched["weight"]) == (1, "launched", "good")
    assert set(parsed(message(run.seconds(1)).after(cursor))) == {"state"}
    notice = Notice(1, EPOCH, "gap", {"stream": "trade", "symbol": "BTCUSDT", "missing": 3})
    run.seconds(1, lambda _: {"notices": (notice,)})
    third = parsed(message(run).after(cursor))
    assert [(one["number"], one["kind"], one["weight"]) for one in third["events"]] == [
        (2, "gap", "bad")
    ]
    assert third["events"][0]["text"] == "stream trade, symbol BTCUSDT, missing 3"
    assert parsed(message(run.seconds(60)).after(cursor)).keys() == {"state", "memory"}


def test_events_beyond_those_that_are_kept_keep_their_numbers() -> None:
    warnings = tuple(Notice(at, EPOCH, "warning", {"message": str(at)}) for at in range(1, 101))
    run = Run(None).seconds(1, lambda _: {"notices": warnings})
    found = parsed(message(run).after(Cursor()))["events"]
    assert [one["number"] for one in found] == list(range(52, 102))
    late = Cursor(events=99)
    assert [one["number"] for one in parsed(message(run).after(late))["events"]] == [100, 101]


def test_an_action_is_told_by_its_sentence() -> None:
    run = Run(PROFILES["smoke"]).seconds(3, in_sample=lambda _: {"rss_mib": 900.0})
    found = parsed(message(run).after(Cursor()))["events"]
    (action,) = [one for one in found if one["kind"] == "abort (memory ceiling)"]
    assert action["weight"] == "bad"
    assert "rss 900.0 MiB is above" in action["text"]


def test_each_part_is_rendered_once_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    rendered: list[str] = []
    monkeypatch.setattr(
        feed, "event", lambda name, data: rendered.append(name) or event(name, data)
    )
    one = message(Run(None).seconds(5))
    assert one.after(Cursor()) == one.after(Cursor())
    assert sorted(rendered) == ["events", "memory", "state"]


def test_text_of_others_stays_inside_its_line() -> None:
    text = "a\n\nevent: state\ndata: {}\r\n\x1b" + "x" * 9999
    notice = Notice(1, EPOCH, "warning", {"message": text})
    run = Run(None).seconds(1, lambda _: {"notices": (notice,)})
    found = parsed(message(run).after(Cursor()))
    assert found["events"][-1]["text"].startswith(
        "message a\\n\\nevent: state\\ndata: {}\\r\\n\\x1bx"
    )
    assert len(found["events"][-1]["text"]) < 700


def test_a_stall_tells_its_age() -> None:
    assert parsed(stalled(12.34)) == {"stalled": {"age_seconds": 12.3}}
    assert parsed(stalled(None)) == {"stalled": {"age_seconds": None}}


def test_whatever_is_told_a_browser_takes_it() -> None:
    snapshot = nasty_snapshot()
    data = Message(snapshot, StreamTable(snapshot)).after(Cursor())
    found = {}
    for part in data.removesuffix(b"\n\n").split(b"\n\n"):
        name, body = part.split(b"\n")  # nothing that is told adds a line
        found[name] = strict_json.parsed(body.removeprefix(b"data: "))
    assert set(found) == {b"event: state", b"event: memory", b"event: events"}
    state = found[b"event: state"]
    assert state["events_per_second"] is None
    assert state["profile"] == state["streamers"][0]["name"] == strict_json.TEXT_READ
    assert strict_json.parsed(event("any", strict_json.VALUES).split(b"\ndata: ")[1]) == (
        strict_json.VALUES_READ
    )
