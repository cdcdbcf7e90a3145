"""Breaches in a sentence, for logs, profile and terminal."""

from __future__ import annotations

from monitor.measurements import Measurement
from monitor.rules import Rule
from monitor.state import Child

MIB = 1 << 20


def sentence(rule: Rule, measurement: Measurement, child: Child, held_seconds: float) -> str:
    """Say what was breached, by how much and for how long."""
    subject = " ".join(part for part in (measurement.stream, measurement.symbol) if part)
    if not subject and measurement.slot:
        subject = f"slot {measurement.slot}"
    streamer = child.process.launched.streamer
    where = f"{streamer}: {subject}" if subject else streamer
    name = rule.metric.removesuffix("_bytes").removesuffix("_seconds").replace("_", " ")
    beyond = "is above" if rule.direction == "above" else "is below"
    text = (
        f"{where}: {name} {amount(rule.metric, measurement.value)} {beyond} "
        f"{amount(rule.metric, rule.limit)}"
    )
    if rule.for_seconds:
        held = max(held_seconds, rule.for_seconds)
        text += f" over {held:.0f} s"
    if rule.metric == "leak_score" and child.process.leak.latest is not None:
        text += f": {child.process.leak.latest.reason}"
    return text


def amount(metric: str, value: float) -> str:
    """Write a value with the unit of its metric."""
    if metric.endswith("_bytes"):
        return f"{value / MIB:.1f} MiB"
    if metric.endswith("_seconds"):
        return f"{value:.1f} s"
    if metric == "events_per_second":
        return f"{value:.2f}/s"
    return f"{value:.3g}"
