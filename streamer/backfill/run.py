"""A back-fill from its plan to its end: what is missing is fetched, stored, and declared filled."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from streamer.audit.ranges import IdRanges
from streamer.backfill.archive import Archive, first_time
from streamer.backfill.errors import BackfillError
from streamer.backfill.plan import Holding, gap_record, span
from streamer.backfill.progress import Progress
from streamer.backfill.rest_past import RestPast
from streamer.backfill.stop import Stop
from streamer.backfill.stored import Content, Key, check_same, content_of, holdings, neighbours
from streamer.backfill.target import Target
from streamer.data.catalogue import kind_of
from streamer.order.sequence import EMPTY


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked for; None stands for all that there is."""

    symbols: frozenset[str] | None
    streams: frozenset[str] | None
    from_us: int | None  # Unix microseconds
    to_us: int | None  # not included
    gaps_only: bool  # only what gap records declare

    def has(self, stream: str, symbol: str) -> bool:
        """Return whether a stream of a symbol is asked for."""
        return (self.symbols is None or symbol in self.symbols) and (
            self.streams is None or stream in self.streams
        )

    @property
    def has_all_times(self) -> bool:
        """Whether no time is named."""
        return self.from_us is None and self.to_us is None

    def has_time(self, time_us: int) -> bool:
        """Return whether a time is asked for."""
        return (self.from_us is None or time_us >= self.from_us) and (
            self.to_us is None or time_us < self.to_us
        )


@dataclass(slots=True)
class Outcome:
    """What became of it."""

    stored: int = 0  # events
    closed: int = 0  # gap records that are closed
    left: list[str] = field(default_factory=list)  # what could not be filled, for people


