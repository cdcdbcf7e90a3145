from __future__ import annotations

from dataclasses import replace

import pytest

from monitor.health import warnings
from monitor.load import Load
from supervisor.self_watch import KEEPS_UP, OVERLOADED, TELEMETRY_LOST, SelfWatch
from tests.unit.monitor.observations import EPOCH
from tests.unit.monitor.runs import Run

WELL, BUSY = Load(0.1, 0.2), Load(0.99, 5.0)


class Stage:
    def __init__(self) -> None:
        self.run = Run(None)
        self.watch = SelfWatch(self.run.recorder, 0.0)
        self.now = 0.0

    def look(self, load: Load, refused: int = 0, **in_report: object) -> None:
        self.now += 30.0
        self.run.seconds(1, lambda _: in_report)
        shown = self.run.recorder.snapshot(self.now, EPOCH + self.now)
        told = {"not understood": refused, "false claim": 0}
        shown = replace(shown, load=load, telemetry_refused=told)
        self.watch.look(shown, self.now, EPOCH + self.now)

    def events(self) -> list[tuple[str, dict[str, object]]]:
        entries = self.run.recorder.snapshot(self.now, EPOCH).recent_events
        return [(one.kind, dict(one.detail)) for one in entries if one.kind != "launched"]


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_an_overload_is_said_when_it_begins_and_when_it_is_over(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    for load in (WELL, BUSY, BUSY, WELL, WELL):
        stage.look(load)
    assert [kind for kind, _ in stage.events()] == [OVERLOADED, KEEPS_UP]
    assert stage.events()[0][1] == {"busy_ratio": 0.99, "report_delay_seconds": 5.0}
    assert caplog.text.count("is overloaded: busy for 99%") == 1


def test_messages_that_got_lost_are_said_once_a_minute(stage: Stage) -> None:
    stage.look(WELL)
    stage.look(WELL, refused=2, telemetry_dropped={"too large": 1, "queue full": 0})
    stage.look(WELL, refused=3, telemetry_dropped={"too large": 1, "queue full": 0})
    stage.look(WELL, refused=3, telemetry_dropped={"too large": 1, "queue full": 0})
    assert stage.events() == [
        (TELEMETRY_LOST, {"refused: not understood": 2, "not sent: too large": 1}),
        (TELEMETRY_LOST, {"refused: not understood": 1}),
    ]


def test_the_load_is_that_of_the_loop_and_of_the_latest_report(stage: Stage) -> None:
    stage.watch.reported(EPOCH, EPOCH + 4.0)
    stage.watch.turned(0.5, 1.0)
    load = stage.watch.load(1.0)
    assert load == Load(0.5, 4.0)
    shown = replace(stage.run.recorder.snapshot(1.0, EPOCH), load=load)
    assert warnings(shown)[0].startswith("the supervisor is overloaded: busy for 50%")
