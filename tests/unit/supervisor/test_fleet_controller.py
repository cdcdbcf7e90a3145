from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from monitor.model import (
    Abort,
    Breach,
    Collect,
    Collected,
    Exited,
    Fail,
    Mode,
    Restart,
    Rotate,
    Warn,
)
from streamer.messages import Command, CommandResult, Report, SinkCounts, SlotState
from supervisor.diagnosis import Subject
from supervisor.endings import WITHIN_SECONDS
from supervisor.errors import ExitCode
from supervisor.escalation import Escalation, Graces, Step
from supervisor.fleet_controller import Conclusion, FleetController

BREACH = Breach("rule", "a", 1, 2.0, 1.0, "a: too much")
REPORT = Report("a", 1, 1, 42, 0.0, 1.0, "streaming", (), (), SinkCounts("null"))
ROTATING = (SlotState("s", True, 1, 1.0, 0, None, rotating=True),)


@dataclass
class Process:
    """A lifecycle that only remembers how it was asked to end."""

    name: str
    child: object | None = None
    generation: int = 1
    steps: list[Step] = field(default_factory=list)
    escalation: Escalation | None = None

    def end(self, now: float, first: Step) -> Step | None:
        if self.steps and first <= self.steps[-1]:
            return None
        self.steps.append(first)
        return first

    def diagnose(self) -> None:
        raise AssertionError("asked for by the diagnosis alone")


@dataclass
class Member:
    lifecycle: Process
    launch_at: float | None = None
    ever_reported: bool = True


class Fleet:
    def __init__(self) -> None:
        self.members = {name: Member(Process(name)) for name in ("a", "b")}
        self.delay: float | None = 1.0
        self.later: float | None = None
        self.go_on = False
        self.restarted: list[str] = []

        class policy:  # noqa: N801 - stands in for an instance
            limit, window_seconds = 5, 600

        self.policy = policy

    def __iter__(self) -> Any:
        return iter(self.members.values())

    def restart(self, name: str, now: float) -> float | None:
        self.restarted.append(name)
        return self.delay

    def restart_later(self, name: str, now: float) -> float | None:
        return self.later

    def others_go_on(self, name: str, now: float) -> bool:
        return self.go_on


class Telemetry:
    def __init__(self) -> None:
        self.sent: list[tuple[str, Command]] = []
        self.reachable = True

    def send(self, streamer: str, command: Command) -> bool:
        self.sent.append((streamer, command))
        return self.reachable


@dataclass
class Look:
    over: bool = False

    def seen(self, now: float) -> bool:
        return self.over


class Looks:
    """Diagnoses that only remember what was asked."""

    next_at = float("inf")

    def __init__(self) -> None:
        self.begun: list[tuple[str, str, int]] = []
        self.look = Look()

    def begin(self, subject: Subject, reason: str, now: float, dump: Any, **how: Any) -> Look:
        self.begun.append((subject.name, reason, how["looks"]))
        return self.look

    def turn(self, now: float) -> None:
        pass


class Stage:
    def __init__(self, mode: Mode, within_seconds: float = WITHIN_SECONDS) -> None:
        self.fleet, self.telemetry = Fleet(), Telemetry()
        self.diagnoses = Looks()
        self.control = FleetController(
            mode,
            self.fleet,  # type: ignore[arg-type]
            self.telemetry,  # type: ignore[arg-type]
            lambda ask: self.diagnoses,  # type: ignore[arg-type,return-value]
            within_seconds,
        )

    def steps(self, name: str) -> list[Step]:
        return self.fleet.members[name].lifecycle.steps

    def exit_code(self) -> ExitCode | None:
        assert self.control.conclusion
        return self.control.conclusion.exit_code

    def commands(self) -> list[tuple[str, str]]:
        return [(streamer, command.name) for streamer, command in self.telemetry.sent]


@pytest.fixture
def service() -> Stage:
    return Stage("run")


@pytest.fixture
def soak() -> Stage:
    return Stage("soak")


def exited(code: int = -9) -> Exited:
    return Exited("a", 1, code, expected=False, time=0.0)


def test_warnings_and_failures_end_nothing(soak: Stage) -> None:
    soak.control.carry_out(Warn(BREACH), 0.0)
    soak.control.carry_out(Fail(BREACH), 0.0)
    assert soak.control.conclusion is None
    assert soak.telemetry.sent == []


def test_a_collection_is_a_command_and_its_answer_an_event(service: Stage) -> None:
    service.control.carry_out(Collect(BREACH), 0.0)
    [(streamer, command)] = service.telemetry.sent
    assert (streamer, command.name) == ("a", "collect")
    done = CommandResult(command.id, ok=True, result={"collected_objects": 7, "trimmed": True})
    assert service.control.answered(done, 0.1) == Collected("a", 1, objects=7, trimmed=True)
    assert service.control.answered(done, 0.2) is None


