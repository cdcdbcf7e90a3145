"""A directory of Avro files as it is at one moment; a streamer may go on writing there."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from streamer.audit.batches import BACKFILLED, Batch, Schema, Unreadable
from streamer.audit.container import Container, Torn
from streamer.audit.layouts import DIRECTORIES
from streamer.shards.directories import directories
from streamer.sinks.avro_writer import OPEN_SUFFIX
from streamer.sinks.directories import BACKFILL_DIRECTORY

_COMPLETE_SUFFIX = ".avro"


@dataclass(frozen=True, slots=True)
class _File:
    path: Path
    size_bytes: int
    order: tuple[int, str]
    lane: int = 0


class Directory:
    """The files of each kind's directory, and those in `root` itself. Raises OSError.

    With them are those of several streamers, and those that a back-fill wrote, which have an order
    of their own.
    """

    total_records: int | None = None

    def __init__(self, root: Path, kinds: Collection[str] = DIRECTORIES) -> None:
        """Look at files of these kinds alone."""
        self._schemas: dict[str, Schema] = {}
        self._files: list[_File] = []
        # Gaps last: a gap is written before what comes after it, so that none is overlooked.
        later = root / BACKFILL_DIRECTORY
        bases = list(directories(root))
        self._files += _files([root])
        for kind in (one for one in DIRECTORIES if one in kinds):
            # A symbol that moved to another streamer goes on there with higher numbers.
            self._files += _files([base / kind for base in bases])
            self._files += _files([later / kind], BACKFILLED)
        self.total_bytes: int | None = sum(file.size_bytes for file in self._files)

    def __bool__(self) -> bool:
        return bool(self._files)

    def batches(self, kinds: Collection[str] | None = None) -> Iterator[Batch | Unreadable]:
        """Yield each file's blocks, the oldest file of a directory first.

        With `kinds`, only of their directories, and of others that no kind has.
        """
        for file in self._files:
            kind = file.path.parent.name
            if kinds is not None and kind in DIRECTORIES and kind not in kinds:
                continue
            try:
                yield from self._blocks(file)
            except Torn:
                if not file.path.name.endswith(OPEN_SUFFIX):
                    yield Unreadable(f"{file.path}: ends within a block, though it is complete")
            except Unreadable as problem:
                yield problem
            except OSError as error:
                yield Unreadable(f"{file.path}: {error.strerror or error}")

    def _blocks(self, file: _File) -> Iterator[Batch]:
        with _opened(file) as container:
            key = repr(container.schema)
            schema = self._schemas.setdefault(key, Schema(container.schema))
            for count, data in container.blocks():
                yield Batch(schema, count, data, str(file.path), file.lane)


def _opened(file: _File) -> Container:
    try:
        return Container(file.path, file.size_bytes)
    except FileNotFoundError:
        if not file.path.name.endswith(OPEN_SUFFIX):
            raise
    try:
        return Container(file.path.with_suffix(""), file.size_bytes)  # completed meanwhile
    except FileNotFoundError:
        raise Torn from None  # it held nothing whole, and was cleared away after a crash


def _files(directories: Iterable[Path], lane: int = 0) -> list[_File]:
    """Return the files of directories, by their order over all of them."""
    found: dict[Path, _File] = {}  # by the path without .open: one may be completed just now
    for path in (path for one in directories if one.is_dir() for path in sorted(one.iterdir())):
        if path.name.endswith((_COMPLETE_SUFFIX, OPEN_SUFFIX)):
            with suppress(FileNotFoundError):
                size_bytes = (_existing(path)).stat().st_size
                complete = path.with_name(path.name.removesuffix(".open"))
                found[complete] = _File(path, size_bytes, _order(path), lane)
    return sorted(found.values(), key=lambda file: file.order)


def _existing(path: Path) -> Path:
    return path if path.exists() or path.suffix != ".open" else path.with_suffix("")


def _order(path: Path) -> tuple[int, str]:
    """Return the number in a file's name: it grows whatever the clock does."""
    number = path.name.partition(".")[0].rpartition("-")[2]
    return (int(number) if number.isdecimal() else 0), path.name
