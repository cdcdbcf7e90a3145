from __future__ import annotations

import os
import platform
import shutil
import subprocess
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from monitor.disk import DiskSpace
from monitor.exposition import Exposition
from monitor.model import Exited
from monitor.snapshot import Snapshot
from monitor.soak_plans import PROFILES
from streamer.messages import (
    LATENCY_BUCKETS_SECONDS,
    GroupShards,
    Histogram,
    MemoryPart,
    SinkCounts,
)
from streamer.version import version
from tests.unit.monitor.observations import EPOCH, NAME, sample, slot, stream
from tests.unit.monitor.runs import Run

PREDECESSORS = {
    "process_memory_rss_bytes": {"streamer"},
    "process_memory_vms_bytes": {"streamer"},
    "memory_leak_detection_score": {"streamer"},
    "binance_messages_received_total": {"symbol"},
    "binance_message_errors_total": {"error_type"},
    "binance_connection_status": set(),
    "binance_connection_rotations_total": {"reason"},
    "binance_connection_lifetime_seconds": set(),
    "binance_reconnects_total": {"reason"},
    "binance_connection_errors_total": {"error_type"},
    "binance_last_message_timestamp_seconds": set(),
    "binance_last_pong_timestamp_seconds": set(),
    "binance_pong_timeouts_total": set(),
    "binance_reconnect_delay_seconds": set(),
    "serializer_cache_size": set(),
    "serializer_cache_evictions_total": set(),
    "kafka_messages_produced_total": set(),
    "kafka_produce_errors_total": set(),
    "kafka_produce_duration_seconds_count": set(),
}


def full_report(_second: int) -> dict[str, Any]:
    buckets = len(LATENCY_BUCKETS_SECONDS) + 1
    return {
        "streams": (
            stream(70, gaps_total=1, missing_total=3, duplicates_total=2),
            stream(30, kind="aggTrade"),
        ),
        "slots": (slot("a", 50.0, last_pong_time=EPOCH), slot("b", 10.0, last_pong_time=EPOCH + 9)),
        "message_errors": {"json": 4},
        "connection_errors": {"timeout": 5},
        "reconnects": {"closed": 6},
        "rotations": {"age": 7},
        "unsupported": {"kline": 8},
        "receive_latency": Histogram((1,) * buckets, 2.5),
        "sink": SinkCounts(
            "kafka",
            accepted_total=100,
            acknowledged_total=90,
            errors_total=1,
            queued=10,
            queued_bytes=1500,
            refused_total=2,
            broker_latency_seconds={"kafka:9092": 0.02},
            acknowledged_by_stream={"trade": 80, "aggTrade": 10},
        ),
        "dead_letters_total": 4,
        "memory": {"free_heap": MemoryPart(5, 9)},
    }


def snapshot() -> Snapshot:
    run = Run(PROFILES["1h"])
    run.seconds(2400, full_report)  # long enough for a leak score
    run.recorder.own(sample(1.0, 25))
    return run.recorder.snapshot(run.now, EPOCH + run.now)


def exposed(shown: Snapshot | None) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    text = Exposition(lambda: shown).text()[0].decode()
    return {
        (one.name, tuple(sorted(one.labels.items()))): one.value
        for family in text_string_to_metric_families(text)
        for one in family.samples
    }


def test_the_predecessors_names_and_labels() -> None:
    shown = exposed(snapshot())
    for name, labels in PREDECESSORS.items():
        found = [{label for label, _ in key[1]} for key in shown if key[0] == name]
        assert found, name
        assert all(one == labels for one in found), name


def test_values() -> None:
    shown = exposed(snapshot())
    assert shown["process_memory_rss_bytes", (("streamer", NAME),)] == 60 * (1 << 20)
    assert shown["binance_messages_received_total", (("symbol", "BTCUSDT"),)] == 100
    assert shown["binance_connection_lifetime_seconds", ()] == 50
    assert shown["binance_last_pong_timestamp_seconds", ()] == EPOCH
    assert shown["kafka_messages_produced_total", ()] == 90
    assert shown["vigil_sink_refused_records_total", ()] == 2
    assert shown["vigil_dead_letters_total", ()] == 4
    assert shown["kafka_producer_queue_bytes", ()] == 1500
    assert shown["kafka_broker_latency_seconds", (("broker", "kafka:9092"),)] == 0.02
    assert shown["vigil_stream_acknowledged_records_total", (("stream", "trade"),)] == 80
    assert shown["binance_missing_ids_total", (("stream", "trade"), ("symbol", "BTCUSDT"))] == 3
    assert shown["binance_receive_latency_seconds_bucket", (("le", "+Inf"),)] == 14
    assert shown["binance_receive_latency_seconds_bucket", (("le", "0.001"),)] == 1
    assert shown["binance_receive_latency_seconds_sum", ()] == 2.5
    assert shown["binance_connection_status", ()] == 1
    ceiling = ("criterion", "memory ceiling")
    assert shown["vigil_criterion_state", (ceiling, ("state", "pass"))] == 1
    assert shown["vigil_criterion_state", (ceiling, ("state", "fail"))] == 0


