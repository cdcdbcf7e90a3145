"""How many streamers share a directory: kept there, and changed while none of them runs.

Each streamer sees to it before it takes its own lock; the first one of a new number deals out what
is known, under the locks of all. A plan is written first and then carried out, so that a crash in
between loses nothing: the next start carries it out again.
"""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec

from streamer.config import StreamerConfig
from streamer.errors import SinkUnavailable
from streamer.lock import LOCK_MARGIN_SECONDS, shard_lock
from streamer.shards.directories import directories, directory_of
from streamer.sinks.avro_writer import OPEN_SUFFIX
from streamer.sinks.directories import OVERFLOW_DIRECTORY, unavailable, write_atomically

COUNT_FILE = "streamers.json"
_PLAN_FILE = "streamers.plan.json"
_LOCK_FILE = ".streamers.lock"

log = logging.getLogger("streamer.shard_count")  # a name that filters of logs may know


class _Count(msgspec.Struct, frozen=True):
    count: int


class _Plan(msgspec.Struct, frozen=True):
    count: int
    contents: dict[str, str | None]


def recorded_count(root: Path) -> int:
    """Return how many streamers wrote to `sink.directory` last. Raises SinkUnavailable."""
    path = root / COUNT_FILE
    try:
        count = msgspec.json.decode(path.read_bytes(), type=_Count).count
    except FileNotFoundError:
        return 1
    except OSError as error:
        raise SinkUnavailable(
            f"{path}: {error.strerror}; expected a sink.directory that this user can read"
        ) from error
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise SinkUnavailable(f'{path}: {error}; expected such as {{"count": 2}}') from error
    if count < 1:
        raise SinkUnavailable(f"{path}: expected a count of 1 or more, got {count}")
    return count


def undelivered(root: Path, count: int) -> list[Path]:
    """Return the directories in which records of these streamers wait for Kafka."""
    places = [directory_of(root, shard, count) / OVERFLOW_DIRECTORY for shard in range(count)]
    return [
        place for place in places if any(place.glob("*.avro")) or any(place.glob(f"*{OPEN_SUFFIX}"))
    ]


def settle(config: StreamerConfig) -> None:
    """See to it that the directory is that of as many streamers as there are now.

    Waits for those that there were. Raises SinkUnavailable.
    """
    count, root = config.shard.count, root_of(config)
    if count == 1 and not (root / COUNT_FILE).exists() and not (root / _PLAN_FILE).exists():
        return  # one alone since ever
    within_seconds = config.stop_within + LOCK_MARGIN_SECONDS
    try:
        root.mkdir(parents=True, exist_ok=True)
        with _locked(root):
            if recorded_count(root) == count and not (root / _PLAN_FILE).exists():
                return
            with ExitStack() as locks:
                for directory in directories(root):
                    locks.enter_context(shard_lock(directory, within_seconds))
                _change(root, count, config.repair.max_age)
    except OSError as error:
        raise unavailable(root, error) from error


def confirm(config: StreamerConfig) -> None:
    """Raise SinkUnavailable where others changed the number before our own lock was taken."""
    if (found := recorded_count(root_of(config))) != config.shard.count:
        raise SinkUnavailable(
            f"sink.directory {root_of(config)}: {found} streamers share it by now, not "
            f"{config.shard.count}; give each supervisor a directory of its own"
        )


def root_of(config: StreamerConfig) -> Path:
    """Return `sink.directory` as it is set, for all streamers."""
    directory = config.sink.directory
    return directory if config.shard.count == 1 else directory.parent


def _change(root: Path, count: int, max_age_seconds: float) -> None:
    if (root / _PLAN_FILE).exists():
        _carry_out(root)
    before = recorded_count(root)
    if before == count:
        return
    if left := undelivered(root, before):
        raise SinkUnavailable(
            f"{', '.join(map(str, left))}: records wait there for Kafka, of {before} streamers; "
            f"start with streamers.count = {before} until they are delivered"
        )
    from streamer.shards.redistribution import dealt_out

    contents = dealt_out(root, before, count, max_age_seconds)
    write_atomically(root / _PLAN_FILE, msgspec.json.encode(_Plan(count, contents)))
    _carry_out(root)
    log.info("sink.directory %s: %d streamers share it, where there were %d", root, count, before)


def _carry_out(root: Path) -> None:
    path = root / _PLAN_FILE
    try:
        plan = msgspec.json.decode(path.read_bytes(), type=_Plan)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise SinkUnavailable(f"{path}: cannot be read: {error}") from error
    for name, content in plan.contents.items():
        place = root / name
        if content is None:
            place.unlink(missing_ok=True)
            continue
        place.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(place, content.encode())
    write_atomically(root / COUNT_FILE, msgspec.json.encode(_Count(plan.count)) + b"\n")
    path.unlink()


@contextmanager
def _locked(root: Path) -> Iterator[None]:
    """Let one process at a time look and change. Waits."""
    lock = os.open(root / _LOCK_FILE, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)
