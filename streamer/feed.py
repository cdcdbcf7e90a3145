"""The loop: sockets, order, sink, telemetry, all on one thread that never waits for any of them."""

from __future__ import annotations

import faulthandler
import logging
import selectors
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from streamer.availability import Availability
from streamer.command_handler import Requests
from streamer.config import ExchangeConfig, StreamerConfig
from streamer.data.rejected import RejectedFrames
from streamer.diagnosis import Diagnosis
from streamer.errors import SinkLost, StreamerError
from streamer.feed_counters import FeedCounters
from streamer.flow_control import FlowControl
from streamer.ingest.ingest import Ingest
from streamer.lock import ShardLock
from streamer.memory.free_heap import FreeHeap
from streamer.memory.trimmer import HeapTrimmer
from streamer.messages import State
from streamer.network.connection import Connection
from streamer.network.connection_manager import ConnectionManager
from streamer.network.events import Accepted, Refused
from streamer.read_pacing import ReadPacing
from streamer.repair.backfiller import Backfiller
from streamer.report import NO_BACKFILL, IdleClock, Reporter
from streamer.sinks import Sink
from streamer.subscription_manager import SubscriptionManager
from streamer.telemetry import Telemetry
from streamer.waker import Waker
from streamer.wanted_streams import WantedStreams

if TYPE_CHECKING:  # at run time only who is in a group needs it
    from streamer.group.shard_streams import ShardStreams

log = logging.getLogger(__name__)

HOUSEKEEPING_SECONDS = 0.1  # deliveries, deadlines, commands: each wake-up of a quiet feed costs
HOUSEKEEPING_LATE_SECONDS = 0.02  # a read that wakes the loop by then saves a wake-up
POLL_RECORDS = 100  # of a busy one: deliveries are seen within 10 ms at 10,000 records a second
FLUSH_SLICE_SECONDS = 0.2  # between two looks at signals while the sink is flushed
CATCH_UP_EVERY_SECONDS = 1.0  # silence, ages, the watchdog: what is counted in seconds


@dataclass(frozen=True, slots=True)
class Parts:
    """What a feed works with; it closes what has to be closed."""

    waker: Waker
    selector: selectors.BaseSelector
    counters: FeedCounters
    heap: FreeHeap
    sink: Sink
    rejected: RejectedFrames
    ingest: Ingest
    idle_clock: IdleClock
    availability: Availability
    connection_manager: ConnectionManager
    flow_control: FlowControl
    reporter: Reporter
    backfiller: Backfiller | None
    """None: nothing is fetched by REST."""
    subscription_manager: SubscriptionManager
    group: ShardStreams | None
    """None: which streams it has is for the settings alone to say."""
    wanted_streams: WantedStreams
    telemetry: Telemetry | None
    """None: nobody watches."""


