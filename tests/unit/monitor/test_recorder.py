from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest

from monitor.model import Exited, Reported, Rotate
from monitor.soak_plans import PROFILES
from streamer.messages import Notice
from tests.unit.monitor.observations import EPOCH, NAME, launched, report, sample, slot, stream
from tests.unit.monitor.runs import Run

SMOKE = PROFILES["smoke"]
HOUR = PROFILES["1h"]


def test_the_predecessors_keys() -> None:
    document = json.loads(json.dumps(Run(HOUR).seconds(3600).end().document()))
    meta = document["test_metadata"]
    assert meta["test_duration_hours"] == 1.0
    assert meta["actual_duration_hours"] == 1.0
    assert meta["start_time"] == "2023-11-14T22:13:20.000+00:00"
    assert meta["end_time"] == "2023-11-14T23:13:21.000+00:00"
    assert meta["symbols"] == ["BTCUSDT", "ETHUSDT"]
    assert meta["sample_interval_seconds"] == 60
    assert meta["total_samples"] == 60 == len(document["memory_samples"])
    summary = document["summary_statistics"]
    assert summary["initial_rss_mb"] == summary["final_rss_mb"] == 60
    assert summary["memory_growth_mb"] == 0
    assert summary["total_messages"] == 2 * 50 * 3601
    assert summary["avg_message_rate"] == pytest.approx(100, rel=0.001)
    row = document["memory_samples"][0]
    assert row["timestamp"] == "2023-11-14T22:14:20.000+00:00"
    assert row["elapsed_hours"] == pytest.approx(1 / 60)
    assert (row["rss_mb"], row["vms_mb"]) == (60, 500)
    # The sample that ends the interval comes just before the report of the same second.
    assert row["messages_received"] == 2 * 50 * 59


def test_rows_hold_extremes_of_their_interval() -> None:
    rss = {70: 90.0, 80: 40.0}
    run = Run(HOUR).seconds(120, in_sample=lambda at: {"rss_mib": rss.get(at, 60.0)})
    row = run.document()["memory_samples"][1]
    assert (row["rss_min_mb"], row["rss_mb"], row["rss_max_mb"]) == (40, 60, 90)
    assert row["events"] == {"trade:BTCUSDT": 50 * 119, "trade:ETHUSDT": 50 * 119}
    assert row["cpu_cores"] == pytest.approx(0.01)
    assert (row["threads"], row["open_files"]) == (5, 20)
    assert row["connection_age_seconds"] == 119


def test_bins_of_the_hour_are_15_seconds() -> None:
    run = Run(HOUR).seconds(60, in_sample=lambda at: {"rss_mib": 50.0 if at == 20 else 60.0})
    (streamer,) = run.document()["streamers"]
    bins = streamer["generations"][0]["bins"]
    assert bins["seconds"] == 15
    assert [size / (1 << 20) for size in bins["rss_min_bytes"]] == [60, 50, 60, 60]
    assert len({len(column) for name, column in bins.items() if name != "seconds"}) == 1


def test_a_dead_streamer_leaves_no_rows_of_zeros() -> None:
    run = Run(SMOKE).seconds(10)
    run.feed(Exited(NAME, 1, -9, False, EPOCH))
    before = len(run.document()["memory_samples"])
    run.now = 60.0
    run.recorder.observe(launched(2), run.now, EPOCH + run.now)
    run.now = 62.0
    run.recorder.observe(sample(62.0, 30, generation=2), run.now)
    rows = run.document()["memory_samples"]
    assert len(rows) - before <= 1
    assert all(row["rss_mb"] > 0 for row in rows)


def test_notices_become_events_once() -> None:
    notices = tuple(Notice(n, EPOCH + n, "gap", {"first_id": n}) for n in range(1, 6))
    run = Run(SMOKE)
    run.seconds(1, lambda _: {"notices": notices[:2]})
    run.seconds(1, lambda _: {"notices": notices[:4]})
    run.seconds(1, lambda _: {"notices": notices[3:]})
    gaps = [event for event in run.document()["events"] if event["kind"] == "gap"]
    assert [event["detail"]["first_id"] for event in gaps] == [1, 2, 3, 4, 5]


