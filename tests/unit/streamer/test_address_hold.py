from __future__ import annotations

from pathlib import Path

import pytest

from streamer.address_hold import AddressHold
from streamer.retry_after import BAN_SECONDS_MAX


class Clock:
    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


def test_what_one_is_told_holds_the_others_and_a_longer_time_stands(tmp_path: Path) -> None:
    clock = Clock()
    one, other = (AddressHold(tmp_path / "held", clock) for _ in range(2))
    assert other.seconds() == 0.0
    one.hold(120.0)
    assert other.seconds() == pytest.approx(120.0)
    other.hold(10.0)
    assert one.seconds() == pytest.approx(120.0)
    clock.now += 119.0
    one.hold(60.0)
    assert other.seconds() == pytest.approx(60.0)
    clock.now += 61.0
    assert one.seconds() == 0.0


def test_a_clock_that_was_set_back_makes_no_endless_ban_of_it(tmp_path: Path) -> None:
    clock = Clock()
    hold = AddressHold(tmp_path / "held", clock)
    hold.hold(60.0)
    clock.now -= 365 * 24 * 3600.0
    assert hold.seconds() == BAN_SECONDS_MAX


def test_one_alone_keeps_nothing_and_a_disk_that_takes_nothing_is_only_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    AddressHold().hold(60.0)
    assert AddressHold().seconds() == 0.0
    hold = AddressHold(tmp_path / "gone" / "held")
    hold.hold(60.0)
    assert hold.seconds() == 0.0
    assert "cannot be written: No such file or directory" in caplog.text
