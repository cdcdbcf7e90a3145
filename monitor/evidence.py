"""A profile document as the judge reads it: ours, or the predecessor's with what it has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import repeat
from math import inf
from typing import Any

from monitor.series import Bin, Curve, curve_of
from monitor.soak_plans import HOUR, MIB, PROFILES, SoakPlan, scaled
from monitor.stream_records import StreamRecord, from_json, records_of
from monitor.subscription_history import spans

ROUNDED = 0.001  # of what a document holds of seconds
_REASON_CHARACTERS = 300  # an error may repeat the value that it is about


class DocumentError(ValueError):
    """A document that is no profile: says what is missing or wrong."""


@dataclass(frozen=True, slots=True)
class Process:
    """One generation of a streamer."""

    name: str
    generation: int
    started_seconds: float
    bin_seconds: float
    bins: tuple[Bin, ...]  # complete ones
    peak_rss_bytes: int
    facts: Mapping[str, Any]  # the generation's other keys; empty in the predecessor's format
    collections: tuple[int, ...] = ()  # bins in which it was collected and trimmed
    accounts_for_all: bool = False  # it told every cache of its memory, and free heap

    def __str__(self) -> str:
        return f"{self.name} generation {self.generation}"


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of a run between two interruptions; see `monitor.segments`. Times are elapsed ones."""

    started_seconds: float
    ended_seconds: float
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is judged. `own_format` is False for the predecessor's, which lacks the rest."""

    own_format: bool
    profile: SoakPlan
    elapsed_seconds: float
    ended: str | None
    rows: Sequence[Mapping[str, Any]]
    processes: tuple[Process, ...]
    summary: Mapping[str, Any]
    settings: Mapping[str, Any]
    symbols: tuple[str, ...]
    changes: Sequence[
        Mapping[str, Any]
    ]  # of the streams wanted; see `monitor.subscription_history`
    actions: Sequence[Mapping[str, Any]] | None
    reference: Curve | None  # memory of a known-good run, if one was given
    segments: tuple[Segment, ...] = ()  # of a run that was resumed; none of any other
    kept_records: Mapping[str, Sequence[StreamRecord]] | None = None  # None: only rows tell

    @property
    def cut_short(self) -> bool:
        """Whether the run did not come to its end for a cause that is judged elsewhere, or not."""
        return self.own_format and self.ended != "completed"

    @property
    def wanted(self) -> dict[str, tuple[float, float]]:
        """From when to when each stream was wanted, in seconds: names such as trade:BTCUSDT."""
        streams = self.settings.get("streams") or ()
        named = [symbol for symbol in self.symbols if not is_pattern(symbol)]
        if self.is_of_group:
            named = []  # the group told which of them were here
        initial = [f"{stream}:{symbol}" for stream in streams for symbol in named]
        if len(named) < len(self.symbols):
            # What was chosen at the beginning is not recorded: what delivered is known.
            joined = {name for change in self.changes for name in change["added"]}
            initial += [name for name in self.delivered or () if name not in {*initial, *joined}]
        return spans(initial, self.changes, self.elapsed_seconds)

    @property
    def is_of_group(self) -> bool:
        """Whether a group of several machines shared the symbols: which were here is told later."""
        effective = self.settings.get("effective") or {}
        return bool((effective.get("group") or {}).get("enabled"))

    def by_segment(self, rows: Sequence[Mapping[str, Any]]) -> list[Sequence[Mapping[str, Any]]]:
        """Return rows apart by segment: what spans an interruption was seen by nobody."""
        if not self.segments:
            return [rows]
        return [
            [
                row
                for row in rows
                if one.started_seconds < row["elapsed_seconds"] <= one.ended_seconds + ROUNDED
            ]
            for one in self.segments
        ]

    @property
    def delivered(self) -> Mapping[str, int] | None:
        """Events of each stream at the end; None where nobody has recorded them."""
        if not self.rows:
            return None
        if "events" in self.rows[-1]:
            events: Mapping[str, int] | None = self.rows[-1]["events"]
            return events
        if self.kept_records is None:
            return None
        return {name: records[-1].total for name, records in self.kept_records.items()}

    def records(
        self, wanted: Mapping[str, tuple[float, float]]
    ) -> Mapping[str, Sequence[StreamRecord]]:
        """Return what is known of streams in the time in which they were wanted, by segment.

        Rows that hold the events of each stream tell it at any time of the run; of more streams
        it is known once the run is over.
        """
        if not all("events" in row for row in self.rows):
            return {
                name: [one for one in records if began <= one.began and one.ended <= ended]
                for name, records in (self.kept_records or {}).items()
                for began, ended in (wanted.get(name, (inf, inf)),)
            }
        found: dict[str, list[StreamRecord]] = {}
        for rows in self.by_segment(self.rows):
            for name, records in records_of(rows, wanted).items():
                found.setdefault(name, []).extend(records)
        return found

    def setting(self, name: str, default: float) -> float:
        """Return a number of the settings."""
        return float(self.settings.get(name, default))