def test_actions_are_events_with_their_rule() -> None:
    run = Run(SMOKE, rotates=False)
    silent = (stream(9, silent_seconds=99.0), stream(9, "ETHUSDT"))
    run.seconds(2, lambda _: {"streams": silent, "slots": (slot(age=50.0),)})
    assert [type(action) for action in run.actions] == [Rotate]
    (event,) = [one for one in run.document()["events"] if one["kind"] == "action"]
    detail = event["detail"]
    assert (detail["rule"], detail["action"]) == ("silence", "rotate")
    assert (detail["stream"], detail["symbol"], detail["slot"]) == ("trade", "BTCUSDT", "slot-1")
    (action,) = run.document()["actions"]
    assert (action["rule"], action["count"]) == ("silence", 1)


def test_events_of_a_generation_that_is_not_known_are_left_out() -> None:
    run = Run(SMOKE).seconds(3)
    before = run.document()["summary_statistics"]["total_messages"]
    run.feed(Reported(run.now, report(99, generation=7, streams=(stream(10**6),))))
    assert run.document()["summary_statistics"]["total_messages"] == before


def test_the_snapshot() -> None:
    run = Run(SMOKE).seconds(20)
    run.recorder.own(sample(19.0, 25, cpu_seconds=1.0))
    run.recorder.own(sample(20.0, 26, cpu_seconds=1.002))
    snapshot = run.recorder.snapshot(run.now + 1, EPOCH)
    assert snapshot.connected
    assert snapshot.elapsed_seconds == 21
    assert (snapshot.duration_seconds, snapshot.profile) == (120, "smoke")
    assert snapshot.events_per_second == pytest.approx(100)
    (streamer,) = snapshot.streamers
    assert (streamer.pid, streamer.generation, streamer.up) == (4242, 1, True)
    assert [one.per_second for one in streamer.streams] == [50, 50]
    assert streamer.report_age_seconds == 1
    assert snapshot.supervisor_cpu_cores == pytest.approx(0.002)
    assert {one.name for one in snapshot.criteria} >= {"memory ceiling", "message rate"}
    run.feed(Exited(NAME, 1, 1, False, EPOCH))
    snapshot = run.recorder.snapshot(run.now, EPOCH)
    assert not snapshot.connected
    assert not snapshot.streamers[0].up
    assert snapshot.events_per_second == 0


def test_in_run_mode_memory_is_bounded() -> None:
    run = Run(None)
    last = 2000
    for generation in range(2, last + 1):
        run.feed(Exited(NAME, generation - 1, 1, False, EPOCH))
        run.feed(launched(generation))
    for minute in range(1, 1600):
        run.now = 60.0 * minute
        run.feed(sample(run.now, generation=last))
    document = run.document()
    assert len(document["memory_samples"]) == 1440
    assert len(document["streamers"][0]["generations"]) == 10
    assert len(document["streamers"][0]["generations"][-1]["bins"]["index"]) <= 1441
    assert len(document["events"]) <= 2000
    assert (document["event_counts"]["launched"], document["event_counts"]["exited"]) == (
        2000,
        1999,
    )
    assert document["events_dropped"] >= 3999 - 2000
    assert document["profile"] is None


def test_a_profile_of_another_name_is_kept_whole() -> None:
    mine = replace(SMOKE, name="mine", drops_limit=4)
    document = Run(mine).seconds(4).document()
    assert document["profile"]["name"] == "mine"
    assert document["profile"]["drops_limit"] == 4


def test_what_the_drain_takes_adds_no_rows() -> None:
    run = Run(SMOKE).seconds(120)
    run.recorder.ended("completed", run.now, EPOCH + run.now)
    rows = len(run.document()["memory_samples"])
    run.seconds(10)
    document = run.document()
    assert len(document["memory_samples"]) == rows
    assert document["test_metadata"]["actual_duration_hours"] == 120 / 3600


def test_a_resumed_run_shows_its_processes_where_they_are_in_the_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = Run(PROFILES["smoke"]).seconds(5)
    alone = run.recorder.snapshot(run.now, EPOCH)
    monkeypatch.setattr(run.recorder, "_earlier", SimpleNamespace(elapsed_seconds=3600.0))
    resumed = run.recorder.snapshot(run.now, EPOCH)
    assert resumed.elapsed_seconds == alone.elapsed_seconds + 3600
    [before], [after] = alone.streamers, resumed.streamers
    assert after.launched_elapsed_seconds == before.launched_elapsed_seconds + 3600


def test_reports_that_were_made_and_lost_are_no_silence_of_the_streamer() -> None:
    run = Run(SMOKE).seconds(10)
    run.now = 70.0  # a pause of ours: the queues could not hold all of it
    run.seconds(10)
    [streamer] = run.document()["streamers"]
    assert streamer["generations"][0]["longest_report_gap_seconds"] == 1.0
