"""Connections over time as the report draws them: a bar each, and what happened to them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal

LANES: Final = ("rotations", "drops", "gaps", "repairs")
"""Always shown: an empty one says that there was none."""

FURTHER_LANES: Final = ("restarts", "alarms", "trouble")
"""Shown when there is something in them."""

Weight = Literal["good", "warning", "bad"]

BELIEVED_SECONDS = 5.0  # between the clocks of an event: more, and the wall clock was set

_LANE_OF: Final = {
    "rotation_completed": "rotations",
    "rotation_failed": "rotations",
    "gap": "gaps",
    "gap_repaired": "repairs",
    "gap_empty": "repairs",
    "connection_failed": "trouble",
    "server_shutdown": "trouble",
    "pong_timeout": "trouble",
    "rest_trouble": "trouble",
    "frame_rejected": "trouble",
    "sink_error": "trouble",
    "warning": "trouble",
}
_WEIGHT_OF: Final[Mapping[str, Weight]] = {
    **dict.fromkeys(("rotation_completed", "gap_repaired", "gap_empty", "launched"), "good"),
    **dict.fromkeys(("gap", "connection_closed", "exited", "sink_error"), "bad"),
}
"""What else there is, is a warning."""

_AS_PLANNED: Final = frozenset(
    (
        "connection_opened",
        "rotation_started",
        "subscription_changed",
        "stream_available",
        "collected",
    )
)


@dataclass(frozen=True, slots=True)
class Bar:
    """A connection from its opening to its end."""

    lane: str
    start_seconds: float
    end_seconds: float
    number: int
    text: str  # how it ended


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened."""

    lane: str
    at_seconds: float
    text: str
    weight: Weight


@dataclass(slots=True)
class Timeline:
    """Bars and marks, with the lanes from top to bottom."""

    slots: list[str] = field(default_factory=list)
    bars: list[Bar] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)

    @property
    def lanes(self) -> list[str]:
        """Return the lanes from top to bottom."""
        used = {one.lane for one in self.marks}
        return [*sorted(self.slots), *LANES, *(one for one in FURTHER_LANES if one in used)]


@dataclass(frozen=True, slots=True)
class _Open:
    lane: str
    since_seconds: float


def timeline(document: Mapping[str, Any]) -> Timeline:
    """Return what the events of a document tell; nothing of the predecessor's."""
    events: Sequence[Mapping[str, Any]] = document.get("events") or ()
    meta = document["test_metadata"]
    end = float(meta["actual_duration_hours"]) * 3600
    several = len({one.get("streamer") for one in events if one.get("streamer")}) > 1
    found = Timeline()
    opened: dict[tuple[Any, ...], _Open] = {}
    for event in events:
        kind, detail = event["kind"], event.get("detail") or {}
        at = _seconds(event, meta["start_time"])
        process = (event.get("streamer"), event.get("generation"))
        lane = str(detail.get("slot", "connections"))
        if several:
            lane = f"{event.get('streamer')} {lane}"
        if kind == "connection_opened":
            _add_slot(found, lane)
            opened[*process, detail.get("connection_id")] = _Open(lane, at)
        elif kind == "connection_closed":
            _add_slot(found, lane)
            start = opened.pop((*process, detail.get("connection_id")), None)
            # Of many events the middle ones are not kept: its age tells when it was opened.
            since = start.since_seconds if start else at - (detail.get("age_seconds") or 0.0)
            _add_bar(found, lane, since, at, _ending(detail))
        elif kind == "exited":
            for key in [one for one in opened if one[:2] == process]:
                start = opened.pop(key)
                _add_bar(found, start.lane, start.since_seconds, at, "ended with its process")
        found.marks.extend(_marks(event, kind, detail, at))
    for start in opened.values():
        _add_bar(found, start.lane, start.since_seconds, max(end, start.since_seconds), "open")
    return found


def described(detail: Mapping[str, Any]) -> str:
    """Return the detail of an event in a line."""
    return ", ".join(f"{key} {value}" for key, value in detail.items() if value is not None)


def weight_of(kind: str, detail: Mapping[str, Any]) -> Weight:
    """Return how bad an event is."""
    if kind == "action":
        if detail.get("action") == "rotate" and detail.get("rule") == "age":
            return "good"
        return "warning" if detail.get("action") in ("warn", "rotate", "collect") else "bad"
    if detail.get("planned") or detail.get("expected"):  # the end of a connection, of a process
        return "good"
    return "good" if kind in _AS_PLANNED else _WEIGHT_OF.get(kind, "warning")


def _add_slot(found: Timeline, lane: str) -> None:
    if lane not in found.slots:
        found.slots.append(lane)


def _add_bar(found: Timeline, lane: str, start: float, end: float, text: str) -> None:
    number = sum(one.lane == lane for one in found.bars) + 1
    found.bars.append(Bar(lane, max(start, 0.0), end, number, text))


def _ending(detail: Mapping[str, Any]) -> str:
    how = "as planned" if detail.get("planned") else "lost"
    return f"{how}: {detail.get('reason')}"


def _marks(
    event: Mapping[str, Any], kind: str, detail: Mapping[str, Any], at: float
) -> Iterator[Mark]:
    lane = _LANE_OF.get(kind)
    if kind == "connection_closed" and detail.get("dropped"):
        lane = "drops"
    elif (kind == "exited" and detail.get("expected") is False) or (
        kind == "launched" and (event.get("generation") or 1) > 1
    ):
        lane = "restarts"
    elif kind == "action" and detail.get("action") != "rotate":
        weight: Weight = "warning" if detail.get("action") == "warn" else "bad"
        yield Mark("alarms", at, str(detail.get("message")), weight)
    if lane is not None:
        words = kind.replace("_", " ")
        yield Mark(lane, at, f"{words}: {described(detail)}", _WEIGHT_OF.get(kind, "warning"))


def _seconds(event: Mapping[str, Any], start_time: str) -> float:
    """Return when it happened: by its own clock, which tells more than when it was heard of."""
    heard = float(event["elapsed_seconds"])
    own = datetime.fromisoformat(event["time"]) - datetime.fromisoformat(start_time)
    seconds = own.total_seconds()
    return seconds if abs(seconds - heard) <= BELIEVED_SECONDS else heard
