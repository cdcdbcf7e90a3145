"""What waits while Kafka takes nothing: a queue on disk, with both of its ends in memory.

A record is in one of four places, oldest first: taken (given to a producer, and still in its file),
`_front` (read from its file, or come back from a producer), unread in a file, `_tail` (in memory
until its block is written). A file goes when all of it was taken and is acknowledged, so that a
crash at any moment loses nothing that was written, and copies a file at most.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from streamer.order.record_ids import first_record
from streamer.sinks.delivery import DISK_ERROR_TYPES, Errors
from streamer.sinks.kafka.overflow_files import OverflowFiles, Record

Place = tuple[int, int]
"""The epoch of ids and the number that a record has in its stream."""

_ALL: Place = (1 << 63, 0)
FLUSH_SECONDS = 0.2  # what SIGKILL may cost, as with the files sink
HOLD_SECONDS = 1.0  # at the end of a drain: an acknowledgement takes milliseconds
RETRY_SECONDS = 1.0  # a full disk is rarely emptied faster
SYNC_SECONDS = 1.0  # what a power cut may cost
ROOM_AGAIN = 7 / 8  # of the limit: else it would be full again a moment later


@dataclass(frozen=True, slots=True)
class OverflowBounds:
    """How much there may be of what."""

    block_records: int = 2_000  # what is written and read back at once: some 300 kB
    file_bytes: int = 4 << 20  # what a crash may copy; at 300 records/s a minute and a half
    hold_records: int = 5_000  # during HOLD_SECONDS; they fit into the smallest queue
    tail_records: int = 20_000  # in memory while the disk refuses; no more is accepted then


class Overflow:
    """A queue of records, used by one thread that it never keeps waiting for the disk's syncs.

    `waiting_of` counts by topic what is not taken, without what a predecessor left and was not read
    yet; `errors` are those of the disk.
    """

    def __init__(
        self, directory: Path, limit_bytes: int, bounds: OverflowBounds = OverflowBounds()
    ) -> None:
        """Find what a predecessor left there. Raises OSError."""
        self.directory = directory
        self._bounds = bounds
        self.waiting_of: Counter[str] = Counter()
        self._limit_bytes = limit_bytes
        self.errors = Errors()
        self.errors_total = 0
        self._files = OverflowFiles(directory, bounds.file_bytes)
        self._front: deque[Record] = deque()
        self._in_topics: Mapping[tuple[str, str], Place] = {}
        self._discarded: dict[tuple[str, str], Place] = {}
        self._is_elsewhere: Callable[[str], bool] = lambda _: False
        self._tail: list[Record] = []
        self._tail_since: float | None = None
        self._retry_at: float | None = None  # while the disk refuses
        self._unsynced_since: float | None = None
        self._full = self._files.size_bytes >= limit_bytes

    def __len__(self) -> int:
        """Return how many records wait here: without those taken."""
        return len(self._front) + self._files.unread + len(self._tail)

    @property
    def stored(self) -> int:
        """How many of them a crash cannot take."""
        return len(self) - len(self._tail)

    @property
    def size_bytes(self) -> int:
        """Bytes of the files."""
        return self._files.size_bytes

    @property
    def damaged_total(self) -> int:
        """Records of files that somebody has spoilt."""
        return self._files.damaged_total

    @property
    def inherited_of(self) -> Counter[str]:
        """By topic, what a predecessor left and was read so far."""
        return self._files.inherited_of

    @property
    def accepting(self) -> bool:
        """Whether there is room: a disk that takes records, and less than the limit."""
        return (
            self._retry_at is None
            and not self._full
            and len(self._tail) < self._bounds.tail_records
        )

    @property
    def all_taken(self) -> bool:
        """Whether nothing waits but what came lately, and is in memory still."""
        return not self._front and not self._files.unread

    def pass_over(self, in_topics: Mapping[tuple[str, str], Place]) -> None:
        """Pass over what a predecessor left and Kafka has all the same: it would come twice.

        `in_topics` says where each route ends there, by topic and route: what a route has in a
        topic is all that came before it, since an idempotent producer leaves nothing out. The topic
        of gaps is none of them: its numbers do not ascend, and a gap's record may come twice.
        """
        self._in_topics = in_topics

    def discard_inherited(self, is_elsewhere: Callable[[str], bool]) -> None:
        """Return nothing that a predecessor left of symbols that somebody else records by now.

        To be called before anything of it is taken.
        """
        self._is_elsewhere = is_elsewhere

    def discard(self, routes: Iterable[tuple[str, str]]) -> None:
        """Return nothing more of these, given by topic and route: somebody else stores it."""
        self._discarded.update(dict.fromkeys(routes, _ALL))

    def keep(self, places: Iterable[tuple[str, str, Place]]) -> None:
        """Return again what of discarded routes, by topic and route, comes after these places."""
        for topic, name, place in places:
            if (topic, name) in self._discarded:
                self._discarded[topic, name] = place

    def begin(self, topic: str, name: str, below: Place) -> None:
        """Return again what of a route comes after this place, if none was told to `keep`."""
        if self._discarded.get((topic, name)) == _ALL:
            self._discarded[topic, name] = below

    def append(self, record: Record) -> None:
        """Put a record at the end; `poll` writes it."""
        self.waiting_of[record[0]] += 1
        self._tail.append(record)

    def give_back(self, records: Sequence[Record]) -> None:
        """Put records at the beginning, in their order: what came back from a producer."""
        self.waiting_of.update(record[0] for record in records)
        if self._files:  # they came from the first one, and are there still
            self._front.extendleft(reversed(records))
        else:
            self._tail[0:0] = records

    def take(self, limit: int, now: float) -> list[Record]:
        """Return the next records for the producer, from one file until it is settled."""
        while len(self._front) < limit and self._read_block(now):
            pass  # blocks are small where little comes in FLUSH_SECONDS
        taken = [self._front.popleft() for _ in range(min(limit, len(self._front)))]
        self.waiting_of.subtract(record[0] for record in taken)
        return self._without_discarded(taken)

    def settle(self) -> None:
        """Handle that whatever was taken is acknowledged: a file that was taken whole goes."""
        if not self._front and self._files.first_is_read:
            self._files.drop_first()
            self._full = self._full and self.size_bytes >= self._limit_bytes * ROOM_AGAIN

    def end(self) -> list[Record] | None:
        """Return what waits in memory, if that is all there is: then nothing waits here any more.

        None while there are files.
        """
        if self._files or self._front:
            return None
        taken, self._tail = self._tail, []
        self._tail_since = self._retry_at = self._unsynced_since = None
        self.waiting_of.clear()
        kept = self._without_discarded(taken)
        self._discarded.clear()
        return kept

    def poll(self, now: float) -> None:
        """Write and sync what is due.

        When everything on disk was taken, the rest is held for a moment: if that is acknowledged
        by then, the rest needs no disk. A crash makes no hole between the two.
        """
        if self._tail and self._tail_since is None:
            self._tail_since = now
        if self._retry_at is not None and now < self._retry_at:
            return
        if self._tail_since is not None:
            seconds, records = now - self._tail_since, len(self._tail)
            due = seconds >= FLUSH_SECONDS or records >= self._bounds.block_records
            held = bool(self._files) and self.all_taken
            if due and not (
                held and seconds < HOLD_SECONDS and records < self._bounds.hold_records
            ):
                self.write(now)
        if self._unsynced_since is not None and now - self._unsynced_since >= SYNC_SECONDS:
            self._sync(now)

    def write(self, now: float) -> None:
        """Write what is in memory; after an error of the disk it stays there."""
        self._retry_at = None
        while self._tail:
            records = self._tail[: self._bounds.block_records]
            try:
                self._files.write(records)
            except OSError as error:
                self._retry_at = now + RETRY_SECONDS
                self._failed(error, now)
                break
            del self._tail[: len(records)]
            if self._unsynced_since is None:
                self._unsynced_since = now
        else:
            self._tail_since = None
        self._full = self._full or self.size_bytes >= self._limit_bytes

    def save(self, now: float) -> None:
        """Leave on disk what is not taken, and only that, as far as the disk lets us.

        Only `close` may follow.
        """
        self.write(now)
        try:
            self._files.settle()
            if self._front or self._files.first_is_begun:
                self._files.rewrite_first(self._front)
        except (OSError, ValueError) as error:
            # The file stays as it is: the next start copies what was acknowledged of it.
            self._failed(error if isinstance(error, OSError) else OSError(str(error)), now)

    @property
    def recent_is_all(self) -> bool:
        """Whether `recent` leaves nothing out."""
        return self._files.recent_is_all

    def recent(self) -> Iterator[Record]:
        """Yield what a predecessor left, in order; of very much, the end. Raises OSError."""
        return self._files.recent()

    def when_safe(self, function: Callable[[], None]) -> None:
        """Call on another thread once what is on disk now survives a power cut, if it does."""
        self._files.when_safe(function)

    def close(self) -> None:
        """Release everything; files stay."""
        self._files.close()

    def _read_block(self, now: float) -> bool:
        """Read the next block; False when there is none in the first file."""
        inherited = self._files.inherited_of.total()
        try:
            records = self._files.read()
        except OSError as error:
            self._failed(error, now)
            return False
        if self._files.inherited_of.total() == inherited:
            self._front.extend(records)
        else:
            waiting = [
                each
                for each in records
                if not self._is_in_topic(each) and not self._is_elsewhere(each[2].decode())
            ]
            self._front.extend(waiting)
            self.waiting_of.update(record[0] for record in waiting)
        return bool(records)

    def _is_in_topic(self, record: Record) -> bool:
        return _is_within(record, self._in_topics)

    def _without_discarded(self, records: list[Record]) -> list[Record]:
        if not self._discarded:
            return records
        return [each for each in records if not _is_within(each, self._discarded)]

    def _sync(self, now: float) -> None:
        try:
            if self._files.sync():
                self._unsynced_since = None
        except OSError as error:
            self._failed(error, now)

    def _failed(self, error: OSError, now: float) -> None:
        self.errors_total += 1
        error_type = DISK_ERROR_TYPES.get(error.errno or 0, "io")
        self.errors.note(error_type, f"{self.directory}: {error.strerror or error}", now)


def _is_within(record: Record, ends: Mapping[tuple[str, str], Place]) -> bool:
    """Return whether a record's route is known to go as far as this at least."""
    found = first_record(record[1]) if ends else None
    if found is None:
        return False
    end = ends.get((record[0], found.route_name))
    return end is not None and (found.epoch, found.number) <= end
