from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from monitor.criteria import Criterion, Verdict
from monitor.model import Sample
from monitor.snapshot import Snapshot, StreamerSnapshot, StreamSnapshot
from streamer.messages import GroupShards, Report, SinkCounts, SlotState
from supervisor.report import (
    clock,
    exit_code_of,
    mebibytes,
    plain_report,
    status_line,
    stream_table,
    verdict_block,
)
from supervisor.view import render

MIB = 1 << 20
REPORT = Report(
    streamer="streamer-1",
    generation=2,
    sequence=1,
    pid=42,
    time=0.0,
    uptime_seconds=1.0,
    state="streaming",
    streams=(),
    slots=(SlotState("slot-1", True, 1, 3.0, 0, None, rotating=True),),
    sink=SinkCounts("files"),
)
STREAMER = StreamerSnapshot(
    name="streamer-1",
    generation=2,
    pid=42,
    up=True,
    launched_time=0.0,
    exit_code=None,
    sample=Sample("streamer-1", 2, 0.0, 0.0, 100 * MIB, 300 * MIB, 1.0, 5, 20),
    growth_bytes=-1.5 * MIB,
    leak=None,
    cpu_cores=0.01,
    report=REPORT,
    report_age_seconds=0.5,
    streams=(StreamSnapshot("trade", "BTCUSDT", 1234567, 33.34, 0.1),),
    totals={},
)
SNAPSHOT = Snapshot(
    time=0.0,
    elapsed_seconds=3723.0,
    duration_seconds=86400.0,
    profile="24h",
    memory_ceiling_bytes=450 * MIB,
    streamers=(STREAMER,),
    totals={},
    events_per_second=33.34,
    recent_events=(),
    event_counts={},
    criteria=(),
    named=frozenset(),
    actions={},
    supervisor=None,
    supervisor_cpu_cores=None,
)


def test_the_plain_report_has_what_people_are_used_to() -> None:
    report = plain_report(SNAPSHOT)
    for figure in (
        "1:02:03 of 24:00:00",
        "1,234,567 in total, 33.3/s",
        "RSS        100.0 MiB (ceiling 450.0 MiB)",
        "VMS        300.0 MiB",
        "growth     -1.5 MiB",
        "streaming, 1 of 1 connections live, rotating",
        "encoder    python",
        "streams    1, longest silence 0.1 s (trade BTCUSDT)",
    ):
        assert figure in report


@pytest.mark.parametrize(
    ("offset", "line"),
    [(600.0, "clock      600.0 s behind the exchange's"), (-2.5, "2.5 s ahead of"), (0.9, None)],
)
def test_a_clock_that_is_far_off_is_told(offset: float, line: str | None) -> None:
    report = msgspec.structs.replace(REPORT, clock_offset_seconds=offset)
    streamer = replace(STREAMER, report=report)
    text = plain_report(replace(SNAPSHOT, streamers=(streamer,)))
    assert (line in text) if line else ("clock  " not in text)


@pytest.mark.parametrize(
    ("recorded", "line"),
    [((0, 4), "group      vigil, 2 of 6 shards: 0, 4\n"), ((), "vigil, 0 of 6 shards\n")],
)
def test_a_member_of_a_group_shows_its_shards(recorded: tuple[int, ...], line: str) -> None:
    report = msgspec.structs.replace(REPORT, shards=GroupShards("vigil", 6, recorded, 12))
    assert line in plain_report(replace(SNAPSHOT, streamers=(replace(STREAMER, report=report),)))
    assert "group" not in plain_report(SNAPSHOT)


def test_what_is_not_known_is_no_zero() -> None:
    young = replace(STREAMER, sample=None, report=None, growth_bytes=None, streams=())
    report = plain_report(replace(SNAPSHOT, streamers=(young,), duration_seconds=None))
    assert "RSS        –" in report
    assert "connection starting" in report
    assert "0.0 MiB" not in report.replace("450.0 MiB", "")
    assert "connection down" in plain_report(
        replace(SNAPSHOT, streamers=(replace(young, up=False),))
    )


def test_a_report_is_as_long_for_a_thousand_streams_as_for_one() -> None:
    streams = tuple(StreamSnapshot("trade", f"S{n}USDT", n, 1.0, n / 10) for n in range(1000))
    one = plain_report(SNAPSHOT)
    many = plain_report(replace(SNAPSHOT, streamers=(replace(STREAMER, streams=streams),)))
    assert len(many.splitlines()) == len(one.splitlines())
    assert "streams    1,000, longest silence 99.9 s (trade S999USDT)" in many


def test_the_table_begins_with_the_longest_silence() -> None:
    rows = [
        {"stream": "trade", "symbol": f"S{n}", "events_total": n, "per_second": 1.0,
         "silent_seconds": float(n), "state": "stale" if n == 3 else "fresh"}
        for n in range(12)
    ]  # fmt: skip
    head, worst, first, *_, last = stream_table(rows, 10).splitlines()
    assert head.split() == ["stream", "symbol", "events", "rate", "silent"]
    assert worst.split() == ["trade", "S3", "3", "1.0/s", "3.0", "s"], "stale, others are quiet"
    assert first.split() == ["trade", "S11", "11", "1.0/s", "11.0", "s"]
    assert last == ("… 2 more, which were silent for less time (--all); of 12: 11 fresh, 1 stale")
    assert len(stream_table(rows, None).splitlines()) == 13
    assert len(stream_table(rows[:6], 10).splitlines()) == 7


def test_the_status_line_fits_systemctl() -> None:
    assert status_line(SNAPSHOT) == "1 of 1 streaming, 33.3 msg/s, RSS 100.0 MiB, up 1:02:03"


def test_sizes_and_times() -> None:
    assert mebibytes(1.5 * MIB, signed=True) == "+1.5 MiB"
    assert mebibytes(None) == "–"
    assert clock(90061) == "25:01:01"


def test_the_final_block_shows_every_criterion() -> None:
    criteria = (
        Criterion("memory ceiling", "≤", 460.0, 450.0, "MiB", "fail", True, 3, 1.0, "too high"),
        Criterion("leak score", "≤", None, 0.5, "score", "inconclusive", False, 0, None, "early"),
    )
    verdict = Verdict("fail", criteria)
    block = verdict_block(verdict, Path("/tmp/p.json"))
    assert "460 MiB          450 MiB  fail" in block
    assert "too high" in block
    assert "inconclusive (informational)" in block
    assert "verdict: fail" in block
    assert "/tmp/p.json" in block
    assert exit_code_of(verdict) == 3
    assert exit_code_of(replace(verdict, outcome="pass")) == 0
    assert exit_code_of(replace(verdict, outcome="inconclusive")) == 4


def test_what_is_told_only_is_shown_with_its_reason_though_it_passed() -> None:
    segments = Criterion(
        "segments",
        "told",
        2,
        None,
        "count",
        "pass",
        False,
        2,
        None,
        "an hour, then nothing for 5 s",
    )
    growth = Criterion("memory growth", "<", 1.0, 50.0, "MiB", "pass", True, 9, None, "calm")
    block = verdict_block(Verdict("pass", (segments, growth)), Path("p.json"))
    assert "    an hour, then nothing for 5 s" in block
    assert "calm" not in block


def test_the_live_view_shows_memory_under_its_ceiling() -> None:
    console = Console(file=io.StringIO(), width=120, force_terminal=False)
    console.print(render(SNAPSHOT))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "RSS 100.0 MiB of 450.0 MiB" in shown
    assert "growth -1.5 MiB" in shown
    assert "BTCUSDT  trade  1,234,567  33.3/s" in shown