def evidence_of(document: Mapping[str, Any]) -> Evidence:
    """Return what a document says. Raises DocumentError when it is no profile."""
    with foreign():
        return _evidence(document)


@contextmanager
def foreign() -> Iterator[None]:
    """Raise DocumentError for whatever a document of unknown origin makes of its judge.

    Any value of it may have any type or size, so that there is no list of what can go wrong.
    """
    try:
        yield
    except DocumentError:
        raise
    except (
        ArithmeticError,
        AttributeError,
        LookupError,
        RecursionError,
        TypeError,
        ValueError,
    ) as error:
        lacking = isinstance(error, KeyError)
        why = (f"it has no {error}" if lacking else repr(error))[:_REASON_CHARACTERS]
        raise DocumentError(f"not a profile that can be judged: {why}") from error


def _evidence(document: Mapping[str, Any]) -> Evidence:
    meta = document["test_metadata"]
    rows = document["memory_samples"]
    own_format = "schema_version" in document
    if own_format and document["schema_version"] != 1:
        raise ValueError(f"schema_version {document['schema_version']} is not known here; 1 is")
    if own_format:
        processes = tuple(
            _process(streamer["name"], generation)
            for streamer in document["streamers"]
            for generation in streamer["generations"]
        )
    else:
        processes = _predecessors(rows, float(meta["sample_interval_seconds"]))
    return Evidence(
        own_format=own_format,
        profile=_profile(document, meta),
        elapsed_seconds=float(meta["actual_duration_hours"]) * 3600,
        ended=meta.get("ended"),
        rows=[{"elapsed_seconds": row["elapsed_hours"] * 3600, **row} for row in rows],
        processes=processes,
        summary=document.get("summary_statistics") or {},
        settings=document.get("settings") or {},
        symbols=tuple(meta.get("symbols") or ()),
        changes=document.get("subscription_changes") or (),
        actions=document.get("actions"),
        reference=_reference(document.get("reference")),
        kept_records=_records(document.get("stream_records")),
        segments=tuple(
            Segment(float(one["started_seconds"]), float(one["ended_seconds"]), one)
            for one in document.get("segments") or ()
        ),
    )


def _records(
    kept: Mapping[str, Sequence[Sequence[Any]]] | None,
) -> Mapping[str, Sequence[StreamRecord]] | None:
    return None if kept is None else from_json(kept)


def _profile(document: Mapping[str, Any], meta: Mapping[str, Any]) -> SoakPlan:
    if document.get("profile"):
        return SoakPlan(**document["profile"])
    hours = meta.get("test_duration_hours")
    seconds = float(hours) * 3600 if hours else PROFILES["24h"].duration_seconds
    return scaled(PROFILES["1h" if seconds <= HOUR else "24h"], seconds)


def _process(name: str, generation: Mapping[str, Any]) -> Process:
    columns = generation["bins"]
    bins = tuple(
        Bin(*values)
        for values in zip(
            columns["index"],
            columns["rss_min_bytes"],
            columns["rss_max_bytes"],
            columns["rss_last_bytes"],
            columns["messages_total"],
            columns["rotations_total"],
            # Profiles of before it was told are judged by RSS alone.
            columns.get("unexplained_min_bytes") or repeat(None, len(columns["index"])),
            strict=True,
        )
    )
    return Process(
        name=name,
        generation=generation["generation"],
        started_seconds=generation["started_seconds"],
        bin_seconds=float(columns["seconds"]),
        bins=bins[:-1],  # the last one was still open
        peak_rss_bytes=generation["peak_rss_bytes"],
        facts=generation,
        collections=tuple(one["bin"] for one in generation.get("collections", ())),
        accounts_for_all=bool(generation.get("accounts_for_all_memory")),
    )


def _reference(kept: Mapping[str, Any] | None) -> Curve | None:
    if kept is None:
        return None
    return curve_of(kept["bin_seconds"], kept["index"], kept["rss_min_bytes"])


def _predecessors(rows: Sequence[Mapping[str, Any]], seconds: float) -> tuple[Process, ...]:
    """Return the one process that sampled itself; each of its samples is a bin of its own."""
    bins: list[Bin] = []
    for row in rows:
        index = max(round(row["elapsed_hours"] * 3600 / seconds) - 1, 0)
        if not bins or index > bins[-1].index:
            rss = round(row["rss_mb"] * MIB)
            bins.append(Bin(index, rss, rss, rss, row["messages_received"], 0))
    peak = max((one.rss_max_bytes for one in bins), default=0)
    return (Process("predecessor", 1, 0.0, seconds, tuple(bins), peak, {}),) if bins else ()


def is_pattern(symbol: str) -> bool:
    """Return whether an entry of `exchange.symbols` is no name: `*` and `?`, `!` or all."""
    return symbol == "ALL" or symbol.startswith("!") or "*" in symbol or "?" in symbol
