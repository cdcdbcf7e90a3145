"""After a campaign: both audits, and what a crash excuses."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.audit import CLOSED, Audit, audit_records, kind_of
from tests.audit_epochs import NUMBERED, EpochAudit, Place, audit_epochs, epoch_of
from tests.campaign_quotes import missing_quotes
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
    missing_quotes: tuple[str, ...] = ()  # books by which the audit found withheld quotes missing


NOT_WANTED = "not_wanted"
"""The reason of a gap while a symbol was not in the settings."""
UNUSABLE = "unusable"
"""The reason of a gap where the exchange itself tells what is no trade."""
NEW_EPOCH = "new_epoch"
"""The reason of a gap where the exchange began its ids anew: it tells of none before any more."""
Key = tuple[str, str]
"""Stream and symbol."""
_BAD = ("missing", "differing", "disorder", "apart", "untimely", "foreign_ids")
"""What an audit counts of a stream, and must be 0."""
_QUOTES_MISSING = "quotes are missing and in no gap record"
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
            mine = [one for one in gaps if (one["stream"], one["symbol"]) == (stream, symbol)]
            try:
                audit, lost, declared = _looked_at(exchange, records, stream, symbol, mine)
            except ValueError as error:
                problems.append(f"{stream} {symbol}: {error}")
                continue
            audits.append(audit)
            problems += [f"declared: {_told(gap)}" for gap in declared]
            if nothing_lost:
                lost = list(audit.missing)
            found = _against_the_tape(audit, lost, copies_excused=copies_excused)
            problems += [f"{stream} {symbol}: {problem}" for problem in found]
    missing: dict[Key, list[tuple[int, int]]] = {}
    if "bookTicker" in streams:
        for stream in streams:
            if kind_of(stream) == "depth":
                missing |= _missing_quotes(exchange, sink, stream, gaps, problems)
    problems += _own_audit(sink, audits, missing, copies_excused=copies_excused)
    return Checked(
        problems,
        records=sum(audit.count for audit in audits),
        backfilled=sum(len(audit.backfilled) for audit in audits),
        copies=sum(len(audit.doubled) for audit in audits),
        missing_quotes=tuple(" ".join(key) for key in missing),
    )


def _missing_quotes(
    exchange: Exchange,
    sink: CampaignSink,
    stream: str,
    gaps: list[dict[str, Any]],
    problems: list[str],
) -> dict[Key, list[tuple[int, int]]]:
    """Return between which quotes the audit must find others missing; none that was sent may be."""
    quotes, changes, snapshots = map(sink.records, ("bookTicker", stream, "depthSnapshot"))
    faults = exchange.faults()
    found = {}
    for symbol in exchange.symbols:
        name = f"{symbol.lower()}@bookTicker"
        withheld = [fault["withheld"][name] for fault in faults if name in fault["withheld"]]
        expected = missing_quotes(
            exchange.tape("bookTicker", symbol),
            [each for each in quotes if each["symbol"] == symbol],
            [each for each in changes if (each["symbol"], each["stream"]) == (symbol, stream)],
            [each for each in snapshots if each["symbol"] == symbol],
            [each for each in gaps if (each["stream"], each["symbol"]) == ("bookTicker", symbol)],
            [(each["first_id"], each["last_id"]) for each in withheld],
        )
        if expected.not_withheld:
            problems.append(f"bookTicker {symbol}: missing, and sent: {expected.not_withheld[:5]}")
        if expected.ranges:
            found[stream, symbol] = expected.ranges
    return found


def _looked_at(
    exchange: Exchange,
    records: list[dict[str, Any]],
    stream: str,
    symbol: str,
    gaps: list[dict[str, Any]],
) -> tuple[Audit, list[Any], list[dict[str, Any]]]:
    """Return the comparison with the tape, what is missing, and what need not have been declared.

    Raises ValueError for an epoch that the tape does not have.
    """
    kind = kind_of(stream)
    if kind in NUMBERED:
        numbered = audit_epochs(records, exchange.tape(stream, symbol), stream, symbol)
        declared = [gap for gap in gaps if not _may_be_lost(numbered, gap)]
        if kind not in REPAIRABLE:
            return numbered.audit, [], declared
        excused = {place for gap in gaps for place in _places(numbered, gap)}
        missing = [place for place in numbered.audit.missing if place not in excused]
        return numbered.audit, missing, declared
    audit = audit_records(exchange, records, stream, symbol)
    declared = [gap for gap in gaps if kind in REPAIRABLE and gap["reason"] != NOT_WANTED]
    return audit, unexcused(kind, list(audit.missing), gaps), declared


def _told(gap: dict[str, Any]) -> str:
    ids = f"{gap['first_id']} to {gap['last_id']}"
    times = f"{gap['from_time']} to {gap['to_time']}"
    return f"{gap['record_id']}: {ids}, {times}, {gap['reason']}"


def _places(numbered: EpochAudit, gap: dict[str, Any]) -> list[Place]:
    """Return what of the tape a gap record declares: by ids of its epoch, or by two times.

    Where ids began anew: all between the last record before and the first one after. The times
    may be those of the local clock, whose offset a process does not know when it starts.
    """
    if gap["first_id"] is not None:
        numbering = numbered.numbering.get(epoch_of(gap["record_id"]))
        ids = range(gap["first_id"], gap["last_id"] + 1)
        return [place for place in numbered.tape if place[0] == numbering and place[1] in ids]
    if gap["reason"] == NEW_EPOCH:
        return numbered.before(epoch_of(gap["record_id"]))
    begin, end = _us(gap["from_time"]), _us(gap["to_time"])
    return [place for place, one in numbered.tape.items() if begin <= one.get("T", -1) <= end]


def _may_be_lost(numbered: EpochAudit, gap: dict[str, Any]) -> bool:
    """Return whether a gap could not be fetched, or was not wanted."""
    places = _places(numbered, gap)
    if gap["reason"] == NOT_WANTED or kind_of(gap["stream"]) not in REPAIRABLE:
        return True
    if gap["reason"] == UNUSABLE:
        return all(float(numbered.tape[place]["q"]) == 0 for place in places)
    if gap["reason"] != NEW_EPOCH:
        return False
    if gap["first_id"] is not None:
        return all(numbering < numbered.last_numbering for numbering, _ in places)
    return numbered.numbering.get(epoch_of(gap["record_id"]), 1) > 0  # ids did begin anew


def _stream_of(stream: str, record: dict[str, Any]) -> str:
    """Return the stream of a record of the same kind."""
    if kind_of(stream) == "kline":
        return f"kline_{record['interval']}"
    return str(record.get("stream", stream))


def unexcused(kind: str, missing: list[Any], gaps: list[dict[str, Any]]) -> list[Any]:
    """Return what should have been fetched, or recorded as lost or not wanted."""
    if kind == "kline":  # updates are superseded; the closing is what counts
        times = [(_us(gap["from_time"]), _us(gap["to_time"])) for gap in gaps]
        closings = [each for each in missing if each[1] == CLOSED]
        return [one for one in closings if not any(begin <= one[0] < end for begin, end in times)]
    if kind == "depth":
        ids = [(gap["first_id"], gap["last_id"]) for gap in gaps]
        return [one for one in missing if not any(first <= one <= last for first, last in ids)]
    return []


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


def _own_audit(
    sink: CampaignSink,
    audits: list[Audit],
    missing: dict[Key, list[tuple[int, int]]],
    *,
    copies_excused: bool,
) -> list[str]:
    """Return what the streamer's own audit says that it should not, or does not say.

    It must find `missing`, the quotes that the exchange withheld, and end with 3 if there are any.
    """
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
    bad = _BAD if copies_excused else (*_BAD, "copies")
    told: list[Any] = [
        {key: found[key] for key in ("stream", "symbol", "missing_ranges", *bad) if found[key]}
        for found in document["streams"]
        if any(found[key] for key in bad)
    ]
    told += [each for each in document["problems"] if _QUOTES_MISSING not in each]
    told += document["unreadable"]
    problems = []
    if told or ended.returncode != (3 if missing else 0):
        problems.append(f"streamer audit: exit code {ended.returncode}: {told}")
    told_missing = {
        (book["stream"], book["symbol"]): [
            (each["after_id"], each["before_id"]) for each in book["missing_quote_ranges"]
        ]
        for book in document["books"]
        if book["missing_quotes"]
    }
    sentences = sum(_QUOTES_MISSING in each for each in document["problems"])
    if told_missing != missing or sentences != len(missing):
        problems.append(f"streamer audit: quotes missing: {told_missing}, expected {missing}")
    # Snapshots of books are no events of the tape.
    of_streams = (
        found["records"] for found in document["streams"] if found["stream"] != "depthSnapshot"
    )
    if sum(of_streams) != sum(audit.count for audit in audits):
        problems.append("streamer audit: counts other records than fastavro does")
    return problems
