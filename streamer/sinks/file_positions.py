"""Where the records of one kind end in its directory of Avro files.

Two sources: `positions/KIND.json`, written whenever a file is completed, which holds for all files
up to then, so that they may be moved away; and the files since then, read from their ends.
"""

from __future__ import annotations

import logging
import time
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import msgspec

from streamer.avro.files import ContainerFile
from streamer.order.positions import DeclaredGap, Position, furthest
from streamer.order.record_ids import Found, gaps_among, last_of, last_of_each, position_of
from streamer.routes import Route
from streamer.sinks.directories import write_atomically

POSITIONS = "positions"  # apart from the data, which tools read by the directory
SEARCHED_BYTES = 1 << 30  # of files that no positions tell of: some seconds
FEW = 10  # routes that are looked for one by one: each takes a tenth of the time of all at once

_log = logging.getLogger(__name__)


class _Document(msgspec.Struct):
    version: int
    next_file: int
    positions: dict[str, Position]


@dataclass(frozen=True, slots=True)
class KindPositions:
    """The positions of a kind's routes by name; files numbered from `next_file` on may add."""

    next_file: int = 0
    positions: Mapping[str, Position] = field(default_factory=dict)


class PositionKeeper:
    """Notes where the routes of a kind end, beside the directory that their files are in."""

    def __init__(
        self, directory: Path, route_names: Collection[str], max_age_seconds: float
    ) -> None:
        """Find what is known; no file may be in progress. Raises OSError."""
        self.path = directory.parent / POSITIONS / f"{directory.name}.json"
        known = find_positions(self.path, directory, route_names, max_age_seconds)
        self.next_file = known.next_file
        self.positions = dict(known.positions)
        if known.positions:
            try:
                write_positions(self.path, known)
            except OSError as error:  # the files still tell all of it
                _log.warning("%s cannot be written: %s", self.path, error)

    def note(self, route: Route) -> None:
        """Note where a route ends whose records are all in a file."""
        if (last_id := route.sequence.last_id) is not None:
            before = self.positions.get(route.name)
            received_us = route.received_us or (before.received_us if before else 0)
            self.positions[route.name] = Position(last_id, received_us)

    def writing(self, next_file: int) -> Callable[[], None]:
        """Return what writes down all that is noted so far, on any thread. It raises OSError."""
        self.next_file = next_file
        return partial(write_positions, self.path, KindPositions(next_file, dict(self.positions)))


def write_positions(path: Path, known: KindPositions) -> None:
    """Replace a file of positions; durable. Raises OSError."""
    document = _Document(1, known.next_file, dict(known.positions))
    content = msgspec.json.format(msgspec.json.encode(document), indent=1)
    path.parent.mkdir(exist_ok=True)
    write_atomically(path, content + b"\n")


def find_positions(
    path: Path, directory: Path, wanted: Collection[str], max_age_seconds: float
) -> KindPositions:
    """Return where the routes end; no file may be in progress. Raises OSError.

    `path` is the file of positions; while there is none, files of `directory` are searched that
    are not older than `max_age_seconds`.
    """
    known = _read_positions(path)
    if known is None:
        paths = _searched(directory, max_age_seconds)
        known = KindPositions()
    else:
        paths = (path for path in _newest_first(directory) if _number(path) >= known.next_file)
    found = _last_records(paths, {*wanted, *known.positions})
    next_file = max([known.next_file, *(_number(path) + 1 for path in _newest_first(directory))])
    return KindPositions(next_file, furthest(known.positions, found))


def find_gaps(directory: Path, max_age_seconds: float) -> list[DeclaredGap]:
    """Return the gaps that were declared lately. Raises OSError."""
    gaps: list[DeclaredGap] = []
    for path in _searched(directory, max_age_seconds):
        for data, file in _blocks(path):
            gaps += gaps_among(data, file.schema)
    return gaps


def _read_positions(path: Path) -> KindPositions | None:
    try:
        document = msgspec.json.decode(path.read_bytes(), type=_Document)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        _log.warning("%s cannot be read, the files are searched instead: %s", path, error)
        return None
    return KindPositions(document.next_file, document.positions)


def _last_records(paths: Iterator[Path], wanted: Collection[str]) -> dict[str, Position]:
    """Return the last record of each route, looking no further than those that are wanted."""
    found: dict[str, Position] = {}
    missing = set(wanted)
    for path in paths:
        written_us = int(path.stat().st_mtime * 1e6)
        for data, file in _blocks(path):
            records = _of_few(data, missing) if len(missing) <= FEW else last_of_each(data)
            for name, record in records.items():
                if name not in found:
                    found[name] = position_of(record, data, file.schema, written_us)
                    missing.discard(name)
            if not missing:
                return found
    return found


def _of_few(data: bytes, route_names: Iterable[str]) -> dict[str, Found]:
    found = {name: last_of(data, name) for name in route_names}
    return {name: record for name, record in found.items() if record is not None}


def _blocks(path: Path) -> Iterator[tuple[bytes, ContainerFile]]:
    """Yield the records of a file by blocks, the last one first."""
    try:
        with ContainerFile(path) as file:
            for data in file.newest_first():
                yield data, file
    except (ValueError, zlib.error) as error:
        _log.warning("%s: nothing is known of its records: %s", path, error)


def _searched(directory: Path, max_age_seconds: float) -> Iterator[Path]:
    oldest = time.time() - max_age_seconds
    left_bytes = SEARCHED_BYTES
    for path in _newest_first(directory):
        status = path.stat()
        if status.st_mtime < oldest:
            return
        if left_bytes <= 0:
            _log.warning("%s: only the latest files are searched", directory)
            return
        left_bytes -= status.st_size
        yield path


def _newest_first(directory: Path) -> list[Path]:
    return sorted(directory.glob("*.avro"), key=_number, reverse=True)


def _number(path: Path) -> int:
    number = path.name.partition(".")[0].rpartition("-")[2]
    return int(number) if number.isdecimal() else 0
