"""What is seen goes through `decide` and into the record; what is wished for is carried out."""

from __future__ import annotations

from dataclasses import replace

from monitor.decide import decide
from monitor.disk import DiskWatch
from monitor.model import Abort, Event, Exited, Restart
from monitor.recorder import Recorder
from monitor.rules import Rule, memory_ceiling
from monitor.snapshot import Snapshot
from monitor.state import State
from monitor.telemetry import REFUSALS, TelemetryServer
from supervisor.fleet import Fleet
from supervisor.fleet_controller import FleetController
from supervisor.self_watch import SelfWatch


class Observer:
    """Owns the state of the judgement. Times are monotonic (`now`) and Unix times (`time`)."""

    def __init__(
        self,
        state: State,
        recorder: Recorder,
        controller: FleetController,
        fleet: Fleet,
        disk: DiskWatch,
        telemetry: TelemetryServer,
        self_watch: SelfWatch,
    ) -> None:
        self._state = state
        self._recorder = recorder
        self._controller = controller
        self._fleet = fleet
        self._disk = disk  # of sink.directory
        self._telemetry = telemetry
        self._self_watch = self_watch

    def observe(self, event: Event, now: float, time: float) -> None:
        """Judge an event, keep it, and do what follows from it."""
        self._state, actions = decide(self._state, event, now)
        self._recorder.observe(event, now, time)
        for action in actions:
            # Once everything ends, an ending can only be hastened: a drain looks like silence.
            if self._controller.conclusion and not isinstance(action, (Abort, Restart)):
                continue
            self._recorder.acted(action, now, time)
            self._controller.carry_out(action, now)

    def record_exit(self, exited: Exited, now: float, time: float) -> None:
        """Keep the end of a process without judging it: the judgement may be what is broken."""
        self._state.ledger.take(exited, now)
        self._recorder.observe(exited, now, time)

    def judge_by(self, rules: tuple[Rule, ...]) -> None:
        """Judge by these rules from now on."""
        self._state.rules = rules

    def snapshot(self, now: float, time: float) -> Snapshot:
        """Return the latest state of everything."""
        snapshot = self._recorder.snapshot(now, time)
        return replace(
            snapshot,
            memory_ceiling_bytes=memory_ceiling(self._state.rules, snapshot.memory_ceiling_bytes),
            restarts_remaining=self._fleet.restarts_remaining(now),
            disk=self._disk.latest,
            # From 0 on: an alert sees a counter grow, not one that appears.
            telemetry_refused=dict.fromkeys(REFUSALS, 0) | self._telemetry.refused,
            load=self._self_watch.load(now),
        )
