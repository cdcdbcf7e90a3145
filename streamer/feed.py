"""The loop: sockets, order, sink, telemetry, all on one thread that never waits for any of them."""

from __future__ import annotations

import faulthandler
import logging
import os
import selectors
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, cast

from streamer.address_hold import AddressHold
from streamer.availability import Availability
from streamer.clock_log import clock_note
from streamer.command_handler import Requests
from streamer.config import ExchangeConfig, StreamerConfig
from streamer.data.rejected import RejectedFrames
from streamer.diagnosis import Diagnosis
from streamer.errors import SinkLost, StreamerError
from streamer.feed_counters import FeedCounters
from streamer.flow_control import FlowControl
from streamer.ingest.ingest import Ingest
from streamer.listing.listing_file import ListingFile
from streamer.listing.symbol_watch import SymbolWatch
from streamer.lock import ShardLock
from streamer.memory.free_heap import FreeHeap
from streamer.memory.parts import MemoryAccount
from streamer.memory.trimmer import HeapTrimmer
from streamer.messages import State
from streamer.network.connection import Connection
from streamer.network.connection_manager import ConnectionManager
from streamer.network.connector import Connector
from streamer.network.events import Accepted, Refused
from streamer.network.handshake import make_ssl_context
from streamer.order.sequences import Waiting
from streamer.read_pacing import ReadPacing
from streamer.removed_streams import RemovedStreams
from streamer.repair.backfiller import Backfiller
from streamer.repair.depth_snapshots import DepthSnapshots
from streamer.repair.rest_worker import RestWorker
from streamer.repair.staleness import StalenessProbe
from streamer.report import NO_BACKFILL, IdleClock, Reporter
from streamer.routes import Route, Routes
from streamer.sinks import Sink, open_letter_box, unrecordable
from streamer.subscription_manager import SubscriptionManager
from streamer.telemetry import Telemetry
from streamer.venues import belong_together
from streamer.wanted_streams import Subscriptions, WantedStreams

if TYPE_CHECKING:  # at run time only who is in a group needs it
    from streamer.group.shard_streams import ShardStreams
    from streamer.sinks.kafka import KafkaSink

log = logging.getLogger(__name__)

HOUSEKEEPING_SECONDS = 0.1  # deliveries, deadlines, commands: each wake-up of a quiet feed costs
HOUSEKEEPING_LATE_SECONDS = 0.02  # a read that wakes the loop by then saves a wake-up
POLL_RECORDS = 100  # of a busy one: deliveries are seen within 10 ms at 10,000 records a second
FLUSH_SLICE_SECONDS = 0.2  # between two looks at signals while the sink is flushed
INFO_TIMEOUT_SECONDS = 60.0  # of `exchangeInfo`: megabytes, and nothing waits for it
REST_HOLD, WEBSOCKET_HOLD = ".rest-held-until", ".websocket-held-until"
"""Beside the directories of several streamers: they share the exchange's limits of an address."""
CATCH_UP_EVERY_SECONDS = 1.0  # silence, ages, the watchdog: what is counted in seconds


