from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, field

import pytest

from monitor.model import Exited, Launched, Sample
from supervisor import fleet as fleet_module
from supervisor.escalation import Graces
from supervisor.fleet import Fleet, Member
from supervisor.lifecycle import LOOK_AGAIN_SECONDS, Phase
from supervisor.restart import RestartPolicy

POLICY = RestartPolicy(
    limit=2,
    window_seconds=600,
    backoff_initial_seconds=4,
    backoff_max_seconds=60,
    healthy_after_seconds=300,
)
NOW, TIME = 1000.0, 1_700_000_000.0
NEVER = float("inf")


@dataclass
class Child:
    pid: int
    pidfd: int


@dataclass
class Lifecycle:
    """One that launches at once, and ends when the test says so."""

    name: str
    graces: Graces
    phase: Phase = Phase.IDLE
    child: Child | None = None
    generation: int = 0
    launched_at: float = 0.0
    sweeping: bool = False
    next_at: float = NEVER
    exit_code: int | None = None

    def launch(self, now: float, time: float) -> Launched:
        self.generation += 1
        self.phase, self.launched_at = Phase.STARTING, now
        number = ord(self.name) * 10 + self.generation
        self.child = Child(number, number + 1000)
        return Launched(self.name, self.generation, number, time)

    def advance(self, now: float, time: float) -> Exited | None:
        if self.exit_code is None:
            return None
        exited = Exited(self.name, self.generation, self.exit_code, False, time)
        self.child = self.exit_code = None
        self.phase = Phase.IDLE
        return exited


@dataclass
class Sampler:
    pid: int
    name: str
    generation: int

    def sample(self, now: float, time: float) -> Sample | None:
        if self.pid % 2 == 0:
            return None  # as of a process that has just ended
        return Sample(self.name, self.generation, now, time, 1, 1, 0.0, 1, 1)


@dataclass
class Strays:
    """Orphans that were adopted: as many turns as they take to be reaped."""

    turns: int = 0
    known: list[Container[int]] = field(default_factory=list)

    def end(self, known: Container[int]) -> int:
        self.known.append(known)
        self.turns -= self.turns > 0
        return self.turns


@pytest.fixture
def strays(monkeypatch: pytest.MonkeyPatch) -> Strays:
    strays = Strays()
    monkeypatch.setattr(fleet_module, "end_strays", strays.end)
    monkeypatch.setattr(fleet_module.random, "random", lambda: 0.0)
    return strays


@pytest.fixture
def fleet(strays: Strays) -> Fleet:
    graces = Graces(drain_seconds=1, term_seconds=1, abort_seconds=1, kill_seconds=5)
    lifecycles = [Lifecycle(name, graces) for name in "ab"]
    return Fleet(lifecycles, POLICY, Sampler, NOW)  # type: ignore[arg-type]


def ends(member: Member, exit_code: int = 1) -> None:
    member.lifecycle.exit_code = exit_code  # type: ignore[attr-defined]


def test_everybody_is_launched_at_the_first_moment_and_once(fleet: Fleet) -> None:
    assert not fleet.over
    assert fleet.next_at == NOW
    assert fleet.launch_due(NOW - 0.1, TIME) == []
    assert fleet.launch_due(NOW, TIME) == [
        Launched("a", 1, 971, TIME),
        Launched("b", 1, 981, TIME),
    ]
    assert fleet.launch_due(NOW + 1, TIME) == []
    assert fleet.next_at == NEVER
    assert fleet.pidfds() == [1971, 1981]
    assert not fleet.over


def test_who_lives_is_looked_at_in_the_generation_of_now(fleet: Fleet) -> None:
    assert fleet.sample(NOW, TIME) == []
    fleet.launch_due(NOW, TIME)
    assert [(one.streamer, one.generation) for one in fleet.sample(NOW, TIME)] == [
        ("a", 1),
        ("b", 1),
    ]
    ends(fleet.members["a"])
    fleet.advance(NOW + 1, TIME)
    assert [one.streamer for one in fleet.sample(NOW + 1, TIME)] == ["b"]
    fleet.members["a"].launch_at = NOW + 2
    fleet.launch_due(NOW + 2, TIME)  # its PID is even: a look that found nothing
    assert [one.streamer for one in fleet.sample(NOW + 2, TIME)] == ["b"]


def test_who_is_being_swept_up_is_polled_by_time_alone(fleet: Fleet) -> None:
    fleet.launch_due(NOW, TIME)
    one = fleet.members["a"].lifecycle
    one.sweeping, one.next_at = True, NOW + 0.5  # type: ignore[misc]
    assert fleet.pidfds() == [1981]
    assert fleet.next_at == NOW + 0.5


def test_the_end_of_one_is_told_once(fleet: Fleet) -> None:
    fleet.launch_due(NOW, TIME)
    ends(fleet.members["b"], -9)
    assert fleet.advance(NOW, TIME) == [Exited("b", 1, -9, False, TIME)]
    assert fleet.advance(NOW, TIME) == []


