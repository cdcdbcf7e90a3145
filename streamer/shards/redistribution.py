"""What each streamer has to know of symbols that another one had, when their number changes.

Where a stream ends, and whether it had left, is noted in the directory of the streamer that had it.
With another number of streamers the notes are dealt out anew, by the symbol; records stay where
they are. Files go on with higher numbers than any has, so that the order of numbers is the order
of a stream's records over all directories.
"""

from __future__ import annotations

import logging
from collections import ChainMap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from streamer.data.catalogue import KINDS, kind_of
from streamer.listing.listing_file import FILE as LISTING_FILE
from streamer.order.positions import Position, beyond_gaps
from streamer.removed_streams import FILE as DEPARTURES_FILE
from streamer.removed_streams import Departures, departures_content, read_departures
from streamer.routes import GAP, RECORD_KINDS
from streamer.shards.assignment import shard_of
from streamer.shards.directories import directories, directory_of
from streamer.sinks.avro_writer import last_number, repair
from streamer.sinks.file_positions import (
    POSITIONS,
    KindPositions,
    find_gaps,
    find_positions,
    next_file_of,
    positions_content,
)

STREAM_KINDS = tuple(kind.name for kind in KINDS if kind.name not in RECORD_KINDS)
_NOTES_FILE, _TOPICS_FILE = "kafka-notes.json", "kafka-topics.json"

log = logging.getLogger("streamer.shard_move")  # a name that filters of logs may know

Contents = dict[str, str | None]
"""What files are to hold, by their path in `sink.directory`; None: they are to be removed."""


@dataclass(frozen=True, slots=True)
class _Source:
    """What is known in the directory of one of the streamers that there were."""

    directory: Path
    departures: Departures | None
    positions: Mapping[str, Position]  # of the files there


def dealt_out(root: Path, before: int, after: int, max_age_seconds: float) -> Contents:
    """Return what has to be written for `after` streamers where there were `before`.

    Files that a crash left in progress are completed. No streamer may run. Nothing older than
    `max_age_seconds` is searched. Raises OSError.
    """
    sources = [
        _source(directory_of(root, shard, before), shard, before, max_age_seconds)
        for shard in range(before)
    ]
    contents: Contents = {}
    next_file = 2 + max(_numbers(root), default=0)  # not the one behind the last: see `_believed`
    known = ChainMap(*(dict(source.positions) for source in sources))
    told = [source.departures for source in sources if source.departures is not None]
    for shard in range(after):
        directory = directory_of(root, shard, after)

        def put(name: str, content: bytes | None, directory: Path = directory) -> None:
            path = str((directory / name).relative_to(root))
            contents[path] = None if content is None else content.decode()

        own = {name: one for name, one in known.items() if _shard_of(name, after) == shard}
        # Kinds without positions go on with the numbers, too.
        for kind in (*STREAM_KINDS, *RECORD_KINDS) if next_file > 2 or known else ():
            of_kind = {n: one for n, one in own.items() if kind_of(n.partition("@")[2]) == kind}
            content = positions_content(KindPositions(next_file, of_kind))
            put(f"{POSITIONS}/{kind}.json", content)
        put(DEPARTURES_FILE, departures_content(_merged(told, shard, after)) if told else None)
        put(_NOTES_FILE, _notes(sources, shard, after, max_age_seconds))
        for name in (_TOPICS_FILE, LISTING_FILE):
            found = [one.directory / name for one in sources if (one.directory / name).is_file()]
            if found:
                put(name, found[0].read_bytes())
    return contents


def _source(directory: Path, shard: int, count: int, max_age_seconds: float) -> _Source:
    departures = read_departures(directory / DEPARTURES_FILE)
    streamed = () if departures is None else {*departures.streamed, *departures.positions}
    positions: dict[str, Position] = {}
    for kind in (*STREAM_KINDS, *RECORD_KINDS):
        if (directory / kind).is_dir():
            for told in repair(directory / kind):
                log.warning("after a crash: %s", told)
    gaps = find_gaps(directory / GAP, max_age_seconds)
    for kind in STREAM_KINDS:
        path = directory / POSITIONS / f"{kind}.json"
        if not (directory / kind).is_dir() and not path.exists():
            continue
        names = {name for name in streamed if kind_of(name.partition("@")[2]) == kind}
        found = find_positions(path, directory / kind, names, max_age_seconds, gaps)
        positions.update(found.positions)
    positions = beyond_gaps(positions, gaps)
    # What a streamer of another number wrote there has moved on since.
    own = {name: one for name, one in positions.items() if _shard_of(name, count) == shard}
    return _Source(directory, _own(departures, shard, count), own)


def _own(departures: Departures | None, shard: int, count: int) -> Departures | None:
    return None if departures is None else _merged([departures], shard, count)


def _merged(told: list[Departures], shard: int, count: int) -> Departures:
    """Return what they tell of the symbols of a shard."""
    return Departures(
        {n: p for one in told for n, p in one.positions.items() if _shard_of(n, count) == shard},
        {n: p for one in told for n, p in one.left.items() if _shard_of(n, count) == shard},
        sorted({n for one in told for n in one.streamed if _shard_of(n, count) == shard}),
    )


def _notes(sources: list[_Source], shard: int, count: int, max_age_seconds: float) -> bytes | None:
    """Return the notes of what is in Kafka for a shard; None where some are missing."""
    if not any((source.directory / _NOTES_FILE).exists() for source in sources):
        return None
    # Here, since Kafka's client takes 10 MiB, and who writes files needs none.
    from streamer.sinks.kafka.local_notes import notes_of, read_notes
    from streamer.sinks.kafka.position_topic import route_name_of

    read = [read_notes(source.directory, max_age_seconds) for source in sources]
    notes = [one for one in read if one is not None]
    if len(notes) < len(sources):
        return None
    owners = range(len(sources))
    positions: dict[str, Position | None] = {}
    epochs = {}
    headers: dict[str, str] = {}
    for owner, one in zip(owners, notes, strict=True):
        for key in (*one.positions, *one.epochs):
            name = route_name_of(key.encode())[1]
            if _shard_of(name, len(sources)) != owner or _shard_of(name, count) != shard:
                continue
            if key in one.positions:
                positions[key] = one.positions[key]
            if key in one.epochs:
                epochs[key] = one.epochs[key]
        headers |= one.headers
    made = notes_of(positions, headers, epochs)
    as_of_us = min(one.as_of_us for one in notes)
    return msgspec.json.encode(msgspec.structs.replace(made, as_of_us=as_of_us))


def _numbers(root: Path) -> list[int]:
    """Return the highest number of a file in every directory that holds some."""
    found = []
    for directory in directories(root):
        for kind in (*STREAM_KINDS, *RECORD_KINDS):
            if (directory / kind).is_dir():
                found.append(last_number(directory / kind))
            path = directory / POSITIONS / f"{kind}.json"
            if path.exists():  # the files may all have been moved away
                found.append(next_file_of(path) - 1)
    return found


def _shard_of(route_name: str, count: int) -> int:
    return shard_of(route_name.partition("@")[0].upper(), count)
