"""Random commands, signals and kills at a real supervisor, by seed, and what must hold after them.

What a seed leads to is planned before anything runs, so that a failure can be told and repeated.
"""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import psutil

from tests.streaming import ROOT
from tests.supervising import SHORT_GRACES, Supervised

COMMANDS = ("status", "status --all", "rotate", "collect", "diagnose", "restart", "reload")
LAST_COMMANDS = ("drain", "stop")
SIGNALS = ("TERM", "INT", "HUP", "USR1", "USR2", "STOP", "CONT", "ABRT", "KILL")
DISOBEDIENT = ("ignores_term", "has_family", "stops_itself", "holds_gil", "dies_young")
GRACES = {f"supervisor.{grace}": seconds for grace, seconds in SHORT_GRACES.items()}
COMMAND_DEADLINE_SECONDS = (
    120.0  # 15 s of its own, of a supervisor that is stopped for some of them
)
STREAMER_THERE_SECONDS = 3.0  # for a restart, or the start, to bring one
ENDS_THE_SUPERVISOR = ("ABRT", "KILL")
HEARTBEAT = (
    '[[rules]]\nname = "heartbeat"\nmetric = "report_age_seconds"\n'
    'above = 2.0\naction = "restart"\n'
)

Target = Literal["supervisor", "streamer", "command"]


@dataclass(frozen=True, slots=True)
class Step:
    """What is done after a pause."""

    after_seconds: float
    target: Target
    what: str


@dataclass(frozen=True, slots=True)
class Plan:
    """All that a seed leads to."""

    seed: int
    manner: str  # of the streamer: a scripted one, or real
    steps: tuple[Step, ...]


@dataclass(slots=True)
class Outcome:
    """What came of it."""

    exit_code: int
    signalled: set[str] = field(default_factory=set)  # what the supervisor got
    commands: list[tuple[str, int, str]] = field(default_factory=list)  # name, code, stdout


def plan(seed: int) -> Plan:
    """Return what a seed leads to."""
    chance = random.Random(seed)
    steps = []
    for number in range(chance.randint(4, 8)):
        # The first moments are the hardest: nothing has a handler then.
        pause = chance.choice((0.0, 0.05, 0.3, 1.0)) if number else chance.uniform(0.0, 2.5)
        kind = chance.random()
        if kind < 0.4:
            steps.append(Step(pause, "command", chance.choice(COMMANDS)))
        elif kind < 0.8:
            steps.append(Step(pause, "streamer", chance.choice(SIGNALS)))
        else:
            # Its end is the end of the sequence: most of them go on.
            usual = chance.random() < 0.75
            names = ("HUP", "USR1", "USR2", "STOP", "CONT") if usual else SIGNALS
            steps.append(Step(pause, "supervisor", chance.choice(names)))
    if chance.random() < 0.5:
        steps.append(Step(chance.uniform(0.0, 0.5), "command", chance.choice(LAST_COMMANDS)))
    killed = any(it.target == "supervisor" and it.what in ENDS_THE_SUPERVISOR for it in steps)
    manner = "healthy"
    if seed % 5 == 0:
        manner = "real"
    elif not killed and chance.random() < 0.5:  # without a supervisor nobody makes them obey
        manner = chance.choice(DISOBEDIENT)
    return Plan(seed, manner, tuple(steps))


def carry_out(the_plan: Plan, vigil: Supervised, settings: dict[str, object]) -> Outcome:
    """Do it, then end what still runs; return what came of it."""
    config = vigil.directory / "vigil.toml"
    config.write_text(HEARTBEAT)
    launcher = ("-m", "supervisor") if the_plan.manner == "real" else None
    process = vigil.start(
        the_plan.manner,
        "run",
        f"--config={config}",
        settings={"supervisor.restart_limit": 100, **GRACES, **settings},
        launcher=launcher,
    )
    outcome = Outcome(0)
    asked: list[tuple[str, subprocess.Popen[str]]] = []
    for step in the_plan.steps:
        time.sleep(step.after_seconds)
        if step.target == "command":
            asked.append((step.what, _ask(vigil, step.what)))
            continue
        number = signal.Signals[f"SIG{step.what}"]
        if step.target == "supervisor":
            outcome.signalled.add(step.what)
            process.send_signal(number)
        else:
            _signal_streamer(process.pid, number)
    if process.poll() is None:
        process.send_signal(signal.SIGCONT)
        process.send_signal(signal.SIGTERM)
    outcome.exit_code = vigil.exit_code()
    for name, client in asked:
        stdout, _ = client.communicate(timeout=COMMAND_DEADLINE_SECONDS)
        outcome.commands.append((name, client.returncode, stdout))
    if outcome.exit_code < 0:
        # One that is stopped hears no death signal: with systemd the control group ends it.
        for pid in vigil.left():
            with suppress(psutil.NoSuchProcess):
                psutil.Process(pid).resume()
    return outcome


def check(outcome: Outcome, vigil: Supervised) -> None:
    """Raise AssertionError for what must not be: orphans, stuck commands, lost profiles."""
    log = vigil.log.read_text()
    vigil.until(lambda: not vigil.left())
    for name, code, stdout in outcome.commands:
        assert code in (0, 1, 2), (name, code, stdout)
        assert isinstance(json.loads(stdout), dict), (name, code, stdout)
    assert "Traceback" not in log, log
    assert '"exception"' not in log, log
    assert "internal error" not in log, log
    for harmless in ("SIGHUP", "SIGINT", "SIGUSR1", "SIGUSR2"):
        assert f"ended by {harmless}" not in log, log
    killed = {-signal.SIGABRT: "ABRT", -signal.SIGKILL: "KILL"}.get(outcome.exit_code)
    if killed is not None:
        assert killed in outcome.signalled
        if "generation 1 reports" not in log:
            return  # it had hardly begun
    elif outcome.exit_code < 0:
        # Before the first line of ours was run: nothing had begun.
        assert not (vigil.directory / "run").exists(), log
        assert log == "", log
        return
    else:
        assert outcome.exit_code in (0, 1, 5, 6, 130, 143), log
    profile = read(vigil.evidence / "profile.json")
    if killed is None:
        assert profile["test_metadata"]["ended"] in ("stopped", "streamer_ended"), log


def read(path: Path) -> dict[str, Any]:
    """Return a profile."""
    document: dict[str, Any] = json.loads(path.read_text())
    return document


def _ask(vigil: Supervised, command: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "supervisor", *command.split(), "--json",
         f"--runtime-directory={vigil.directory}/run"],
        cwd=vigil.directory, env={"PYTHONPATH": str(ROOT)}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def _signal_streamer(pid: int, number: signal.Signals) -> None:
    """Signal the child that leads, or will lead, a session of its own, as soon as it is there."""
    deadline = time.monotonic() + STREAMER_THERE_SECONDS
    with suppress(psutil.NoSuchProcess):  # also one that was reaped already
        supervisor = psutil.Process(pid)
        while time.monotonic() < deadline and supervisor.status() != psutil.STATUS_ZOMBIE:
            for child in supervisor.children():
                with suppress(psutil.NoSuchProcess):
                    if "spawn_main" in " ".join(child.cmdline()):
                        child.send_signal(number)
                        return
            time.sleep(0.001)
