"""`soak`: stream for a time, then a verdict."""

from __future__ import annotations

import argparse
import logging
import signal
import tomllib
from dataclasses import replace
from pathlib import Path

from monitor import checkpoint
from monitor.evidence import DocumentError, foreign
from monitor.reference import Reference, UnfitReferenceError, reference_from
from monitor.report import ReportError, write_report
from monitor.resume import resumed_from
from monitor.soak_plans import PROFILES, ProfileError, SoakPlan, from_mapping, scaled
from streamer.units import parse_duration
from supervisor.assembly import carry_out
from supervisor.errors import UsageError
from supervisor.run_spec import RunSpec

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what a soak is told."""
    begun = parser.add_mutually_exclusive_group(required=True)
    begun.add_argument(
        "--resume",
        type=Path,
        metavar="PROFILE.json",
        help="go on with a soak that was stopped, or killed with its supervisor or machine: with "
        "the same settings, into the same file unless --output names another",
    )
    begun.add_argument(
        "--profile",
        metavar="NAME|FILE",
        help=f"what is expected: {', '.join(PROFILES)}, or a TOML file",
    )
    parser.add_argument(
        "--duration",
        type=_duration,
        metavar="D",
        help="another length, such as 90s or 4h; the profile's criteria are scaled to it",
    )
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="where the profile of the run goes (JSON)"
    )
    parser.add_argument(
        "--reference",
        type=Path,
        metavar="PROFILE.json",
        help="a run that passed: its warm-up is known to be no leak, and the leak score is "
        "required even within an hour",
    )


def run(options: argparse.Namespace) -> int:
    """Stream, judge, and return the verdict's exit code."""
    if options.resume is not None:
        return _resume(options)
    profile = _profile(options.profile)
    if options.duration is not None:
        try:
            profile = scaled(profile, options.duration)
        except ProfileError as error:
            raise UsageError(f"--duration: {error}") from None
    output = _output(options.output or Path(profile.output_file))
    reference = None
    if options.reference is not None:
        if options.reference.resolve() == output:
            raise UsageError(f"--reference {options.reference}: --output would overwrite it")
        reference = _reference(options.reference, profile.duration_seconds)
        profile = replace(profile, leak_required=True)
    return _carry_out(RunSpec("soak", profile, output, reference), options)


def _resume(options: argparse.Namespace) -> int:
    """Go on with an interrupted soak."""
    for name in ("duration", "reference"):
        if getattr(options, name) is not None:
            raise UsageError(f"--{name}: it is that of {options.resume}; expected --resume alone")
    try:
        resumed = resumed_from(checkpoint.load(options.resume), options.resume.name)
    except (checkpoint.CheckpointError, DocumentError) as error:
        raise UsageError(f"--resume {options.resume}: {error}") from None
    output = _output(options.output or options.resume)
    spec = RunSpec("soak", resumed.plan, output, resumed.reference, resumed)
    return _carry_out(spec, options)


def _carry_out(spec: RunSpec, options: argparse.Namespace) -> int:
    assert spec.output is not None  # noqa: S101 - for mypy: a soak has one
    code = carry_out(spec, options.config, options.assignments)
    _report(spec.output, spec.output.with_suffix(".html"))
    return code


def _output(path: Path) -> Path:
    """Return where the profile goes. Raises UsageError where it or its report cannot."""
    if not path.resolve().parent.is_dir():
        raise UsageError(f"--output {path}: there is no directory {path.resolve().parent}")
    if path.suffix == ".html":
        raise UsageError(f"--output {path}: the report gets that name; expected .json")
    try:
        checkpoint.check_writable(path.resolve())
    except checkpoint.CheckpointError as error:
        raise UsageError(f"--output {path}: {error}") from None
    return path.resolve()


def _report(profile: Path, report: Path) -> None:
    """Write the report beside the profile; the run is over, and nothing here changes its code."""
    try:
        # The run is over; a person may have enough of waiting for its picture.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        write_report(checkpoint.load(profile), report)
    except (ReportError, checkpoint.CheckpointError) as error:
        log.warning("%s (then: vigil judge %s --report %s)", error, profile, report)
    except (Exception, KeyboardInterrupt):
        log.exception("no report could be made (vigil judge %s --report %s)", profile, report)
    else:
        log.info("report: %s", report)


def _profile(name_or_file: str) -> SoakPlan:
    if name_or_file in PROFILES:
        return PROFILES[name_or_file]
    path = Path(name_or_file)
    try:
        mapping = tomllib.loads(path.read_text(encoding="utf-8"))
        return from_mapping(mapping, path.stem)
    except FileNotFoundError:
        raise UsageError(
            f"--profile {name_or_file}: neither a built-in profile ({', '.join(PROFILES)}) "
            "nor a file"
        ) from None
    except OSError as error:
        raise UsageError(f"--profile {path}: cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"--profile {path}: is no valid TOML: {error}") from None
    except ProfileError as error:
        raise UsageError(f"--profile {path}: {error}") from None


def _reference(path: Path, duration_seconds: float) -> Reference:
    try:
        document = checkpoint.load(path)
        with foreign():
            return reference_from(document, path.name, duration_seconds)
    except (checkpoint.CheckpointError, DocumentError, UnfitReferenceError) as error:
        raise UsageError(f"--reference {path}: {error}") from None


def _duration(text: str) -> float:
    try:
        seconds = parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: {error}") from None
    if seconds <= 0:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a duration above 0")
    return seconds
