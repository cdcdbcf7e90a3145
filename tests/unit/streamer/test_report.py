from streamer.feed_counters import FeedCounters, LatencyTally
from streamer.messages import RECENT_NOTICES
from streamer.report import IdleClock


class Route:
    received_us = None


def test_silence_counts_from_the_start_until_something_comes():
    route = Route()
    silence = IdleClock([route], 100.0)
    assert silence.seconds(route, 130.0) == 30.0
    route.received_us = 1_000_000_000
    silence.update(131.0, 1_000_400_000)
    assert round(silence.seconds(route, 131.0), 3) == 0.4
    silence.update(150.0, 1_019_400_000)
    assert round(silence.seconds(route, 150.0), 3) == 19.4


def test_what_is_not_read_is_not_silent():
    route = Route()
    silence = IdleClock([route], 100.0)
    silence.excuse(130.0)
    assert silence.seconds(route, 131.0) == 1.0
    silence.update(140.0, 1_000_400_000)
    assert silence.seconds(route, 140.0) == 10.0


def test_a_wall_clock_that_jumps_makes_no_silence_and_hides_none():
    route = Route()
    silence = IdleClock([route], 0.0)
    route.received_us = 1_000_000_000
    silence.update(1.0, 9_000_000_000)  # the wall clock was set forward by hours
    assert silence.seconds(route, 1.0) <= 1.0
    route.received_us = 2_000_000_000
    silence.update(2.0, 1_000_000)  # and back
    assert silence.seconds(route, 2.0) == 0.0
    assert silence.seconds(route, 62.0) == 60.0


def test_latencies_fall_into_their_buckets():
    counters = LatencyTally()
    for seconds in (-0.5, 0.001, 0.0011, 99.0):
        counters.observe(seconds)
    counters.observe(0.05, times=3)
    histogram = counters.histogram()
    assert histogram.counts[0] == 2
    assert histogram.counts[1] == 1
    assert histogram.counts[5] == 3
    assert histogram.counts[-1] == 1
    assert round(histogram.sum_seconds, 4) == 99.1521


def test_notices_are_numbered_without_holes_and_bounded():
    counters = FeedCounters()
    for _ in range(RECENT_NOTICES + 5):
        counters.notice("warning", message="x")
    numbers = [notice.number for notice in counters.notices]
    assert numbers == list(range(6, RECENT_NOTICES + 6))