def test_a_collection_that_was_refused_and_any_other_answer_are_no_event(service: Stage) -> None:
    service.control.carry_out(Collect(BREACH), 0.0)
    service.control.carry_out(Rotate(BREACH, "age"), 0.0)
    [(_, collect), (_, rotate)] = service.telemetry.sent
    assert service.control.answered(CommandResult(collect.id, ok=False), 0.1) is None
    assert service.control.answered(CommandResult(rotate.id, ok=True), 0.1) is None


def test_a_rotation_is_a_command_with_slot_and_reason(service: Stage) -> None:
    service.control.carry_out(Rotate(replace(BREACH, slot="s"), "age"), 0.0)
    [(streamer, command)] = service.telemetry.sent
    assert (streamer, command.name) == ("a", "rotate")
    assert command.arguments == {"slot": "s", "reason": "age"}


@pytest.mark.parametrize(
    ("flags", "first"),
    [({}, Step.DRAIN), ({"skip_drain": True}, Step.TERM), ({"kill_now": True}, Step.KILL)],
)
def test_a_restart_begins_at_its_step(service: Stage, flags: dict[str, bool], first: Step) -> None:
    service.control.carry_out(Restart(BREACH, **flags), 0.0)
    assert service.steps("a") == [first]
    assert service.steps("b") == []
    assert service.commands() == ([("a", "drain")] if first is Step.DRAIN else [])


def test_an_abort_ends_the_breached_one_its_way_and_drains_the_others(soak: Stage) -> None:
    soak.control.carry_out(Abort(BREACH, skip_drain=True), 0.0)
    assert (soak.steps("a"), soak.steps("b")) == ([Step.TERM], [Step.DRAIN])
    assert soak.control.conclusion == Conclusion("aborted")
    soak.control.carry_out(Abort(BREACH, kill_now=True), 1.0)  # it grew on
    assert soak.steps("a") == [Step.TERM, Step.KILL]


def test_a_restart_waits_for_a_quiet_moment_but_not_for_ever(service: Stage) -> None:
    rotating = {"a": report_of(ROTATING)}
    service.control.carry_out(Restart(BREACH, when_quiet=True), 0.0)
    service.control.look_at_deadlines(59.0, rotating)
    assert service.steps("a") == []
    service.control.look_at_deadlines(60.0, rotating)
    assert service.steps("a") == [Step.DRAIN]


def test_a_quiet_moment_is_taken(service: Stage) -> None:
    service.control.carry_out(Restart(BREACH, when_quiet=True), 0.0)
    service.control.look_at_deadlines(1.0, {"a": REPORT})
    assert service.steps("a") == [Step.DRAIN]


def test_a_drain_that_cannot_be_asked_for_becomes_a_signal(service: Stage) -> None:
    service.telemetry.reachable = False
    service.control.end("a", 0.0, Step.DRAIN)
    assert service.steps("a") == [Step.DRAIN, Step.TERM]


def test_a_drain_that_is_refused_becomes_a_signal(service: Stage) -> None:
    service.control.end("a", 0.0, Step.DRAIN)
    command = service.telemetry.sent[0][1]
    service.control.answered(CommandResult(command.id, ok=False, detail="not now"), 0.1)
    assert service.steps("a") == [Step.DRAIN, Step.TERM]


def test_in_a_service_an_end_leads_to_a_restart(service: Stage) -> None:
    service.control.exited(exited(), 0.0)
    assert service.fleet.restarted == ["a"]
    assert service.control.conclusion is None


def test_in_a_soak_an_end_is_the_end_unless_a_rule_wanted_it(soak: Stage) -> None:
    soak.control.carry_out(Restart(BREACH), 0.0)
    soak.control.exited(exited(0), 1.0)
    assert soak.fleet.restarted == ["a"]
    soak.control.exited(exited(), 2.0)
    assert soak.control.conclusion == Conclusion("streamer_ended")
    assert soak.steps("b") == [Step.DRAIN]


def test_a_spent_budget_and_a_failed_start_have_codes_of_their_own(service: Stage) -> None:
    service.fleet.delay = None
    service.control.exited(exited(), 0.0)
    assert service.control.conclusion is not None
    assert service.control.conclusion.exit_code is ExitCode.RESTART_BUDGET_SPENT
    other = Stage("run")
    other.fleet.members["a"].ever_reported = False
    other.control.exited(exited(5), 0.0)
    assert other.control.conclusion is not None
    assert other.control.conclusion.exit_code is ExitCode.STARTUP_FAILED


