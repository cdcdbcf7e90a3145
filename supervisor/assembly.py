"""A service from settings: every part is made here, and closed here."""

from __future__ import annotations

import logging
import os
import time as clocks
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path

from monitor.disk import DiskWatch
from monitor.ledger import Ledger
from monitor.recorder import Recorder
from monitor.sampler import Sampler
from monitor.soak_plans import PROFILES
from monitor.state import State
from monitor.telemetry import NoCurveError, TelemetryError, TelemetryServer
from monitor.web.server import HttpError, MetricsServer
from streamer import core_dumps, logs
from streamer.config import ShardConfig
from streamer.errors import SinkUnavailable
from streamer.shards.directories import name_of
from supervisor import runtime_directory, state_directory
from supervisor.child import Target
from supervisor.child_config import ChildConfigFactory
from supervisor.child_setup import stream
from supervisor.control_server import Commanded, ControlServer
from supervisor.control_socket import ControlSocket
from supervisor.derived import graces_of, restart_policy_of, rules_of
from supervisor.description import environment, known_of, summary_of
from supervisor.diagnosis import Diagnoses
from supervisor.display import Display, open_display
from supervisor.errors import ExitCode, SupervisorError, UsageError
from supervisor.fleet import Fleet
from supervisor.fleet_controller import FleetController
from supervisor.lifecycle import Lifecycle
from supervisor.notify import Notifier
from supervisor.observer import Observer
from supervisor.process_tree import become_subreaper
from supervisor.profile_writer import ProfileWriter
from supervisor.reload import Reload, Reloaded
from supervisor.restart import delay_of_start
from supervisor.run_spec import RunSpec, refuse_other_settings
from supervisor.schedule import Schedule
from supervisor.self_watch import SelfWatch
from supervisor.service import Parts, Service
from supervisor.settings import MonitorConfig, Settings, load
from supervisor.starts import Starts
from supervisor.stopping import Stopping
from supervisor.streamer_count import available_memory, count_in_effect, warn_of_memory
from supervisor.timers import Every

log = logging.getLogger(__name__)

LAUNCHES_APART_SECONDS = 0.5  # a start computes for so long, and asks the exchange for connections


def carry_out(
    spec: RunSpec,
    config_file: Path | None,
    assignments: Sequence[str],
    target: Target = stream,
) -> ExitCode:
    """Run a service to its end and return the exit code.

    `target` is what each child runs, given a StreamerConfig. Raises SettingsError and
    SupervisorError.
    """
    core_dumps.forbid()
    notifier = Notifier.from_environment()
    settings = load(config_file, assignments)
    logs.configure(settings.supervisor.log_format, settings.supervisor.log_level)
    with ExitStack() as resources:
        resources.callback(notifier.close)
        display = resources.enter_context(open_display(settings.supervisor.log_format))
        reread = partial(load, config_file, assignments)
        parts = _parts(spec, settings, reread, notifier, target, display, resources)
        code = Service(parts, clocks.monotonic()).run()
        parts.starts.ended(code)
        return code


