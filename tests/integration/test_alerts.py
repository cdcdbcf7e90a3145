"""The alert rules: valid, complete, firing when they should, silent when they should."""

from __future__ import annotations

import json
import re
import subprocess

import pytest

from tests.alert_rules import RULES, alerts, hurried
from tests.streaming import ROOT
from tests.tools import required

LABELS = 'job="vigil",instance="i"'
OF_STREAMER = f'{LABELS},streamer="s"'
TRADES = f'{LABELS},stream="trade",symbol="BTCUSDT"'
DEPTH = f'{LABELS},stream="depth@100ms",symbol="BTCUSDT"'
MEMBER = 'job="vigil",instance="a",group="g",streamer="s"'
OTHER = 'job="vigil",instance="b",group="g",streamer="s"'
# alert: series with their values minute by minute, the minutes at which it is silent, and fires
CASES = {
    "VigilDown": ({f"up{{{LABELS}}}": "1x9 0x20"}, (9, 10), 12),
    "VigilAbsent": ({f"up{{{LABELS}}}": "1x9 _x30"}, (9, 18), 21),
    "VigilStuck": (
        {f"vigil_snapshot_timestamp_seconds{{{LABELS}}}": "0+60x9 540x20"},
        (9,),
        12,
    ),
    "VigilStreamerDown": ({f"vigil_streamer_up{{{OF_STREAMER}}}": "1x9 0x20"}, (9, 11), 13),
    "VigilRestartLoop": (
        {f"vigil_start_time_seconds{{{LABELS}}}": "1x9 2x2 3x2 4x60"},
        (9, 14),
        17,
    ),
    "VigilRestartRateHigh": (
        {f"vigil_streamer_restarts_total{{{OF_STREAMER}}}": "0x60 1x5 2x5 3x30"},
        (60, 70),
        75,
    ),
    "VigilRestartBudgetSpent": (
        {f"vigil_restart_budget_remaining{{{OF_STREAMER}}}": "5x5 1x3 0x1 _x20"},
        (8,),
        18,  # the series is gone by then, as the supervisor is
    ),
    "VigilNotReady": ({f"vigil_ready{{{LABELS}}}": "1x9 0x20"}, (9, 14), 16),
    "VigilShardUnrecorded": (
        {
            **{f"vigil_group_shards{{{one}}}": "2x60" for one in (MEMBER, OTHER)},
            f'vigil_group_shard_recorded{{{MEMBER},shard="0"}}': "1x9 _x4 1x40",
            f'vigil_group_shard_recorded{{{OTHER},shard="0"}}': "_x9 1x5 _x20",  # handed over
            f'vigil_group_shard_recorded{{{OTHER},shard="1"}}': "1x20 _x20",
        },
        (10, 14, 20, 22),
        30,
    ),
    "VigilGroupDisagrees": (
        {
            f"vigil_group_streams{{{MEMBER}}}": "12x50 14x300",
            f"vigil_group_streams{{{OTHER}}}": "12x90 14x10 12x300",  # asks 40 minutes later
        },
        (60, 95, 180),
        200,
    ),
    "VigilConnectionDown": ({f"binance_connection_status{{{LABELS}}}": "1x9 0x20"}, (9, 11), 13),
    "VigilSymbolSilent": (
        {
            f"vigil_stream_fresh{{{TRADES}}}": "1x30",
            f"vigil_stream_fresh{{{DEPTH}}}": "1x9 0x20",
        },
        (9, 10),
        12,
    ),
    "VigilRateLow": (
        {f"binance_stream_events_total{{{TRADES}}}": "0+6000x20 120000x40"},
        (10, 20),
        38,
    ),
    "VigilClockOff": (
        {f"binance_clock_offset_seconds{{{LABELS}}}": "0.2x9 -600x30"},
        (9, 11),
        13,
    ),
    "VigilIdsStartedAnew": ({f"binance_id_epochs_total{{{TRADES}}}": "0x9 1x20"}, (9,), 12),
    "VigilOtherVenue": (
        {f'binance_rest_errors_total{{{LABELS},error_type="misfit"}}': "0x9 3x20"},
        (9,),
        12,
    ),
    "VigilUnusableTrades": (
        {f'binance_rest_errors_total{{{LABELS},error_type="unusable"}}': "0x9 1x20"},
        (9,),
        12,
    ),
    "VigilDifferingCopies": (
        {f'binance_message_errors_total{{{LABELS},error_type="differing_copy"}}': "0x9 1x20"},
        (9,),
        12,
    ),
    "VigilMissingIds": ({f"binance_missing_ids_total{{{TRADES}}}": "0x9 3x20"}, (9,), 12),
    "VigilBookLost": (
        {
            f"vigil_book_lost{{{DEPTH}}}": "0x9 1x4 0x4 1x9",  # a snapshot has come
            f"binance_gaps_total{{{DEPTH}}}": "0x9 1x20",
        },
        (9, 16),
        12,
    ),
    "VigilDeadLetters": ({f"vigil_dead_letters_total{{{LABELS}}}": "0x9 1x20"}, (9,), 12),
    "VigilRecordsRefused": (
        {f"vigil_sink_refused_records_total{{{LABELS}}}": "0x9 1x20"},
        (9,),
        12,
    ),
    "VigilSinkStalled": (
        {f"vigil_sink_unacknowledged_seconds{{{OF_STREAMER}}}": "0x9 60+60x20"},
        (9,),
        12,
    ),
    "VigilOverflowGrows": (
        {f"vigil_sink_overflow_records{{{LABELS}}}": "0x9 70x30"},
        (9, 24),
        26,
    ),
    "VigilOtherWriters": ({f"vigil_sink_other_writers{{{LABELS}}}": "0x9 1x5 0x9"}, (9, 16), 12),
    "VigilEventsLetGo": ({f"vigil_events_let_go_total{{{LABELS}}}": "0x9 9x20"}, (9,), 12),
    "VigilDiskNearlyFull": (
        {
            f"vigil_sink_disk_free_bytes{{{LABELS}}}": "11x9 9x20",
            f"vigil_sink_disk_size_bytes{{{LABELS}}}": "100x30",
        },
        (9, 14),
        16,
    ),
    "VigilMemoryHigh": (
        {
            f"process_memory_rss_bytes{{{OF_STREAMER}}}": "390x9 410x30",
            f"vigil_memory_ceiling_bytes{{{LABELS}}}": "450x40",
        },
        (9, 19),
        21,
    ),
    "VigilLeakSuspected": (
        {f"memory_leak_detection_score{{{OF_STREAMER}}}": "0.4x9 0.6x30"},
        (9, 19),
        21,
    ),
    "VigilSupervisorOverloaded": (
        {f"vigil_supervisor_overloaded{{{LABELS}}}": "0x9 1x1 0x3 1x20"},
        (9, 12, 14, 17),
        19,
    ),
    "VigilTelemetryLost": (
        {
            f'vigil_telemetry_dropped_messages_total{{{OF_STREAMER},reason="queue full"}}': (
                "0x9 5x30"
            ),
            f'vigil_telemetry_dropped_messages_total{{{OF_STREAMER},reason="too large"}}': "0x40",
            f'vigil_telemetry_refused_messages_total{{{LABELS},reason="not understood"}}': "0x40",
        },
        (9, 25),
        12,
    ),
    "VigilFreshnessBurnsFast": (
        {f"up{{{LABELS}}}": "1x90 0x30", f"vigil_stream_fresh{{{TRADES}}}": "1x90 _x30"},
        (90,),  # a Vigil that is gone burns as well
        100,
    ),
    "VigilFreshnessBurnsSlowly": (
        # One minute in 200 without fresh data: five times the budget, too little for the other one.
        {f"vigil_stream_fresh{{{TRADES}}}": "1x400 " + "0 1x198 " * 6},
        (400,),
        1500,
    ),
}
TEST_FILE = """
rule_files: [{rules}]
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series: {series}
    promql_expr_test: {expected}
"""