class Backfill:
    """Fills a target. Raises BackfillError, OSError, and Stopped where nothing is half-done.

    `finish` is to be called in any case but an OSError.
    """

    def __init__(self, target: Target, wanted: Wanted, progress: Progress, stop: Stop) -> None:
        self._target = target
        self._stop = stop
        self._wanted = wanted
        self._progress = progress
        self._holdings: dict[Key, Holding] = {}
        self.outcome = Outcome()

    def look(self, kinds: Iterable[str]) -> None:
        """Read what is there of these kinds."""
        self._progress.begin("read what is there")
        source = self._target.stored(tuple(kinds))
        found = holdings(source, self._wanted.symbols, self._count)
        self._holdings = {key: one for key, one in found.items() if self._wanted.has(*key)}

    def from_rest(self, past: RestPast) -> None:
        """Fill from REST: declared gaps, or all that took place in the time."""
        missing: dict[Key, IdRanges] = {}
        if self._wanted.gaps_only:
            missing = {key: one.missing(one.lost) for key, one in self._holdings.items()}
        else:
            assert self._wanted.from_us is not None  # noqa: S101 - the command has checked it
            assert self._wanted.to_us is not None  # noqa: S101 - likewise
            for stream in sorted(self._wanted.streams or ()):
                for symbol in sorted(self._wanted.symbols or ()):
                    within = IdRanges()
                    try:
                        told = past.ids_between(
                            symbol, stream, self._wanted.from_us, self._wanted.to_us
                        )
                    except BackfillError as error:  # of this one: the others are filled
                        self._leave(str(error))
                        continue
                    if told is not None:
                        within.add(*told)
                    missing[stream, symbol] = self._holding(stream, symbol).missing(within)
        stored = self._neighbours({key: ids for key, ids in missing.items() if ids})
        for key, ids in missing.items():
            if ids:
                self._rest_of(self._holdings[key], ids, past, stored[key])

    def from_archives(self, archives: Sequence[Archive]) -> None:
        """Fill from archives, one after the other; one that is wrong is passed over and named."""
        for archive in archives:
            try:
                self._archive(archive)
            except BackfillError as error:
                self._leave(str(error))
        if self._wanted.gaps_only and self._wanted.has_all_times:
            for holding in self._holdings.values():
                if missing := holding.missing(holding.lost):
                    self._leave(
                        f"{holding.name}: {_parts(holding, missing):,} of recorded gaps are in no "
                        f"archive that could be read, the first ones {_range(next(iter(missing)))}"
                    )
        if not self._wanted.gaps_only:
            self._name_absent(archives)

    def _name_absent(self, archives: Sequence[Archive]) -> None:
        """Name the times that are asked for and that no archive is of."""
        if self._wanted.from_us is None or self._wanted.to_us is None:
            return  # all that is in the archives
        for stream in sorted(self._wanted.streams or {one.name.stream for one in archives}):
            for symbol in sorted(self._wanted.symbols or {one.name.symbol for one in archives}):
                absent, there = IdRanges(), IdRanges()
                absent.add(self._wanted.from_us, self._wanted.to_us - 1)
                for one in archives:
                    if (one.name.stream, one.name.symbol) == (stream, symbol):
                        there.add(one.name.from_us, one.name.to_us - 1)
                for first, last in absent.without(there):
                    self._leave(f"{stream} {symbol}: no archive of {_time(first)} to {_time(last)}")

    def finish(self) -> None:
        """Have everything stored for good, and close the gaps that are filled by it."""
        self._target.finish()
        for holding in self._holdings.values():
            for gap in holding.closings():
                self._target.put_gap(holding, gap)
                self.outcome.closed += 1
        self._target.finish()

    def _rest_of(
        self, holding: Holding, ids: IdRanges, past: RestPast, stored: Mapping[int, Content]
    ) -> None:
        self._warn_of_copies(holding, ids)
        self._progress.begin(holding.name, _parts(holding, ids))
        for one in ids:
            try:
                for step in past.steps(holding.stream, holding.symbol, one, stored):
                    for event in step.events:
                        self._store(holding, event)
                    for between in step.empty:
                        self._target.put_gap(holding, gap_record(holding, EMPTY, between))
                        holding.empty.add(*between)
                    for between in step.untold:
                        self._leave(f"{holding.name}: {_range(between)}: not told by the exchange")
            except BackfillError as error:
                self._leave(f"{holding.name}: {_range(one)}: {error}")

    def _archive(self, archive: Archive) -> None:
        name = archive.name
        holding = self._holding(name.stream, name.symbol)
        if holding.epoch:
            raise BackfillError(
                f"{archive.path}: the ids of {holding.name} have begun anew, and an archive does "
                "not tell which ones it has"
            )
        self._progress.begin(f"{archive.path.name} is checked")
        ids, count = IdRanges(), 0
        for event in archive.checked():
            self._count(1)
            count += 1
            if self._is_wanted(event, holding):
                first, last = span(event)
                if not ids.append(first, last):
                    ids.add(first, last)
        if archive.unusable:
            self._leave(
                f"{archive.path}: {archive.unusable:,} without price or quantity: no trades"
            )
        missing = holding.missing(ids)
        if not missing:
            self._progress.say(f"{archive.path.name}: {count:,} events, nothing of it is missing")
            return
        key = name.stream, name.symbol
        stored = self._neighbours({key: missing})[key]
        content = content_of(name.stream, name.symbol)
        for event in archive.events() if stored else ():
            if event.id in stored:
                where = f"{archive.path}: id {event.id}"
                check_same(content(event), stored[event.id], name.factor, where)
        self._warn_of_copies(holding, missing)
        self._progress.begin(archive.path.name, _parts(holding, missing))
        before = self.outcome.stored
        for event in archive.events():
            if event.id in missing:
                self._store(holding, event)
        self._target.finish()
        self._progress.say(
            f"{archive.path.name}: {count:,} events, {self.outcome.stored - before:,} stored"
        )

    def _warn_of_copies(self, holding: Holding, ids: IdRanges) -> None:
        """Say what a streamer stores again, which goes on after the last record of its own."""
        streamed = holding.present.without(holding.brought)
        if streamed and ids.last > streamed.last:
            self._progress.say(
                f"{holding.name}: the stream itself ends at {streamed.last}: a streamer that goes "
                "on there stores what is above it again, as copies"
            )

    def _is_wanted(self, event: Any, holding: Holding) -> bool:  # noqa: ANN401 - of its kind
        """Return whether an event of an archive is asked for."""
        if not self._wanted.has_time(first_time(event)):
            return False
        return not self._wanted.gaps_only or event.id in holding.lost

    def _count(self, parts: int) -> None:
        self._stop.check()
        self._progress.count(parts)

    def _store(self, holding: Holding, event: Any) -> None:  # noqa: ANN401 - of its kind
        self._count(1)
        if holding.has(event):
            return
        self._target.put(holding, event)
        holding.bring(event)  # not before: what could not be put must not be said to be filled
        self.outcome.stored += 1

    def _holding(self, stream: str, symbol: str) -> Holding:
        return self._holdings.setdefault((stream, symbol), Holding(stream, symbol))

    def _neighbours(self, missing: Mapping[Key, IdRanges]) -> dict[Key, dict[int, Content]]:
        if not missing:
            return {}
        asked = {
            key: {one for first, last in ids for one in (first - 1, last + 1)}
            for key, ids in missing.items()
        }
        kinds = {kind_of(stream) for stream, _ in missing}
        epochs = {key: self._holding(*key).epoch for key in missing}
        return neighbours(self._target.stored(tuple(kinds)), asked, epochs)

    def _leave(self, text: str) -> None:
        self.outcome.left.append(text)
        self._progress.say(text)


def _parts(holding: Holding, ids: IdRanges) -> int:
    """Return how many events there are in a range of ids."""
    return sum(gap_record(holding, EMPTY, one).missing or 0 for one in ids)


def _range(ids: tuple[int, int]) -> str:
    return str(ids[0]) if ids[0] == ids[1] else f"{ids[0]} to {ids[1]}"


def _time(time_us: int) -> str:
    return datetime.fromtimestamp(time_us // 1_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S")
