"""The exchange's clock beside ours."""

from __future__ import annotations

import pytest

from streamer.repair.clock import LARGE_SECONDS, TRIP_SECONDS, ExchangeClock


def test_the_offset_is_that_of_the_middle_of_the_question():
    clock = ExchangeClock()
    assert clock.offset_seconds is None
    assert not clock.is_far

    assert clock.measure(1010.0, 1000.0, 1000.5)

    assert clock.offset_seconds == 9.75
    assert clock.is_far


@pytest.mark.parametrize("trip", [TRIP_SECONDS + 0.1, -0.1])
def test_an_answer_that_took_long_or_came_before_its_question_tells_nothing(trip):
    clock = ExchangeClock()
    assert not clock.measure(1000.0, 1000.0, 1000.0 + trip)
    assert clock.offset_seconds is None


def test_a_small_offset_either_way_is_not_far():
    clock = ExchangeClock()
    for offset in (LARGE_SECONDS, -LARGE_SECONDS):
        clock.measure(1000.0 + offset, 1000.0, 1000.0)
        assert not clock.is_far


def test_an_offset_follows_when_our_clock_is_set():
    clock = ExchangeClock()
    assert not clock.follow(1000.0, 5.0)
    clock.measure(1600.0, 1000.0, 1000.0)

    assert clock.follow(1601.0, 6.0)  # it was 600 s behind, and was set right
    assert clock.offset_seconds == pytest.approx(0.0)
    assert not clock.follow(1602.1, 7.0)  # slewed
    assert clock.offset_seconds == pytest.approx(0.0)


def test_a_clock_that_is_set_before_the_first_measurement_is_told_all_the_same():
    clock = ExchangeClock()
    clock.follow(1000.0, 5.0)
    assert clock.follow(100.0, 6.0)
    assert clock.offset_seconds is None
