"""The loop of the supervisor: what is observed goes to `decide`, what is wished for is done.

One thread, one poll, nothing that waits: every duration is a deadline that the loop looks at.
"""

from __future__ import annotations

import logging
import signal
import time as clocks
from dataclasses import dataclass, replace
from typing import Final

import zmq

from monitor.decide import decide
from monitor.disk import DiskWatch
from monitor.http import MetricsServer
from monitor.model import Abort, Event, Reported, Restart, Tick
from monitor.rules import memory_ceiling
from monitor.sampler import Sampler
from monitor.snapshot import Snapshot
from monitor.state import State
from monitor.telemetry import TelemetryServer
from streamer.messages import CommandResult, Report
from supervisor.child_config import ChildConfigFactory
from supervisor.control_server import ControlServer
from supervisor.display import Display
from supervisor.errors import ExitCode
from supervisor.escalation import Step
from supervisor.fleet import Fleet
from supervisor.fleet_controller import Conclusion, FleetController
from supervisor.notify import Notifier
from supervisor.profile_writer import ProfileWriter
from supervisor.reload import Reload
from supervisor.report import exit_code_of, status_line
from supervisor.signals import SignalQueue
from supervisor.starts import Starts
from supervisor.timers import Every

log = logging.getLogger(__name__)

