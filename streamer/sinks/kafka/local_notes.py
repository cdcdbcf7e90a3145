"""What a start needs to know that only Kafka and the registry tell, noted beside the overflow.

Where each route ends in Kafka and the overflow together, and what goes before each topic's records.
With it a start begins while Kafka is away. A note may be behind what is stored, never ahead of it:
it is written when all it tells of is acknowledged, or on the disk for good.
"""

from __future__ import annotations

import hashlib
import logging
import os
import threading
import time
from collections.abc import Mapping
from pathlib import Path

import msgspec

from streamer.order.positions import EpochStart, Position
from streamer.sinks.directories import write_atomically

NOTES_FILE = "kafka-notes.json"
NOTES_MAX_BYTES = 64 << 20  # 4,500 routes take 400 kB; what is longer is none of ours
VERSION = 1
EVERY_SECONDS = 5.0  # as the topic of positions: what comes again after a crash

_log = logging.getLogger(__name__)


class Notes(msgspec.Struct, frozen=True):
    """What is noted. Times are Unix microseconds."""

    version: int
    as_of_us: int
    # By the keys of the topic of positions; None: streamed, and without a record so far.
    positions: dict[str, Position | None]
    headers: dict[str, str]  # by `header_key`, in hexadecimal digits
    sha256: str = ""
    # Of ids that began anew after those positions: else a start could take what it finds for
    # another beginning, and would not know that the exchange can tell of those in between.
    epochs: dict[str, EpochStart] = {}


def header_key(registry_url: str, topic: str, fingerprint: bytes) -> str:
    """Return the key of a header: a registry's id of a schema under a topic's subject."""
    return f"{registry_url} {topic} {fingerprint.hex()}"


class NoteKeeper:
    """Writes notes into `directory`; whoever calls knows that what they tell of is kept.

    `before` are those that were found there at the start. Any thread may call.
    """

    def __init__(
        self, directory: Path, headers: Mapping[str, str], before: Notes | None = None
    ) -> None:
        self._directory = directory
        self._headers = dict(headers)
        self._write_at = 0.0
        self._lock = threading.Lock()
        self._positions = dict(before.positions) if before is not None else {}
        self._epochs = dict(before.epochs) if before is not None else {}
        self._has_news = False
        self._begun = 0  # how many writings
        self._written = 0  # the latest of them that is done

    @property
    def epochs(self) -> dict[str, EpochStart]:
        """Those that began after the noted positions, by the keys of the positions."""
        with self._lock:
            return dict(self._epochs)

    def due(self, now: float) -> bool:
        """Return whether to write at the next moment in which everything is kept; monotonic."""
        return now >= self._write_at

    def begin(self, now: float) -> int:
        """Note that a writing begins; return its number."""
        self._write_at = now + EVERY_SECONDS
        return self._next()

    def add_headers(self, headers: Mapping[str, str]) -> None:
        """Note the headers of further topics with the next writing; from any thread."""
        with self._lock:
            self._headers.update(headers)

    def note_epoch(self, key: str, start: EpochStart) -> None:
        """Note that ids begin anew, for `write_news`: all streams may do so at the same time."""
        with self._lock:
            self._epochs[key] = start
            self._has_news = True

    def note_first(self, key: str, below: Position) -> None:
        """Note right below the first record of a route, for `write_news`, where nothing is noted.

        A start that took it for one without records would not know of a hole behind this one.
        """
        with self._lock:
            if self._positions.get(key) is None:
                self._positions[key] = below
                self._has_news = True

    def write_news(self) -> None:
        """Add what has begun to the notes; the other positions stay as they are."""
        if self._has_news:
            with self._lock:
                self._write(durable=False)

    def write(
        self,
        positions: Mapping[str, Position | None],
        *,
        number: int | None = None,
        durable: bool = False,
    ) -> None:
        """Replace the notes. An error of the disk is told: the notes before stay.

        `number` is that of `begin`: what waited for the disk while a later one was written is old.
        """
        number = self._next() if number is None else number
        with self._lock:
            if number < self._written:
                return
            self._written = number
            # Those without a record so far may have one since these were gathered.
            self._positions = {
                key: self._positions.get(key) if position is None else position
                for key, position in positions.items()
            }
            self._epochs = {
                key: start
                for key, start in self._epochs.items()
                if (position := self._positions.get(key)) is None or position.epoch < start.epoch
            }
            self._write(durable=durable)

    def _next(self) -> int:
        with self._lock:
            self._begun += 1
            return self._begun

    def _write(self, *, durable: bool) -> None:
        self._has_news = False
        notes = notes_of(self._positions, self._headers, self._epochs)
        try:
            write_notes(self._directory, notes, durable=durable)
        except OSError as error:
            _log.warning("%s: not written: %s", self._directory / NOTES_FILE, error)


def read_notes(directory: Path, max_age_seconds: float) -> Notes | None:
    """Return what a predecessor noted; None where there is nothing that can be believed.

    Notes older than `max_age_seconds` are not: what is missing since then cannot be asked for.
    """
    path = directory / NOTES_FILE
    try:
        with path.open("rb") as file:
            notes = msgspec.json.decode(file.read(NOTES_MAX_BYTES), type=Notes)
        for one in notes.headers.values():
            bytes.fromhex(one)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        _log.error("%s: ignored: %s", path, error)
        return None
    if notes.version != VERSION or notes.sha256 != _checksum(notes):
        _log.error("%s: ignored: its version or its checksum does not match", path)
        return None
    if time.time() - notes.as_of_us / 1e6 > max_age_seconds:
        return None
    return notes


def write_notes(directory: Path, notes: Notes, *, durable: bool = True) -> None:
    """Replace the notes as a whole. Raises OSError.

    Without `durable` a power cut may leave the notes before, or none that are believed.
    """
    path, content = directory / NOTES_FILE, msgspec.json.encode(notes)
    if durable:
        write_atomically(path, content)
        return
    beside = path.with_name(path.name + ".new")
    beside.write_bytes(content)
    os.replace(beside, path)  # noqa: PTH105 - the atomic one


def notes_of(
    positions: Mapping[str, Position | None],
    headers: Mapping[str, str],
    epochs: Mapping[str, EpochStart] | None = None,
) -> Notes:
    """Return notes as of now, with their checksum."""
    notes = Notes(
        VERSION,
        time.time_ns() // 1000,
        dict(positions),
        dict(headers),
        epochs=dict(epochs or {}),
    )
    return msgspec.structs.replace(notes, sha256=_checksum(notes))


def _checksum(notes: Notes) -> str:
    told = [_sorted(notes.positions), _sorted(notes.headers)]
    if notes.epochs:  # those of earlier versions have none
        told.append(_sorted(notes.epochs))
    return hashlib.sha256(msgspec.json.encode(told)).hexdigest()


def _sorted(values: Mapping[str, object]) -> list[tuple[str, object]]:
    return sorted(values.items(), key=lambda one: one[0])