class Feed:
    """One streamer at work: `run` returns when it has been asked to stop, and has stopped."""

    def __init__(
        self,
        config: StreamerConfig,
        sink_of: Callable[[Routes, Collection[str]], Sink],
        reread: Callable[[], ExchangeConfig | None] | None = None,
        lock: ShardLock | None = None,
    ) -> None:
        """Open everything; `reread` tells what the settings want by now, None for nothing new.

        `sink_of` opens the sink for routes, and is told the names of those that were there before.
        `lock` is that of the sink's directory; None: nobody looks whether it is in its place.
        """
        now = time.monotonic()
        exchange, connection = config.exchange, config.connection
        self._config = config
        self._counters = FeedCounters()
        ssl_context = make_ssl_context(exchange)
        shared = config.sink.directory.parent if config.shard.count > 1 else None
        rest_hold = AddressHold(shared and shared / REST_HOLD)
        symbol_watch = SymbolWatch(
            exchange.symbols,
            lambda: RestWorker(exchange, ssl_context, INFO_TIMEOUT_SECONDS, self.wake, rest_hold),
            ListingFile(None if config.sink.kind == "null" else config.sink.directory),
            self._counters,
            exchange.symbols_every,
            # In a group, what another process on this machine has is the group's to say as well.
            config.shard.holds if config.shard.count > 1 and not config.group.enabled else None,
        )
        symbol_watch.refuse(unrecordable(config, symbol_watch.candidates))
        routes = Routes(
            exchange.streams,
            () if config.group.enabled else symbol_watch.selected,  # else the group tells which
            time_unit=exchange.time_unit,
            gap_wait_seconds=connection.gap_wait,
            waiting=Waiting(config.repair.held_in_memory, config.sink.directory / "held")
            if config.repair.enabled
            else None,
            with_snapshots=config.repair.enabled and config.depth_snapshots.enabled,
        )
        removed_streams = RemovedStreams(
            None if config.sink.kind == "null" else config.sink.directory, routes.by_name
        )
        self._sink = sink_of(routes, removed_streams.streamed)
        self._rejected = RejectedFrames(
            config.sink.directory, config.sink.rejected_bytes, open_letter_box(config)
        )
        self._ingest = Ingest(
            routes,
            self._sink,
            self._rejected,
            self._counters,
            overlap_seconds=connection.rotation_overlap,
        )
        positions = self._sink.positions()
        removed_streams.take_stored(
            positions,
            shared=config.sink.kind == "kafka",
            # A group tells by itself where its streams go on.
            chosen=() if config.group.enabled else symbol_watch.chosen(exchange.streams, positions),
        )
        returning = removed_streams.returning
        self._ingest.resume({name: positions[name] for name in positions if name not in returning})
        for name, left in returning.items():
            self._ingest.rejoin(routes.by_name[name], left)
        self._selector = selectors.DefaultSelector()
        self._wake_read, self._wake_write = os.pipe()
        for descriptor in (self._wake_read, self._wake_write):
            os.set_blocking(descriptor, False)
        self._selector.register(self._wake_read, selectors.EVENT_READ, None)
        self._availability = Availability(routes, self._counters)
        self._availability.on_listed = self._subscribe_anew
        self._connection_manager = ConnectionManager(
            config,
            routes.by_name,
            counters=self._counters,
            selector=self._selector,
            connector=Connector(self.wake),
            ssl_context=ssl_context,
            covered=self._ingest.covered,
            unavailable=self._availability.streams,
            hold=AddressHold(shared and shared / WEBSOCKET_HOLD),
        )
        if positions:
            self._connection_manager.resume(now)
        self._flow_control = FlowControl(
            self._sink, self._connection_manager, self._ingest, self._counters
        )
        self._idle_clock = IdleClock(routes, now)
        self._backfiller: Backfiller | None = None
        heap = FreeHeap()
        silences = StalenessProbe(connection.stale_after) if config.repair.enabled else None
        self._reporter = Reporter(
            config,
            routes,
            self._connection_manager,
            self._sink,
            self._counters,
            self._idle_clock,
            now,
            silences=silences,
            unavailable=self._availability.streams,
            memory=MemoryAccount(config.kafka, heap),
        )
        if silences is not None:
            self._backfiller = Backfiller(
                config.repair,
                routes,
                RestWorker(
                    exchange, ssl_context, config.repair.request_timeout, self.wake, rest_hold
                ),
                self._ingest.forward,
                self._ingest.refuse,
                self._counters,
                silences,
                self._availability,
                silent_seconds=self._reporter.silent_seconds,
                unix_time=time.time,
                in_milliseconds=exchange.time_unit == "ms",
                same_venue=belong_together(exchange.websocket_url, exchange.rest_url),
                note_clock=clock_note(config.sink),
                make_snapshots=partial(
                    DepthSnapshots,
                    config=replace(
                        config.depth_snapshots,
                        weight_share=config.depth_snapshots.weight_share / config.shard.count,
                    ),
                    weight_per_minute=config.repair.weight_per_minute,
                    routes=routes,
                    sink=self._sink,
                    counters=self._counters,
                    unix_time=time.time,
                )
                if config.depth_snapshots.enabled
                else None,
                processes=config.shard.count,
            )
            self._ingest.epochs.on_begin = self._backfiller.start_anew
            self._ingest.gap_records.on_book_lost = self._backfiller.lose_book
        endpoint = config.telemetry.endpoint
        self._telemetry = (
            Telemetry(endpoint, config.name, config.generation, config.telemetry_keys)
            if endpoint
            else None
        )
        self._subscription_manager = SubscriptionManager(
            self._ingest,
            self._connection_manager,
            self._sink,
            self._counters,
            self._idle_clock,
            self._backfiller,
            removed_streams=removed_streams,
            overlap_seconds=connection.rotation_overlap,
        )
        # A shard may be without symbols, where there are few: then nothing is missing.
        self._may_be_idle = config.shard.count > 1
        self._group = self._join_group(symbol_watch.selected) if config.group.enabled else None
        subscriptions: Subscriptions = self._group or self._subscription_manager
        self._wanted_streams = WantedStreams(
            exchange.streams,
            symbol_watch,
            subscriptions,
            self._counters,
            self._ingest.gap_records.declare_delisted,
        )
        self._lock = lock
        self._heap_trimmer = HeapTrimmer(trim=heap.trim)
        self._read_pacing = (
            ReadPacing(connection.read_interval) if connection.read_interval else None
        )
        self._requests = Requests(
            self._connection_manager,
            self._wanted_streams,
            self.stop,
            Diagnosis(self._sink.diagnostics),
            heap.trim,
        )
        self._reread = reread
        self._reread_wanted = False
        self._stop_reason: str | None = None
        self._flush_within = config.stop_within
        self._housekeeping_at = self._catch_up_at = self._report_at = now
        self._unpolled = 0  # records put into the sink since it was last polled

    @property
    def wake_descriptor(self) -> int:
        """What to write to, from a signal, to end the loop's wait."""
        return self._wake_write

    def wake(self) -> None:
        """End the loop's wait; safe from any thread."""
        with suppress(BlockingIOError):  # it is full of wakes already
            os.write(self._wake_write, b"\0")

    def reread(self) -> None:
        """Wish for the settings to be read again; safe from a signal's handler."""
        self._reread_wanted = True

    def stop(self, reason: str, within_seconds: float | None = None) -> None:
        """Wish for the end: read no more, flush within the given time, report, return."""
        if self._stop_reason is None:
            self._stop_reason = reason
        if within_seconds is not None:
            self._flush_within = min(self._flush_within, within_seconds)

    def run(self) -> int:
        """Stream until stopped; return how many records are not in the sink, given up or left."""
        try:
            while self._stop_reason is None:
                self._turn()
            if self._group is not None:
                self._leave_group(self._group)
            return self._drain()
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
                os.read(self._wake_read, 4096)
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

    def _subscribe_anew(self, routes: list[Route], now: float) -> None:
        """Ask for streams again that were subscribed while the exchange did not know them."""
        self._connection_manager.resubscribe([route.name for route in routes], now)
        for route in routes:
            self._idle_clock.add(route, now)

    def _join_group(self, symbols: tuple[str, ...]) -> ShardStreams:
        from streamer.group.opening import open_shard_streams
        from streamer.group.shard_routes import ShardRoutes

        sink = cast("KafkaSink", self._sink)  # as the settings were checked for
        shard_routes = ShardRoutes(
            self._ingest, self._connection_manager, sink, self._idle_clock, self._backfiller
        )
        return open_shard_streams(
            self._config,
            symbols,
            self._subscription_manager,
            shard_routes,
            self._ingest.routes,
            sink,
            self._counters,
            self.wake,
        )

    def _follow_group(self, group: ShardStreams, now: float) -> None:
        """Follow what the group assigns. Raises StreamerError when this can be no member."""
        if group.failed is not None:
            error = str(group.failed)
            self._counters.notice("group_failed", error=error)
            self._report(now, "stopped", final=True, exit_reason=error)
            raise group.failed
        group.turn(now)

    def _leave_group(self, group: ShardStreams) -> None:
        """Go on until the others hear the streams, for half of the time there is."""
        within = self._flush_within / 2
        began = time.monotonic()
        group.leave(began, within)
        while not group.has_left(time.monotonic(), within):
            self._turn()
        self._flush_within -= time.monotonic() - began
        log.info("the group was left after %.1f s", time.monotonic() - began)

    def _state(self) -> State:
        if self._group is not None and not len(self._ingest.routes):
            return "streaming" if self._group.is_settled else "connecting"  # others have it all
        return (
            "streaming"
            # None while it is not known which symbols trade.
            if (len(self._ingest.routes) or (self._may_be_idle and self._wanted_streams.is_known))
            and all(slot.live for slot in self._connection_manager.slots)
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
            )
            self._telemetry.send(report)

    def _drain(self) -> int:
        """Flush the sink, saying every second that it goes on; return what is left at the end."""
        log.info("stopping (%s): no more is read, the sink is flushed", self._stop_reason)
        self._connection_manager.close()
        deadline = time.monotonic() + self._flush_within
        self._ingest.expire(float("inf"))
        self._finish_repairs(deadline - self._flush_within / 2)
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
        where = self._sink.keep()
        left += self._sink.counts().refused_total
        reason = f"{left} records are not acknowledged" if left else None
        if reason:
            log.error("%s after %.1f s", reason, self._flush_within)
        if where is not None:
            kept = self._sink.counts().overflow_records
            log.error("%d records wait in %s: the next start delivers them first", kept, where)
            reason = f"{reason}; {kept} records wait in {where} for the next start"
        self._report(time.monotonic(), "stopped", final=True, exit_reason=reason)
        return left

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
            with suppress(BlockingIOError):
                os.read(self._wake_read, 4096)
            faulthandler.dump_traceback_later(self._config.hang_after, exit=True)
