"""One of the exchange's public archives: a zip with one CSV file, and its checksum beside it.

Nothing of an archive is taken before all of it was found right: `checked` reads it to its end.
"""

from __future__ import annotations

import hashlib
import io
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, cast

from streamer.avro.binary import ZERO, decimal
from streamer.backfill.archive_name import ArchiveName
from streamer.backfill.archive_rows import COLUMNS, reader
from streamer.backfill.errors import BackfillError
from streamer.backfill.plan import span
from streamer.data.catalogue import BY_STREAM
from streamer.errors import FrameRejected
from streamer.printable import printable

CHECKSUM_SUFFIX = ".CHECKSUM"
_CHECKSUM_BYTES_MAX = 4096
_LINE_BYTES_MAX = 1000  # the exchange's own have less than 200
_INFLATED_TIMES = 100  # of the zip's size: the exchange's own are 4 to 8 times as long
_READ_BYTES = 1 << 20
_NAMES_BYTES_MAX = 200  # of names that a message repeats
_BROKEN = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, NotImplementedError,
           RuntimeError, ValueError)  # fmt: skip
"""What `zipfile` raises for archives that are cut off, changed, encrypted or of another kind."""


class Archive:
    """An archive by its name. Every method raises BackfillError for what is wrong with it."""

    def __init__(self, path: Path, name: ArchiveName) -> None:
        self.path = path
        self.name = name
        self.unusable = 0
        self._check = BY_STREAM[name.stream].check_of(name.stream)

    def checked(self) -> Iterator[Any]:
        """Yield its events after its checksum was found right; at their end all of it was."""
        self._check_sum()
        yield from self.events()

    def events(self) -> Iterator[Any]:
        """Yield its events, each checked as one of the stream is; ids ascend.

        Trades of no price or quantity are none: they are passed over, and counted in `unusable`.
        """
        name, read = self.name, reader(self.name)
        self.unusable = 0
        before, line_number = -1, 0
        for line in self._lines():
            line_number += 1
            try:
                event = read(line)
                before = self._next(event, before)
                is_usable = self._is_usable(event)
            except (ValueError, FrameRejected) as error:
                raise BackfillError(f"{self.path}: line {line_number}: {error}") from None
            if is_usable:
                yield event
            else:
                self.unusable += 1
        if not line_number:
            columns = ", ".join(COLUMNS[BY_STREAM[name.stream].name])
            raise BackfillError(f"{self.path}: no lines; expected {columns}")

    def _next(self, event: Any, before: int) -> int:  # noqa: ANN401 - of the stream's kind
        """Return the last id of an event that may follow the id before. Raises ValueError."""
        first, last = span(event)
        if first <= before:
            raise ValueError(f"id {first} after {before}: ids must ascend")
        if not self.name.from_us <= first_time(event) < self.name.to_us:
            raise ValueError(
                f"its time, {first_time(event)} microseconds, is not within {self.name.stem}"
            )
        return last

    def _is_usable(self, event: Any) -> bool:  # noqa: ANN401 - of the stream's kind
        """Return whether a record can be made of an event. Raises FrameRejected for nonsense."""
        try:
            self._check(event, self.name.from_us, self.name.to_us + _CANDLE_MAX_US)
        except FrameRejected:
            if getattr(event, "candle", None) is None and _is_zero(event.price, event.quantity):
                return False
            raise
        return True

    def _check_sum(self) -> None:
        beside = self.path.with_name(self.path.name + CHECKSUM_SUFFIX)
        try:
            with beside.open("rb") as file:
                words = file.read(_CHECKSUM_BYTES_MAX).split()
        except OSError as error:
            raise BackfillError(
                f"{beside}: {error.strerror or error}; expected the checksum that the exchange "
                "offers beside each archive"
            ) from None
        named = [word.decode(errors="replace").lstrip("*") for word in words]
        if len(named) != 2 or named[1] != self.path.name:
            raise BackfillError(
                f"{beside}: expected a SHA-256 in hexadecimal digits and {self.path.name}"
            )
        try:
            with self.path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise BackfillError(f"{self.path}: {error.strerror or error}") from None
        if digest != named[0].lower():
            raise BackfillError(
                f"{self.path}: its SHA-256 is {digest}, and {beside.name} says {named[0]!r}: "
                "load it again"
            )

    def _lines(self) -> Iterator[str]:
        try:
            with zipfile.ZipFile(self.path) as archive:
                member = self._member(archive)
                with archive.open(member) as file:
                    yield from self._text(io.BufferedReader(cast(io.RawIOBase, file), _READ_BYTES))
        except _BROKEN as error:
            raise BackfillError(
                f"{self.path}: no readable zip archive: {error or 'it ends too early'}"
            ) from error

    def _member(self, archive: zipfile.ZipFile) -> zipfile.ZipInfo:
        members = archive.infolist()
        expected = f"{self.name.stem}.csv"
        if [one.filename for one in members] != [expected]:
            found = ", ".join(one.filename for one in members[:3]) or "nothing"
            raise BackfillError(
                f"{self.path}: contains {printable(found, _NAMES_BYTES_MAX)}; expected {expected} "
                "alone"
            )
        if members[0].compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise BackfillError(
                f"{self.path}: is compressed by method {members[0].compress_type}; expected deflate"
            )
        size = members[0].file_size
        if size > _INFLATED_TIMES * self.path.stat().st_size:
            raise BackfillError(
                f"{self.path}: announces {size:,} bytes of content, more than {_INFLATED_TIMES} "
                "times its own length: no archive of the exchange's"
            )
        return members[0]

    def _text(self, file: IO[bytes]) -> Iterator[str]:
        while line := file.readline(_LINE_BYTES_MAX):
            if len(line) >= _LINE_BYTES_MAX:
                raise BackfillError(f"{self.path}: a line of more than {_LINE_BYTES_MAX} bytes")
            yield line.decode("ascii", errors="replace").rstrip("\r\n")


_CANDLE_MAX_US = 32 * 24 * 3600 * 1_000_000  # one that opens in the archive may end after it


def _is_zero(*texts: str) -> bool:
    """Return whether all texts are numbers, and one of them is none to trade with."""
    try:
        return ZERO in [decimal(text) for text in texts]
    except ValueError:
        return False


def first_time(event: Any) -> int:  # noqa: ANN401 - an event of any kind
    """Return when an event took place, or its candle opened: Unix microseconds."""
    time_us: int = getattr(event, "trade_time", event.id)
    return time_us
