"""A service from settings: every part is made here, and closed here."""

from __future__ import annotations

import json
import logging
import os
import platform
import sys
import time as clocks
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from monitor.conditions import changes
from monitor.disk import DiskWatch
from monitor.ledger import Ledger
from monitor.model import Mode
from monitor.recorder import Recorder
from monitor.reference import Reference
from monitor.resume import Resumed, disagreements
from monitor.rules import Rule, built_in_rules, merged
from monitor.sampler import Sampler
from monitor.soak_plans import SoakPlan
from monitor.state import State
from monitor.status import as_status
from monitor.telemetry import NoCurveError, TelemetryError, TelemetryServer
from monitor.web.server import HttpError, MetricsServer
from streamer import core_dumps, logs
from streamer.config import URL_NAMES
from streamer.secret import SecretUrl
from streamer.settings import masked
from supervisor import runtime_directory, state_directory
from supervisor.child import Target
from supervisor.child_config import ChildConfigFactory
from supervisor.child_setup import stream
from supervisor.control_server import Commanded, ControlServer
from supervisor.control_socket import ControlSocket
from supervisor.diagnosis import Diagnoses
from supervisor.display import Display, open_display
from supervisor.errors import ExitCode, SupervisorError, UsageError
from supervisor.escalation import Graces
from supervisor.fleet import Fleet
from supervisor.fleet_controller import FleetController
from supervisor.lifecycle import Lifecycle
from supervisor.notify import Notifier
from supervisor.observer import Observer
from supervisor.process_tree import become_subreaper
from supervisor.profile_writer import ProfileWriter
from supervisor.reload import Derived, Reload, Reloaded
from supervisor.restart import RestartPolicy, delay_of_start
from supervisor.schedule import Schedule
from supervisor.self_watch import SelfWatch
from supervisor.service import Parts, Service
from supervisor.settings import MonitorConfig, RuleConfig, Settings, load
from supervisor.starts import Starts
from supervisor.stopping import Stopping
from supervisor.timers import Every

log = logging.getLogger(__name__)

STREAMER = "streamer-1"  # the only one: with all symbols; shards of symbols will be several
_REPORTED_PACKAGES = ("vigil", "multiprocess", "psutil", "pyzmq", "confluent-kafka", "fastavro")


@dataclass(frozen=True, slots=True)
class RunSpec:
    """What a supervisor is started for."""

    mode: Mode
    profile: SoakPlan | None = None  # of a soak
    output: Path | None = None  # where the profile goes; None: into the state directory
    reference: Reference | None = None  # a known-good run, for the leak score of a soak
    resumed: Resumed | None = None  # the part of the soak that is done

    @property
    def duration_seconds(self) -> float | None:
        """How long it is to stream; None: until it is stopped."""
        if self.resumed is not None:
            return self.resumed.remaining_seconds
        return self.profile.duration_seconds if self.profile else None


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
    derived = Derived(
        load=lambda: load(config_file, assignments),
        rules_of=lambda loaded: rules_of(loaded, spec),
        graces_of=graces_of,
        restart_policy_of=restart_policy_of,
    )
    with ExitStack() as resources:
        resources.callback(notifier.close)
        display = resources.enter_context(open_display(settings.supervisor.log_format))
        parts = _parts(spec, settings, notifier, derived, target, display, resources)
        code = Service(parts, clocks.monotonic()).run()
        parts.starts.ended(code)
        return code


