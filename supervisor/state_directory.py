"""Where the evidence of runs is kept: profile, stack dumps, diagnoses.

Each start has a directory of its own, `runs/<UTC time of the start>`, so that the evidence of one
run never overwrites that of the run before; `runs/latest` is a link to the newest. On a disk, they
outlive a reboot.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import re
import shutil
import time as clocks
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Final

from supervisor.errors import UsageError
from supervisor.own_directory import make_private

log = logging.getLogger(__name__)

KEPT_RUNS: Final = 20
"""Four times what systemd starts in a row (StartLimitBurst=5), a few MB each at most."""
LATEST: Final = "latest"
_NAME = re.compile(r"\d{8}T\d{6}Z(-\d+)?")
_FULL = (errno.ENOSPC, errno.EDQUOT)
_KEY = "supervisor.state_directory"


def location(
    configured: Path | None, sink_directory: Path, environment: Mapping[str, str] | None = None
) -> Path:
    """Return where it is: as configured, else systemd's $STATE_DIRECTORY, else beside the sink's.

    Beside `data` that is `data-state`.
    """
    environment = os.environ if environment is None else environment
    if configured is not None:
        return configured
    if environment.get("STATE_DIRECTORY"):
        # systemd lists several with colons; the unit file asks for one.
        return Path(environment["STATE_DIRECTORY"].split(":")[0])
    sink_directory = sink_directory.absolute()
    return sink_directory.with_name(f"{sink_directory.name or 'root'}-state")


@contextmanager
def run_directory(
    configured: Path | None, sink_directory: Path, fallback: Path, time: float
) -> Iterator[Path]:
    """Yield the directory of a run that starts at `time` (Unix), and remove it if it stays empty.

    It is `fallback` where the disk is full or the default place cannot be written: evidence that
    has no good place is no reason not to stream. Raises UsageError for a configured one that
    cannot be used.
    """
    place = location(configured, sink_directory)
    try:
        runs = _runs_in(place)
        directory, lock = _begin(runs, time)
    except (OSError, UsageError) as error:
        full = isinstance(error, OSError) and error.errno in _FULL
        reason = error.strerror if isinstance(error, OSError) else error
        if configured is not None and not full:
            raise UsageError(
                f"{_KEY} = {place}: cannot be used: {reason}; "
                "a directory that the user may write is expected"
            ) from None
        log.warning("%s = %s: cannot be used: %s; using %s", _KEY, place, reason, fallback)
        yield fallback
        return
    try:
        _remove_oldest(runs)
        yield directory
    finally:
        with suppress(OSError):  # not empty, as it should be
            directory.rmdir()
        os.close(lock)


def _runs_in(place: Path) -> Path:
    # The place itself may be shared: with the sink's directory (systemd) or by a person's choice.
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    return make_private(place / "runs", _KEY)


def _begin(runs: Path, time: float) -> tuple[Path, int]:
    """Return a new directory and the descriptor that keeps it locked."""
    stem = clocks.strftime("%Y%m%dT%H%M%SZ", clocks.gmtime(time))
    same_second = [_age_of(path.name)[1] for path in runs.glob(f"{stem}*")]
    for number in count(max(same_second, default=0) + 1):
        directory = runs / (stem if number == 1 else f"{stem}-{number}")
        with suppress(FileExistsError):
            directory.mkdir(mode=0o700)
            break
    lock = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    link = runs / f".{directory.name}"
    link.symlink_to(directory.name)
    link.replace(runs / LATEST)
    return directory, lock


def _remove_oldest(runs: Path) -> None:
    """Remove what is more than KEPT_RUNS, oldest first, but nothing of a run that goes on."""
    names = sorted(
        (path.name for path in runs.iterdir() if _NAME.fullmatch(path.name)), key=_age_of
    )
    for name in names[:-KEPT_RUNS]:
        try:
            lock = os.open(runs / name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(runs / name)
        except BlockingIOError:
            pass  # it goes on
        except OSError as error:
            log.warning("%s: not removed: %s", runs / name, error.strerror)
        finally:
            os.close(lock)


def _age_of(name: str) -> tuple[str, int]:
    stem, _, number = name.partition("-")
    return stem, int(number or 1)
