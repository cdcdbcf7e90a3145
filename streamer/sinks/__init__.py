"""Where records go. `open_sink` opens the one that the settings ask for."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from streamer.config import StreamerConfig
from streamer.data.catalogue import kind_of
from streamer.data.events import Event
from streamer.data.rejected import LetterBox
from streamer.messages import SinkCounts
from streamer.order.positions import EpochStart, Position
from streamer.routes import RECORD_KINDS, Route, Routes


@dataclass(frozen=True, slots=True)
class SinkError:
    """Something that went wrong while records were written or delivered, for a notice.

    `error_type` is a stable label for metrics; `error` is a sentence for people.
    """

    error_type: str
    error: str


@dataclass(frozen=True, slots=True)
class RefusedRecord:
    """A record that was given up because no attempt could end otherwise, for the dead letters.

    `content` is what could not be delivered, or the event as JSON that could not be encoded.
    """

    topic: str
    content: bytes
    error_type: str  # encoding or refused
    error: str


class Sink(Protocol):
    """Takes events in order and says what became of them. One thread calls all of it.

    An event is *accepted* by `put` and *acknowledged* when the sink's own durability is reached.
    What was accepted is kept until it is acknowledged, whatever goes wrong meanwhile; to bound
    that, the feed stops reading while `accepting` is False.
    """

    @property
    def accepting(self) -> bool:
        """Whether the feed may go on; a few more events are taken even when it is False."""

    def put(self, route: Route, event: Event, received_us: int) -> None:
        """Accept an event that arrived at a Unix time in microseconds. Never blocks."""

    def poll(self, now: float) -> None:
        """Do what is due, by a monotonic clock: to be called every 50 to 100 ms at least."""

    def flush(self, within_seconds: float) -> int:
        """Wait until all is acknowledged; return how many records are not, at the deadline."""

    def keep(self) -> str | None:
        """At a stop: save what is not acknowledged for the next start, which delivers it first.

        Returns where it waits, for people; None when nothing was saved. Nothing is put any more.
        """

    def is_in_place(self) -> bool:
        """Return whether what it writes can still be found under its name."""

    def abandon(self, *, is_ours: bool) -> str:
        """Leave a directory that is not in its place, so that a next start goes on without a hole.

        What is there now is to be written to only when it `is_ours`. Nothing is put any more.
        Returns what became of the records, for people.
        """

    def close(self) -> None:
        """Release everything. What is not acknowledged by now is given up."""

    def counts(self) -> SinkCounts:
        """Return the cumulative counts."""

    def diagnostics(self) -> Mapping[str, str]:
        """Return what the sink's client tells about itself, for people, by file name."""

    def take_errors(self) -> list[SinkError]:
        """Return the errors since the last call: few, however often the same one repeats."""

    def take_refused(self) -> list[RefusedRecord]:
        """Return the records that were given up since the last call; each is counted, too."""

    def positions(self) -> dict[str, Position]:
        """Return where each route's records ended when the sink was opened, by route name.

        Those of routes that nobody wants any more are among them as well, as far as the sink knows
        without a search or was told whom to look for, and those that were removed since. Any other
        route has no records there, as far as is known.
        """

    def next_epochs(self) -> dict[str, EpochStart]:
        """Return where epochs begin of which those positions know nothing, by route name.

        An earlier run saw them begin, and was killed before anything of them was kept.
        """

    def renew(self, route: Route, start: EpochStart | None = None) -> None:
        """Make records with the route's epoch in their ids, from the next event on.

        `start` is where the epoch begins, if it does so now.
        """

    def add(self, route: Route) -> None:
        """Take events of one more route from now on.

        Never waits. Raises SinkUnavailable or SettingsError, and is as before then.
        """

    def remove(self, route: Route) -> None:
        """Forget a route that brings nothing any more; what it has brought stays counted."""


def open_sink(config: StreamerConfig, routes: Routes, earlier: Collection[str] = ()) -> Sink:
    """Open the sink for these routes, their gap records and snapshots.

    `earlier` are names of routes that may have ended there without anybody having noted where.
    Each sink is imported only when it is wanted. The caller holds the shard's lock. Raises
    SinkUnavailable or SettingsError.
    """
    targets = (*routes, *routes.gaps.values(), *routes.snapshots.values())
    if config.sink.kind == "files":
        from streamer.sinks.files import FilesSink

        return FilesSink(
            config.sink, targets, max_age_seconds=config.repair.max_age, earlier=earlier
        )
    if config.sink.kind == "kafka":
        from streamer.sinks.kafka import open_kafka_sink

        return open_kafka_sink(
            config.kafka,
            config.sink.directory,
            targets,
            kinds=routes.kinds,
            max_age_seconds=config.repair.max_age,
            # Of a group's member that was frozen or cut off: somebody else has its streams then.
            deliver_within_seconds=config.group.deliver_within if config.group.enabled else None,
        )
    from streamer.sinks.null import NullSink

    return NullSink(targets)


def unrecordable(config: StreamerConfig, symbols: Iterable[str]) -> set[str]:
    """Return those symbols that the sink can never take."""
    if config.sink.kind != "kafka":
        return set()
    from streamer.sinks.kafka.topics import without_topic

    kinds = {*map(kind_of, config.exchange.streams), *RECORD_KINDS}
    return without_topic(config.kafka, kinds, symbols)


def open_letter_box(config: StreamerConfig) -> LetterBox | None:
    """Return where dead letters go beside the files, if there is such a place."""
    if config.sink.kind != "kafka" or not config.kafka.dead_letter_topic:
        return None
    from streamer.sinks.kafka import DeadLetterTopic

    return DeadLetterTopic(config.kafka)
