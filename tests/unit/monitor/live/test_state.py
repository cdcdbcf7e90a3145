from __future__ import annotations

import json
from dataclasses import replace

from monitor.criteria import Criterion
from monitor.disk import DiskSpace
from monitor.live.state import SENTENCES_MAX, WORST_ROWS, state_of
from monitor.live.streams import StreamTable
from monitor.model import Exited
from monitor.snapshot import Snapshot, StreamSnapshot
from monitor.soak_plans import PROFILES
from streamer.messages import (
    LATENCY_BUCKETS_SECONDS,
    Backfill,
    Histogram,
    MemoryPart,
    SinkCounts,
)
from tests.unit.monitor.observations import EPOCH, NAME, report, slot, stream
from tests.unit.monitor.runs import Run


def told(snapshot: Snapshot) -> dict:
    return state_of(snapshot, StreamTable(snapshot), "1.2.3")


def snapshot_of(run: Run) -> Snapshot:
    return run.recorder.snapshot(run.now, EPOCH + run.now)


def criterion(name: str, outcome: str, required: bool = True) -> Criterion:
    return Criterion(name, "x ≤ limit", 1.5, 2.0, "MiB", outcome, required, 3, reason="why")  # type: ignore[arg-type]


def test_a_soak_has_its_verdict_so_far_with_what_failed_first() -> None:
    run = Run(PROFILES["1h"]).seconds(5)
    criteria = (
        criterion("a", "pass"),
        criterion("b", "inconclusive"),
        criterion("c", "fail", required=False),
        criterion("d", "fail"),
    )
    verdict = told(replace(snapshot_of(run), criteria=criteria))["verdict"]
    assert verdict["outcome"] == "fail"
    assert [one["name"] for one in verdict["criteria"]] == ["d", "b", "a", "c"]
    assert verdict["criteria"][0]["observed"] == "1.5 MiB"
    assert verdict["elapsed_seconds"] == 5


def test_a_service_has_no_verdict() -> None:
    state = told(snapshot_of(Run(None).seconds(3)))
    assert state["verdict"] is None
    assert state["ready"]
    assert state["version"] == "1.2.3"
    assert (state["started"], state["time"]) == (EPOCH, EPOCH + 3)


def test_a_streamer_is_told_with_connections_sink_latency_and_counts() -> None:
    counts = [0] * (len(LATENCY_BUCKETS_SECONDS) + 1)
    counts[2], counts[-1] = 98, 2

    def changes(second: int) -> dict:
        return {
            "streams": (stream(50 * second, gaps_total=1, missing_total=9, pending=4),),
            "slots": (slot("slot-1", 70.0, drops_total=2), slot("slot-2", None)),
            "rotations": {"age": 2, "silence": 1},
            "backfill": Backfill(2, 70, 30, 65.0),
            "memory": {"free_heap": MemoryPart(5, 9), "\x1b" * 50: MemoryPart(7)},
            "receive_latency": Histogram(tuple(second * one for one in counts), float(second)),
            "sink": SinkCounts(
                "kafka",
                100,
                60,
                queued=40,
                overflow_records=30,
                overflow_bytes=5000,
                broker_latency_seconds={"a:1": 0.01, "b:1": 0.2},
            ),
        }

    (one,) = told(snapshot_of(Run(None).seconds(3, changes)))["streamers"]
    assert [(each["slot"], each["live"], each["age_seconds"]) for each in one["slots"]] == [
        ("slot-1", True, 70),
        ("slot-2", False, None),
    ]
    assert one["rotations"] == {"age": 2, "silence": 1}
    assert one["sink"]["overflow_records"] == 30
    assert one["sink"]["slowest_broker_seconds"] == 0.2
    # Of the last seconds: two reports lie between.
    assert one["latency"] == {
        "receive": {"p50": 0.005, "p99": None, "mean": 0.01},
        "acknowledge": None,
    }
    assert one["counts"]["missing"] == 9
    assert one["counts"]["events"] == 150
    assert (one["held"], one["repairing"]) == (4, 1)
    assert one["backfill"] == {"gaps": 2, "ids_left": 70, "ids_done": 30, "seconds_left": 65.0}
    assert one["rss_bytes"] == 60 << 20
    assert one["memory_parts"].pop("free_heap") == [5, 9]
    ((name, part),) = one["memory_parts"].items()
    assert name.isprintable()
    assert (len(name) < 100, part) == (True, [7, None])
    assert one["leak"] is None


def test_the_leak_detector_says_why_there_is_no_score_yet() -> None:
    run = Run(PROFILES["1h"]).seconds(40, every=5)
    (one,) = told(snapshot_of(run))["streamers"]
    assert one["leak"]["score"] is None
    assert one["leak"]["reason"].startswith("too early")


def test_a_streamer_that_has_ended_or_not_reported_yet() -> None:
    (young,) = told(snapshot_of(Run(None)))["streamers"]
    assert young["slots"] == []
    assert young["sink"] is young["state"] is young["rss_bytes"] is young["leak"] is None
    assert young["latency"] == {}
    run = Run(None).seconds(2)
    run.feed(Exited(NAME, 1, -9, False, EPOCH))
    state = told(snapshot_of(run))
    assert (state["streamers"][0]["up"], state["streamers"][0]["exit_code"]) == (False, -9)
    assert state["ready"] is False
    assert state["obstacles"] == [f"{NAME}: its process is not running"]


def test_the_supervisor_tells_its_own_cost() -> None:
    run = Run(None).seconds(1)
    state = told(replace(snapshot_of(run), disk=DiskSpace(5, 9), supervisor_cpu_cores=0.00123))
    assert state["supervisor"] == {
        "rss_bytes": None,
        "cpu_cores": 0.0012,
        "disk_free_bytes": 5,
        "disk_size_bytes": 9,
    }


def test_it_is_bounded_whatever_is_streamed() -> None:
    names = [f"{'x' * 195}{number:05}" for number in range(4500)]
    run = Run(None).seconds(2)
    snapshot = snapshot_of(run)
    (streamer,) = snapshot.streamers
    many = replace(
        streamer,
        streams=tuple(StreamSnapshot("trade", name, 1, 0.0, 99.0) for name in names),
        report=report(2, streams=tuple(stream(1, name, silent_seconds=99.0) for name in names)),
    )
    few = replace(streamer, up=False)
    state = told(replace(snapshot, streamers=(many, *(few,) * 29)))
    assert len(state["streams"]["worst"]) == WORST_ROWS
    assert state["streams"]["total"] == 4500 + 29 * 2
    assert len(state["obstacles"]) == SENTENCES_MAX + 1
    assert state["obstacles"][-1] == "and 10 more"
    assert len(json.dumps(state)) < 80_000


def test_text_of_others_is_made_printable() -> None:
    run = Run(None).seconds(2)
    criteria = (replace(criterion("a", "fail"), reason="\x1b[31m" + "y" * 5000),)
    (one,) = told(replace(snapshot_of(run), criteria=criteria))["verdict"]["criteria"]
    assert one["reason"].startswith("\\x1b[31m")
    assert len(one["reason"]) < 700
