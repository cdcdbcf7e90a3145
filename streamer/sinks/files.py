"""The sink `files`: Avro object container files, one after another per stream kind.

What is promised: a record is acknowledged when its block was handed to the operating system, at
most about `FLUSH_SECONDS` after it came, so that killing the process costs nothing acknowledged.
A power cut costs about what came in the last `fsync_every` seconds; with 0 each block is synced
at once. A file that a crash left in
progress is readable up to its last whole block, and completed there by the next start.

A file is complete at the end of a UTC day, and then all that it holds was received on that day, or
waited since an earlier one for a gap to be repaired. Whenever one is complete, the gap records that
explain what is missing in it are in a complete file, too.
"""

from __future__ import annotations

import logging
import math
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path

from streamer.config import SinkConfig
from streamer.data.catalogue import REPAIRABLE, kind_of
from streamer.data.events import Event
from streamer.data.records import encoder, load_schema
from streamer.messages import SinkCounts
from streamer.order.positions import DeclaredGap, EpochStart, Position, beyond_gaps
from streamer.routes import RECORD_KINDS, Route
from streamer.sinks import RefusedRecord, SinkError
from streamer.sinks.avro_writer import AvroWriter, Unfinished, repair
from streamer.sinks.delivery import DISK_ERROR_TYPES, AcknowledgeClock, Errors
from streamer.sinks.directories import unavailable
from streamer.sinks.file_positions import (
    POSITIONS,
    PositionKeeper,
    find_gaps,
    next_file_of,
)

FLUSH_SECONDS = 0.2  # what SIGKILL may cost; ten small writes a second cost next to nothing
FLUSH_RECORDS = 2_000  # about 200 kB: larger blocks make files neither smaller nor faster
PENDING_LIMIT = 100_000  # records kept while the disk refuses them, about 15 MiB
RETRY_SECONDS = 1.0  # a full disk is rarely emptied faster
_DAY_US = 86_400_000_000
_SET_BACK_US = 600 * 1_000_000  # by less a clock may be set back without a day beginning twice
_GAP = "gap"  # the kind of the records of gaps, which are in the file before what follows them
CLOSE_SECONDS = 3.0  # for the last sync, which takes milliseconds on a healthy disk

_log = logging.getLogger(__name__)


def _wall_clock() -> int:
    return time.time_ns() // 1000


