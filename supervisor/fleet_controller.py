"""Carrying out what was decided: commands to streamers, endings, restarts, the conclusion."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from monitor.model import (
    Abort,
    Action,
    Breach,
    Collect,
    Collected,
    Exited,
    Fail,
    Mode,
    Restart,
    Rotate,
    Severity,
    Warn,
)
from monitor.recorder import Ended
from monitor.telemetry import TelemetryServer
from streamer.messages import CommandResult, Report
from supervisor.diagnosis import Ask, Diagnoses
from supervisor.endings import WITHIN_SECONDS, Endings
from supervisor.errors import ExitCode
from supervisor.escalation import Step
from supervisor.fleet import Fleet
from supervisor.pending_commands import Request, Requests
from supervisor.signals import name_of

log = logging.getLogger(__name__)

ANSWER_WITHIN_SECONDS = 5.0  # a healthy feed loop turns many times a second
_QUIET_WITHIN_SECONDS = 60.0  # a restart that waits for a quiet moment waits no longer


@dataclass(frozen=True, slots=True)
class Conclusion:
    """Why the run ends, and with which exit code (None: what the verdict says)."""

    reason: Ended
    exit_code: ExitCode | None = None


@dataclass(slots=True)
class _Postponed:
    action: Restart
    until: float


class FleetController:
    """Acts on a fleet. What comes of it is seen as reports and exits by whoever owns the loop."""

    def __init__(
        self,
        mode: Mode,
        fleet: Fleet,
        telemetry: TelemetryServer,
        diagnoses_of: Callable[[Ask], Diagnoses],
        evidence_within_seconds: float = WITHIN_SECONDS,
    ) -> None:
        """`diagnoses_of` makes those whose streamers are asked by its argument.

        An ending waits `evidence_within_seconds` for its evidence.
        """
        self.mode = mode
        self.conclusion: Conclusion | None = None
        self._fleet = fleet
        self._telemetry = telemetry
        self._diagnoses = diagnoses_of(
            lambda name, now, place: self.ask(name, "diagnose", now, {"directory": place})
        )
        self.endings = Endings(fleet, self._diagnoses, self.end, evidence_within_seconds)
        self._requests = Requests(str(os.getpid()))
        self._postponed: dict[str, _Postponed] = {}
        self._restarting: set[str] = set()
        self._wanted: dict[str, str | int | float | bool] = {}  # arguments of the last `reload`
        self._reload_at: dict[str, float] = {}  # who has not agreed to it yet, and when to ask
        self.reload_told: dict[str, tuple[bool, str] | None] = {}  # who was asked, and said what

    def carry_out(self, action: Action, now: float) -> None:
        """Do what was wished for."""
        match action:
            case Warn(breach):
                _say(breach)
            case Fail(breach):
                _say(breach, "the verdict will fail")
            case Collect(breach):
                log.info("%s is asked to collect garbage and to trim its heap", breach.streamer)
                self.ask(breach.streamer, "collect", now)
            case Rotate(breach, reason):
                _say(breach, "its connection is rotated" if breach.slot else "rotated")
                slot = {"slot": breach.slot} if breach.slot else {}
                self.ask(breach.streamer, "rotate", now, {**slot, "reason": reason})
            case Restart(breach):
                _say(breach, "it is restarted")
                self._restart(action, now)
            case Abort(breach):
                _say(breach, "the soak is aborted")
                self.conclude(Conclusion("aborted"), now, spare=breach.streamer)
                self._end_by_rule(action, now)

    def conclude(
        self,
        conclusion: Conclusion,
        now: float,
        first: Step = Step.DRAIN,
        spare: str | None = None,
    ) -> None:
        """End everything, for the first reason that was given; `spare` is ended by the caller."""
        self.conclusion = self.conclusion or conclusion
        self._postponed.clear()
        for member in self._fleet:
            member.launch_at = None
            if member.lifecycle.name != spare:
                self.end(member.lifecycle.name, now, first)

    @property
    def reload_refused(self) -> bool:
        """Whether a streamer did not take the last `want`; what was in the way may be gone."""
        return any(told is not None and not told[0] for told in self.reload_told.values())

    def ask(
        self,
        streamer: str,
        name: str,
        now: float,
        arguments: dict[str, str | int | float | bool] | None = None,
    ) -> str | None:
        """Send a streamer a command; return its id, or None when it cannot be reached."""
        command = self._requests.issue(streamer, name, now, ANSWER_WITHIN_SECONDS, arguments)
        if self._telemetry.send(streamer, command):
            return command.id
        log.warning("%s cannot be reached for %r", streamer, name)
        return None

    def restart(self, streamer: str, now: float) -> None:
        """Have a streamer drained and launched again; at once, if it waits for its launch."""
        member = self._fleet.members[streamer]
        if member.launch_at is not None:
            member.launch_at = now
            return
        self._restarting.add(streamer)
        self._postponed.pop(streamer, None)
        self.end(streamer, now, Step.DRAIN)

    def want(self, streams: Iterable[str], symbols: Iterable[str], now: float) -> None:
        """Have every streamer that runs stream these; it is asked until it has answered."""
        self._wanted = {"streams": ",".join(streams), "symbols": ",".join(symbols)}
        self.reload_told.clear()
        for member in self._fleet:
            if member.lifecycle.child is not None:
                self._reload_at[member.lifecycle.name] = now
                self.reload_told[member.lifecycle.name] = None

    def override(self, conclusion: Conclusion | None, now: float, first: Step) -> None:
        """End everything for this reason, whatever was given before (None: keep that)."""
        self.conclusion = conclusion or self.conclusion
        self.conclude(self.conclusion or Conclusion("error"), now, first)

    def end(self, name: str, now: float, first: Step) -> None:
        """End one streamer, beginning at a step."""
        begun = self._fleet.members[name].lifecycle.end(now, first)
        if begun is Step.DRAIN and self.ask(name, "drain", now) is None:
            self.end(name, now, Step.TERM)

    def exited(self, exited: Exited, now: float) -> None:
        """Decide what the end of a process means: a restart, or the end of everything."""
        _describe(exited)
        name = exited.streamer
        self.endings.gone(name)
        if self.conclusion is not None:
            return
        self._reload_at.pop(name, None)  # the next one is launched with it
        self.reload_told.pop(name, None)
        started = self._fleet.members[name].ever_reported
        # Wrong settings, such as a file of certificates that cannot be read, stay wrong.
        wrong = exited.exit_code == ExitCode.USAGE
        if not started and (
            wrong or self.mode == "soak" or not self._fleet.others_go_on(name, now)
        ):
            log.error("%s could not start", name)
            code = ExitCode.USAGE if wrong else ExitCode.STARTUP_FAILED
            self.conclude(Conclusion("streamer_ended", code), now)
        elif exited.exit_code == ExitCode.USAGE:
            # Such as two with the same name in a group: a restart would end the other one.
            log.critical("%s: its settings are wrong, as it says: it is not launched again", name)
            self.conclude(Conclusion("streamer_ended", ExitCode.USAGE), now)
        elif self.mode == "soak" and name not in self._restarting:
            self.conclude(Conclusion("streamer_ended"), now)
        elif (delay := self._fleet.restart(name, now)) is None:
            self._spent(name, now)
        else:
            self._restarting.discard(name)
            log.warning("%s is launched again in %.1f s", name, delay)

    def _spent(self, name: str, now: float) -> None:
        """End everything, or leave one down for a while where others go on without it."""
        policy = self._fleet.policy
        log.critical(
            "%s: its %d restarts in %g s are spent", name, policy.limit, policy.window_seconds
        )
        delay = self._fleet.restart_later(name, now)
        if delay is None:
            self.conclude(Conclusion("streamer_ended", ExitCode.RESTART_BUDGET_SPENT), now)
            return
        self._restarting.discard(name)
        log.critical("%s stays down, others go on; it is launched again in %.0f s", name, delay)

    def answered(self, answer: CommandResult, now: float) -> Collected | None:
        """Note the answer to a command; a collection that was done is an event to be judged."""
        request = self._requests.answered(answer)
        if request is None:
            return None
        name = request.command.name
        if name == "reload":
            self._reloaded(request, answer)
            return None
        if name == "diagnose":
            self._diagnoses.answered(answer, now)
        if answer.ok:
            log.debug("%s: %s: %s", request.streamer, name, answer.detail or "accepted")
            return self._collected(request.streamer, answer) if name == "collect" else None
        log.warning("%s refused %r: %s", request.streamer, name, answer.detail)
        if name == "drain":
            self.end(request.streamer, now, Step.TERM)
        return None

    def look_at_deadlines(self, now: float, reports: dict[str, Report]) -> None:
        """Do what was put off until now; name the commands that were never answered."""
        for request in self._requests.overdue(now):
            command = request.command
            log.warning(
                "%s did not answer %r in %g s",
                request.streamer,
                command.name,
                command.within_seconds,
            )
        for name, at in list(self._reload_at.items()):
            if now >= at:
                self._reload_at[name] = now + ANSWER_WITHIN_SECONDS
                self.ask(name, "reload", now, self._wanted)
        for name, postponed in list(self._postponed.items()):
            report = reports.get(name)
            rotating = report is not None and any(slot.rotating for slot in report.slots)
            if now >= postponed.until or not rotating:
                del self._postponed[name]
                self._end_by_rule(postponed.action, now)
        self.endings.turn(now)

    def _reloaded(self, request: Request, answer: CommandResult) -> None:
        if request.command.arguments == self._wanted:
            self._reload_at.pop(request.streamer, None)
            self.reload_told[request.streamer] = answer.ok, answer.detail
        if answer.ok:
            log.info("%s: %s", request.streamer, answer.detail)
        else:
            log.error("%s: its streams stay as they are: %s", request.streamer, answer.detail)

    def _collected(self, streamer: str, answer: CommandResult) -> Collected:
        objects = answer.result.get("collected_objects")
        trimmed = answer.result.get("trimmed")
        return Collected(
            streamer,
            self._fleet.members[streamer].lifecycle.generation,
            objects=objects if isinstance(objects, int) else None,
            trimmed=trimmed if isinstance(trimmed, bool) else None,
        )

    def _restart(self, action: Restart, now: float) -> None:
        name = action.breach.streamer
        self._restarting.add(name)
        if action.when_quiet:
            self._postponed[name] = _Postponed(action, now + _QUIET_WITHIN_SECONDS)
        else:
            self._postponed.pop(name, None)
            self._end_by_rule(action, now)

    def _end_by_rule(self, action: Restart | Abort, now: float) -> None:
        """End a process that memory or a hang has brought down: evidence first."""
        breach = action.breach
        self.endings.begin(
            breach.streamer, breach.message, now, _first_step(action), hears=action.hears
        )


def _first_step(action: Restart | Abort) -> Step:
    if action.kill_now:
        return Step.KILL
    return Step.TERM if action.skip_drain else Step.DRAIN


_LEVELS = {
    Severity.ROUTINE: logging.INFO,
    Severity.WARNING: logging.WARNING,
    Severity.CRITICAL: logging.ERROR,
}


def _say(breach: Breach, consequence: str = "") -> None:
    level = _LEVELS[breach.severity]
    ending = f"; {consequence}" if consequence else ""
    log.log(level, "%s%s", breach.message, ending)


def _describe(exited: Exited) -> None:
    if exited.exit_code < 0:
        how = f"ended by {name_of(-exited.exit_code)}"
    else:
        how = f"exited with {exited.exit_code}"
    level = logging.INFO if exited.expected else logging.ERROR
    log.log(level, "%s: generation %d %s", exited.streamer, exited.generation, how)