def promtool(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [required("promtool", "prometheus"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_rules_and_the_examples_are_valid(tmp_path):
    for arguments in (
        ("check", "rules", RULES),
        ("check", "rules", hurried(tmp_path)),
        ("check", "config", RULES.parent / "prometheus.yml"),
    ):
        checked = promtool(*arguments)
        assert checked.returncode == 0, checked.stderr
    amtool = required("amtool", "prometheus-alertmanager")
    config = ROOT / "deploy" / "alertmanager" / "alertmanager.yml"
    checked = subprocess.run([amtool, "check-config", config], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr


def test_every_alert_has_a_case():
    assert sorted(CASES) == sorted(alert.name for alert in alerts())


def test_without_snapshots_a_gap_in_the_changes_alerts(tmp_path):
    series = {f"binance_gaps_total{{{DEPTH}}}": "0x9 1x20"}
    check_alert("VigilBookLost", series, (9,), 12, tmp_path)


def test_telemetry_that_is_refused_alerts(tmp_path):
    series = f'vigil_telemetry_refused_messages_total{{{LABELS},reason="not understood"}}'
    check_alert("VigilTelemetryLost", {series: "0x9 1x20"}, (9,), 12, tmp_path)


def test_where_nobody_records_a_shard_an_alert_fires_as_where_one_is_left_out(tmp_path):
    series = {f"vigil_group_shards{{{MEMBER}}}": "2x60"}
    check_alert("VigilShardUnrecorded", series, (1,), 4, tmp_path)


def test_what_another_member_of_a_group_records_instead_is_fresh(tmp_path):
    """A machine is gone: that it is down is told, and its symbols are recorded."""
    of_a, of_b = (f'{one},stream="trade",symbol="BTCUSDT"' for one in (MEMBER, OTHER))
    up_a, up_b = (f'job="vigil",instance="{one}"' for one in "ab")
    series = {
        f"up{{{up_a}}}": "1x90 0x60",
        f"up{{{up_b}}}": "1x150",
        f"vigil_group_shards{{{MEMBER}}}": "2x90 _x60",
        f"vigil_group_shards{{{OTHER}}}": "2x150",
        f"vigil_stream_fresh{{{of_a}}}": "1x90 _x60",
    }
    taken_over = series | {f"vigil_stream_fresh{{{of_b}}}": "_x90 1x60"}
    check_alert("VigilFreshnessBurnsFast", series, (90,), 100, tmp_path)
    check_alert("VigilFreshnessBurnsFast", taken_over, (90, 92, 100, 140), None, tmp_path)
    # Of no group: another Vigil that has the symbol as well records something of its own.
    apart = {name: values for name, values in taken_over.items() if "shards" not in name}
    check_alert("VigilFreshnessBurnsFast", apart, (90,), 100, tmp_path)


def test_the_rate_of_a_group_is_that_of_all_members(tmp_path):
    of_a, of_b = (f'{one},stream="trade",symbol="BTCUSDT"' for one in (MEMBER, OTHER))
    series = {
        **{f"vigil_group_shards{{{one}}}": "2x60" for one in (MEMBER, OTHER)},
        f"binance_stream_events_total{{{of_a}}}": "0+300x60",
        f"binance_stream_events_total{{{of_b}}}": "0+6000x20 120000x40",
    }
    check_alert("VigilRateLow", series, (10, 20), 38, tmp_path)


SICK = [alert for alert, (series, *_) in CASES.items() if OF_STREAMER in str(series)]


@pytest.mark.parametrize("alert", SICK)
def test_a_streamer_that_is_well_hides_none_that_is_not(alert, tmp_path):
    series, silent, firing = CASES[alert]
    well = {
        name.replace('streamer="s"', 'streamer="t"'): f"{values.split('x')[0].split('+')[0]}x60"
        for name, values in series.items()
        if OF_STREAMER in name
    }
    check_alert(alert, series | well, silent, firing, tmp_path)


@pytest.mark.parametrize("alert", CASES)
def test_an_alert_is_silent_and_fires(alert, tmp_path):
    check_alert(alert, *CASES[alert], tmp_path)


def check_alert(alert, series, silent, firing, tmp_path):
    query = f'count(ALERTS{{alertname="{alert}",alertstate="firing"}}) or vector(0)'
    expected = [
        {
            "expr": query,
            "eval_time": f"{minute}m",
            "exp_samples": [{"labels": "{}", "value": count}],
        }
        for minute, count in (
            *((minute, 0) for minute in silent),
            *([] if firing is None else [(firing, 1)]),
        )
    ]
    inputs = [{"series": name, "values": values} for name, values in series.items()]
    file = tmp_path / "test.yml"
    file.write_text(
        TEST_FILE.format(rules=RULES, series=json.dumps(inputs), expected=json.dumps(expected))
    )
    ran = promtool("test", "rules", file)
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: alert.name)
def test_an_alert_says_what_people_need(alert):
    assert alert.severity in ("critical", "warning")
    assert alert.summary
    assert alert.description
    headings = re.findall(r"^#+ (.+)$", (ROOT / alert.runbook_file).read_text(), re.MULTILINE)
    anchors = [re.sub(r"[^\w -]", "", one.lower()).replace(" ", "-") for one in headings]
    assert alert.runbook_anchor == alert.name.lower()
    assert alert.runbook_anchor in anchors, f"{alert.runbook_file} has no heading for it"


def test_only_metrics_that_exist_are_asked_about():
    text = RULES.read_text()
    sources = (ROOT / "monitor").glob("*metrics.py")
    exported = "\n".join(source.read_text() for source in sources)
    names = set(re.findall(r"\b(?:vigil|binance|process|kafka)_[a-z_]+", text))
    assert len(names) >= 20
    for name in names:
        assert f'"{name.removesuffix("_total")}"' in exported, name
