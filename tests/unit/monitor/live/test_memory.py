from __future__ import annotations

from dataclasses import replace

import pytest

from monitor.live.memory import POINTS_MAX, memory_key, memory_of_all
from monitor.series import Bin
from monitor.snapshot import Snapshot
from tests.unit.monitor.observations import EPOCH, MIB
from tests.unit.monitor.runs import Run

HOUR = 3600


def snapshot_of(run: Run) -> Snapshot:
    return run.recorder.snapshot(run.now, EPOCH)


def leaking(second: int) -> dict[str, float]:
    return {"rss_mib": 60 + 20 * second / HOUR + (second % 300) / 100}


def test_a_leak_is_drawn_with_band_floors_and_trend() -> None:
    run = Run(None).seconds(6 * HOUR, in_sample=leaking, every=30)
    (drawn,) = memory_of_all(snapshot_of(run))
    assert 100 < len(drawn["band"]) <= POINTS_MAX + 1
    at, low, high = drawn["band"][-1]
    assert at == pytest.approx(6 * HOUR, abs=180)
    assert 175 < low <= high < 185
    assert len(drawn["floors"]) >= 10
    assert drawn["floors"][0][1] < drawn["floors"][-1][1]
    assert drawn["trend"]["low"] <= drawn["trend"]["slope"] <= drawn["trend"]["high"]
    assert drawn["trend"]["slope"] == pytest.approx(20, abs=2)
    begun, ended = drawn["trend"]["middle"]
    assert begun < ended
    assert "a leak" in drawn["said"][0]


@pytest.mark.parametrize(("seconds", "points"), [(5, 0), (65, 1), (125, 2)])
def test_as_much_is_drawn_as_there_are_complete_bins(seconds: int, points: int) -> None:
    (drawn,) = memory_of_all(snapshot_of(Run(None).seconds(seconds)))
    assert (len(drawn["band"]), drawn["floors"], drawn["trend"]) == (points, [], None)


def test_many_bins_become_few_points_that_keep_the_extremes_and_the_gaps() -> None:
    bins = [Bin(index, 60 * MIB, 61 * MIB, 60 * MIB, 0, 0) for index in range(1440)]
    bins[777] = Bin(777, 50 * MIB, 300 * MIB, 60 * MIB, 0, 0)
    del bins[1000:1100]
    (drawn,) = memory_of_all(with_bins(bins))
    assert POINTS_MAX / 2 < len(drawn["band"]) <= POINTS_MAX + 2
    assert max(high for _, _, high in drawn["band"] if high) == 300
    assert min(low for _, low, _ in drawn["band"] if low) == 50
    times = [at for at, _, _ in drawn["band"]]
    assert times == sorted(times)
    assert [at for at, low, _ in drawn["band"] if low is None] == [1100 * 60]
    assert times[-1] == 1440 * 60


def with_bins(bins: list[Bin]) -> Snapshot:
    snapshot = snapshot_of(Run(None).seconds(1))
    streamers = tuple(
        replace(one, bins=tuple(bins), launched_elapsed_seconds=0.0) for one in snapshot.streamers
    )
    return replace(snapshot, streamers=streamers)


def test_it_is_drawn_anew_only_when_there_is_more() -> None:
    run = Run(None).seconds(65)
    first = snapshot_of(run)
    assert memory_key(snapshot_of(run.seconds(1))) == memory_key(first)
    assert memory_key(snapshot_of(run.seconds(60))) != memory_key(first)
    assert memory_key(replace(first, memory_ceiling_bytes=1)) != memory_key(first)
    again = tuple(replace(one, generation=2) for one in first.streamers)
    assert memory_key(replace(first, streamers=again)) != memory_key(first)