_TICK_SECONDS: Final = 1.0  # absence is judged this often, however rare samples are
_EXTEND_SECONDS: Final = 15.0  # what systemd is asked for while starting or stopping
_SECOND_SIGNAL = {
    signal.SIGINT: ExitCode.INTERRUPTED,
    signal.SIGTERM: ExitCode.TERMINATED,
}


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What a service works with."""

    duration_seconds: float | None  # of a soak; None: until stopped
    startup_timeout_seconds: float
    sample_every_seconds: float
    checkpoint_every_seconds: float
    report_every_seconds: float
    state: State
    fleet: Fleet
    control: FleetController
    telemetry: TelemetryServer
    profile_writer: ProfileWriter
    display: Display
    notifier: Notifier
    own: Sampler  # looks at the supervisor itself
    metrics: MetricsServer
    disk: DiskWatch  # of sink.directory
    reload: Reload
    control_server: ControlServer
    child_configs: ChildConfigFactory
    starts: Starts


class Service:
    """Runs streamers until a verdict, a signal or a failure ends everything."""

    def __init__(self, parts: Parts, now: float) -> None:
        self.parts = parts
        self.state = parts.state
        self.startup_timeout_seconds = parts.startup_timeout_seconds
        self.sample = Every(parts.sample_every_seconds, now)
        self.checkpoint = Every(parts.checkpoint_every_seconds, now)
        self.report = Every(parts.report_every_seconds, now + parts.report_every_seconds)
        self._tick = Every(_TICK_SECONDS, now)
        self._extend = Every(_EXTEND_SECONDS / 3, now)
        watchdog = parts.notifier.watchdog_seconds
        self._watchdog = Every(watchdog / 2, now) if watchdog else None
        self._started_at = now
        self.ready = False
        self._stopped_by_command = False
        self._reports: dict[str, Report] = {}
        self._undrained: set[str] = set()

    def run(self) -> ExitCode:
        """Stream until the end; return what the process is to exit with."""
        with SignalQueue() as signals:
            try:
                while not (self.parts.control.conclusion and self.parts.fleet.over):
                    self._turn(signals)
            except Exception:  # the children and the profile come first, whatever broke
                log.exception("the supervisor failed; its streamers are ended")
                self._end_all_by_hand(signals)
            # Still with the queue: a signal now would end the process before the profile is there.
            code = self._finish(clocks.monotonic(), clocks.time())
            self.parts.control.endings.finish()
            self.parts.control_server.ended(code)
        return code

    def _turn(self, signals: SignalQueue) -> None:
        self._wait(signals)
        now, time = clocks.monotonic(), clocks.time()
        for number in signals.take():
            self._signalled(number, now)
        self._receive(now, time)
        self.parts.control_server.turn(self, now, time)
        self._look(now, time)
        self._advance(now, time)
        self.parts.control.look_at_deadlines(now, self._reports)
        if self.parts.control.conclusion is not None:
            # The first call counts: what the drain takes belongs to no criterion.
            self.parts.profile_writer.recorder.ended(
                self.parts.control.conclusion.reason, now, time
            )
        self._keep(now, time)

    def _wait(self, signals: SignalQueue) -> None:
        """Sleep until a socket, a process, a signal or a deadline wants something."""
        poller = zmq.Poller()
        for descriptor in (
            signals.fileno(),
            self.parts.telemetry.fileno(),
            *self.parts.fleet.pidfds(),
            self.parts.control.endings.fileno(),
        ):
            poller.register(descriptor, zmq.POLLIN)
        for descriptor, events in self.parts.control_server.filenos(clocks.monotonic()).items():
            poller.register(descriptor, events)
        due = min(
            self.sample.next_at,
            self._tick.next_at,
            self.parts.fleet.next_at,
            self.parts.control.endings.next_at,
        )
        # Whole milliseconds, rounded up: a poll that ends too early would be made again.
        poller.poll(int(max(0.0, due - clocks.monotonic()) * 1000) + 1)

    def _signalled(self, number: signal.Signals, now: float) -> None:
        control = self.parts.control
        if number is signal.SIGHUP:
            self.parts.reload(self, now)
        elif control.conclusion is None:
            self.stop(number.name, now)
        elif self._stopped_by_command:
            self._stopped_by_command = False  # this is the first signal, and changes nothing
            log.warning("%s: streamers are drained already; once more skips that", number.name)
        else:
            log.warning("%s: the drain is skipped", number.name)
            control.override(Conclusion("stopped", _SECOND_SIGNAL[number]), now, Step.KILL)

    def stop(self, why: str, now: float, *, by_command: bool = False) -> None:
        """End everything in an orderly way: streamers are drained first.

        By a signal the next one skips that; by a command it takes two.
        """
        self._stopped_by_command = by_command
        hurry = "a second signal" if by_command else "once more"
        log.warning("%s: streamers are drained; %s skips that", why, hurry)
        self.parts.notifier.stopping()
        code = ExitCode.PASS if self.parts.control.mode == "run" else None
        self.parts.control.conclude(Conclusion("stopped", code), now)

    def _receive(self, now: float, time: float) -> None:
        for message in self.parts.telemetry.receive():
            if isinstance(message, CommandResult):
                self.parts.control_server.answered(message)
                collected = self.parts.control.answered(message, now)
                if collected is not None:
                    self._observe(collected, now, time)
                continue
            member = self.parts.fleet.members.get(message.streamer)
            if member is None or message.generation != member.lifecycle.generation:
                continue  # the last words of a process that is gone
            self._reports[message.streamer] = message
            if member.lifecycle.reported():
                member.ever_reported = True
                log.info("%s: generation %d reports", message.streamer, message.generation)
                if not self.ready:
                    self.ready = True
                    self.parts.notifier.ready()
            self._observe(Reported(now, message), now, time)

    def _look(self, now: float, time: float) -> None:
        if self.sample.due(now):
            for sample in self.parts.fleet.sample(now, time):
                self._observe(sample, now, time)
            if (own := self.parts.own.sample(now, time)) is not None:
                self.parts.profile_writer.recorder.own(own)
        if not self._tick.due(now):
            return
        self._observe(Tick(), now, time)
        snapshot = self.snapshot(now, time)
        self.parts.metrics.publish(snapshot)
        self.parts.display.refresh(snapshot)
        self.parts.notifier.status(status_line(snapshot))
        if self.report.due(now):
            self.parts.display.report(snapshot)

    def snapshot(self, now: float, time: float) -> Snapshot:
        """Return the latest state of everything."""
        snapshot = self.parts.profile_writer.recorder.snapshot(now, time)
        return replace(
            snapshot,
            memory_ceiling_bytes=memory_ceiling(self.state.rules, snapshot.memory_ceiling_bytes),
            restarts_remaining=self.parts.fleet.restarts_remaining(now),
            disk=self.parts.disk.latest,
        )

    def _advance(self, now: float, time: float) -> None:
        fleet, control = self.parts.fleet, self.parts.control
        for exited in fleet.advance(now, time):
            if exited.exit_code != 0 and control.conclusion is not None:
                self._undrained.add(exited.streamer)
            self._observe(exited, now, time)
            control.exited(exited, now)
        for member in fleet.late_starters(now, self.startup_timeout_seconds):
            name = member.lifecycle.name
            log.error("%s: no report in %g s", name, self.startup_timeout_seconds)
            control.end(name, now, Step.TERM)
        duration = self.parts.duration_seconds
        if control.conclusion is None:
            if duration is not None and now - self._started_at >= duration:
                control.conclude(Conclusion("completed"), now)
            for launched in fleet.launch_due(now, time):
                self.parts.telemetry.expect(launched.streamer, launched.generation, launched.pid)
                self._observe(launched, now, time)

    def _observe(self, event: Event, now: float, time: float) -> None:
        self.state, actions = decide(self.state, event, now)
        self.parts.profile_writer.recorder.observe(event, now, time)
        for action in actions:
            # Once everything ends, an ending can only be hastened: a drain looks like silence.
            if self.parts.control.conclusion and not isinstance(action, (Abort, Restart)):
                continue
            self.parts.profile_writer.recorder.acted(action, now, time)
            self.parts.control.carry_out(action, now)

    def _keep(self, now: float, time: float) -> None:
        if now - self._started_at >= self.parts.fleet.policy.healthy_after_seconds:
            self.parts.starts.healthy()
        if self.checkpoint.due(now):
            self.parts.profile_writer.checkpoint(now, time)
        # Once per turn, after sampling and control: the loop lives only if both went on.
        if self._watchdog and self._watchdog.due(now):
            self.parts.notifier.watchdog()
        if (self.parts.control.conclusion or not self.ready) and self._extend.due(now):
            self.parts.notifier.extend(_EXTEND_SECONDS)

    def _end_all_by_hand(self, signals: SignalQueue) -> None:
        """End the streamers after an error in the loop, with as little of it as possible."""
        fleet = self.parts.fleet
        deadline = clocks.monotonic()
        self.parts.control.override(
            Conclusion("error", ExitCode.INTERNAL_ERROR), deadline, Step.TERM
        )
        deadline += sum(member.lifecycle.graces.total_seconds for member in fleet)
        while not fleet.over and clocks.monotonic() < deadline:
            for number in signals.take():
                if number is not signal.SIGHUP:
                    self.parts.control.override(None, clocks.monotonic(), Step.KILL)
            for exited in fleet.advance(clocks.monotonic(), clocks.time()):
                now = clocks.monotonic()
                self.state.ledger.take(exited, now)
                self.parts.profile_writer.recorder.observe(exited, now, clocks.time())
            clocks.sleep(0.05)

    def _finish(self, now: float, time: float) -> ExitCode:
        """Write the profile and the final block; return the exit code."""
        parts = self.parts
        conclusion = parts.control.conclusion or Conclusion("error", ExitCode.INTERNAL_ERROR)
        parts.profile_writer.recorder.ended(conclusion.reason, now, time)
        try:
            verdict = parts.profile_writer.conclude(now, time, judged=parts.control.mode == "soak")
            parts.display.conclude(verdict, parts.profile_writer.path)
        except Exception:  # even then the exit code must tell the cause
            log.exception("the profile could not be judged or written")
            return conclusion.exit_code or ExitCode.INTERNAL_ERROR
        if conclusion.exit_code is None:
            return exit_code_of(verdict) if verdict else ExitCode.INTERNAL_ERROR
        if conclusion.exit_code is ExitCode.PASS and self._undrained:
            names = ", ".join(sorted(self._undrained))
            log.error("the drain was not complete: %s", names)
            return ExitCode.INTERNAL_ERROR
        return conclusion.exit_code
