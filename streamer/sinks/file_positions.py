"""Where the records of one kind end in its directory of Avro files.

Two sources: `positions/KIND.json`, written whenever a file is completed, which holds for all files
up to then, so that they may be moved away; and the files since then, read from their ends.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Annotated

import msgspec

from streamer.avro.files import ContainerFile
from streamer.data.catalogue import CONTIGUOUS, kind_of
from streamer.order.positions import DeclaredGap, Position, beyond_gaps, furthest
from streamer.order.record_ids import Found, gaps_among, last_of, last_of_each, position_of
from streamer.routes import Route
from streamer.sinks.avro_writer import UNREADABLE_SUFFIX
from streamer.sinks.directories import write_atomically

POSITIONS = "positions"  # apart from the data, which tools read by the directory
SEARCHED_BYTES = 1 << 30  # of files that no positions tell of: some seconds
NUMBER_MAX = 10**9  # of a file: one a second for thirty years
CHECKED_BLOCKS = (
    8  # of the last file: some seconds of a busy symbol, which take milliseconds to read
)
POSITIONS_MAX_BYTES = 16 << 20  # 4,500 routes take 400 kB
_CLOCKS_APART_US = 24 * 3600 * 1_000_000  # between the clock that wrote and the one that reads
FEW = 10  # routes that are looked for one by one: each takes a tenth of the time of all at once

_log = logging.getLogger(__name__)


class _Document(msgspec.Struct):
    version: int
    next_file: Annotated[int, msgspec.Meta(ge=0, le=NUMBER_MAX)]
    positions: dict[str, Position]
    sha256: str | None = None  # None: written before there were checksums


@dataclass(frozen=True, slots=True)
class KindPositions:
    """The positions of a kind's routes by name; files numbered from `next_file` on may add."""

    next_file: int = 0
    positions: Mapping[str, Position] = field(default_factory=dict)


class PositionKeeper:
    """Notes where the routes of a kind end, beside the directory that their files are in."""

    def __init__(
        self,
        directory: Path,
        route_names: Collection[str],
        max_age_seconds: float,
        gaps: Collection[DeclaredGap] = (),
    ) -> None:
        """Find what is known; no file may be in progress, `gaps` are declared. Raises OSError."""
        self.path = directory.parent / POSITIONS / f"{directory.name}.json"
        known = find_positions(self.path, directory, route_names, max_age_seconds, gaps)
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
            self.positions[route.name] = Position(last_id, received_us, route.epoch)

    def writing(self, next_file: int) -> Callable[[], None]:
        """Return what writes down all that is noted so far, on any thread. It raises OSError."""
        self.next_file = next_file
        return partial(write_positions, self.path, KindPositions(next_file, dict(self.positions)))


def write_positions(path: Path, known: KindPositions) -> None:
    """Replace a file of positions; durable. Raises OSError."""
    path.parent.mkdir(exist_ok=True)
    write_atomically(path, positions_content(known))


def positions_content(known: KindPositions) -> bytes:
    """Return what a file of positions holds."""
    positions = dict(known.positions)
    checksum = _checksum(known.next_file, positions)
    document = _Document(1, known.next_file, positions, checksum)
    return msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n"


def find_positions(
    path: Path,
    directory: Path,
    wanted: Collection[str],
    max_age_seconds: float,
    gaps: Collection[DeclaredGap] = (),
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
        known = KindPositions(known.next_file, _believed(known, directory, gaps))
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


def next_file_of(path: Path) -> int:
    """Return the number from which on files may add to a file of positions; 0: there is none."""
    known = _read_positions(path)
    return 0 if known is None else known.next_file


def _read_positions(path: Path) -> KindPositions | None:
    try:
        with path.open("rb") as file:
            content = file.read(POSITIONS_MAX_BYTES)
        document = msgspec.json.decode(content, type=_Document)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        _set_aside(path, str(error))
        return None
    if document.sha256 not in (None, _checksum(document.next_file, document.positions)):
        _set_aside(path, "its checksum does not fit: it was changed, or the disk has changed it")
        return None
    ceiling_us = time.time_ns() // 1000 + _CLOCKS_APART_US
    for name, position in document.positions.items():
        if (
            position.last_id < 0
            or position.epoch < 0
            or not 0 <= position.received_us <= ceiling_us
        ):
            _set_aside(path, f"{name} cannot have ended at {position}")
            return None
    return KindPositions(document.next_file, document.positions)


def _checksum(next_file: int, positions: Mapping[str, Position]) -> str:
    told = [next_file, sorted(positions.items())]
    return hashlib.sha256(msgspec.json.encode(told)).hexdigest()


def _set_aside(path: Path, why: str) -> None:
    """Keep a file of positions that is not believed for inspection, and say so."""
    aside = path.with_name(path.name + UNREADABLE_SUFFIX)
    with suppress(OSError):
        path.replace(aside)
    _log.error("%s: ignored and kept as %s, the files are searched instead: %s", path, aside, why)


def _believed(
    known: KindPositions, directory: Path, gaps: Collection[DeclaredGap]
) -> Mapping[str, Position]:
    """Return the positions, without what the last file that they hold for contradicts.

    A position is its route's last record there, or the end of gaps that are declared above that.
    Numbers that are told to be further would have the records between them never asked for.
    """
    positions = dict(known.positions)
    paths = [path for path in _newest_first(directory) if _number(path) < known.next_file]
    if not paths or _number(paths[0]) != known.next_file - 1:
        return positions  # it was moved away
    seen: set[str] = set()
    for data, file in islice(_blocks(paths[0]), CHECKED_BLOCKS):
        last = {name: one for name, one in last_of_each(data).items() if name not in seen}
        seen.update(last)
        for name, record in last.items():
            if name not in positions or kind_of(name.partition("@")[2]) not in CONTIGUOUS:
                continue
            found = position_of(record, data, file.schema, positions[name].received_us)
            end = beyond_gaps({name: found}, [gap for gap in gaps if gap.route_name == name])[name]
            if positions[name].place > end.place:
                _log.error(
                    "%s: noted to end at %d, but %s ends at %d: the file's end counts, and what is"
                    " above it is requested again",
                    name,
                    positions[name].last_id,
                    paths[0],
                    end.last_id,
                )
                positions[name] = end
    return positions


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
            if file.torn_bytes:
                _log.error("%s: the last %d bytes are no whole block", path, file.torn_bytes)
            for data in file.newest_first():
                yield data, file
            if file.unreadable:
                _log.error(
                    "%s: %d blocks cannot be read, as if they were not there", path, file.unreadable
                )
    except ValueError as error:
        _log.error("%s: cannot be read, as if it were not there: %s", path, error)


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
