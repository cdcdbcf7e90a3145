"""Real processes, judged from outside: `python -m benchmarks.leaks.processes [NAME…] [--write]`.

Each program of `programs` lives through a day in seconds: a minute of work, then a look at its
memory. The watcher's own rules judge it, and ask it to collect and trim when they suspect it.
"""

from __future__ import annotations

import argparse
import math
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.leaks.programs import HEALTHY, HOURS_BETWEEN_ROTATIONS, LEAKING
from monitor.decide import decide
from monitor.leak import Assessment
from monitor.ledger import Ledger
from monitor.model import Action, Collect, Collected, Event, Fail, Launched, Reported
from monitor.rules import built_in_rules
from monitor.sampler import Sampler
from monitor.series import Collection
from monitor.soak_plans import PROFILES
from monitor.state import State
from streamer.messages import Report, SinkCounts, StreamCounts

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs" / "leaks.md"
MIB = 1 << 20
DAY_MINUTES = 24 * 60
MESSAGES_PER_MINUTE = 6000
SHOWN = 4  # collections in a row of the table
LEAK_RULES = ("leak suspected", "collect", "leak")


@dataclass(frozen=True, slots=True)
class Judged:
    """What became of one program."""

    name: str
    leaks: bool
    first_mib: float
    last_mib: float
    asked_hours: float | None
    convicted_hours: float | None
    collections: tuple[Collection, ...]
    last: Assessment | None

    @property
    def right(self) -> bool:
        """Whether it was told what it is."""
        return (self.convicted_hours is not None) == self.leaks


class Child:
    """A program as a process of its own."""

    def __init__(self, name: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.leaks.programs", name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        self.pid = self._process.pid

    def tell(self, line: str) -> list[str]:
        """Have it do something; return the words of its answer once it is done."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline().split()
        if not answer:
            raise RuntimeError(f"the program ended with {self._process.wait()} at {line!r}")
        return answer

    def close(self) -> None:
        """End it: nothing more will be told."""
        self._process.communicate()


@contextmanager
def child(name: str) -> Iterator[Child]:
    """Run a program for a while."""
    one = Child(name)
    try:
        yield one
    finally:
        one.close()


class Watch:
    """The watcher's judgement of one child, over compressed time."""

    def __init__(self, name: str, process: Child) -> None:
        rules = built_in_rules("soak", PROFILES["24h"])
        plan = PROFILES["24h"]
        ledger = Ledger(plan, max_age_seconds=plan.duration_seconds)  # connections do not matter
        of_leaks = tuple(rule for rule in rules if rule.name in LEAK_RULES)
        self.state = State(of_leaks, "soak", ledger)
        self.actions: list[tuple[float, Action]] = []
        self.seen_mib: list[float] = []
        self._name = name
        self._process = process
        self._sampler = Sampler(process.pid, name, 1, slow_every_seconds=0)
        self._messages = 0
        self._rotations = 0
        self._feed(Launched(name, 1, process.pid, 0.0), 0.0)

    def minute(self, number: int) -> None:
        """Let a minute pass, and look."""
        messages = round(MESSAGES_PER_MINUTE * (1 + 0.5 * math.sin(2 * math.pi * number / 1440)))
        rotates = number > 0 and number % (60 * HOURS_BETWEEN_ROTATIONS) == 0
        self._process.tell(f"minute {number} {messages} {int(rotates)}")
        self._messages += messages
        self._rotations += rotates
        now = 60.0 * (number + 1)
        self._feed(Reported(now, self._report(number + 1)), now)
        sample = self._sampler.sample(now, now)
        if sample is None:
            raise RuntimeError(f"{self._name} cannot be looked at")
        self.seen_mib.append(sample.rss_bytes / MIB)
        self._feed(sample, now)

    def _feed(self, event: Event, now: float) -> None:
        self.state, actions = decide(self.state, event, now)
        for action in actions:
            self.actions.append((now, action))
            if isinstance(action, Collect):
                objects, trimmed = self._process.tell("collect")
                collected = Collected(self._name, 1, int(objects), trimmed == "1")
                self._feed(collected, now)

    def _report(self, number: int) -> Report:
        stream = StreamCounts("trade", "ALL", self._messages, 0, 0, 0, None, 60.0 * number, None)
        return Report(
            self._name,
            1,
            number,
            self._process.pid,
            60.0 * number,
            60.0 * number,
            "streaming",
            streams=(stream,),
            slots=(),
            sink=SinkCounts("null"),
            rotations={"age": self._rotations},
        )

    def judged(self) -> Judged:
        """Return what was found."""
        leak = self.state.children[self._name].process.leak
        first = {
            kind: next((at / 3600 for at, action in self.actions if isinstance(action, kind)), None)
            for kind in (Collect, Fail)
        }
        return Judged(
            self._name,
            self._name in LEAKING,
            self.seen_mib[0],
            self.seen_mib[-1],
            first[Collect],
            first[Fail],
            tuple(leak.collections),
            leak.latest,
        )


def judge(name: str, minutes: int = DAY_MINUTES) -> Judged:
    """Run a program through compressed time and judge it."""
    with child(name) as process:
        watch = Watch(name, process)
        for number in range(minutes):
            watch.minute(number)
        return watch.judged()


def row(one: Judged) -> str:
    """Return a line of the table."""
    given = [
        (each.before_bytes - each.after_bytes) / MIB
        for each in one.collections
        if each.after_bytes is not None
    ]
    shown = [f"{each:+.0f}" for each in given[:SHOWN]] + ["…"] * (len(given) > SHOWN)
    pattern = one.last.pattern if one.last and one.convicted_hours is not None else "–"
    score = "–" if one.last is None or one.last.score is None else f"{one.last.score:.2f}"
    return (
        f"| {one.name} | {'leaking' if one.leaks else 'healthy'} "
        f"| {one.first_mib:.0f} → {one.last_mib:.0f} MiB | {_hours(one.asked_hours)} "
        f"| {', '.join(shown) or '–'} | {_hours(one.convicted_hours)} "
        f"| {score} | {pattern} | {'yes' if one.right else '**no**'} |"
    )


def _hours(value: float | None) -> str:
    return "never" if value is None else f"{value:.1f} h"


def main() -> int:
    """Run the command; 1 when one was told wrong."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.leaks.processes")
    parser.add_argument("names", nargs="*", help="programs; all if none is given")
    parser.add_argument("--write", action="store_true", help="put the table into docs/leaks.md")
    options = parser.parse_args()
    lines = [
        "| program | is | RSS | asked to collect | given back, MiB | convicted | score | pattern "
        "| told right |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    right = 0
    names = options.names or [*HEALTHY, *LEAKING]
    for name in names:
        began = time.monotonic()
        one = judge(name)
        right += one.right
        lines.append(row(one))
        sys.stderr.write(f"{lines[-1]} {time.monotonic() - began:.1f} s\n")
    lines.append(f"\n{right} of {len(names)} told right.")
    sys.stdout.write("\n".join(lines) + "\n")
    if options.write:
        from benchmarks.leaks.__main__ import write

        write("\n".join(lines), "processes")
    return 0 if right == len(names) else 1


if __name__ == "__main__":
    sys.exit(main())
