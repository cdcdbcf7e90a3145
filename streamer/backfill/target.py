"""Where a back-fill goes, and files as such: below `backfill/` of the sink, with a lock of its own.

The streamer that writes beside it knows nothing of these files, and the globs of complete files do
not match them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

from streamer.audit.batches import Source
from streamer.audit.directory import Directory
from streamer.backfill.errors import BackfillError, NothingToFill
from streamer.backfill.plan import Holding
from streamer.config import SinkConfig
from streamer.data.catalogue import kind_of
from streamer.data.events import GapRecord
from streamer.data.record_head import Encode
from streamer.data.records import encoder, load_schema
from streamer.errors import SinkUnavailable
from streamer.lock import shard_lock
from streamer.sinks.avro_writer import AvroWriter, repair
from streamer.sinks.directories import BACKFILL_DIRECTORY

BLOCK_RECORDS = 2_000  # as the sink's: larger blocks make files neither smaller nor faster
_DAY_US = 86_400_000_000


class Target(Protocol):
    """Takes events and gap records. Raises BackfillError, and OSError for the disk."""

    def stored(self, kinds: Collection[str]) -> Source:
        """Return what is there of these kinds and of gaps; as it is now."""

    def put(self, holding: Holding, event: Any) -> None:  # noqa: ANN401 - an event of its kind
        """Take an event that is not there yet."""

    def put_gap(self, holding: Holding, gap: GapRecord) -> None:
        """Take a gap record."""

    def finish(self) -> None:
        """Return when everything that was put is there for good, and readers find it."""

    def close(self) -> None:
        """Release everything; what was put since `finish` may be there or not."""


class FilesTarget:
    """Avro files as the sink `files` writes them, complete one by one."""

    def __init__(self, config: SinkConfig, say: Callable[[str], None]) -> None:
        """Lock the directory and complete what a killed back-fill left. Raises BackfillError."""
        self._config = config
        self._directory = config.directory / BACKFILL_DIRECTORY
        self._open = ExitStack()
        if not config.directory.is_dir():
            raise NothingToFill(f"{config.directory}: no such directory; expected a sink.directory")
        locked(self._open, config.directory)
        self._background = self._open.enter_context(ThreadPoolExecutor(1, "backfill-sync"))
        self._writers: dict[str, AvroWriter] = {}
        self._records: dict[str, list[bytes]] = {}
        self._encoders: dict[tuple[str, str, int], Encode] = {}
        self._day = 0  # of the files in progress, by the time of receipt
        for directory in sorted(self._directory.iterdir()):
            if directory.is_dir():
                for told in repair(directory):
                    say(f"after an interruption: {told}")

    def stored(self, kinds: Collection[str]) -> Source:
        return Directory(self._config.directory, (*kinds, "gap"))

    def put(self, holding: Holding, event: Any) -> None:  # noqa: ANN401 - an event of its kind
        self._put(kind_of(holding.stream), holding.stream, holding, event)

    def put_gap(self, holding: Holding, gap: GapRecord) -> None:
        self._put("gap", "gap", holding, gap)

    def finish(self) -> None:
        for kind in self._records:
            self._write(kind)
        for writer in self._writers.values():
            _complete(writer)

    def close(self) -> None:
        for writer in self._writers.values():
            writer.abandon()
        self._open.close()

    def _put(self, kind: str, stream: str, holding: Holding, event: Any) -> None:  # noqa: ANN401
        now_us = time.time_ns() // 1000
        if now_us // _DAY_US != self._day:  # no file spans midnight
            self.finish()
            self._day = now_us // _DAY_US
        key = stream, holding.symbol, holding.epoch if stream != "gap" else 0
        encode = self._encoders.get(key)
        if encode is None:
            encode = self._encoders[key] = encoder(stream, holding.symbol, epoch=key[2])
        records = self._records.setdefault(kind, [])
        records.append(encode(event, now_us))
        if len(records) >= BLOCK_RECORDS:
            self._write(kind)

    def _write(self, kind: str) -> None:
        records = self._records.get(kind)
        if not records:
            return
        writer = self._writers.get(kind)
        if writer is None:
            directory = self._directory / kind
            directory.mkdir(exist_ok=True)
            writer = self._writers[kind] = AvroWriter(
                directory, load_schema(kind), self._config.codec, self._background,
                keeps_manifest=True,
            )  # fmt: skip
        writer.append(records)
        records.clear()
        if writer.size_bytes >= self._config.rollover_bytes:
            _complete(writer)


def locked(stack: ExitStack, directory: Path) -> None:
    """Hold the lock of back-fills into a sink with this directory. Raises BackfillError."""
    own = directory / BACKFILL_DIRECTORY
    try:
        stack.enter_context(shard_lock(own, 0.0))
    except SinkUnavailable as error:
        if isinstance(error.__cause__, OSError):
            raise BackfillError(str(error)) from error
        raise BackfillError(f"{own}: another back-fill is at work") from None


def _complete(writer: AvroWriter) -> None:
    """Complete the file in progress, if there is one, and wait for the disk. Raises OSError."""
    if (done := writer.finish(ends={})) is not None:
        done.result()
