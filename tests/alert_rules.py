"""Vigil's alert rules for tests: as shipped, or with their time running faster."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from tests.streaming import ROOT

RULES = ROOT / "deploy" / "prometheus" / "vigil.rules.yml"
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION = r"(?P<count>\d+)(?P<unit>[smhd])"
LEAST_SCRAPES = 4  # within a range: it needs samples to compare


@dataclass(frozen=True)
class Alert:
    """What a rule says of itself."""

    name: str
    severity: str
    summary: str
    description: str
    runbook_file: str
    runbook_anchor: str


def alerts(text: str | None = None) -> list[Alert]:
    """Return every alert of the rules."""
    found = []
    for block in re.split(r"\n\s*- (?=alert: |record: )", text or RULES.read_text()):
        if not block.startswith("alert: "):
            continue

        def value(key: str, block: str = block) -> str:
            match = re.search(rf"{key}: \"?(.*?)\"?\s*$", block, re.MULTILINE)
            return match.group(1) if match else ""

        severity = re.search(r"severity: (\w+)", block)
        file, _, anchor = value("runbook_url").partition("#")
        found.append(
            Alert(
                name=block.split()[1],
                severity=severity.group(1) if severity else "",
                summary=value("summary"),
                description=value("description"),
                runbook_file=file,
                runbook_anchor=anchor,
            )
        )
    return found


def hurried(directory: Path, factor: float = 60.0, scrape_seconds: int = 1) -> Path:
    """Write the rules with `for` and every range divided by a factor, and return the file.

    Nothing else changes: not an expression, not a threshold.
    """

    def shorter(match: re.Match[str], least: float) -> str:
        seconds = int(match["count"]) * _UNITS[match["unit"]] / factor
        return f"{match['before']}{max(round(seconds), round(least))}s{match['after']}"

    text = RULES.read_text()
    text = re.sub(rf"(?P<before>for: ){_DURATION}(?P<after>)", lambda m: shorter(m, 1), text)
    text = re.sub(
        rf"(?P<before>\[){_DURATION}(?P<after>\])",
        lambda m: shorter(m, LEAST_SCRAPES * scrape_seconds),
        text,
    )
    file = directory / "vigil.rules.yml"
    file.write_text(text)
    return file
