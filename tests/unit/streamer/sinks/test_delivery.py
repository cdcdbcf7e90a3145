from __future__ import annotations

import pytest

from streamer.messages import LATENCY_BUCKETS_SECONDS
from streamer.sinks import SinkError
from streamer.sinks.delivery import AcknowledgeClock, Errors


def test_latency_is_from_the_poll_before_acceptance_to_the_poll_that_sees_it_done():
    clock = AcknowledgeClock()
    clock.observe(0, 0, 10.0)
    clock.observe(3, 0, 10.0625)
    clock.observe(5, 2, 10.125)
    clock.observe(5, 5, 10.3125)

    histogram = clock.histogram()
    assert sum(histogram.counts) == 5
    assert histogram.counts[LATENCY_BUCKETS_SECONDS.index(0.25)] == 2 + 2
    assert histogram.counts[LATENCY_BUCKETS_SECONDS.index(0.5)] == 1
    assert histogram.sum_seconds == pytest.approx(2 * 0.125 + 1 * 0.3125 + 2 * 0.25)


def test_marks_are_bounded():
    clock = AcknowledgeClock()
    for i in range(10_000):
        clock.observe(i, 0, float(i))
    assert len(clock._marks) < 5000

    clock.observe(10_000, 10_000, 10_000.0)
    assert sum(clock.histogram().counts) == 10_000


def test_an_error_that_lasts_is_told_once_in_a_while():
    errors = Errors()
    for now in (0.0, 1.0, 29.0):
        errors.note("io", f"at {now}", now)
    errors.note("disk_full", "full", 2.0)

    assert errors.take() == [SinkError("io", "at 0.0"), SinkError("disk_full", "full")]
    errors.note("io", "again", 30.0)
    assert errors.take() == [SinkError("io", "again")]
    assert errors.take() == []