def _parts(
    spec: RunSpec,
    settings: Settings,
    notifier: Notifier,
    derived: Derived,
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
    if spec.reference is not None:
        _refuse_another_feed(spec.reference, settings)
    if spec.resumed is not None:
        _refuse_another_soak(spec.resumed, settings)
    ledger = Ledger(
        spec.profile,
        settings.connection.max_age,
        reference=spec.reference.curve if spec.reference else None,
    )
    state = State(rules_of(settings, spec), spec.mode, ledger)
    telemetry = resources.enter_context(_telemetry(directory))
    metrics = resources.enter_context(_metrics(settings.monitor))
    disk = resources.enter_context(closing(DiskWatch(settings.sink.directory)))
    disk.start()
    become_subreaper()
    commands = resources.enter_context(closing(ControlSocket(directory)))
    logs.keep_recent(directory / f"supervisor{runtime_directory.RECENT_LOG}")
    recent_log = directory / f"{STREAMER}{runtime_directory.RECENT_LOG}"
    child_configs = ChildConfigFactory(
        settings, STREAMER, telemetry.endpoint, telemetry.admit, recent_log
    )
    starts = Starts(directory)
    first_launch_at = now + _delay(starts, settings) if spec.mode == "run" else now
    fleet = _fleet(
        settings, child_configs, evidence, target, display.owns_terminal, first_launch_at
    )
    recorder = Recorder(
        ledger,
        spec.profile,
        _summary(settings),
        _environment(),
        time,
        now,
        reference=spec.reference,
        earlier=spec.resumed,
    )
    monitor = settings.monitor

    def known() -> dict[str, str]:
        return _known(reload.running, recorder)

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
    reloaded = Reloaded(observer, schedule, fleet, controller, child_configs, notifier)
    reload = Reload(settings, derived, reloaded)
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


def rules_of(settings: Settings, spec: RunSpec) -> tuple[Rule, ...]:
    """Return the built-in rules with those of the settings. Raises UsageError."""
    built_in = built_in_rules(spec.mode, spec.profile, settings.connection)
    return merged(built_in, [_rule(entry) for entry in settings.rules])


def _refuse_another_feed(reference: Reference, settings: Settings) -> None:
    """Raise UsageError for a reference of other symbols or streams: it warms up otherwise."""
    for name, then, now in (
        ("symbols", reference.symbols, settings.exchange.symbols),
        ("streams", reference.streams, settings.exchange.streams),
    ):
        if set(then) != set(now):
            raise UsageError(
                f"--reference {reference.source}: its {name} are {', '.join(then)}, and this soak "
                f"has {', '.join(now)}; expected a run with the same ones"
            )


def _refuse_another_soak(resumed: Resumed, settings: Settings) -> None:
    """Raise UsageError for settings that make another soak of it; tell what else is different."""
    summary = _summary(settings)
    if found := list(disagreements(resumed, summary)):
        raise UsageError(
            f"--resume {resumed.source}: {'; '.join(found)}; expected the settings that it was "
            "begun with"
        )
    log.info(
        "%s goes on after %.0f s of %.0f s",
        *(resumed.source, resumed.elapsed_seconds, resumed.plan.duration_seconds),
    )
    for change in changes(resumed.document, {"settings": summary, "environment": _environment()}):
        log.warning("not as before the interruption: %s", change)


def _rule(entry: RuleConfig) -> Rule:
    if (entry.above is None) == (entry.below is None):
        raise UsageError(f"rules: {entry.name!r}: expected one of above and below")
    limit = entry.above if entry.above is not None else entry.below
    assert limit is not None  # noqa: S101 - for mypy: one of the two is there
    try:
        return Rule(
            name=entry.name,
            metric=entry.metric,
            limit=limit,
            direction="above" if entry.above is not None else "below",
            for_seconds=entry.for_,
            grace_seconds=entry.grace,
            cooldown_seconds=entry.cooldown,
            action=entry.action,
        )
    except ValueError as error:
        raise UsageError(f"rules: {error}") from None


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


def graces_of(settings: Settings) -> Graces:
    """Return the grace periods."""
    supervisor = settings.supervisor
    return Graces(
        drain_seconds=supervisor.drain_grace,
        term_seconds=supervisor.term_grace,
        abort_seconds=supervisor.abort_grace,
        kill_seconds=supervisor.kill_grace,
    )


def restart_policy_of(settings: Settings) -> RestartPolicy:
    """Return the budget and the delays of restarts."""
    supervisor = settings.supervisor
    return RestartPolicy(
        limit=supervisor.restart_limit,
        window_seconds=supervisor.restart_window,
        backoff_initial_seconds=supervisor.restart_backoff_initial,
        backoff_max_seconds=supervisor.restart_backoff_max,
        healthy_after_seconds=supervisor.healthy_after,
    )


def _fleet(
    settings: Settings,
    child_configs: ChildConfigFactory,
    directory: Path,
    target: Target,
    keep_output: bool,
    first_launch_at: float,
) -> Fleet:
    slow_every = settings.monitor.slow_sample_every

    def make_sampler(pid: int, name: str, generation: int) -> Sampler:
        return Sampler(pid, name, generation, slow_every_seconds=slow_every)

    lifecycle = Lifecycle(
        STREAMER, target, child_configs, graces_of(settings), directory, keep_output=keep_output
    )
    return Fleet([lifecycle], restart_policy_of(settings), make_sampler, first_launch_at)


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


def _summary(settings: Settings) -> dict[str, Any]:
    """Return what the profile keeps of the settings."""
    return {
        "symbols": list(settings.exchange.symbols),
        "streams": list(settings.exchange.streams),
        "connection_max_age_seconds": settings.connection.max_age,
        "stale_after_seconds": settings.connection.stale_after,
        "proxies": {name: _shown(settings.exchange.proxy_of(name)) for name in URL_NAMES},
        "effective": masked(settings),
    }


def _shown(proxy: SecretUrl | None) -> str | None:
    return None if proxy is None else str(proxy)


def _known(settings: Settings, recorder: Recorder) -> dict[str, str]:
    """Return what a diagnosis begins with, by file name."""
    status = as_status(recorder.snapshot(clocks.monotonic(), clocks.time()))
    return {
        "settings.json": json.dumps(masked(settings), indent=2),
        "status.json": json.dumps(status, indent=2),
        "environment.json": json.dumps(_environment(), indent=2),
    }


def _environment() -> dict[str, Any]:
    versions: dict[str, str | None] = {}
    for package in _REPORTED_PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:  # run from a source tree that was never installed
            versions[package] = None
    return {
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "packages": versions,
    }
