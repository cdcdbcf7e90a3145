from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.audit.period import ALWAYS, Period, parse_time


def test_a_period_has_its_beginning_and_not_its_end():
    period = Period(10, 20)
    assert [time for time in (9, 10, 19, 20) if time in period] == [10, 19]
    assert 7 in ALWAYS
    assert period.is_bounded
    assert not ALWAYS.is_bounded


@pytest.mark.parametrize(
    ("begun", "ended", "touches"),
    [(1, 9, False), (1, 10, True), (19, 30, True), (20, 30, False), (None, 30, True)],
)
def test_what_lasted_is_in_it_when_some_of_it_is(begun, ended, touches):
    assert Period(10, 20).touches(begun, ended) == touches
    assert ALWAYS.touches(begun, ended)


def test_times_are_utc_unless_they_say_otherwise():
    assert parse_time("1970-01-02") == 86_400_000_000
    assert parse_time("1970-01-01T01:00+01:00") == 0
    with pytest.raises(ValueError, match="2026-11-27T13:30Z"):
        parse_time("soon")


@given(st.integers(0, 4_102_444_800_000_000))
def test_every_microsecond_is_exact(time_us):
    time = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=time_us)
    assert parse_time(time.isoformat()) == time_us
