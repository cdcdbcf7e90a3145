from __future__ import annotations

from typing import Any

import pytest

from monitor.events import iso
from monitor.report.connections import LANES, timeline
from tests import profiles
from tests.unit.monitor.observations import EPOCH, NAME

HOUR = 3600


def document(*events: tuple[float, str, dict[str, Any]], generation: int = 1) -> dict[str, Any]:
    return {
        "test_metadata": {"actual_duration_hours": 1.0, "start_time": iso(EPOCH)},
        "events": [
            {
                "time": iso(EPOCH + at),
                "elapsed_seconds": at + 1,  # heard of a second later
                "kind": kind,
                "streamer": NAME,
                "generation": generation,
                "detail": detail,
            }
            for at, kind, detail in events
        ],
    }


def opened(number: int, slot: str = "slot-1") -> tuple[str, dict[str, Any]]:
    return "connection_opened", {"connection_id": number, "slot": slot}


def closed(number: int, **detail: Any) -> tuple[str, dict[str, Any]]:
    fields = {"connection_id": number, "slot": "slot-1", "planned": True, "dropped": False}
    return "connection_closed", {**fields, "reason": "age", **detail}


def test_a_connection_is_a_bar_from_its_opening_to_its_end() -> None:
    found = timeline(
        document(
            (1.0, *opened(1)), (100.0, *opened(2)), (105.0, *closed(1)), (3000.0, *opened(9, "x"))
        )
    )
    bars = [(one.lane, one.start_seconds, one.end_seconds) for one in found.bars]
    assert bars == [("slot-1", 1, 105), ("slot-1", 100, HOUR), ("x", 3000, HOUR)]
    assert found.lanes == ["slot-1", "x", *LANES]


def test_a_bar_without_an_opening_that_was_kept_begins_by_its_age() -> None:
    found = timeline(document((500.0, *closed(4, age_seconds=200.0))))
    assert found.bars[0].start_seconds == pytest.approx(300)


def test_connections_end_with_their_process() -> None:
    ended = (50.0, "exited", {"exit_code": -9, "expected": False})
    found = timeline(document((1.0, *opened(1)), ended))
    assert found.bars[0].end_seconds == 50
    assert [(one.lane, one.weight) for one in found.marks] == [("restarts", "bad")]


def test_drops_gaps_repairs_rotations_and_alarms_have_their_lanes() -> None:
    found = timeline(
        document(
            (1, "rotation_completed", {"slot": "slot-1"}),
            (2, "rotation_failed", {"slot": "slot-1"}),
            (3, *closed(1, planned=False, dropped=True, reason="reset")),
            (4, "gap", {"symbol": "BTCUSDT", "missing": 3}),
            (5, "gap_repaired", {"symbol": "BTCUSDT"}),
            (6, "action", {"action": "rotate", "message": "by age"}),
            (7, "action", {"action": "warn", "message": "high"}),
            (8, "action", {"action": "abort", "message": "higher"}),
            (9, "pong_timeout", {"slot": "slot-1"}),
            (10, "something new", {}),
        )
    )
    assert [(one.lane, one.at_seconds, one.weight) for one in found.marks] == [
        ("rotations", 1, "good"),
        ("rotations", 2, "warning"),
        ("drops", 3, "bad"),
        ("gaps", 4, "bad"),
        ("repairs", 5, "good"),
        ("alarms", 7, "warning"),
        ("alarms", 8, "bad"),
        ("trouble", 9, "warning"),
    ]


def test_a_clock_that_was_set_is_not_believed() -> None:
    jumped = document((1.0, *opened(1)))
    jumped["events"][0]["time"] = iso(EPOCH + 7200)
    assert timeline(jumped).bars[0].start_seconds == 2.0


def test_a_day_has_its_connections_and_the_predecessor_none() -> None:
    found = timeline(profiles.leaking_day(5.0))
    assert len(found.bars) == 8  # five rotations, two losses
    assert sum(one.lane == "rotations" for one in found.marks) == 5
    assert sum(one.lane == "drops" for one in found.marks) == 2
    assert timeline(profiles.predecessors()).lanes == list(LANES)