def test_a_spent_budget_leaves_one_down_while_others_go_on(
    service: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    service.fleet.delay, service.fleet.later = None, 420.0
    service.control.exited(exited(), 0.0)
    assert service.control.conclusion is None
    assert "a stays down, others go on; it is launched again in 420 s" in caplog.text
    assert service.steps("b") == []


@pytest.mark.parametrize(
    ("mode", "code", "ends"), [("run", 5, False), ("run", 2, True), ("soak", 5, True)]
)
def test_a_failed_start_is_tried_again_while_others_go_on(
    mode: Mode, code: int, ends: bool
) -> None:
    stage = Stage(mode)
    stage.fleet.go_on = True
    stage.fleet.members["a"].ever_reported = False
    stage.control.exited(exited(code), 0.0)
    assert (stage.control.conclusion is not None) == ends
    assert stage.fleet.restarted == ([] if ends else ["a"])


def test_settings_that_a_streamer_refuses_at_its_start_are_wrong_for_all(service: Stage) -> None:
    service.fleet.members["a"].ever_reported = False
    service.control.exited(exited(2), 0.0)
    assert service.control.conclusion is not None
    assert service.control.conclusion.exit_code is ExitCode.USAGE


def test_a_streamer_whose_settings_turn_out_to_be_wrong_is_not_launched_again(
    service: Stage,
) -> None:
    """Two with the same name in a group would end each other for ever."""
    service.control.exited(exited(2), 0.0)
    assert service.control.conclusion == Conclusion("streamer_ended", ExitCode.USAGE)
    assert service.fleet.restarted == []


def test_an_end_by_a_signal_without_a_name_is_described(
    service: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    service.control.exited(exited(-40), 0.0)
    assert "ended by SIGRTMIN+6" in caplog.text
    assert service.fleet.restarted == ["a"]


def test_the_first_reason_stays_unless_it_is_overridden(service: Stage) -> None:
    service.fleet.members["b"].launch_at = 5.0
    service.control.conclude(Conclusion("stopped", ExitCode.PASS), 0.0)
    service.control.conclude(Conclusion("error"), 1.0)
    assert service.exit_code() is ExitCode.PASS
    assert not service.fleet.members["b"].launch_at  # nobody is launched any more
    service.control.override(Conclusion("stopped", ExitCode.INTERRUPTED), 2.0, Step.KILL)
    assert service.exit_code() is ExitCode.INTERRUPTED
    assert service.steps("a") == [Step.DRAIN, Step.KILL]
    service.control.exited(exited(), 3.0)
    assert service.fleet.restarted == []


def report_of(slots: tuple[SlotState, ...]) -> Report:
    return Report("a", 1, 1, 42, 0.0, 1.0, "streaming", (), slots, SinkCounts("null"))


def wanting(service: Stage, *symbols: str, now: float = 0.0) -> None:
    for member in service.fleet:
        member.lifecycle.child = object()
    service.control.want(("trade",), symbols, now)
    service.control.look_at_deadlines(now, {})


def test_wanted_streams_are_told_until_they_are_agreed_to(service: Stage) -> None:
    wanting(service, "BTCUSDT", "ETHUSDT")
    assert [name for name, _ in service.telemetry.sent] == ["a", "b"]
    assert not service.control.reload_refused
    (_, command), (_, other) = service.telemetry.sent
    assert command.name == "reload"
    assert command.arguments == {"streams": "trade", "symbols": "BTCUSDT,ETHUSDT"}
    service.control.answered(CommandResult(command.id, ok=True, detail="added ethusdt@trade"), 0.1)
    service.control.answered(CommandResult(other.id, ok=False, detail="no such topic"), 0.1)
    service.control.look_at_deadlines(100.0, {})
    assert len(service.telemetry.sent) == 2  # a refusal is not asked about again either
    assert service.control.reload_refused, "until somebody asks for a reload again"


def test_who_does_not_answer_is_asked_again_and_old_answers_settle_nothing(service: Stage) -> None:
    service.telemetry.reachable = False
    wanting(service, "BTCUSDT")
    old = service.telemetry.sent[0][1]
    service.telemetry.reachable = True
    wanting(service, "ETHUSDT", now=1.0)
    service.control.answered(CommandResult(old.id, ok=True), 1.1)
    service.telemetry.sent.clear()
    service.control.look_at_deadlines(10.0, {})
    assert {command.arguments["symbols"] for _, command in service.telemetry.sent} == {"ETHUSDT"}


def test_who_ended_is_launched_with_what_is_wanted(service: Stage) -> None:
    service.telemetry.reachable = False
    wanting(service, "BTCUSDT")
    service.telemetry.sent.clear()
    service.control.exited(exited(), 1.0)
    service.control.look_at_deadlines(10.0, {})
    assert [name for name, _ in service.telemetry.sent] == ["b"]


# Evidence first ----------------------------------------------------------------------------------


@pytest.fixture
def lives(service: Stage) -> Stage:
    """Return a service whose streamer a is a process that can be looked at."""
    lifecycle = service.fleet.members["a"].lifecycle
    lifecycle.child = SimpleNamespace(pid=42, stacks_file=Path("/nowhere"))
    return service


@pytest.mark.parametrize(
    ("flags", "first", "looks"),
    [
        ({}, Step.DRAIN, 2),
        ({"skip_drain": True}, Step.TERM, 2),
        ({"kill_now": True}, Step.KILL, 1),
        ({"skip_drain": True, "hears": False}, Step.TERM, 0),
    ],
)
def test_a_process_is_looked_at_before_a_rule_ends_it(
    lives: Stage, flags: dict[str, bool], first: Step, looks: int
) -> None:
    lives.control.carry_out(Restart(BREACH, **flags), 0.0)
    assert lives.diagnoses.begun == [("a", BREACH.message, looks)]
    lives.control.look_at_deadlines(1.0, {})
    assert lives.steps("a") == []
    lives.diagnoses.look.over = True
    lives.control.look_at_deadlines(1.1, {})
    assert lives.steps("a") == [first]


def test_an_abort_is_looked_at_as_well(soak: Stage) -> None:
    soak.fleet.members["a"].lifecycle.child = SimpleNamespace(pid=42, stacks_file=Path("/nowhere"))
    soak.control.carry_out(Abort(BREACH, kill_now=True), 0.0)
    assert soak.diagnoses.begun == [("a", BREACH.message, 1)]


def test_evidence_is_not_waited_for_longer_than_its_time(lives: Stage) -> None:
    lives.control.carry_out(Restart(BREACH, kill_now=True), 0.0)
    assert lives.control.endings.next_at == WITHIN_SECONDS
    lives.control.look_at_deadlines(WITHIN_SECONDS - 0.1, {})
    assert lives.steps("a") == []
    lives.control.look_at_deadlines(WITHIN_SECONDS, {})
    assert lives.steps("a") == [Step.KILL]


@pytest.mark.parametrize(("within", "waits"), [(0.2, 0.2), (60.0, WITHIN_SECONDS)])
def test_evidence_has_a_sampling_period_and_no_more_than_its_time(
    within: float, waits: float
) -> None:
    stage = Stage("run", within)
    stage.fleet.members["a"].lifecycle.child = SimpleNamespace(pid=42, stacks_file=Path("/nowhere"))
    stage.control.carry_out(Restart(BREACH, skip_drain=True), 0.0)
    stage.control.look_at_deadlines(waits - 0.01, {})
    assert stage.steps("a") == []
    stage.control.look_at_deadlines(waits, {})
    assert stage.steps("a") == [Step.TERM]


def test_what_gets_worse_meanwhile_ends_harder_but_is_looked_at_once(lives: Stage) -> None:
    lives.control.carry_out(Restart(BREACH, skip_drain=True), 0.0)
    lives.control.carry_out(Restart(BREACH, kill_now=True), 0.1)
    assert len(lives.diagnoses.begun) == 1
    lives.diagnoses.look.over = True
    lives.control.look_at_deadlines(0.2, {})
    assert lives.steps("a") == [Step.KILL]


def test_who_ends_meanwhile_is_ended_no_more(lives: Stage) -> None:
    lives.control.carry_out(Restart(BREACH, skip_drain=True), 0.0)
    lives.fleet.members["a"].lifecycle.child = None
    lives.control.exited(exited(), 0.1)
    lives.control.look_at_deadlines(WITHIN_SECONDS, {})
    assert lives.steps("a") == []
    assert lives.fleet.restarted == ["a"]


def test_a_drain_that_hangs_is_looked_at_once(lives: Stage) -> None:
    graces = Graces(drain_seconds=1, term_seconds=1, abort_seconds=1, kill_seconds=1)
    lifecycle = lives.fleet.members["a"].lifecycle
    lifecycle.escalation = Escalation(graces, Step.DRAIN, 1.0)
    lives.control.look_at_deadlines(0.5, {})
    assert lives.diagnoses.begun == []
    lifecycle.escalation = Escalation(graces, Step.TERM, 2.0)
    for now in (1.1, 1.2):
        lives.control.look_at_deadlines(now, {})
    assert lives.diagnoses.begun == [("a", "it does not end, or does not answer", 0)]
