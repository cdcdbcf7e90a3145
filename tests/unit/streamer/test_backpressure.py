from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streamer.backpressure import Backpressure


def test_reading_pauses_for_some_seconds_and_then_lets_events_go() -> None:
    one = Backpressure(10.0)
    assert one.turn(accepting=True, unread_since=None, now=100.0) is None
    assert one.turn(accepting=False, unread_since=None, now=101.0) == "paused"
    assert one.turn(accepting=False, unread_since=95.0, now=110.9) is None
    assert one.turn(accepting=False, unread_since=95.0, now=111.0) == "letting_go"
    assert one.since == 111.0
    assert one.turn(accepting=False, unread_since=None, now=500.0) is None
    assert one.turn(accepting=True, unread_since=None, now=501.0) == "reading"
    assert one.turn(accepting=False, unread_since=None, now=502.0) == "paused"


def test_a_pause_before_all_was_read_is_the_same_pause() -> None:
    one = Backpressure(10.0)
    one.turn(accepting=False, unread_since=None, now=0.0)
    assert one.turn(accepting=True, unread_since=0.0, now=6.0) == "reading"
    assert one.turn(accepting=False, unread_since=0.0, now=7.0) == "paused"
    assert one.turn(accepting=True, unread_since=0.0, now=9.0) == "reading"
    assert one.turn(accepting=False, unread_since=0.0, now=10.0) == "letting_go"


@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.floats(0.01, 3.0)), max_size=60))
def test_nothing_is_left_unread_for_longer_than_the_pause(
    turns: list[tuple[bool, bool, float]],
) -> None:
    """Whatever the sink does: `reads_all` says whether a turn of reading came to the end."""
    one = Backpressure(10.0)
    now = 0.0
    unread_since: float | None = None
    for accepting, reads_all, seconds in turns:
        if one.mode != "paused" and reads_all:
            unread_since = None
        elif one.mode == "paused" or unread_since is not None:
            unread_since = now if unread_since is None else unread_since
        one.turn(accepting=accepting, unread_since=unread_since, now=now)
        if one.mode == "paused":
            assert unread_since is None or now - unread_since < 10.0
        now += seconds
