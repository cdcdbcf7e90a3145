from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from monitor.stream_changes import NO_CHANGES, changes, events_since
from tests.unit.monitor.observations import stream

SETS = st.lists(st.sampled_from("ABCDEF"), unique=True)


def test_the_same_streams_bring_nothing() -> None:
    streams = (stream(1), stream(2, "ETHUSDT"))
    assert changes(streams, streams) is NO_CHANGES
    assert changes(streams, (*streams,)) == NO_CHANGES


def test_one_that_has_changed_comes_with_what_it_was() -> None:
    old, other, new = stream(1), stream(2, "ETHUSDT"), stream(3)
    found = changes((old, other), (new, other))
    assert found.changed == ((old, new),)
    assert not found.removed
    assert not found.is_other_set


@given(SETS, SETS)
def test_whatever_comes_and_goes_is_told(before: list[str], now: list[str]) -> None:
    old = {name: stream(1, name) for name in before}
    new = {name: stream(2, name) for name in now}
    found = changes(tuple(old.values()), tuple(new.values()))
    assert {one.symbol: known for known, one in found.changed} == {n: old.get(n) for n in now}
    assert {one.symbol for one in found.removed} == set(before) - set(now)
    assert found.is_other_set == (set(before) != set(now))


def test_one_that_came_back_counts_from_zero() -> None:
    assert events_since(None, stream(5)) == 5
    assert events_since(stream(5), stream(7)) == 2
    assert events_since(stream(5), stream(3)) == 3
