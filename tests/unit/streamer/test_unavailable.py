from __future__ import annotations

from streamer.unavailable import AGAIN_FIRST_SECONDS, AGAIN_MOST_SECONDS, UnavailableStreams


def test_what_is_not_served_is_due_again_after_doubling_pauses() -> None:
    streams, now, pauses = UnavailableStreams(), 100.0, []
    assert streams.note("a", "refused", None, now)
    for _ in range(9):
        before = now
        while not streams.due("a", now):
            now += 10.0
        pauses.append(now - before)
        assert not streams.note("a", "refused", None, now)
    assert pauses[:3] == [AGAIN_FIRST_SECONDS, 120.0, 240.0]
    assert pauses[-1] == AGAIN_MOST_SECONDS


def test_what_is_being_asked_about_is_not_due() -> None:
    streams = UnavailableStreams()
    streams.note("a", "refused", None, 0.0)
    streams.asked("a", 60.0)
    assert not streams.due("a", 119.0)
    assert streams.due("a", 120.0)


def test_another_reason_is_news() -> None:
    streams = UnavailableStreams()
    streams.note("a", "refused", None, 0.0)
    assert streams.note("a", "unknown_symbol", None, 1.0)
    assert streams.reason("a") == "unknown_symbol"


def test_an_event_since_then_is_heard() -> None:
    streams = UnavailableStreams()
    streams.note("a", "unknown_symbol", 7, 0.0)
    assert not streams.is_heard("a", 7)
    assert streams.is_heard("a", 8)
    assert not streams.is_heard("b", 8)


def test_nothing_is_known_of_others_or_what_is_forgotten() -> None:
    streams = UnavailableStreams()
    assert not streams
    assert streams.reason("a") is None
    assert not streams.due("a", 1e9)
    streams.note("a", "refused", None, 0.0)
    assert streams
    assert list(streams) == ["a"]
    assert streams.forget("a")
    assert not streams.forget("a")
