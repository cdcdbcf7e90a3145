"""The overflow's files: records in Avro containers, written at the end, read from the beginning.

Any Avro tool can look into them (`streamer/schemas/overflow.avsc`). Only the first file is ever
read from; it goes as a whole, or is written anew without what is not wanted any more.
"""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import lru_cache
from pathlib import Path

from streamer.avro.binary import long, read_long, string
from streamer.avro.blocks import BlockReader
from streamer.avro.files import SYNC_BYTES, block, intact
from streamer.data.records import load_schema
from streamer.sinks.avro_writer import OPEN_SUFFIX, AvroWriter, file_number, repair
from streamer.sinks.directories import write_atomically

Record = tuple[str, bytes, bytes]
"""Topic, value and key: the arguments of `produce`."""

SAVE_SECONDS = 3.0  # for the last sync, which takes milliseconds on a healthy disk
RECENT_BYTES = 256 << 20  # looked at for the last records: three seconds; two million records

_log = logging.getLogger(__name__)


class _File:
    """A file that is not done with."""

    __slots__ = ("inherited", "length_bytes", "path", "unread")

    def __init__(self, path: Path, unread: int, length_bytes: int, *, inherited: bool) -> None:
        self.path = path  # as it is called once it is complete
        self.unread = unread
        self.length_bytes = length_bytes
        self.inherited = inherited