def test_what_runs_is_told() -> None:
    labels = (("python", platform.python_version()), ("version", version()))
    assert exposed(snapshot())["vigil_build_info", labels] == 1


def test_which_encoder_is_used_is_told() -> None:
    (streamer,) = snapshot().streamers
    report = msgspec.structs.replace(streamer.report, encoder="compiled")
    told = exposed(replace(snapshot(), streamers=(replace(streamer, report=report),)))
    labels = (("encoder", "compiled"), ("streamer", NAME))
    assert told["vigil_streamer_encoder_info", labels] == 1


def test_a_member_of_a_group_tells_which_shards_it_records() -> None:
    (streamer,) = snapshot().streamers
    shards = GroupShards("vigil", 6, (0, 4), 12)
    report = msgspec.structs.replace(streamer.report, shards=shards)
    member = replace(streamer, report=report)
    told = exposed(replace(snapshot(), streamers=(member,)))
    of = (("group", "vigil"), ("streamer", NAME))
    assert told["vigil_group_shards", of] == 6
    assert told["vigil_group_streams", of] == 12
    recorded = {
        dict(labels)["shard"] for name, labels in told if name == "vigil_group_shard_recorded"
    }
    assert recorded == {"0", "4"}
    for other in (streamer, replace(member, up=False), replace(member, report=None)):
        told = exposed(replace(snapshot(), streamers=(other,)))
        assert not [name for name, _ in told if name.startswith("vigil_group")]


def test_what_alerts_need() -> None:
    shown = replace(
        snapshot(), restarts_remaining={NAME: 4}, disk=DiskSpace(free_bytes=10, size_bytes=100)
    )
    told = exposed(shown)
    assert told["vigil_ready", ()] == 0  # ten records wait all the time
    assert told["vigil_start_time_seconds", ()] == EPOCH
    assert told["vigil_streamer_restarts_total", (("streamer", NAME),)] == 0
    assert told["vigil_restart_budget_remaining", (("streamer", NAME),)] == 4
    assert told["vigil_sink_unacknowledged_seconds", (("streamer", NAME),)] > 2000
    assert (
        told["vigil_streamer_memory_part_bytes", (("part", "free_heap"), ("streamer", NAME))] == 5
    )
    assert told["vigil_sink_disk_free_bytes", ()] == 10
    assert told["vigil_sink_disk_size_bytes", ()] == 100
    assert told["vigil_stream_fresh", (("stream", "trade"), ("symbol", "BTCUSDT"))] == 1


def test_a_disk_that_is_not_known_has_no_figures() -> None:
    assert not [name for name, _ in exposed(snapshot()) if name.startswith("vigil_sink_disk")]


def test_only_ours_and_no_created_series() -> None:
    names = {name for name, _ in exposed(snapshot())}
    assert not [name for name in names if name.endswith("_created")]
    assert {name for name in names if name.startswith("process_")} == {
        "process_memory_rss_bytes",
        "process_memory_vms_bytes",
    }
    assert not [name for name in names if name.startswith("python_")]


def test_a_dead_streamer_is_down_and_has_no_memory() -> None:
    run = Run(PROFILES["smoke"]).seconds(5)
    run.feed(Exited(NAME, 1, -9, False, EPOCH))
    shown = exposed(run.recorder.snapshot(run.now, EPOCH + run.now))
    assert shown["vigil_streamer_up", (("streamer", NAME),)] == 0
    assert ("process_memory_rss_bytes", (("streamer", NAME),)) not in shown
    assert shown["binance_connection_status", ()] == 0
    assert shown["binance_messages_received_total", (("symbol", "BTCUSDT"),)] == 250


def test_nothing_is_exported_before_anything_is_known() -> None:
    assert exposed(None) == {}


@pytest.mark.skipif(
    shutil.which("promtool") is None and os.environ.get("CI") != "true",
    reason="promtool is not installed",
)
def test_promtool_has_nothing_to_say() -> None:
    text = Exposition(snapshot).text()[0]
    checked = subprocess.run(
        ["promtool", "check", "metrics"], input=text, capture_output=True, check=False
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")
