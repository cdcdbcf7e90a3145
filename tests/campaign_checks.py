"""After a campaign: both audits, and what a crash excuses."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.audit import CLOSED, Audit, audit_records, kind_of
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


NOT_WANTED = "not_wanted"
"""The reason of a gap while a symbol was not in the settings."""
UNUSABLE = "unusable"
"""The reason of a gap where the exchange itself tells what is no trade."""
REPAIRABLE = ("trade", "aggTrade", "kline")
"""Kinds whose past the exchange tells over REST."""


def check(
    exchange: Exchange,
    sink: CampaignSink,
    streams: tuple[str, ...],
    *,
    copies_excused: bool,
    nothing_lost: bool = False,
    sometimes: str = "",
) -> Checked:
    """Compare the sink with the exchange's tape, and ask the streamer's own audit.

    With `nothing_lost` even what nobody can tell later must be there: rotations alone lose none.
    The symbol `sometimes` was wanted now and then: what it lacks must be recorded.
    """
    problems: list[str] = []
    audits: list[Audit] = []
    gaps = sink.records("gap")
    for stream in streams:
        records = sink.records(stream)
        for symbol in exchange.symbols:
            if not any(
                (record["symbol"], _stream_of(stream, record)) == (symbol, stream)
                for record in records
            ):
                if symbol != sometimes:
                    problems.append(f"{stream} {symbol}: no record at all")
                continue
            audit = audit_records(exchange, records, stream, symbol)
            audits.append(audit)
            missing = list(audit.missing)
            if not nothing_lost:
                missing = _unexcused(stream, symbol, missing, gaps)
            found = _against_the_tape(audit, missing, copies_excused=copies_excused)
            problems += [f"{stream} {symbol}: {problem}" for problem in found]
    problems += [
        f"declared: {gap['stream']} {gap['symbol']} {gap['first_id']} to {gap['last_id']}, "
        f"{gap['reason']}"
        for gap in gaps
        if kind_of(gap["stream"]) in REPAIRABLE  # could be fetched
        and gap["reason"] != NOT_WANTED
        and not (gap["reason"] == UNUSABLE and _is_no_trade(exchange, gap))
    ]
    problems += _own_audit(sink, audits, copies_excused=copies_excused)
    return Checked(
        problems,
        records=sum(audit.count for audit in audits),
        backfilled=sum(len(audit.backfilled) for audit in audits),
        copies=sum(len(audit.doubled) for audit in audits),
    )


def _is_no_trade(exchange: Exchange, gap: dict[str, Any]) -> bool:
    """Return whether everything in a gap is without a quantity on the exchange's tape."""
    place = gap["stream"], gap["symbol"], gap["first_id"], gap["last_id"]
    return all(float(event["q"]) == 0 for event in exchange.tape(*place))


def _stream_of(stream: str, record: dict[str, Any]) -> str:
    """Return the stream of a record of the same kind."""
    if kind_of(stream) == "kline":
        return f"kline_{record['interval']}"
    return str(record.get("stream", stream))


def _unexcused(
    stream: str, symbol: str, missing: list[Any], gaps: list[dict[str, Any]]
) -> list[Any]:
    """Return what should have been fetched, or recorded as lost or not wanted."""
    kind = kind_of(stream)
    if kind not in (*REPAIRABLE, "depth"):
        return []
    mine = [gap for gap in gaps if (gap["stream"], gap["symbol"]) == (stream, symbol)]
    if kind == "kline":  # updates are superseded; the closing is what counts
        times = [(_us(gap["from_time"]), _us(gap["to_time"])) for gap in mine]
        closings = [each for each in missing if each[1] == CLOSED]
        return [one for one in closings if not any(begin <= one[0] < end for begin, end in times)]
    ids = [(gap["first_id"], gap["last_id"]) for gap in mine]
    return [one for one in missing if not any(first <= one <= last for first, last in ids)]


def _us(time: datetime) -> int:
    return (time - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def _against_the_tape(audit: Audit, missing: list[Any], *, copies_excused: bool) -> list[str]:
    found = {
        "missing": missing,
        "out of order": audit.disordered,
        "wrong": audit.wrong,
        "not on the tape": audit.foreign,
        "doubled": () if copies_excused else audit.doubled,
    }
    return [f"{what}: {len(items)}: {list(items)[:5]}" for what, items in found.items() if items]


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
    if sum(found["records"] for found in document["streams"]) != sum(
        audit.count for audit in audits
    ):
        problems.append("streamer audit: counts other records than fastavro does")
    return problems
