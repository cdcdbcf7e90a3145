"""`python -m streamer export`: complete Avro files as Parquet."""

from __future__ import annotations

import argparse
import fcntl
import os
import resource
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from streamer.export.plan import PARTITIONS, Exported, Job, Source, by_date, job_of
from streamer.shards.directories import directories
from streamer.sink_command import (
    INTERRUPTED,
    NOTHING,
    USAGE,
    SinkParser,
    list_argument,
    say,
    settings_of,
)

EXPORTED, FAILED = 0, 3
"""Exit codes of its own."""

_EPILOG = """\
Only complete files are read, and those that were exported before are passed over: run it as often
as you like, beside a streamer too. A day is written again as a whole when it has new files, so that
it has one Parquet file for each partition; a file is in place only when it is whole. Avro files may
be moved away once they are exported.

Exit codes: 0 all complete files are exported; 2 usage or configuration; 3 something could not be
exported, and is named; 4 there is nothing to export.
"""


def main(arguments: Sequence[str]) -> int:
    """Run the command and return its exit code."""
    parser = SinkParser(
        "export",
        "Writes the complete Avro files of a sink as Parquet: one file for each kind, "
        "day and symbol, compressed with zstd, every value exact.",
        _EPILOG,
    )
    add = parser.add_argument
    parser.add_directory()
    add("--output", type=Path, required=True, metavar="DIRECTORY", help="where Parquet files go")
    add(
        "--kinds",
        type=list_argument,
        default=(),
        metavar="LIST",
        help="only these, such as trade,gap",
    )
    add(
        "--partition",
        type=_partition,
        default=PARTITIONS,
        metavar="LIST",
        help="of date and symbol, in the order of the directories (default: date,symbol); none",
    )
    add("--whole-days", action="store_true", help="only days that have ended, UTC")
    parser.add_settings()
    options = parser.parse(arguments)
    settings = settings_of(options)
    try:
        import pyarrow.parquet  # noqa: F401 - said at once, and not in the middle
    except ImportError:
        say("export needs pyarrow: pip install 'pyarrow>=21' (or the extra parquet of vigil)")
        return USAGE
    root: Path = options.directory or settings.sink.directory
    _allow_many_files()
    try:
        with _alone(options.output):
            return _export(root, options)
    except KeyboardInterrupt:
        say("stopped: what is listed above is exported, the rest is not begun or done again")
        return INTERRUPTED
    except OSError as error:
        say(f"{error.filename or options.output}: {error.strerror or error}")
        return FAILED


def _export(root: Path, options: argparse.Namespace) -> int:
    from streamer.audit.layouts import DIRECTORIES
    from streamer.export.job import ExportError, read_state, run

    if unknown := [kind for kind in options.kinds if kind not in DIRECTORIES]:
        say(f"--kinds {','.join(unknown)}: expected some of {', '.join(DIRECTORIES)}")
        return USAGE
    days, failed = 0, 0
    today = datetime.now(UTC).strftime("%Y-%m-%d")
    for kind in options.kinds or DIRECTORIES:
        for date, found in by_date(_complete(root, kind)).items():
            if options.whole_days and date >= today:
                continue
            days += 1
            try:
                before = read_state(options.output, kind, date, options.partition)
                if (job := job_of(kind, date, found, before)) is None:
                    continue
                now = run(job, root, options.output, options.partition, before)
            except ExportError as error:
                failed += 1
                say(f"{kind} {date}: not exported: {error}")
                continue
            print(_line(job, now), flush=True)  # noqa: T201 - progress, for people
    if not days:
        of = f" of {', '.join(options.kinds)}" if options.kinds else ""
        say(f"{root}: no complete Avro files{of}; expected a sink.directory")
        return NOTHING
    return FAILED if failed else EXPORTED


def _line(job: Job, now: Exported) -> str:
    new = [output for output in now.outputs if output not in job.keep.outputs]
    return (
        f"{job.kind} {job.date}: {len(job.read)} files, {sum(one.bytes for one in job.read):,} "
        f"bytes of Avro → {len(new)} files, {sum(one.bytes for one in new):,} bytes, "
        f"{sum(one.records for one in new):,} records"
    )


def _complete(root: Path, kind: str) -> Iterator[Source]:
    for base in directories(root):
        streamer = "" if base == root else base.name
        for path in (base / kind).glob("*.avro"):
            try:
                yield Source(path.name, path.stat().st_size, streamer)
            except FileNotFoundError:
                continue  # moved away meanwhile


@contextmanager
def _alone(target: Path) -> Iterator[None]:
    """Hold the target's lock. Raises OSError, also when another export runs there."""
    directory = target / "_export"
    directory.mkdir(parents=True, exist_ok=True)
    fd = os.open(directory / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OSError(0, "another export writes there", str(target)) from None
        yield
    finally:
        os.close(fd)


def _allow_many_files() -> None:
    """Allow as many open files as the system does: one for each symbol of a day."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _partition(text: str) -> tuple[str, ...]:
    names = () if text == "none" else list_argument(text)
    if len(set(names)) < len(names) or not set(names) <= set(PARTITIONS):
        raise argparse.ArgumentTypeError(f"expected date, symbol, both or none, not {text!r}")
    return names
