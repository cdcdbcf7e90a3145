from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streamer.read_pacing import FEW_MESSAGES, ReadPacing

LATER = 1e9


def test_after_a_read_that_brought_little_the_next_one_waits():
    pacing = ReadPacing(0.05)
    pacing.took(2, now=10.0)
    assert abs(pacing.seconds(10.0, until=LATER) - 0.05) < 1e-9
    assert abs(pacing.seconds(10.04, until=LATER) - 0.01) < 1e-9
    assert pacing.seconds(10.051, until=LATER) == 0.0


def test_a_flood_is_read_at_once():
    pacing = ReadPacing(0.05)
    pacing.took(FEW_MESSAGES, now=10.0)
    assert pacing.seconds(10.0, until=LATER) == 0.0


def test_without_an_interval_nothing_ever_waits():
    pacing = ReadPacing(0.0)
    pacing.took(1, now=10.0)
    assert pacing.seconds(10.0, until=LATER) == 0.0


def test_what_is_due_earlier_is_not_kept_waiting():
    pacing = ReadPacing(0.05)
    pacing.took(1, now=10.0)
    assert abs(pacing.seconds(10.0, until=10.02) - 0.02) < 1e-9
    assert pacing.seconds(10.0, until=0.0) == 0.0  # at once


@given(
    st.floats(0, 1), st.lists(st.tuples(st.integers(0, 50), st.floats(0, 100))), st.floats(0, 200)
)
def test_no_wait_is_longer_than_the_interval(interval, reads, until):
    pacing, now = ReadPacing(interval), 0.0
    for count, at in sorted(reads, key=lambda read: read[1]):
        pacing.took(count, at)
        now = at
    assert 0.0 <= pacing.seconds(now, until) <= interval + 1e-9