class _Pending:
    """The records of one kind that are not in a file yet, and that file."""

    def __init__(self, kind: str, writer: AvroWriter, positions: PositionKeeper | None) -> None:
        self.kind = kind
        self.writer = writer
        self.positions = positions  # None for what is of no stream
        self.records: list[bytes] = []
        self.of_the_day_before: int | None = None  # how many of `records`; None: no day has ended
        self.written = 0
        self.waiting_since: float | None = None  # as far as polls have seen
        self.began_at = 0.0  # the file in progress
        self.unsynced_since: float | None = None
        self.finished = 0  # files
        # Tells of a directory that is removed, also while no file of it is in progress.
        self._directory = os.open(writer.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def is_in_place(self) -> bool:
        """Return whether the directory and the file in progress have names still."""
        return os.fstat(self._directory).st_nlink > 0 and self.writer.is_in_place()

    def close(self) -> None:
        """Release the directory."""
        os.close(self._directory)


class FilesSink:
    """Writes on the caller's thread, which takes microseconds; syncs and renames on its own."""

    def __init__(
        self,
        config: SinkConfig,
        routes: Iterable[Route],
        *,
        max_age_seconds: float = math.inf,
        earlier: Iterable[str] = (),
        wall_clock: Callable[[], int] = _wall_clock,
    ) -> None:
        """Open the directory: repair what a crash left, and see where the records end.

        Nothing older than `max_age_seconds` is searched, for the routes and for those that are
        named by `earlier`. `wall_clock` tells Unix microseconds.
        Raises SinkUnavailable.
        """
        routes = tuple(routes)
        self._config = config
        self._wall_clock = wall_clock
        self._midnight_us = _midnight_after(wall_clock())
        self._max_age_seconds = max_age_seconds
        self._earlier = tuple(earlier)
        self._background = ThreadPoolExecutor(1, "sink-sync")
        self._futures: list[Future[None]] = []
        self._written = 0
        self._bytes = 0
        self._errors_total = 0
        self._errors = Errors()
        self._clock = AcknowledgeClock()
        self._retry_at: float | None = None  # while the disk refuses
        self._is_closed = False
        self._opened_at: Mapping[str, Position] = {}  # where the routes ended then
        self._kinds: dict[str, _Pending] = {}
        self._waiting: list[list[bytes]] = []  # the records of each kind
        self._positions: dict[str, Position] = {}
        self._gaps: list[DeclaredGap] = []  # that were declared before
        try:
            for kind in sorted({route.kind for route in routes}, key=_gaps_first):
                names = [route.name for route in routes if route.kind == kind]
                self._open_kind(kind, names)
            self._positions = beyond_gaps(self._positions, self._gaps)
        except OSError as error:
            raise unavailable(config.directory, error) from error
        self._opened_at = dict(self._positions)
        self._targets = {
            route: (
                encoder(route.stream, route.symbol, epoch=route.epoch),
                self._kinds[route.kind].records,
            )
            for route in routes
        }

    def _open_kind(self, kind: str, route_names: list[str]) -> None:
        """Open what a kind is written to. Of gaps it is also found out which were declared."""
        directory = self._config.directory / kind
        directory.mkdir(parents=True, exist_ok=True)
        for told in repair(directory):
            _log.warning("after a crash: %s", told)
        positions = None
        if kind not in RECORD_KINDS:
            earlier = (name for name in self._earlier if kind_of(name.partition("@")[2]) == kind)
            positions = PositionKeeper(
                directory, {*route_names, *earlier}, self._max_age_seconds, self._gaps
            )
            self._positions.update(positions.positions)
        writer = AvroWriter(
            directory,
            load_schema(kind),
            self._config.codec,
            self._background,
            first_number=positions.next_file
            if positions
            else next_file_of(directory.parent / POSITIONS / f"{kind}.json"),
            keeps_manifest=True,
        )
        self._kinds[kind] = pending = _Pending(kind, writer, positions)
        self._waiting.append(pending.records)
        if kind == _GAP:
            self._gaps = find_gaps(directory, self._max_age_seconds)

    @property
    def accepting(self) -> bool:
        return self._retry_at is None and self._pending_total() < PENDING_LIMIT

    def put(self, route: Route, event: Event, received_us: int) -> None:
        encode, records = self._targets[route]
        if received_us >= self._midnight_us:
            self._end_day(received_us)
        records.append(encode(event, received_us))

    def poll(self, now: float) -> None:
        wall_us = self._wall_clock()
        if wall_us >= self._midnight_us:
            self._end_day(wall_us)
        elif wall_us < self._midnight_us - _DAY_US - _SET_BACK_US:
            self._midnight_us = _midnight_after(wall_us)  # the clock was ahead, and is set again
        if self._retry_at is None or now >= self._retry_at:
            self._retry_at = None
            for pending in self._kinds.values():
                self._write_when_due(pending, now)
        self._clock.observe(self._written + self._pending_total(), self._written, now)
        for pending in self._kinds.values():
            self._sync_when_due(pending, now)
        self._collect(now)

    def flush(self, within_seconds: float) -> int:
        deadline = time.monotonic() + within_seconds
        while True:
            now = time.monotonic()
            self._retry_at = None
            for pending in self._kinds.values():
                self._write(pending, now)
                self._sync(pending)
            self._clock.observe(self._written + self._pending_total(), self._written, now)
            if not self._pending_total() or now + RETRY_SECONDS / 10 >= deadline:
                break
            time.sleep(RETRY_SECONDS / 10)
        self._settle(deadline)  # or not: `close` waits for the disk in any case
        return self._pending_total()

    def keep(self) -> None:
        return None  # a disk that takes nothing keeps nothing either

    def close(self) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        for pending in self._kinds.values():
            self._finish(pending)
        if not self._settle(time.monotonic() + CLOSE_SECONDS):
            _log.warning("%s: not synced to the disk in time", self._config.directory)
        for pending in self._kinds.values():
            pending.close()
        self._background.shutdown(wait=False)

    def is_in_place(self) -> bool:
        return all(pending.is_in_place() for pending in self._kinds.values())

    def abandon(self, *, is_ours: bool) -> str:
        now = time.monotonic()
        self._errors_total += 1
        self._is_closed = True
        self._settle(now + CLOSE_SECONDS)
        is_gone = not self.is_in_place()
        told: list[str] = []
        for kind in sorted(self._kinds, key=_gaps_first):
            pending = self._kinds[kind]
            pending.of_the_day_before = None  # no file is completed here any more
            fetches = is_ours and is_gone and self._can_fetch(pending)
            if fetches:
                pending.records.clear()  # a file of them would be a copy of the end, too
            try:
                if is_ours:
                    (self._config.directory / kind).mkdir(parents=True, exist_ok=True)
                self._write(pending, now)
                if is_ours:
                    told += self._leave(pending, is_gone=is_gone, fetches=fetches)
            except OSError as error:
                told.append(f"{kind}: {error.strerror or error}")
            pending.writer.abandon()
            pending.close()
        self._background.shutdown(wait=False)
        if left := self._pending_total():
            told.append(f"{left} records could not be written")
        return "; ".join(told or ["what was written is where the directory went"])

    def _can_fetch(self, pending: _Pending) -> bool:
        """Return whether complete files of a kind can be fetched again, all that there were."""
        routes = self._routes_of(pending)
        return (
            pending.finished > 0
            and pending.kind in REPAIRABLE
            and all(route.name in self._opened_at for route in routes)
        )

    def _routes_of(self, pending: _Pending) -> list[Route]:
        return [route for route in self._targets if route.kind == pending.kind]

    def _leave(self, pending: _Pending, *, is_gone: bool, fetches: bool) -> Iterator[str]:
        """Keep what can be kept of a kind in a new directory, and note where it goes on there.

        The file in progress is copied, and the next start goes on behind it. When more files than
        that may be gone, it goes on where this streamer began, if that is known and can be asked
        for, and all of it is fetched again: in order, which a copy of the end would disturb.
        """
        if fetches:
            yield f"{pending.kind}: fetched again from where this streamer began"
        elif path := pending.writer.rescue():
            yield f"{path}: copied, since its name was removed"
        if is_gone and pending.finished and not fetches:
            yield f"{pending.kind}: {pending.finished} complete files may be gone for good"
        if pending.positions is None or pending.records:
            return
        for route in self._routes_of(pending):
            pending.positions.note(route)
        if fetches:
            pending.positions.positions.update(self._opened_at)
        pending.positions.writing(pending.writer.number + 1)()

    def counts(self) -> SinkCounts:
        queued = self._pending_total()
        return SinkCounts(
            kind="files",
            accepted_total=self._written + queued,
            acknowledged_total=self._written,
            errors_total=self._errors_total,
            queued=queued,
            bytes_total=self._bytes,
            acknowledge_seconds=self._clock.histogram(),
            acknowledged_by_stream={kind: one.written for kind, one in self._kinds.items()},
        )

    def diagnostics(self) -> dict[str, str]:
        return {}

    def take_errors(self) -> list[SinkError]:
        return self._errors.take()

    def take_refused(self) -> list[RefusedRecord]:
        return []  # a disk takes any record, sooner or later

    def positions(self) -> dict[str, Position]:
        return self._positions

    def next_epochs(self) -> dict[str, EpochStart]:
        return {}

    def renew(self, route: Route, start: EpochStart | None = None) -> None:
        records = self._kinds[route.kind].records
        self._targets[route] = encoder(route.stream, route.symbol, epoch=route.epoch), records

    def add(self, route: Route) -> None:
        kind = route.kind
        try:
            if kind not in self._kinds:
                if _GAP not in self._kinds:  # streams go on after what was declared
                    self._open_kind(_GAP, [])
                if kind != _GAP:
                    self._open_kind(kind, [route.name])
                    self._positions = beyond_gaps(self._positions, self._gaps)
        except OSError as error:
            raise unavailable(self._config.directory, error) from error
        self._targets[route] = (
            encoder(route.stream, route.symbol, epoch=route.epoch),
            self._kinds[kind].records,
        )

    def remove(self, route: Route) -> None:
        del self._targets[route]  # the kind's file stays open: it ends by itself
        pending = self._kinds[route.kind]
        self._write(pending, time.monotonic())
        if pending.positions is not None and not pending.records:
            pending.positions.note(route)  # where it goes on when it comes back
            self._positions.update(pending.positions.positions)

    def _pending_total(self) -> int:
        return sum(map(len, self._waiting))  # asked for after each read: without Python's frames

    def _end_day(self, time_us: int) -> None:
        """Have the files in progress completed at the next look; `time_us` is of the new day."""
        self._midnight_us = _midnight_after(time_us)
        for pending in self._kinds.values():
            if pending.of_the_day_before is None and (pending.records or pending.writer.is_open):
                pending.of_the_day_before = len(pending.records)

    def _write_when_due(self, pending: _Pending, now: float) -> None:
        if pending.of_the_day_before is not None:
            self._write_day_before(pending, now)
        if pending.records:
            if pending.waiting_since is None:
                pending.waiting_since = now
            if len(pending.records) >= FLUSH_RECORDS or (
                now - pending.waiting_since >= FLUSH_SECONDS
            ):
                self._write(pending, now)
        writer = pending.writer
        if writer.is_open and (
            writer.size_bytes >= self._config.rollover_bytes
            or now - pending.began_at >= self._config.rollover_after
        ):
            self._write(pending, now)
            if not pending.records:
                self._finish(pending)

    def _finish(self, pending: _Pending, unfinished: Unfinished | None = None) -> None:
        """Complete the file in progress, or one that was set apart; note where its routes end."""
        when_safe = None
        writer, gaps = pending.writer, self._kinds.get(_GAP)
        is_apart = unfinished is not None
        if gaps is not None and gaps is not pending and (is_apart or writer.is_open):
            self._finish(gaps)  # which has its name first: the background does one after the other
        if pending.positions and not pending.records and not (gaps and gaps.records):
            for route in self._targets:
                if route.kind == pending.kind:
                    pending.positions.note(route)
            # What was written since it was set apart is looked at again.
            when_safe = pending.positions.writing(writer.number + (not is_apart))
        pending.finished += is_apart or writer.is_open
        ends = pending.positions.positions if pending.positions else {}
        last_ids = {name: position.last_id for name, position in ends.items()}
        if unfinished is None:
            self._keep(writer.finish(when_safe, last_ids))
            pending.unsynced_since = None
        else:
            self._sync(pending)  # first: the positions are those of its end
            self._keep(writer.complete(unfinished, when_safe, last_ids))

    def _write(self, pending: _Pending, now: float) -> None:
        if pending.of_the_day_before is not None:
            self._write_day_before(pending, now)
        if pending.of_the_day_before is None and pending.records:
            self._append(pending, len(pending.records), now)

    def _write_day_before(self, pending: _Pending, now: float) -> None:
        """Write what was received before midnight, and complete its file.

        What came since is written before that: the routes end with it, and that is noted.
        """
        count = pending.of_the_day_before or 0
        if count and not self._append(pending, count, now, before_midnight=True):
            return
        pending.of_the_day_before = None
        unfinished = pending.writer.set_apart() if pending.records else None
        if unfinished is not None:
            self._append(pending, len(pending.records), now)  # else nothing is noted
        self._finish(pending, unfinished)

    def _append(
        self, pending: _Pending, count: int, now: float, *, before_midnight: bool = False
    ) -> bool:
        """Write the first records; return whether they are written."""
        gaps = self._kinds.get(_GAP)
        if gaps is not None and gaps.records and gaps is not pending:
            self._write(gaps, now)
            if gaps.records:
                return False  # what comes after a gap is not to be found without it
        is_new = not pending.writer.is_open
        begun_us = self._wall_clock()
        if before_midnight:
            begun_us = min(begun_us, self._midnight_us - _DAY_US - 1)
        try:
            self._bytes += pending.writer.append(pending.records[:count], begun_us)
        except OSError as error:
            self._retry_at = now + RETRY_SECONDS
            self._failed(pending.writer.directory, error, now)
            return False
        self._written += count
        pending.written += count
        del pending.records[:count]  # the same list: `put` knows it
        pending.waiting_since = None
        if is_new:
            pending.began_at = now
        if pending.unsynced_since is None:
            pending.unsynced_since = now
        return True

    def _sync_when_due(self, pending: _Pending, now: float) -> None:
        since = pending.unsynced_since
        if since is not None and now - since >= self._config.fsync_every:
            self._sync(pending)

    def _sync(self, pending: _Pending) -> None:
        if pending.unsynced_since is not None:
            self._keep(pending.writer.sync())
            pending.unsynced_since = None

    def _keep(self, future: Future[None] | None) -> None:
        if future is not None:
            self._futures.append(future)

    def _collect(self, now: float) -> None:
        """Look at what the background has done."""
        for future in [future for future in self._futures if future.done()]:
            self._futures.remove(future)
            if isinstance(error := future.exception(), OSError):
                self._failed(self._config.directory, error, now)

    def _settle(self, deadline: float) -> bool:
        """Wait for the background until the deadline; tell whether it is done."""
        wait(self._futures, max(deadline - time.monotonic(), 0.0))
        self._collect(time.monotonic())
        return not self._futures

    def _failed(self, directory: Path, error: OSError, now: float) -> None:
        self._errors_total += 1
        error_type = DISK_ERROR_TYPES.get(error.errno or 0, "io")
        self._errors.note(error_type, f"{directory}: {error.strerror or error}", now)


def _midnight_after(time_us: int) -> int:
    """Return when the UTC day of a Unix time in microseconds ends."""
    return (time_us // _DAY_US + 1) * _DAY_US


def _gaps_first(kind: str) -> tuple[bool, str]:
    return kind != _GAP, kind
