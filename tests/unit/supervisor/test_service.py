"""What a turn of the loop does, and how it ends; the parts only record what they are asked.

Turn 1 is at `BEGAN`, each one a second later; nothing waits.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any
from unittest.mock import ANY, MagicMock, call

import pytest
import zmq

from monitor.criteria import Verdict
from monitor.model import Collected, Exited, Launched, Reported, Tick
from monitor.recorder import Recorder
from monitor.sampler import Sampler
from monitor.telemetry import TelemetryServer
from monitor.web.server import MetricsServer
from streamer.messages import CommandResult, Report, SinkCounts
from supervisor import service as service_module
from supervisor.control_server import ControlServer
from supervisor.display import PlainDisplay
from supervisor.endings import Endings
from supervisor.errors import ExitCode
from supervisor.escalation import Graces, Step
from supervisor.fleet import Fleet, Member
from supervisor.fleet_controller import Conclusion, FleetController
from supervisor.lifecycle import Lifecycle
from supervisor.notify import Notifier
from supervisor.observer import Observer
from supervisor.profile_writer import ProfileWriter
from supervisor.reload import Reload
from supervisor.schedule import Schedule
from supervisor.self_watch import SelfWatch
from supervisor.service import Parts, Service
from supervisor.starts import Starts
from supervisor.stopping import Stopping
from supervisor.timers import Every

BEGAN, TIME = 1000.0, 1_700_000_000.0
NEVER = float("inf")
PASSED = Verdict("pass", ())
STOPPED = Conclusion("stopped", ExitCode.PASS)


def report(streamer: str = "a", generation: int = 1, sequence: int = 1) -> Report:
    return Report(
        streamer, generation, sequence, 4711, 0.0, 1.0, "streaming", (), (), SinkCounts("null")
    )


class Poller:
    """What a turn would wait for; it waits for nothing."""

    last: Poller

    def __init__(self) -> None:
        self.registered: dict[int, int] = {}
        self.timeout_milliseconds = 0
        Poller.last = self

    def register(self, descriptor: int, events: int) -> None:
        self.registered[descriptor] = events

    def poll(self, timeout_milliseconds: int) -> None:
        self.timeout_milliseconds = timeout_milliseconds


class Stage:
    """A service whose every turn takes a second, and one thing of a script."""

    def __init__(self, duration_seconds: float | None = None, watchdog: float | None = None):
        self.now = BEGAN
        self.turn_seconds = 1.0
        self.script: dict[int, Callable[[], object]] = {}  # what happens in which turn
        self.turns = 0
        self.recorder = MagicMock(spec=Recorder)
        self.lifecycle = MagicMock(spec=Lifecycle)
        self.lifecycle.name, self.lifecycle.generation = "a", 1
        self.lifecycle.graces = Graces(
            drain_seconds=2, term_seconds=2, abort_seconds=2, kill_seconds=2
        )
        self.lifecycle.reported.return_value = False
        self.member = Member(self.lifecycle)
        self.fleet = self._fleet()
        self.controller = self._controller()
        self.observer = MagicMock(spec=Observer)
        self.observer.snapshot.side_effect = lambda now, _: f"at {now - BEGAN:g} s"
        self.self_watch = MagicMock(spec=SelfWatch)
        self.telemetry = MagicMock(spec=TelemetryServer)
        self.telemetry.receive.return_value = []
        self.telemetry.fileno.return_value = 1001
        self.control_server = MagicMock(spec=ControlServer)
        self.control_server.filenos.return_value = {1003: zmq.POLLOUT}
        self.control_server.turn.side_effect = self._turn
        self.profile_writer = MagicMock(spec=ProfileWriter)
        self.profile_writer.recorder = self.recorder
        self.profile_writer.path = "profile.json"
        self.profile_writer.conclude.return_value = None
        self.own = MagicMock(spec=Sampler)
        self.own.sample.return_value = None
        self.notifier = MagicMock(spec=Notifier)
        self.notifier.watchdog_seconds = watchdog
        self.schedule = Schedule(Every(1e9, 1e9), Every(1e9, 1e9), Every(1e9, 1e9), 30.0)
        self.parts = Parts(
            duration_seconds=duration_seconds,
            schedule=self.schedule,
            fleet=self.fleet,
            controller=self.controller,
            observer=self.observer,
            self_watch=self.self_watch,
            telemetry=self.telemetry,
            control_server=self.control_server,
            reload=MagicMock(spec=Reload),
            stopping=MagicMock(spec=Stopping),
            profile_writer=self.profile_writer,
            own=self.own,
            metrics=MagicMock(spec=MetricsServer),
            display=MagicMock(spec=PlainDisplay),
            notifier=self.notifier,
            starts=MagicMock(spec=Starts),
        )

    def _fleet(self) -> Any:
        fleet = MagicMock(spec=Fleet)
        fleet.members = {"a": self.member}
        fleet.__iter__.side_effect = lambda: iter([self.member])
        fleet.policy = SimpleNamespace(healthy_after_seconds=300.0)
        fleet.over, fleet.next_at = False, NEVER
        fleet.pidfds.return_value = [1002]
        for many in (fleet.advance, fleet.late_starters, fleet.launch_due, fleet.sample):
            many.return_value = []
        return fleet

    def _controller(self) -> Any:
        controller = MagicMock(spec=FleetController)
        controller.mode, controller.conclusion = "run", None
        controller.endings = MagicMock(spec=Endings)
        controller.endings.fileno.return_value = 1004
        controller.endings.next_at = NEVER
        controller.answered.return_value = None

        def conclude(conclusion: Conclusion | None, *_: object) -> None:
            controller.conclusion = controller.conclusion or conclusion

        def override(conclusion: Conclusion | None, *_: object) -> None:
            controller.conclusion = conclusion or controller.conclusion

        controller.conclude.side_effect = conclude
        controller.override.side_effect = override
        return controller

    def _turn(self, *_: object) -> None:
        self.turns += 1
        if happening := self.script.get(self.turns):
            happening()
        assert self.turns <= max(self.script, default=0), "the script should have ended the run"

    def run(self, **script: Callable[[], object]) -> ExitCode:
        """Run through a script of turns, `at_1=…`; without an end of its own it is stopped."""
        self.script |= {int(turn.removeprefix("at_")): one for turn, one in script.items()}
        self.script.setdefault(max(self.script, default=0) + 1, self.ends)
        return Service(self.parts, self.now).run()

    def ends(self, conclusion: Conclusion = STOPPED) -> None:
        self.controller.conclusion = self.controller.conclusion or conclusion
        self.fleet.over = True

    def observed(self) -> list[Any]:
        return [each.args[0] for each in self.observer.observe.call_args_list]

    def monotonic(self) -> float:
        return self.now + self.turns * self.turn_seconds

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    yield from _stage(monkeypatch, Stage())


@pytest.fixture
def soak(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    stage = Stage(duration_seconds=3.0)
    stage.controller.mode = "soak"
    yield from _stage(monkeypatch, stage)


def _stage(monkeypatch: pytest.MonkeyPatch, stage: Stage) -> Iterator[Stage]:
    clocks = SimpleNamespace(
        monotonic=stage.monotonic, time=lambda: TIME + stage.turns, sleep=stage.sleep
    )
    monkeypatch.setattr(service_module, "clocks", clocks)
    monkeypatch.setattr(service_module, "zmq", SimpleNamespace(Poller=Poller, POLLIN=zmq.POLLIN))
    monkeypatch.setattr(service_module, "status_line", lambda snapshot: f"line {snapshot}")
    yield stage


def test_a_turn_waits_for_every_socket_and_process_until_the_next_deadline(stage: Stage) -> None:
    def look() -> None:
        registered = dict(Poller.last.registered)
        del registered[next(iter(registered))]  # the pipe of signals
        assert registered == {
            1001: zmq.POLLIN,  # telemetry
            1002: zmq.POLLIN,  # a process
            1003: zmq.POLLOUT,  # a client that takes its answer
            1004: zmq.POLLIN,  # a diagnosis
        }

    stage.run(at_1=look)


@pytest.mark.parametrize(
    ("set_deadline", "milliseconds"),
    [
        (lambda stage: None, 751),  # the tick of each second
        (lambda stage: setattr(stage.schedule.sample, "next_at", BEGAN + 0.75), 501),
        (lambda stage: setattr(stage.fleet, "next_at", BEGAN + 0.5), 251),
        (lambda stage: setattr(stage.controller.endings, "next_at", BEGAN + 0.375), 126),
        (lambda stage: setattr(stage.fleet, "next_at", BEGAN), 1),  # it is past
    ],
)
def test_a_turn_waits_for_the_earliest_deadline_and_never_less(
    stage: Stage, set_deadline: Callable[[Stage], None], milliseconds: int
) -> None:
    waited: list[int] = []
    stage.turn_seconds = 0.25
    stage.run(
        at_1=lambda: set_deadline(stage),
        at_2=lambda: waited.append(Poller.last.timeout_milliseconds),
    )
    assert waited == [milliseconds]


def test_signals_go_where_they_belong(stage: Stage) -> None:
    stage.run(
        at_1=lambda: os.kill(os.getpid(), signal.SIGHUP),
        at_2=lambda: os.kill(os.getpid(), signal.SIGTERM),
        at_3=lambda: None,
    )
    assert stage.parts.reload.call_args_list == [call(BEGAN + 1)]  # type: ignore[attr-defined]
    signalled: Any = stage.parts.stopping.signalled
    assert signalled.call_args_list == [call(signal.SIGTERM, BEGAN + 2)]


def test_the_first_report_of_a_streamer_makes_the_service_ready_once(stage: Stage) -> None:
    stage.lifecycle.reported.side_effect = [True, False, True]
    stage.telemetry.receive.side_effect = [[report()], [report(sequence=2)], [report()], []]
    stage.run(at_3=lambda: None)
    assert stage.member.ever_reported
    assert stage.notifier.ready.call_count == 1
    assert [one for one in stage.observed() if isinstance(one, Reported)] == [
        Reported(BEGAN, report()),
        Reported(BEGAN + 1, report(sequence=2)),
        Reported(BEGAN + 2, report()),
    ]


@pytest.mark.parametrize("strange", [report("b"), report(generation=2), report(generation=0)])
def test_reports_of_another_generation_or_streamer_are_passed_over(
    stage: Stage, strange: Report
) -> None:
    stage.telemetry.receive.side_effect = [[strange], []]
    stage.run()
    assert not stage.member.ever_reported
    assert stage.notifier.ready.call_count == 0
    assert not any(isinstance(one, Reported) for one in stage.observed())
    assert stage.controller.look_at_deadlines.call_args.args[1] == {}


def test_reports_reach_what_waits_for_a_quiet_moment(stage: Stage) -> None:
    stage.telemetry.receive.side_effect = [[report()], []]
    stage.run()
    assert stage.controller.look_at_deadlines.call_args.args == (BEGAN, {"a": report()})


def test_the_time_of_turns_and_the_delay_of_reports_are_watched(stage: Stage) -> None:
    stage.telemetry.receive.side_effect = [[report()], []]
    stage.run()
    assert stage.self_watch.reported.call_args_list == [call(report().time, TIME)]
    assert stage.self_watch.turned.call_args_list == [call(BEGAN, BEGAN + 1)]


def test_an_answer_reaches_who_asked_and_a_collection_is_judged(stage: Stage) -> None:
    collected = Collected("a", 1, 7, trimmed=True)
    accepted, done = CommandResult("1", True, ""), CommandResult("2", True, "")
    stage.controller.answered.side_effect = [None, collected]
    stage.telemetry.receive.side_effect = [[accepted, done], []]
    stage.run()
    assert stage.control_server.answered.call_args_list == [call(accepted), call(done)]
    assert [one for one in stage.observed() if not isinstance(one, Tick)] == [collected]


def test_samples_are_taken_when_due_and_judged(stage: Stage) -> None:
    stage.schedule.sample = Every(2.0, BEGAN)
    stage.fleet.sample.return_value = ["a sample"]
    stage.own.sample.side_effect = ["its own", None]
    stage.run(at_3=lambda: None)
    assert stage.fleet.sample.call_args_list == [
        call(BEGAN, TIME),
        call(BEGAN + 2, TIME + 2),
    ]
    assert stage.observed().count("a sample") == 2
    assert stage.recorder.own.call_args_list == [call("its own")]


def test_each_second_is_judged_published_shown_and_told(stage: Stage) -> None:
    stage.schedule.report = Every(2.0, BEGAN + 1)
    stage.run(at_2=lambda: None)
    parts: Any = stage.parts
    shown = [call("at 0 s"), call("at 1 s"), call("at 2 s")]
    assert stage.observed() == [Tick()] * 3
    assert parts.metrics.publish.call_args_list == shown
    assert parts.display.refresh.call_args_list == shown
    assert parts.display.report.call_args_list == [call("at 1 s")]
    assert [one.args[0] for one in stage.self_watch.look.call_args_list] == [
        "at 0 s",
        "at 1 s",
        "at 2 s",
    ]
    assert stage.notifier.status.call_args_list[0] == call("line at 0 s")


def test_launches_are_expected_by_the_telemetry_and_judged(stage: Stage) -> None:
    launched = Launched("a", 1, 42, TIME)
    stage.fleet.launch_due.side_effect = [[launched], [], []]
    stage.run(at_1=lambda: None)
    assert stage.telemetry.expect.call_args_list == [call("a", 1, 42)]
    assert launched in stage.observed()


def test_nobody_is_launched_once_it_is_concluded(stage: Stage) -> None:
    def conclude() -> None:
        stage.controller.conclusion = STOPPED

    stage.run(at_1=conclude, at_2=lambda: None)
    assert stage.fleet.launch_due.call_count == 0


def test_who_does_not_report_in_time_is_ended(stage: Stage) -> None:
    stage.fleet.late_starters.side_effect = [[], [stage.member]]
    stage.run(at_1=lambda: None)
    assert stage.fleet.late_starters.call_args == call(BEGAN + 1, 30.0)
    assert stage.controller.end.call_args_list == [call("a", BEGAN + 1, Step.TERM)]


def test_an_exit_is_judged_and_carried_out(stage: Stage) -> None:
    exited = Exited("a", 1, 1, False, TIME)
    stage.fleet.advance.side_effect = [[exited], []]
    assert stage.run(at_1=lambda: None) is ExitCode.PASS, (
        "it had failed before the end was asked for"
    )
    assert exited in stage.observed()
    assert stage.controller.exited.call_args_list == [call(exited, BEGAN)]


def test_a_soak_is_completed_after_its_duration(soak: Stage) -> None:
    def gone() -> None:
        soak.fleet.over = True

    soak.profile_writer.conclude.return_value = PASSED
    assert soak.run(at_3=lambda: None, at_4=gone) is ExitCode.PASS
    assert soak.controller.conclude.call_args_list == [call(Conclusion("completed"), BEGAN + 3)]
    assert soak.recorder.ended.call_args_list[0] == call("completed", BEGAN + 3, TIME + 3)
    assert soak.profile_writer.conclude.call_args == call(ANY, ANY, judged=True)


def test_a_service_has_no_duration_and_its_profile_is_not_judged(stage: Stage) -> None:
    assert stage.run(at_9=lambda: None) is ExitCode.PASS
    assert stage.controller.conclude.call_count == 0
    assert stage.profile_writer.conclude.call_args == call(ANY, ANY, judged=False)
    parts: Any = stage.parts
    assert parts.display.conclude.call_args_list == [call(None, "profile.json")]


def test_checkpoints_and_a_healthy_life_are_noted(stage: Stage) -> None:
    stage.schedule.checkpoint = Every(2.0, BEGAN + 1)
    stage.fleet.policy.healthy_after_seconds = 3.0
    healthy: Any = stage.parts.starts.healthy
    counts: list[int] = []
    stage.run(at_3=lambda: counts.append(healthy.call_count), at_4=lambda: None)
    assert counts == [0]
    assert healthy.call_count == 2
    assert stage.profile_writer.checkpoint.call_args_list == [
        call(BEGAN + 1, TIME + 1),
        call(BEGAN + 3, TIME + 3),
    ]


def test_systemd_is_asked_for_time_until_the_first_report_and_while_it_ends(stage: Stage) -> None:
    counts: list[int] = []

    def count() -> None:
        counts.append(stage.notifier.extend.call_count)

    def reports() -> None:
        count()
        stage.telemetry.receive.side_effect = [[report()], *[[]] * 20]
        stage.lifecycle.reported.return_value = True

    def conclude() -> None:
        count()
        stage.controller.conclusion = STOPPED

    stage.run(at_8=reports, at_16=conclude, at_17=count)
    assert counts == [2, 2, 3]
    assert stage.notifier.extend.call_args == call(15.0)


def test_the_watchdog_of_systemd_is_told_by_every_half_of_its_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for stage in _stage(monkeypatch, Stage(watchdog=4.0)):
        stage.run(at_4=lambda: None)
        assert stage.notifier.watchdog.call_count == 3


def test_a_service_without_a_watchdog_tells_none(stage: Stage) -> None:
    stage.run(at_4=lambda: None)
    assert stage.notifier.watchdog.call_count == 0


def test_the_end_waits_for_the_last_process(stage: Stage) -> None:
    def conclude() -> None:
        stage.controller.conclusion = STOPPED

    stage.run(at_1=conclude, at_5=lambda: None)
    assert stage.turns == 6
    assert stage.controller.endings.finish.call_count == 1
    assert stage.control_server.ended.call_args_list == [call(ExitCode.PASS)]


def test_a_drain_that_failed_is_an_error_of_the_run(stage: Stage, caplog: Any) -> None:
    def fails() -> None:
        stage.controller.conclusion = STOPPED
        stage.fleet.advance.side_effect = [[Exited("a", 1, 1, False, TIME)], []]

    assert stage.run(at_1=fails) is ExitCode.INTERNAL_ERROR
    assert "the drain was not complete: a" in caplog.text


@pytest.mark.parametrize(
    ("conclusion", "verdict", "code"),
    [
        (Conclusion("stopped", ExitCode.TERMINATED), None, ExitCode.TERMINATED),
        (Conclusion("aborted"), Verdict("fail", ()), ExitCode.VERDICT_FAIL),
        (Conclusion("stopped"), Verdict("inconclusive", ()), ExitCode.VERDICT_INCONCLUSIVE),
        (Conclusion("completed"), PASSED, ExitCode.PASS),
        (Conclusion("completed"), None, ExitCode.INTERNAL_ERROR),
    ],
)
def test_the_exit_code_is_that_of_the_conclusion_or_else_of_the_verdict(
    soak: Stage, conclusion: Conclusion, verdict: Verdict | None, code: ExitCode
) -> None:
    soak.profile_writer.conclude.return_value = verdict
    assert soak.run(at_1=lambda: soak.ends(conclusion)) is code


@pytest.mark.parametrize(
    ("conclusion", "code"),
    [
        (Conclusion("streamer_ended", ExitCode.STARTUP_FAILED), ExitCode.STARTUP_FAILED),
        (Conclusion("completed"), ExitCode.INTERNAL_ERROR),
        (STOPPED, ExitCode.INTERNAL_ERROR),
    ],
)
def test_a_profile_that_cannot_be_written_still_tells_the_cause(
    stage: Stage, conclusion: Conclusion, code: ExitCode, caplog: Any
) -> None:
    stage.profile_writer.conclude.side_effect = OSError(28, "No space left on device")
    assert stage.run(at_1=lambda: stage.ends(conclusion)) is code
    assert "the profile could not be judged or written" in caplog.text


class Broken:
    """The loop fails in its first turn; the process ends after some looks."""

    def __init__(self, stage: Stage, looks: int) -> None:
        self.stage, self.looks = stage, looks
        stage.script[1] = lambda: None
        stage.observer.observe.side_effect = LookupError("a fault of ours")
        stage.fleet.advance.side_effect = self.advance
        self.signal: signal.Signals | None = None

    def advance(self, *_: object) -> list[Exited]:
        self.looks -= 1
        if self.signal:
            os.kill(os.getpid(), self.signal)
            self.signal = None
        self.stage.fleet.over = self.looks == 0
        return [Exited("a", 1, 0, True, TIME)] if self.looks == 0 else []


def test_a_fault_of_the_loop_ends_the_streamers_and_writes_the_profile(
    stage: Stage, caplog: Any
) -> None:
    Broken(stage, looks=3)
    assert stage.run() is ExitCode.INTERNAL_ERROR
    assert "a fault of ours" in caplog.text
    error = Conclusion("error", ExitCode.INTERNAL_ERROR)
    assert stage.controller.override.call_args_list == [call(error, BEGAN + 1, Step.TERM)]
    assert stage.observer.record_exit.call_args.args[0] == Exited("a", 1, 0, True, TIME)
    assert stage.recorder.ended.call_args.args[0] == "error"
    assert stage.profile_writer.conclude.call_count == 1


def test_after_a_fault_processes_are_waited_for_no_longer_than_their_graces(stage: Stage) -> None:
    Broken(stage, looks=10**6)
    assert stage.run() is ExitCode.INTERNAL_ERROR
    assert stage.now == pytest.approx(BEGAN + 8.0, abs=0.1)


@pytest.mark.parametrize(
    ("number", "steps"),
    [(signal.SIGTERM, [Step.TERM, Step.KILL]), (signal.SIGHUP, [Step.TERM])],
)
def test_after_a_fault_a_signal_to_end_skips_the_graces(
    stage: Stage, number: signal.Signals, steps: list[Step]
) -> None:
    Broken(stage, looks=5).signal = number
    assert stage.run() is ExitCode.INTERNAL_ERROR
    assert [each.args[2] for each in stage.controller.override.call_args_list] == steps