class Feed:
    """One streamer at work: `run` returns when it has been asked to stop, and has stopped."""

    def __init__(
        self,
        config: StreamerConfig,
        parts: Parts,
        reread: Callable[[], ExchangeConfig | None] | None = None,
        lock: ShardLock | None = None,
    ) -> None:
        """Work with `parts`; `reread` tells what the settings want by now, None for nothing new.

        `lock` is that of the sink's directory; None: nobody looks whether it is in its place.
        """
        self._config = config
        self._waker = parts.waker
        self._selector = parts.selector
        self._counters = parts.counters
        self._sink = parts.sink
        self._rejected = parts.rejected
        self._ingest = parts.ingest
        self._idle_clock = parts.idle_clock
        self._availability = parts.availability
        self._connection_manager = parts.connection_manager
        self._flow_control = parts.flow_control
        self._reporter = parts.reporter
        self._backfiller = parts.backfiller
        self._subscription_manager = parts.subscription_manager
        self._group = parts.group
        self._wanted_streams = parts.wanted_streams
        self._telemetry = parts.telemetry
        self._lock = lock
        self._reread = reread
        self._heap_trimmer = HeapTrimmer(trim=parts.heap.trim, free=parts.heap.free_bytes)
        interval_seconds = config.connection.read_interval
        self._read_pacing = ReadPacing(interval_seconds) if interval_seconds else None
        self._requests = Requests(
            self._connection_manager,
            self._wanted_streams,
            self.stop,
            Diagnosis(self._sink.diagnostics),
            parts.heap.trim,
        )
        # A shard may be without symbols, where there are few: then nothing is missing.
        self._may_be_idle = config.shard.count > 1
        self._reread_wanted = False
        self._stop_reason: str | None = None
        self._stop_within = self._flush_within = config.stop_within
        self._housekeeping_at = self._catch_up_at = self._report_at = time.monotonic()
        self._unpolled = 0  # records put into the sink since it was last polled

    @property
    def wake_descriptor(self) -> int:
        """What to write to, from a signal, to end the loop's wait."""
        return self._waker.descriptor

    def reread(self) -> None:
        """Wish for the settings to be read again; safe from a signal's handler."""
        self._reread_wanted = True

    def stop(
        self,
        reason: str,
        within_seconds: float | None = None,
        *,
        in_all_seconds: float | None = None,
    ) -> None:
        """Wish for the end: read no more, flush within the given time, report, return.

        `in_all_seconds` are for a handover to other members of a group as well.
        """
        if self._stop_reason is None:
            self._stop_reason = reason
        if within_seconds is not None:
            self._flush_within = min(self._flush_within, within_seconds)
        if in_all_seconds is not None:
            self._stop_within = min(self._stop_within, in_all_seconds)

    def run(self) -> int:
        """Stream until stopped; return how many records are not in the sink, given up or left."""
        try:
            if self._group is not None:
                self._group.start()
            while self._stop_reason is None:
                self._turn()
            began = time.monotonic()
            if self._group is not None:
                self._leave_group(self._group)
            left = self._drain(time.monotonic() - began)
            if self._group is not None:
                self._group.tell_left()
            return left
        finally:
            faulthandler.cancel_dump_traceback_later()
            if self._group is not None:
                self._group.close()
            self._connection_manager.close()
            self._wanted_streams.close()
            if self._backfiller is not None:
                self._backfiller.close()
            self._sink.close()
            self._rejected.close()
            if self._telemetry is not None:
                self._telemetry.close()

    def _turn(self) -> None:
        now = time.monotonic()
        if self._group is not None:
            self._group.woke(now)  # it may have been stopped in the midst of a turn, too
        pacing = self._read_pacing
        if pacing and (pause := pacing.seconds(now, self._housekeeping_at)) > 0:
            time.sleep(pause)
            now = time.monotonic()
        until = self._housekeeping_at + HOUSEKEEPING_LATE_SECONDS
        ready = self._selector.select(max(0.0, until - now))
        if self._group is not None:
            self._group.woke(time.monotonic())
        for key, events in ready:
            if key.data is None:
                self._waker.clear()
                self._housekeeping_at = 0.0  # something has happened on another thread
            elif events & selectors.EVENT_READ:
                self._read(key.data)
            else:
                self._housekeeping_at = 0.0  # writable: the tick sends what waits
        now = time.monotonic()
        if now >= self._housekeeping_at:
            self._housekeep(now)
            self._housekeeping_at = time.monotonic() + HOUSEKEEPING_SECONDS

    def _read(self, connection: Connection) -> None:
        now = time.monotonic()
        payloads = self._connection_manager.receive(connection, now)
        self._take_events()
        if payloads:
            if self._group is not None:
                self._group.woke(time.monotonic())  # it may have been stopped as it read
            if self._read_pacing is not None:
                self._read_pacing.took(len(payloads), now)
            self._flow_control.take(connection, payloads)
            self._unpolled += len(payloads)
            if self._unpolled >= POLL_RECORDS:
                self._poll_sink(now)
            if not self._sink.accepting:
                self._flow_control.update(now)
        if connection.wants_write:
            self._connection_manager.follow_interest(connection)

    def _take_events(self) -> None:
        for event in self._connection_manager.take_events():
            match event:
                case Refused(name, error):
                    self._availability.refused(name, error, time.monotonic())
                case Accepted(name):
                    self._availability.accepted(name)
                case _:
                    self._ingest.coverage.take_event(event)

    def _poll_sink(self, now: float) -> None:
        self._sink.poll(now)
        self._unpolled = 0

    def _housekeep(self, now: float) -> None:
        opened = self._connection_manager.tick(now)
        self._take_events()
        for connection in opened:
            self._read(connection)  # messages may have come with the upgrade
        self._poll_sink(now)
        self._flow_control.update(now)
        self._ingest.expire(now, reading=self._flow_control.is_open)
        if self._backfiller is not None:
            self._backfiller.turn(now, accepting=self._sink.accepting)
        self._hear_sink(now)
        if self._group is not None:
            self._follow_group(self._group, now)
        if now >= self._catch_up_at:
            self._catch_up(now)
            self._catch_up_at = now + CATCH_UP_EVERY_SECONDS
        if self._telemetry is not None:
            self._listen(self._telemetry, now)
        if self._reread_wanted:
            self._reread_wanted = False
            self._follow_settings(now)
        if now >= self._report_at:
            # Not from the time it was due: after a stall, one report and not a burst of them.
            self._report_at = now + self._config.telemetry.report_every
            self._report(now, self._state())

    def _hear_sink(self, now: float) -> None:
        for error in self._sink.take_errors():
            log.error("sink: %s", error.error)
            self._counters.notice("sink_error", error_type=error.error_type, error=error.error)
        for one in self._sink.take_refused():
            self._rejected.keep_record(one.content, one.topic, one.error_type, one.error, now)
        self._rejected.collect()
        self._counters.dead_letters_total = self._rejected.kept_total
        self._counters.dead_letters_dropped_total = self._rejected.passed_over_total

    def _catch_up(self, now: float) -> None:
        # A loop that hangs, even in C, is ended by this timer of faulthandler's own thread.
        faulthandler.dump_traceback_later(self._config.hang_after, exit=True)
        self._look_for_the_directory(now)
        self._idle_clock.update(now, time.time_ns() // 1000)
        self._subscription_manager.turn(now)
        self._wanted_streams.turn(now)
        self._availability.update()
        self._heap_trimmer.turn(now)
        if not self._flow_control.is_open:
            self._idle_clock.excuse(now)
        connection = self._config.connection
        if self._config.supervised:
            self._connection_manager.rotate_before_cut(float("inf"), now)
            return
        self._connection_manager.rotate_before_cut(connection.max_age, now)
        if connection.stale_after:
            self._connection_manager.rotate_silent(
                lambda name: self._is_dead(name, now), connection.stale_after, now
            )

    def _look_for_the_directory(self, now: float) -> None:
        """End with an error when what is written has lost its place. Raises SinkLost.

        The next start finds the directory, and goes on there after what was kept.
        """
        if self._lock is None or (self._lock.is_in_place() and self._sink.is_in_place()):
            return
        directory = self._config.sink.directory
        is_ours = self._lock.is_in_place() or self._lock.take_again()
        why = (
            "something in it was removed or renamed while it was written to"
            if is_ours
            else "another directory is in its place, where another streamer writes"
        )
        error = f"sink.directory {directory}: {why}; {self._sink.abandon(is_ours=is_ours)}"
        self._counters.notice("sink_error", error_type="directory_lost", error=error)
        self._report(now, "stopped", final=True, exit_reason=error)
        raise SinkLost(error)

    def _is_dead(self, name: str, now: float) -> bool:
        """Return whether a stream is silent though there is news of it, as far as can be told."""
        if self._availability.streams.reason(name) is not None:
            return False
        route = self._ingest.routes.by_name[name]
        seconds = self._idle_clock.seconds(route, now)
        if self._backfiller is None:
            return seconds >= self._config.connection.stale_after
        return self._backfiller.silences.blames(
            name, self._reporter.silent_seconds(route, now), now
        )

    def _follow_settings(self, now: float) -> None:
        """Want the streams that the settings name by now."""
        exchange = self._reread() if self._reread is not None else None
        if exchange is None:
            return
        try:
            change = self._wanted_streams.change(exchange.streams, exchange.symbols, now)
        except StreamerError as error:
            log.error("SIGHUP: the streams stay as they are: %s", error)  # noqa: TRY400 - a setting
        else:
            log.info("SIGHUP: %s", change)

    def _listen(self, telemetry: Telemetry, now: float) -> None:
        for command in telemetry.commands():
            telemetry.send(self._requests.carry_out(command, now))

    def _follow_group(self, group: ShardStreams, now: float) -> None:
        """Follow what the group assigns. Raises StreamerError when this can be no member.

        Whose the shards are is not known then: what Kafka does not have waits for the next start.
        """
        if group.failed is None:
            group.turn(now)
            return
        error = str(group.failed)
        self._counters.notice("group_failed", error=error)
        if (kept := self._keep()) is not None:
            error = f"{error}; {kept}"
        self._report(now, "stopped", final=True, exit_reason=error)
        raise group.failed

    def _leave_group(self, group: ShardStreams) -> None:
        """Go on until the others hear the streams, for half of the time there is."""
        within = self._stop_within / 2
        began = time.monotonic()
        group.leave(began, within)
        while not group.has_left(now := time.monotonic(), within):
            self._turn()
        group.end_leaving(now)
        log.info("the group was left after %.1f s", now - began)

    def _state(self) -> State:
        is_live = all(slot.live for slot in self._connection_manager.slots)
        if self._group is not None:
            # Others may have all of it; what is held for a handover is not recorded yet.
            is_settled = self._group.is_settled and self._wanted_streams.is_known
            return "streaming" if is_settled and is_live else "connecting"
        return (
            "streaming"
            # None while it is not known which symbols trade.
            if (len(self._ingest.routes) or (self._may_be_idle and self._wanted_streams.is_known))
            and is_live
            else "connecting"
        )

    def _report(
        self, now: float, state: State, *, final: bool = False, exit_reason: str | None = None
    ) -> None:
        if self._telemetry is not None:
            report = self._reporter.report(
                now,
                state,
                final=final,
                exit_reason=exit_reason,
                backfill=self._backfiller.progress if self._backfiller else NO_BACKFILL,
                shards=self._group.told if self._group is not None else None,
            )
            self._telemetry.send(report)

    def _drain(self, spent_seconds: float) -> int:
        """Flush the sink, saying every second that it goes on; return what is left at the end.

        Of the time that there is to stop so much is spent.
        """
        log.info("stopping (%s): no more is read, the sink is flushed", self._stop_reason)
        self._connection_manager.close()
        within = max(0.0, min(self._flush_within, self._stop_within - spent_seconds))
        deadline = time.monotonic() + within
        self._ingest.expire(float("inf"))
        self._finish_repairs(deadline - within / 2)
        self._ingest.give_up_leaving()
        left = self._sink.flush(0.0)
        while left and (now := time.monotonic()) < deadline:
            faulthandler.dump_traceback_later(self._config.hang_after, exit=True)
            self._report(now, "draining")
            left = self._sink.flush(min(FLUSH_SLICE_SECONDS, deadline - now))
        pending = sum(route.sequence.pending for route in self._ingest.routes)
        if pending:
            log.error("%d events above an open gap are left to the next start", pending)
            left += pending
        self._hear_sink(time.monotonic())
        kept = self._keep()
        left += self._sink.counts().refused_total
        reason = f"{left} records are not acknowledged" if left else None
        if reason:
            log.error("%s after %.1f s", reason, within)
        if kept is not None:
            reason = f"{reason}; {kept}"
        self._report(time.monotonic(), "stopped", final=True, exit_reason=reason)
        return left

    def _keep(self) -> str | None:
        """Leave to the next start what Kafka does not have, and say so; None: there is nothing."""
        if (where := self._sink.keep()) is None:
            return None
        kept = self._sink.counts().overflow_records
        told = f"{kept} records wait in {where}: the next start delivers them first"
        log.error("%s", told)
        return told

    def _finish_repairs(self, deadline: float) -> None:
        """Give open gaps a little time: what waits above them can only be stored when they close.

        What is left is fetched by the next start, which goes on after the sink's last records.
        """
        if self._backfiller is None:
            return
        while any(route.sequence.pending for route in self._ingest.routes):
            now = time.monotonic()
            if now >= deadline:
                return
            self._sink.poll(now)
            self._backfiller.turn(now, accepting=self._sink.accepting)
            self._selector.select(HOUSEKEEPING_SECONDS)
            self._waker.clear()
            faulthandler.dump_traceback_later(self._config.hang_after, exit=True)
