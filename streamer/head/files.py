"""The ends of a directory of Avro files, complete ones and those in progress."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from streamer.audit.layouts import DIRECTORIES
from streamer.avro.files import ContainerFile
from streamer.data.catalogue import kind_of
from streamer.head.decoding import decoded, parsed
from streamer.head.last_records import LastRecords, Record, Wanted
from streamer.shards.directories import directories
from streamer.sinks.avro_writer import OPEN_SUFFIX, file_number
from streamer.sinks.file_positions import POSITIONS

SEARCHED_BYTES = 8 << 20
"""Of a kind's records at most: half a second. What is further back is a stream that has been
silent for some 80,000 records of the others."""
_COMPLETE_SUFFIX = ".avro"


def read_directory(root: Path, wanted: Wanted) -> tuple[list[LastRecords], list[str]]:
    """Return the last records by kind, and what could not be read. Raises OSError."""
    kinds: list[LastRecords] = []
    problems: list[str] = []
    for kind in DIRECTORIES:
        found = [base / kind for base in directories(root) if (base / kind).is_dir()]
        if found and _may_be_in(kind, wanted):
            kinds.append(_read_kind(found, kind, wanted, problems))
    if any(path.name.endswith((_COMPLETE_SUFFIX, OPEN_SUFFIX)) for path in root.iterdir()):
        kinds.append(_read_kind([root], root.name, wanted, problems))  # one kind's directory
    return kinds, problems


def _may_be_in(kind: str, wanted: Wanted) -> bool:
    return not wanted.streams or kind in {kind_of(stream) for stream in wanted.streams}


def _read_kind(
    places: Sequence[Path], kind: str, wanted: Wanted, problems: list[str]
) -> LastRecords:
    """Read a kind's directories, of several streamers, as if they were one."""
    last = LastRecords(kind, wanted)
    noted = [_known_streams(directory) for directory in places]
    known = {one for each in noted for one in each} if all(noted) else ()
    left_bytes = SEARCHED_BYTES * len(places)
    for path in _newest_first(places):
        try:
            for size_bytes, records in _blocks(path):
                last.add(records)
                left_bytes -= size_bytes
                if left_bytes <= 0 or last.are_complete(known):
                    return last
        except FileNotFoundError:
            continue  # moved away meanwhile
        except (OSError, ValueError) as error:
            problems.append(f"{path}: {getattr(error, 'strerror', None) or error}")
    return last


def _blocks(path: Path) -> Iterator[tuple[int, list[Record]]]:
    """Yield the size of each block's data and its records, newest first. Raises ValueError."""
    with _opened(path) as file:
        if file.schema is None:
            return  # begun just now
        schema = parsed(file.schema)
        for data in file.blocks_newest_first():
            yield len(data), decoded(data, schema)[::-1]
        if file.unreadable:
            raise ValueError(f"{file.unreadable} blocks cannot be read")
        if file.torn_bytes and not path.name.endswith(OPEN_SUFFIX):
            raise ValueError("it ends within a block, though it is complete")


def _opened(path: Path) -> ContainerFile:
    try:
        return ContainerFile(path)
    except FileNotFoundError:
        if not path.name.endswith(OPEN_SUFFIX):
            raise
    return ContainerFile(path.with_suffix(""))  # completed meanwhile


def _newest_first(places: Sequence[Path]) -> list[Path]:
    paths = [
        path
        for directory in places
        for path in directory.iterdir()
        if path.name.endswith((_COMPLETE_SUFFIX, OPEN_SUFFIX))
    ]
    return sorted(paths, key=lambda path: (file_number(path), path.name), reverse=True)


def _known_streams(directory: Path) -> Collection[tuple[str, str]]:
    """Return the streams and symbols that were noted when a file was completed; none: unknown."""
    try:
        document = json.loads(
            (directory.parent / POSITIONS / f"{directory.name}.json").read_bytes()
        )
        names = [str(name).partition("@") for name in document["positions"]]
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return ()
    return {(stream, symbol.upper()) for symbol, _, stream in names} if names else ()