class OverflowFiles:
    """The files, used by one thread; syncing, renaming and deleting happen on one of their own.

    `inherited_of` counts by topic what a predecessor left and was read so far.
    """

    def __init__(self, directory: Path, file_bytes: int) -> None:
        """Find what a predecessor left there, its last file repaired. Raises OSError.

        A file of `file_bytes` is complete.
        """
        self.directory = directory
        self._file_bytes = file_bytes
        self.inherited_of: Counter[str] = Counter()
        self.damaged_total = 0  # records in files that could not be read any more
        self.unread = 0
        self._files: deque[_File] = deque()
        self._find()
        self._background = ThreadPoolExecutor(1, "overflow")
        self._future: Future[None] | None = None  # of the latest sync
        self._writer = AvroWriter(directory, load_schema("overflow"), "null", self._background)
        self._writing: _File | None = None  # the last file, while more is added to it
        self._reader: BlockReader | None = None  # of the first file

    def __bool__(self) -> bool:
        return bool(self._files)

    @property
    def size_bytes(self) -> int:
        """Bytes of all files."""
        return sum(file.length_bytes for file in self._files)

    @property
    def first_is_read(self) -> bool:
        """Whether the first file holds nothing more for `read`."""
        return bool(self._files) and not self._files[0].unread

    @property
    def first_is_begun(self) -> bool:
        """Whether something of the first file was read."""
        return self._reader is not None

    def write(self, records: Sequence[Record]) -> None:
        """Hand a block to the operating system, as a whole or not at all. Raises OSError."""
        if self._writing is None:
            self.directory.mkdir(parents=True, exist_ok=True)
        self._writer.append([encode(record) for record in records])
        if self._writing is None:
            path = self._writer.path
            path = path.with_name(path.name.removesuffix(OPEN_SUFFIX) + ".avro")
            self._writing = _File(path, 0, 0, inherited=False)
            self._files.append(self._writing)
        self._writing.unread += len(records)
        self._writing.length_bytes = self._writer.size_bytes
        self.unread += len(records)
        if self._writing.length_bytes >= self._file_bytes:
            self._finish()

    def read(self) -> list[Record]:
        """Return the next block of the first file; nothing at its end. Raises OSError."""
        if not self._files or not self._files[0].unread:
            return []
        file = self._files[0]
        try:
            if self._reader is None:
                self._reader = self._open(file)
            found = self._reader.read()
        except ValueError:  # the header; as when a block is not whole
            found = None
        if found is None:
            self._give_up(file)
            return []
        records = decode(*found)
        file.unread -= len(records)
        self.unread -= len(records)
        if file.inherited:
            self.inherited_of.update(record[0] for record in records)
        return records

    def drop_first(self) -> None:
        """Delete the first file."""
        file = self._files.popleft()
        self._close_reader()
        if file is self._writing:
            self._finish()
        self._background.submit(_remove, file.path)

    def rewrite_first(self, before: Sequence[Record]) -> None:
        """Replace the first file by these records and what `read` has not returned of it.

        Whatever happens, one or the other is there. Raises OSError.
        """
        file = self._files[0]
        reader = self._reader or BlockReader(file.path)
        content = reader.rest()
        if before:
            sync = reader.header[-SYNC_BYTES:]
            content = block([encode(record) for record in before], "null", sync) + content
        if content:
            write_atomically(file.path, reader.header + content)
        else:
            file.path.unlink()

    def sync(self) -> bool:
        """Begin to make what was written survive a power cut; False while the disk is at it.

        Raises the OSError of the sync before.
        """
        if self._future is not None:
            if not self._future.done():
                return False
            done, self._future = self._future, None
            done.result()
        self._future = self._writer.sync()
        return True

    def when_safe(self, function: Callable[[], None]) -> None:
        """Call in the background once all that was written survives a power cut, if it does."""
        done_before = (self._future, self._writer.sync())  # what the one thread does first

        def call() -> None:
            for future in done_before:
                if future is not None:
                    future.result()
            function()

        self._background.submit(call).add_done_callback(_say_failure)

    def settle(self) -> None:
        """Complete the file in progress, and wait a little for the disk. Raises OSError."""
        self._finish()
        wait([self._background.submit(int)], SAVE_SECONDS)  # behind everything else there
        self._raise_done()

    @property
    def recent_is_all(self) -> bool:
        """Whether `recent` leaves nothing out."""
        return sum(file.length_bytes for file in self._files) <= RECENT_BYTES

    def recent(self) -> Iterator[Record]:
        """Yield what was found at the beginning, in order; of very much, the end. Raises OSError.

        To be used before anything else.
        """
        files: list[_File] = []
        size_bytes = 0
        for file in reversed(self._files):
            files.append(file)
            size_bytes += file.length_bytes
            if size_bytes >= RECENT_BYTES:
                break
        for file in reversed(files):
            reader = BlockReader(file.path)
            while (found := reader.read()) is not None:
                yield from decode(*found)
            reader.close()

    def close(self) -> None:
        """Complete the file in progress; all files stay."""
        self._close_reader()
        self._finish()
        self._background.shutdown(wait=False)

    def _find(self) -> None:
        if not self.directory.is_dir():
            return
        for path in self.directory.glob("*.new"):
            path.unlink()  # a rewriting that was cut off: the file itself is there
        for told in repair(self.directory):
            _log.warning("after a crash: %s", told)
        for path in sorted(self.directory.glob("*.avro"), key=file_number):
            try:
                whole = intact(path)
            except ValueError as error:
                _log.error("%s: left as it is: %s", path, error)
                continue
            self._files.append(_File(path, whole.records, whole.length_bytes, inherited=True))
            self.unread += whole.records

    def _open(self, file: _File) -> BlockReader:
        try:  # it loses its suffix in the background, at any moment
            return BlockReader(file.path.with_name(file.path.stem + OPEN_SUFFIX))
        except FileNotFoundError:
            return BlockReader(file.path)

    def _give_up(self, file: _File) -> None:
        """Keep a file that somebody has spoilt, and go on behind it."""
        _log.error(
            "%s: damaged: %d records in it cannot be read, the file is kept as .damaged",
            file.path,
            file.unread,
        )
        self.damaged_total += file.unread
        self.unread -= file.unread
        file.unread = 0
        if file is self._writing:
            self._finish()
        self._background.submit(file.path.rename, file.path.with_suffix(".damaged"))

    def _finish(self) -> None:
        if self._writing is not None:
            self._future = self._writer.finish()
            self._writing = None

    def _raise_done(self) -> None:
        if self._future is not None and self._future.done():
            done, self._future = self._future, None
            done.result()

    def _close_reader(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None


@lru_cache(maxsize=4096)  # as many topics and symbols as one streamer has, and some
def _address(topic: str, key: bytes) -> bytes:
    return string(topic) + long(len(key)) + key


def encode(record: Record) -> bytes:
    """Return a record as the schema `overflow` has it."""
    topic, value, key = record
    return _address(topic, key) + long(len(value)) + value


@lru_cache(maxsize=4096)
def _text(encoded: bytes) -> str:
    return encoded.decode()


def decode(records: int, data: bytes) -> list[Record]:
    """Return the records of a block."""
    decoded: list[Record] = []
    position = 0
    for _ in range(records):
        size, start = read_long(data, position)
        topic = data[start : start + size]
        size, start = read_long(data, start + size)
        key = data[start : start + size]
        size, start = read_long(data, start + size)
        position = start + size
        decoded.append((_text(topic), data[start:position], key))
    return decoded


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)


def _say_failure(future: Future[None]) -> None:
    if not future.cancelled() and (error := future.exception()) is not None:
        _log.warning("what waits for the disk's sync is not done: %s", error)