def _parts(
    spec: RunSpec,
    settings: Settings,
    reread: Callable[[], Settings],
    notifier: Notifier,
    target: Target,
    display: Display,
    resources: ExitStack,
) -> Parts:
    now, time = clocks.monotonic(), clocks.time()
    directory = resources.enter_context(
        runtime_directory.private(settings.supervisor.runtime_directory)
    )
    evidence = resources.enter_context(
        state_directory.run_directory(
            settings.supervisor.state_directory, settings.sink.directory, directory, time
        )
    )
    refuse_other_settings(spec, settings)
    ledger = Ledger(
        spec.profile,
        settings.connection.max_age,
        reference=spec.reference.curve if spec.reference else None,
    )
    state = State(rules_of(settings, spec.mode, spec.profile), spec.mode, ledger)
    telemetry = resources.enter_context(_telemetry(directory))
    metrics = resources.enter_context(_metrics(settings.monitor))
    disk = resources.enter_context(closing(DiskWatch(settings.sink.directory)))
    disk.start()
    become_subreaper()
    commands = resources.enter_context(closing(ControlSocket(directory)))
    logs.keep_recent(directory / f"supervisor{runtime_directory.RECENT_LOG}")
    try:
        count = count_in_effect(settings)
    except SinkUnavailable as error:
        raise UsageError(str(error)) from None
    child_configs = {
        name_of(index): ChildConfigFactory(
            settings,
            ShardConfig(index=index, count=count),
            telemetry.endpoint,
            telemetry.admit,
            directory / f"{name_of(index)}{runtime_directory.RECENT_LOG}",
        )
        for index in range(count)
    }
    if count > 1:
        log.info("%d streamers share the symbols", count)
        limits = spec.profile or PROFILES["24h"]
        warn_of_memory(count, limits.memory_ceiling_bytes, available_memory())
    starts = Starts(directory)
    first_launch_at = now + _delay(starts, settings) if spec.mode == "run" else now
    fleet = _fleet(
        settings, child_configs, evidence, target, display.owns_terminal, first_launch_at
    )
    recorder = Recorder(
        ledger,
        spec.profile,
        summary_of(settings),
        environment(),
        time,
        now,
        reference=spec.reference,
        earlier=spec.resumed,
    )
    monitor = settings.monitor

    def known() -> dict[str, str]:
        return known_of(reload.running, recorder)

    controller = FleetController(
        spec.mode,
        fleet,
        telemetry,
        lambda ask: Diagnoses(evidence, directory, ask, known),
        # A breach is seen within one sampling period and acted on within two.
        evidence_within_seconds=monitor.sample_every,
    )
    self_watch = SelfWatch(recorder, now)
    observer = Observer(state, recorder, controller, fleet, disk, telemetry, self_watch)
    report_every = settings.supervisor.report_every
    schedule = Schedule(
        sample=Every(monitor.sample_every, now),
        checkpoint=Every(monitor.profile_every, now),
        report=Every(report_every, now + report_every),
        startup_timeout_seconds=settings.supervisor.startup_timeout,
    )
    reloaded = Reloaded(
        observer, schedule, fleet, controller, tuple(child_configs.values()), notifier
    )
    reload = Reload(
        settings,
        reread,
        lambda loaded: rules_of(loaded, spec.mode, spec.profile),
        reloaded,
    )
    stopping = Stopping(controller, notifier)
    commanded = Commanded(observer, fleet, controller, reload, stopping)
    return Parts(
        duration_seconds=spec.duration_seconds,
        schedule=schedule,
        fleet=fleet,
        controller=controller,
        observer=observer,
        self_watch=self_watch,
        telemetry=telemetry,
        control_server=ControlServer(commands, directory, commanded),
        reload=reload,
        stopping=stopping,
        profile_writer=ProfileWriter(
            recorder, spec.output or evidence / "profile.json", directory / "profile.json"
        ),
        own=Sampler(os.getpid(), "supervisor", 0, slow_every_seconds=0),
        metrics=metrics,
        display=display,
        notifier=notifier,
        starts=starts,
    )


def _delay(starts: Starts, settings: Settings) -> float:
    """Count this start and return the seconds until its first launch."""
    failed = starts.begin()
    delay = delay_of_start(restart_policy_of(settings), failed)
    if delay:
        log.warning(
            "the last %d runs failed (see runs/ in the state directory); "
            "streamers are launched in %g s",
            failed,
            delay,
        )
    return delay


def _fleet(
    settings: Settings,
    child_configs: Mapping[str, ChildConfigFactory],
    directory: Path,
    target: Target,
    keep_output: bool,
    first_launch_at: float,
) -> Fleet:
    slow_every = settings.monitor.slow_sample_every

    def make_sampler(pid: int, name: str, generation: int) -> Sampler:
        return Sampler(pid, name, generation, slow_every_seconds=slow_every)

    lifecycles = [
        Lifecycle(name, target, config, graces_of(settings), directory, keep_output=keep_output)
        for name, config in child_configs.items()
    ]
    return Fleet(
        lifecycles,
        restart_policy_of(settings),
        make_sampler,
        first_launch_at,
        apart_seconds=LAUNCHES_APART_SECONDS,
    )


@contextmanager
def _telemetry(directory: Path) -> Iterator[TelemetryServer]:
    try:
        server = TelemetryServer(directory)
    except NoCurveError as error:
        raise SupervisorError(str(error)) from None
    except TelemetryError as error:
        raise UsageError(f"supervisor.runtime_directory = {directory}: {error}") from None
    try:
        yield server
    finally:
        server.close()


@contextmanager
def _metrics(monitor: MonitorConfig) -> Iterator[MetricsServer]:
    try:
        server = MetricsServer(
            monitor.metrics_address, monitor.allowed_hosts, monitor.metrics_streams_max
        )
    except HttpError as error:
        raise UsageError(f"monitor.metrics_address = {monitor.metrics_address}: {error}") from None
    try:
        server.start()
        log.info("live page: %s", server.url)
        yield server
    finally:
        server.close()
