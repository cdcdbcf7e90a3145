"""Whole runs, replayed: a sample, a report and a tick at a time, for watcher and recorder."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from monitor.decide import decide
from monitor.ledger import Ledger
from monitor.model import Action, Exited, Reported, Tick
from monitor.recorder import Ended, Recorder
from monitor.reference import Reference
from monitor.rules import built_in_rules
from monitor.soak_plans import SoakPlan
from monitor.state import State
from streamer.connection_config import ConnectionConfig
from streamer.messages import Report
from tests.unit.monitor.observations import EPOCH, NAME, launched, report, sample, slot, stream

SYMBOLS = ("BTCUSDT", "ETHUSDT")
Change = Callable[[int], dict[str, Any]]


def nothing(_second: int) -> dict[str, Any]:
    return {}


class Run:
    """A supervised run without processes. Rotations happen 2 s after they are wished for."""

    def __init__(
        self,
        profile: SoakPlan | None,
        max_age_seconds: float = 4 * 3600.0,
        rotates: bool = True,
        reference: Reference | None = None,
    ) -> None:
        self.profile = profile
        mode = "soak" if profile else "run"
        connection = ConnectionConfig(max_age=max_age_seconds)
        rules = built_in_rules(mode, profile, connection)  # type: ignore[arg-type]
        ledger = Ledger(profile, max_age_seconds, reference=reference.curve if reference else None)
        self.state = State(rules, mode, ledger)  # type: ignore[arg-type]
        settings = {
            "symbols": list(SYMBOLS),
            "streams": ["trade"],
            "connection_max_age_seconds": max_age_seconds,
            "stale_after_seconds": 30.0,
        }
        self.recorder = Recorder(
            ledger, profile, settings, {"host": "test"}, EPOCH, 0.0, reference=reference
        )
        self.actions: list[Action] = []
        self.now = 0.0
        self._rotates = rotates
        self._opened, self._connection, self._rotations = 0, 1, 0
        self._due_at: int | None = None
        self.feed(launched())

    def feed(self, event: Any) -> None:
        self.state, actions = decide(self.state, event, self.now)
        self.recorder.observe(event, self.now, EPOCH + self.now)
        for action in actions:
            self.actions.append(action)
            self.recorder.acted(action, self.now, EPOCH + self.now)
            if self._rotates and type(action).__name__ == "Rotate" and self._due_at is None:
                self._due_at = round(self.now) + 2

    def seconds(
        self,
        count: float,
        in_report: Change = nothing,
        in_sample: Change = nothing,
        every: int = 1,
    ) -> Run:
        begun = round(self.now)
        for second in range(begun + every, begun + round(count) + 1, every):
            self.now = float(second)
            self.feed(sample(self.now, **{"rss_mib": 60.0, **in_sample(second)}))
            self.feed(Reported(self.now, self._report(second, in_report(second))))
            self.feed(Tick())
        return self

    def end(self, reason: Ended = "completed", **last: Any) -> Run:
        self.recorder.ended(reason, self.now, EPOCH + self.now)
        self.now += 1
        final = {"final": True, "state": "stopped", **last}
        self.feed(Reported(self.now, self._report(round(self.now), final)))
        self.feed(Exited(NAME, 1, 0, True, EPOCH + self.now))
        return self

    def document(self) -> dict[str, Any]:
        return self.recorder.document(self.now, EPOCH + self.now)

    def _report(self, second: int, changes: dict[str, Any]) -> Report:
        if self._due_at is not None and second >= self._due_at:
            self._due_at, self._opened = None, second
            self._connection += 1
            self._rotations += 1
        values: dict[str, Any] = {
            "streams": tuple(stream(50 * second, symbol) for symbol in SYMBOLS),
            "slots": (slot(age=float(second - self._opened), connection_id=self._connection),),
            "rotations": {"age": self._rotations},
        }
        return report(second, **values | changes)
