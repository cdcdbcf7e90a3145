"""After a campaign: both audits, and what a crash excuses."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

from tests.audit import IDS, Audit, audit_records
from tests.campaign_sinks import CampaignSink
from tests.exchange import Exchange
from tests.streaming import ROOT


@dataclass(frozen=True)
class Checked:
    """What both audits found; `problems` is empty when all is as promised."""

    problems: list[str]
    records: int
    backfilled: int
    copies: int


def check(
    exchange: Exchange, sink: CampaignSink, streams: tuple[str, ...], *, copies_excused: bool
) -> Checked:
    """Compare the sink with the exchange's tape, and ask the streamer's own audit."""
    problems: list[str] = []
    audits: list[Audit] = []
    for stream in streams:
        records = sink.records(stream)
        for symbol in exchange.symbols:
            if not any(record["symbol"] == symbol for record in records):
                problems.append(f"{stream} {symbol}: no record at all")
                continue
            audit = audit_records(exchange, records, stream, symbol)
            audits.append(audit)
            problems += _against_the_tape(stream, symbol, audit, copies_excused=copies_excused)
    problems += [
        f"declared: {gap['stream']} {gap['symbol']} {gap['first_id']} to {gap['last_id']}, "
        f"{gap['reason']}"
        for gap in sink.records("gap")
        if gap["stream"] in ("trade", "aggTrade")  # all of it could be fetched
    ]
    problems += _own_audit(sink, audits, copies_excused=copies_excused)
    return Checked(
        problems,
        records=sum(audit.count for audit in audits),
        backfilled=sum(len(audit.backfilled) for audit in audits),
        copies=sum(len(audit.doubled) for audit in audits),
    )


def _against_the_tape(stream: str, symbol: str, audit: Audit, *, copies_excused: bool) -> list[str]:
    found = {
        "missing": audit.holes,
        "out of order": audit.disordered,
        "wrong": audit.wrong,
        "not on the tape": audit.foreign,
        "doubled": () if copies_excused else audit.doubled,
    }
    return [
        f"{stream} {symbol}: {what}: {len(items)}: {list(items)[:5]}"
        for what, items in found.items()
        if items
    ]


def _own_audit(sink: CampaignSink, audits: list[Audit], *, copies_excused: bool) -> list[str]:
    command = [sys.executable, "-m", "streamer", "audit", "--json", *sink.audit_arguments()]
    if not copies_excused:
        command.append("--no-copies")
    ended = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
    )
    try:
        document: dict[str, Any] = json.loads(ended.stdout)
    except ValueError:
        return [f"streamer audit: exit code {ended.returncode}: {ended.stderr.strip()}"]
    problems = []
    if ended.returncode:
        told = [
            {key: found[key] for key in ("stream", "symbol", "missing_ranges", "copies",
                                         "differing_ids", "disorder")}
            for found in document["streams"]
            if found["missing"] or found["copies"] or found["disorder"] or found["differing"]
        ]  # fmt: skip
        problems.append(f"streamer audit: exit code {ended.returncode}: {told}")
        problems += document["unreadable"]
    contiguous = [found for found in document["streams"] if found["stream"] in IDS]
    if sum(found["records"] for found in contiguous) != sum(audit.count for audit in audits):
        problems.append("streamer audit: counts other records than fastavro does")
    return problems
