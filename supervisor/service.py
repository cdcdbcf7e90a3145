"""The loop of the supervisor: what is observed goes to `decide`, what is wished for is done.

One thread, one poll, nothing that waits: every duration is a deadline that the loop looks at.
"""

from __future__ import annotations

import logging
import signal
import time as clocks
from dataclasses import dataclass
from typing import Final

import zmq

from monitor.model import Reported, Tick
from monitor.sampler import Sampler
from monitor.telemetry import TelemetryServer
from monitor.web.server import MetricsServer
from streamer.messages import CommandResult, Report
from supervisor.control_server import ControlServer
from supervisor.display import Display
from supervisor.errors import ExitCode
from supervisor.escalation import Step
from supervisor.fleet import Fleet
from supervisor.fleet_controller import Conclusion, FleetController
from supervisor.notify import Notifier
from supervisor.observer import Observer
from supervisor.profile_writer import ProfileWriter
from supervisor.reload import Reload
from supervisor.report import exit_code_of, status_line
from supervisor.schedule import Schedule
from supervisor.self_watch import SelfWatch
from supervisor.signals import SignalQueue
from supervisor.starts import Starts
from supervisor.stopping import Stopping
from supervisor.timers import Every

log = logging.getLogger(__name__)

_TICK_SECONDS: Final = 1.0  # absence is judged this often, however rare samples are
_EXTEND_SECONDS: Final = 15.0  # what systemd is asked for while starting or stopping


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What the loop turns; each part was given the others that it needs."""

    duration_seconds: float | None  # of a soak; None: until stopped
    schedule: Schedule
    fleet: Fleet
    controller: FleetController
    observer: Observer
    self_watch: SelfWatch
    telemetry: TelemetryServer
    control_server: ControlServer
    reload: Reload
    stopping: Stopping
    profile_writer: ProfileWriter
    own: Sampler  # looks at the supervisor itself
    metrics: MetricsServer
    display: Display
    notifier: Notifier
    starts: Starts


class Service:
    """Runs streamers until a verdict, a signal or a failure ends everything."""

    def __init__(self, parts: Parts, now: float) -> None:
        self.parts = parts
        self._recorder = parts.profile_writer.recorder
        self._tick = Every(_TICK_SECONDS, now)
        self._extend = Every(_EXTEND_SECONDS / 3, now)
        watchdog = parts.notifier.watchdog_seconds
        self._watchdog = Every(watchdog / 2, now) if watchdog else None
        self._started_at = now
        self._ready = False
        self._reports: dict[str, Report] = {}
        self._undrained: set[str] = set()

    def run(self) -> ExitCode:
        """Stream until the end; return what the process is to exit with."""
        with SignalQueue() as signals:
            try:
                while not (self.parts.controller.conclusion and self.parts.fleet.over):
                    self._turn(signals)
            except Exception:  # the children and the profile come first, whatever broke
                log.exception("the supervisor failed; its streamers are ended")
                self._end_all_by_hand(signals)
            # Still with the queue: a signal now would end the process before the profile is there.
            code = self._finish(clocks.monotonic(), clocks.time())
            self.parts.controller.endings.finish()
            self.parts.control_server.ended(code)
        return code

    def _turn(self, signals: SignalQueue) -> None:
        self._wait(signals)
        now, time = clocks.monotonic(), clocks.time()
        for number in signals.take():
            self._signalled(number, now)
        self._receive(now, time)
        self.parts.control_server.turn(now, time)
        self._look(now, time)
        self._advance(now, time)
        self.parts.controller.look_at_deadlines(now, self._reports)
        if self.parts.controller.conclusion is not None:
            # The first call counts: what the drain takes belongs to no criterion.
            self._recorder.ended(self.parts.controller.conclusion.reason, now, time)
        self._keep(now, time)
        self.parts.self_watch.turned(now, clocks.monotonic())

    def _wait(self, signals: SignalQueue) -> None:
        """Sleep until a socket, a process, a signal or a deadline wants something."""
        poller = zmq.Poller()
        for descriptor in (
            signals.fileno(),
            self.parts.telemetry.fileno(),
            *self.parts.fleet.pidfds(),
            self.parts.controller.endings.fileno(),
        ):
            poller.register(descriptor, zmq.POLLIN)
        for descriptor, events in self.parts.control_server.filenos(clocks.monotonic()).items():
            poller.register(descriptor, events)
        due = min(
            self.parts.schedule.sample.next_at,
            self._tick.next_at,
            self.parts.fleet.next_at,
            self.parts.controller.endings.next_at,
        )
        # Whole milliseconds, rounded up: a poll that ends too early would be made again.
        poller.poll(int(max(0.0, due - clocks.monotonic()) * 1000) + 1)

    def _signalled(self, number: signal.Signals, now: float) -> None:
        if number is signal.SIGHUP:
            self.parts.reload(now)
        else:
            self.parts.stopping.signalled(number, now)

    def _receive(self, now: float, time: float) -> None:
        for message in self.parts.telemetry.receive():
            if isinstance(message, CommandResult):
                self.parts.control_server.answered(message)
                collected = self.parts.controller.answered(message, now)
                if collected is not None:
                    self.parts.observer.observe(collected, now, time)
                continue
            member = self.parts.fleet.members.get(message.streamer)
            if member is None or message.generation != member.lifecycle.generation:
                continue  # the last words of a process that is gone
            self._reports[message.streamer] = message
            if member.lifecycle.reported():
                member.ever_reported = True
                log.info("%s: generation %d reports", message.streamer, message.generation)
                if not self._ready:
                    self._ready = True
                    self.parts.notifier.ready()
            self.parts.self_watch.reported(message.time, time)
            self.parts.observer.observe(Reported(now, message), now, time)

    def _look(self, now: float, time: float) -> None:
        if self.parts.schedule.sample.due(now):
            for sample in self.parts.fleet.sample(now, time):
                self.parts.observer.observe(sample, now, time)
            if (own := self.parts.own.sample(now, time)) is not None:
                self._recorder.own(own)
        if not self._tick.due(now):
            return
        self.parts.observer.observe(Tick(), now, time)
        snapshot = self.parts.observer.snapshot(now, time)
        self.parts.self_watch.look(snapshot, now, time)
        self.parts.metrics.publish(snapshot)
        self.parts.display.refresh(snapshot)
        self.parts.notifier.status(status_line(snapshot))
        if self.parts.schedule.report.due(now):
            self.parts.display.report(snapshot)

    def _advance(self, now: float, time: float) -> None:
        fleet, controller = self.parts.fleet, self.parts.controller
        for exited in fleet.advance(now, time):
            if exited.exit_code != 0 and controller.conclusion is not None:
                self._undrained.add(exited.streamer)
            self.parts.observer.observe(exited, now, time)
            controller.exited(exited, now)
        for member in fleet.late_starters(now, self.parts.schedule.startup_timeout_seconds):
            name = member.lifecycle.name
            log.error("%s: no report in %g s", name, self.parts.schedule.startup_timeout_seconds)
            controller.end(name, now, Step.TERM)
        duration = self.parts.duration_seconds
        if controller.conclusion is None:
            if duration is not None and now - self._started_at >= duration:
                controller.conclude(Conclusion("completed"), now)
            for launched in fleet.launch_due(now, time):
                self.parts.telemetry.expect(launched.streamer, launched.generation, launched.pid)
                self.parts.observer.observe(launched, now, time)

    def _keep(self, now: float, time: float) -> None:
        if now - self._started_at >= self.parts.fleet.policy.healthy_after_seconds:
            self.parts.starts.healthy()
        if self.parts.schedule.checkpoint.due(now):
            self.parts.profile_writer.checkpoint(now, time)
        # Once per turn, after sampling and control: the loop lives only if both went on.
        if self._watchdog and self._watchdog.due(now):
            self.parts.notifier.watchdog()
        if (self.parts.controller.conclusion or not self._ready) and self._extend.due(now):
            self.parts.notifier.extend(_EXTEND_SECONDS)

    def _end_all_by_hand(self, signals: SignalQueue) -> None:
        """End the streamers after an error in the loop, with as little of it as possible."""
        fleet = self.parts.fleet
        deadline = clocks.monotonic()
        self.parts.controller.override(
            Conclusion("error", ExitCode.INTERNAL_ERROR), deadline, Step.TERM
        )
        deadline += sum(member.lifecycle.graces.total_seconds for member in fleet)
        while not fleet.over and clocks.monotonic() < deadline:
            for number in signals.take():
                if number is not signal.SIGHUP:
                    self.parts.controller.override(None, clocks.monotonic(), Step.KILL)
            for exited in fleet.advance(clocks.monotonic(), clocks.time()):
                self.parts.observer.record_exit(exited, clocks.monotonic(), clocks.time())
            clocks.sleep(0.05)

    def _finish(self, now: float, time: float) -> ExitCode:
        """Write the profile and the final block; return the exit code."""
        parts = self.parts
        conclusion = parts.controller.conclusion or Conclusion("error", ExitCode.INTERNAL_ERROR)
        self._recorder.ended(conclusion.reason, now, time)
        try:
            verdict = parts.profile_writer.conclude(
                now, time, judged=parts.controller.mode == "soak"
            )
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