def test_it_is_over_when_nobody_runs_is_planned_or_left(fleet: Fleet, strays: Strays) -> None:
    fleet.launch_due(NOW, TIME)
    ends(fleet.members["a"])
    fleet.advance(NOW, TIME)
    assert not fleet.over, "b runs"
    fleet.members["a"].launch_at = NOW + 100
    ends(fleet.members["b"])
    fleet.advance(NOW + 1, TIME)
    assert not fleet.over, "a is planned"
    fleet.members["a"].launch_at = None
    assert fleet.over


def test_orphans_are_looked_for_until_they_are_reaped(fleet: Fleet, strays: Strays) -> None:
    fleet.launch_due(NOW, TIME)
    fleet.advance(NOW, TIME)
    assert strays.known == [], "only who is gone leaves orphans"
    for member in fleet:
        ends(member)
    strays.turns = 3
    fleet.advance(NOW, TIME)
    assert not fleet.over
    assert fleet.next_at == NOW + LOOK_AGAIN_SECONDS
    fleet.advance(NOW + 1, TIME)
    assert not fleet.over
    fleet.advance(NOW + 2, TIME)
    assert fleet.over
    assert fleet.next_at == NEVER
    fleet.advance(NOW + 3, TIME)
    assert len(strays.known) == 3


def test_orphans_that_stay_are_given_up_after_the_grace(fleet: Fleet, strays: Strays) -> None:
    fleet.launch_due(NOW, TIME)
    for member in fleet:
        ends(member)
    strays.turns = 1000
    fleet.advance(NOW, TIME)
    fleet.advance(NOW + 4.9, TIME)
    assert not fleet.over
    fleet.advance(NOW + 5, TIME)
    assert fleet.over


def test_who_runs_is_no_orphan(fleet: Fleet, strays: Strays) -> None:
    fleet.launch_due(NOW, TIME)
    ends(fleet.members["a"])
    fleet.advance(NOW, TIME)
    assert strays.known == [{981}]


def test_late_starters_have_not_reported_in_time(fleet: Fleet) -> None:
    assert fleet.late_starters(NOW, 0.0) == [], "nobody is launched"
    fleet.launch_due(NOW, TIME)
    fleet.members["b"].lifecycle.phase = Phase.RUNNING
    assert fleet.late_starters(NOW + 29.9, 30.0) == []
    assert fleet.late_starters(NOW + 30, 30.0) == [fleet.members["a"]]


def test_a_restart_is_planned_with_a_growing_delay_until_the_budget_is_spent(
    fleet: Fleet,
) -> None:
    fleet.launch_due(NOW, TIME)
    assert fleet.restarts_remaining(NOW) == {"a": 2, "b": 2}
    assert fleet.restart("a", NOW + 10) == 4
    assert fleet.next_at == NOW + 14
    assert [one.streamer for one in fleet.launch_due(NOW + 14, TIME)] == ["a"]
    assert fleet.restart("a", NOW + 20) == 8
    fleet.launch_due(NOW + 28, TIME)
    assert fleet.restarts_remaining(NOW + 28) == {"a": 0, "b": 2}
    assert fleet.restart("a", NOW + 30) is None
    assert fleet.members["a"].launch_at is None
    assert fleet.restarts_remaining(NOW + 610) == {"a": 1, "b": 2}, "the window moves on"


def test_a_long_life_makes_the_delay_the_first_one_again(fleet: Fleet) -> None:
    fleet.launch_due(NOW, TIME)
    fleet.restart("a", NOW)
    fleet.launch_due(NOW + 4, TIME)
    assert fleet.restart("a", NOW + 4 + 300) == 4


def test_first_launches_are_apart(strays: Strays) -> None:
    graces = Graces(drain_seconds=1, term_seconds=1, abort_seconds=1, kill_seconds=5)
    lifecycles = [Lifecycle(name, graces) for name in "abc"]
    fleet = Fleet(lifecycles, POLICY, Sampler, NOW, apart_seconds=2.0)  # type: ignore[arg-type]
    times = (NOW, NOW + 1.9, NOW + 2.0, NOW + 4.0)
    launched = [[one.streamer for one in fleet.launch_due(at, TIME)] for at in times]
    assert launched == [["a"], [], ["b"], ["c"]]


def test_who_has_spent_its_budget_waits_for_it_while_another_goes_on(fleet: Fleet) -> None:
    a, b = fleet.members.values()
    fleet.launch_due(NOW, TIME)
    for at in (NOW + 10, NOW + 100):
        fleet.restart("a", at)
        fleet.launch_due(at + 60, TIME)
    assert fleet.restart("a", NOW + 200) is None
    assert fleet.restart_later("a", NOW + 200) is None, "nobody else has reported"
    b.ever_reported = True
    assert fleet.restart_later("a", NOW + 200) == 410
    assert a.launch_at == NOW + 610, "when the first of the two leaves the window"
    assert fleet.restarts_remaining(NOW + 610) == {"a": 0, "b": 2}
    assert not fleet.others_go_on("b", NOW + 200), "it has not reported"
    a.ever_reported = True
    a.lifecycle.child = None  # type: ignore[misc]
    assert not fleet.others_go_on("b", NOW + 200), "it is down for minutes"
    assert fleet.others_go_on("b", NOW + 560)
