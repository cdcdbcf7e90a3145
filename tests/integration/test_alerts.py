"""The alert rules: valid, firing when they should, about metrics and runbooks that exist."""

from __future__ import annotations

import re
import subprocess

from tests.streaming import ROOT
from tests.tools import required

RULES = ROOT / "deploy" / "prometheus" / "vigil.rules.yml"
TESTS = """
rule_files: [{rules}]
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series:
      - series: 'vigil_dead_letters_total{{streamer="s"}}'
        values: '0x5 3x20'
      - series: 'binance_gaps_total{{stream="depth@100ms",symbol="BTCUSDT"}}'
        values: '0x5 1x20'
      - series: 'vigil_sink_acknowledged_records_total{{streamer="s"}}'
        values: '0+100x5 500x20'
      - series: 'vigil_sink_queued_records{{streamer="s"}}'
        values: '0x5 70x20'
      - series: 'vigil_sink_overflow_records{{streamer="s"}}'
        values: '0x5 70x30'
      - series: 'vigil_events_let_go_total{{streamer="s"}}'
        values: '0x5 9x20'
      - series: 'binance_rest_errors_total{{error_type="misfit"}}'
        values: '0x5 3x20'
      - series: 'binance_rest_errors_total{{error_type="unusable"}}'
        values: '0x5 1x20'
      - series: 'binance_message_errors_total{{error_type="differing_copy"}}'
        values: '0x5 1x20'
      - series: 'binance_id_epochs_total{{stream="trade",symbol="BTCUSDT"}}'
        values: '0x5 1x20'
      - series: 'binance_clock_offset_seconds'
        values: '0.2x5 -600x20'
      - series: 'vigil_streamer_up{{streamer="s"}}'
        values: '1x5 0x20'
      - series: 'process_memory_rss_bytes{{streamer="s"}}'
        values: '{low}x5 {high}x20'
    alert_rule_test:
{expected}
"""
FIRES = {  # alert: (minute at which it does not, minute at which it does)
    "VigilDeadLetters": (4, 8),
    "VigilBookLost": (4, 8),
    "VigilSinkStalled": (6, 14),
    "VigilOverflowGrows": (18, 24),
    "VigilEventsLetGo": (4, 8),
    "VigilOtherVenue": (4, 8),
    "VigilUnusableTrades": (4, 8),
    "VigilDifferingCopies": (4, 8),
    "VigilClockOff": (5, 9),
    "VigilIdsStartedAnew": (4, 8),
    "VigilStreamerDown": (6, 9),
    "VigilMemoryHigh": (12, 18),
}


def test_the_rules_are_valid_and_fire(tmp_path):
    promtool = required("promtool", "prometheus")
    checked = subprocess.run([promtool, "check", "rules", RULES], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr

    for alert, (quiet, firing) in FIRES.items():
        for minute, count in ((quiet, 0), (firing, 1)):
            query = f"      - {{alertname: {alert}, eval_time: {minute}m, exp_alerts: []}}"
            file = tmp_path / f"{alert}-{minute}.yml"
            file.write_text(TESTS.format(rules=RULES, low=1 << 20, high=500 << 20, expected=query))
            ran = subprocess.run([promtool, "test", "rules", file], capture_output=True, text=True)
            fired = "got:[" in ran.stderr.replace("\n", "").replace(" ", "") and ran.returncode
            assert bool(fired) == bool(count), (alert, minute, ran.stdout, ran.stderr)


def test_metrics_and_runbooks_exist():
    text = RULES.read_text()
    exported = (ROOT / "monitor" / "metrics.py").read_text()
    names = set(re.findall(r"\b(?:vigil|binance|process|kafka)_[a-z_]+", text))
    assert len(names) >= 7
    for name in names:
        assert f'"{name.removesuffix("_total")}"' in exported, name
    for runbook in re.findall(r"runbook_url: (\S+)", text):
        assert (ROOT / runbook).is_file(), runbook
