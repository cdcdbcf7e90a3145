from __future__ import annotations

import random
from dataclasses import replace

import pytest

from monitor.growth import Growth, growth
from monitor.series import Bin, Binner

MIB = 1 << 20


def bins(*megabytes: float) -> list[Bin]:
    return [
        Bin(index, round(mb * MIB), round(mb * MIB), round(mb * MIB), 0, 0)
        for index, mb in enumerate(megabytes)
    ]


def of(*megabytes: float) -> Growth:
    grown = growth(bins(*megabytes), 60.0)
    assert grown is not None
    return grown


def test_flat_memory_has_none() -> None:
    assert of(*[60.0] * 200).bytes == 0


def test_a_line_grows_from_the_first_fifth_to_the_last() -> None:
    grown = of(*(60 + 0.1 * minute for minute in range(1000)))
    # Between the middles of the fifths lie four fifths of the settled 990 minutes.
    assert grown.bytes / MIB == pytest.approx(0.8 * 99, rel=0.01)
    assert grown.low_bytes < grown.bytes < grown.high_bytes


def test_neither_a_peak_at_the_end_nor_a_dip_at_the_start_is_growth() -> None:
    level = [60.0] * 200
    assert of(*level[:-3], 90, 90, 90).bytes == 0
    assert of(*level[:10], 30, *level[11:]).bytes == 0


def test_warm_up_is_left_out() -> None:
    assert of(*(20 + 4 * minute for minute in range(10)), *[60.0] * 200).bytes == 0


def launched(seconds: int, *, launch: int) -> list[Bin]:
    """Return one bin a second: of a launch that takes so long, and of level memory after it."""
    levels = [20 + 40 * min(second / launch, 1) for second in range(seconds)]
    return [replace(one, messages_total=max(0, one.index - launch)) for one in bins(*levels)]


def test_a_launch_that_takes_more_than_a_tenth_of_a_short_run_is_left_out() -> None:
    grown = growth(launched(45, launch=15), 1.0)
    assert grown == Growth(bytes=0, low_bytes=0, high_bytes=0, bins=45 - 15 - 2)


def test_of_a_run_that_hears_nothing_for_long_no_more_is_left_out_than_of_any_other() -> None:
    grown = growth(launched(7200, launch=3600), 1.0)
    assert grown is not None
    assert grown.low_bytes > 10 * MIB


def test_a_saw_tooth_stands_on_its_floor() -> None:
    grown = of(*(60 + minute % 15 for minute in range(400)))
    assert abs(grown.bytes) <= 1 * MIB


def test_noise_is_within_the_interval() -> None:
    noise = random.Random(1)
    grown = of(*(60 + noise.uniform(0, 3) for _ in range(400)))
    assert grown.low_bytes < 0 < grown.high_bytes


def test_too_little_to_tell() -> None:
    assert growth([], 60.0) is None
    assert growth(bins(*[60.0] * 15), 60.0) is None


def test_bins_keep_extremes_and_belong_to_their_end() -> None:
    binner = Binner(60.0)
    assert binner.add(100.0, 5) is None
    binner.messages_total = 9
    assert binner.add(130.0, 3) is None
    assert binner.add(160.0, 4) is None  # exactly at its end: still the first
    assert binner.add(160.5, 7) == Bin(0, 3, 5, 4, 9, 0)
    assert binner.add(400.0, 8) == Bin(1, 7, 7, 7, 9, 0)
    assert binner.open == Bin(4, 8, 8, 8, 9, 0)
