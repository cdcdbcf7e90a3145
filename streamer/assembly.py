"""A feed from settings: every part of it is made here, in the order in which they need others."""

from __future__ import annotations

import selectors
import time
from collections.abc import Callable, Collection
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

from streamer.address_hold import AddressHold
from streamer.availability import Availability
from streamer.clock_log import clock_note
from streamer.config import StreamerConfig
from streamer.data.rejected import RejectedFrames
from streamer.feed import Parts
from streamer.feed_counters import FeedCounters
from streamer.flow_control import FlowControl
from streamer.ingest.ingest import Ingest
from streamer.listing.listing_file import ListingFile
from streamer.listing.symbol_watch import SymbolWatch
from streamer.memory.free_heap import FreeHeap
from streamer.memory.parts import MemoryAccount
from streamer.network.connection_manager import ConnectionManager
from streamer.network.connector import Connector
from streamer.network.handshake import make_ssl_context
from streamer.order.sequences import Waiting
from streamer.removed_streams import RemovedStreams
from streamer.repair.backfiller import Backfiller
from streamer.repair.depth_snapshots import DepthSnapshots
from streamer.repair.rest_worker import RestWorker
from streamer.repair.staleness import StalenessProbe
from streamer.report import IdleClock, Reporter
from streamer.routes import Route, Routes
from streamer.sinks import Sink, open_letter_box, unrecordable
from streamer.subscription_manager import SubscriptionManager
from streamer.telemetry import Telemetry
from streamer.venues import belong_together
from streamer.waker import Waker
from streamer.wanted_streams import Subscriptions, WantedStreams

if TYPE_CHECKING:  # at run time only who is in a group needs it
    from streamer.group.shard_streams import ShardStreams
    from streamer.sinks.kafka import KafkaSink

INFO_TIMEOUT_SECONDS = 60.0  # of `exchangeInfo`: megabytes, and nothing waits for it
REST_HOLD, WEBSOCKET_HOLD = ".rest-held-until", ".websocket-held-until"
"""Beside the directories of several streamers: they share the exchange's limits of an address."""


def assemble(config: StreamerConfig, sink_of: Callable[[Routes, Collection[str]], Sink]) -> Parts:
    """Open everything and return it; `Feed.run` closes it.

    `sink_of` opens the sink for routes, and is told the names of those that were there before.
    """
    now = time.monotonic()
    exchange, connection, repair = config.exchange, config.connection, config.repair
    counters, heap = FeedCounters(), FreeHeap()
    selector = selectors.DefaultSelector()
    waker = Waker(selector)
    ssl_context = make_ssl_context(exchange)
    shared = config.sink.directory.parent if config.shard.count > 1 else None
    rest_hold = AddressHold(shared and shared / REST_HOLD)

    def make_rest_worker(timeout_seconds: float) -> RestWorker:
        return RestWorker(exchange, ssl_context, timeout_seconds, waker.wake, rest_hold)

    symbol_watch = _watch_symbols(config, make_rest_worker, counters)
    routes = _make_routes(config, symbol_watch)
    removed_streams = RemovedStreams(_own_directory(config), routes.by_name)
    sink = sink_of(routes, removed_streams.streamed)
    rejected = RejectedFrames(
        config.sink.directory, config.sink.rejected_bytes, open_letter_box(config)
    )
    ingest = Ingest(routes, sink, rejected, counters, overlap_seconds=connection.rotation_overlap)
    resumed = _resume(config, ingest, sink, symbol_watch, removed_streams)
    idle_clock = IdleClock(routes, now)
    availability = Availability(routes, counters)
    connection_manager = ConnectionManager(
        config,
        routes.by_name,
        counters=counters,
        selector=selector,
        connector=Connector(waker.wake),
        ssl_context=ssl_context,
        covered=ingest.covered,
        unavailable=availability.streams,
        hold=AddressHold(shared and shared / WEBSOCKET_HOLD),
    )
    availability.on_listed = partial(_subscribe_anew, connection_manager, idle_clock)
    if resumed:
        connection_manager.resume(now)
    silences = StalenessProbe(connection.stale_after) if repair.enabled else None
    reporter = Reporter(
        config,
        routes,
        connection_manager,
        sink,
        counters,
        idle_clock,
        now,
        silences=silences,
        unavailable=availability.streams,
        memory=MemoryAccount(config.kafka, heap),
    )
    backfiller: Backfiller | None = None
    if silences is not None:
        worker = make_rest_worker(repair.request_timeout)
        backfiller = _open_backfiller(
            config, ingest, sink, counters, worker, silences, availability, reporter
        )
    subscription_manager = SubscriptionManager(
        ingest,
        connection_manager,
        sink,
        counters,
        idle_clock,
        backfiller,
        removed_streams=removed_streams,
        overlap_seconds=connection.rotation_overlap,
        holds_unknown=config.group.enabled,
    )
    group: ShardStreams | None = None
    if config.group.enabled:
        from streamer.group.opening import open_shard_streams
        from streamer.group.shard_routes import ShardRoutes

        kafka_sink = cast("KafkaSink", sink)  # as the settings were checked for
        group = open_shard_streams(
            config,
            symbol_watch.selected,
            subscription_manager,
            ShardRoutes(ingest, connection_manager, kafka_sink, idle_clock, backfiller),
            routes,
            kafka_sink,
            counters,
            waker.wake,
        )
    subscriptions: Subscriptions = group or subscription_manager
    return Parts(
        waker=waker,
        selector=selector,
        counters=counters,
        heap=heap,
        sink=sink,
        rejected=rejected,
        ingest=ingest,
        idle_clock=idle_clock,
        availability=availability,
        connection_manager=connection_manager,
        flow_control=FlowControl(sink, connection_manager, ingest, counters),
        reporter=reporter,
        backfiller=backfiller,
        subscription_manager=subscription_manager,
        group=group,
        wanted_streams=WantedStreams(
            exchange.streams,
            symbol_watch,
            subscriptions,
            counters,
            ingest.gap_records.declare_delisted,
        ),
        telemetry=_open_telemetry(config),
    )


def _own_directory(config: StreamerConfig) -> Path | None:
    """Return where to keep what the next start has to know, if anything is kept at all."""
    return None if config.sink.kind == "null" else config.sink.directory


def _watch_symbols(
    config: StreamerConfig,
    make_rest_worker: Callable[[float], RestWorker],
    counters: FeedCounters,
) -> SymbolWatch:
    exchange = config.exchange
    watch = SymbolWatch(
        exchange.symbols,
        partial(make_rest_worker, INFO_TIMEOUT_SECONDS),
        ListingFile(_own_directory(config)),
        counters,
        exchange.symbols_every,
        # In a group, what another process on this machine has is the group's to say as well.
        config.shard.holds if config.shard.count > 1 and not config.group.enabled else None,
    )
    watch.refuse(unrecordable(config, watch.candidates))
    return watch


def _make_routes(config: StreamerConfig, symbol_watch: SymbolWatch) -> Routes:
    exchange, repair = config.exchange, config.repair
    return Routes(
        exchange.streams,
        () if config.group.enabled else symbol_watch.selected,  # else the group tells which
        time_unit=exchange.time_unit,
        gap_wait_seconds=config.connection.gap_wait,
        waiting=Waiting(repair.held_in_memory, config.sink.directory / "held")
        if repair.enabled
        else None,
        with_snapshots=repair.enabled and config.depth_snapshots.enabled,
    )


def _resume(
    config: StreamerConfig,
    ingest: Ingest,
    sink: Sink,
    symbol_watch: SymbolWatch,
    removed_streams: RemovedStreams,
) -> bool:
    """Have every stream go on after its last record; return whether there was any."""
    positions = sink.positions()
    removed_streams.take_stored(
        positions,
        shared=config.sink.kind == "kafka",
        # A group tells by itself where its streams go on.
        chosen=()
        if config.group.enabled
        else symbol_watch.chosen(config.exchange.streams, positions),
    )
    returning = removed_streams.returning
    ingest.resume({name: positions[name] for name in positions if name not in returning})
    for name, left in returning.items():
        ingest.rejoin(ingest.routes.by_name[name], left)
    return bool(positions)


def _subscribe_anew(
    connection_manager: ConnectionManager, idle_clock: IdleClock, routes: list[Route], now: float
) -> None:
    """Ask for streams again that were subscribed while the exchange did not know them."""
    connection_manager.resubscribe([route.name for route in routes], now)
    for route in routes:
        idle_clock.add(route, now)


def _open_backfiller(
    config: StreamerConfig,
    ingest: Ingest,
    sink: Sink,
    counters: FeedCounters,
    rest_worker: RestWorker,
    silences: StalenessProbe,
    availability: Availability,
    reporter: Reporter,
) -> Backfiller:
    exchange, snapshots = config.exchange, config.depth_snapshots
    backfiller = Backfiller(
        config.repair,
        ingest.routes,
        rest_worker,
        ingest.forward,
        ingest.refuse,
        counters,
        silences,
        availability,
        silent_seconds=reporter.silent_seconds,
        unix_time=time.time,
        in_milliseconds=exchange.time_unit == "ms",
        same_venue=belong_together(exchange.websocket_url, exchange.rest_url),
        note_clock=clock_note(config.sink),
        make_snapshots=partial(
            DepthSnapshots,
            config=replace(snapshots, weight_share=snapshots.weight_share / config.shard.count),
            weight_per_minute=config.repair.weight_per_minute,
            routes=ingest.routes,
            sink=sink,
            counters=counters,
            unix_time=time.time,
        )
        if snapshots.enabled
        else None,
        processes=config.shard.count,
    )
    ingest.epochs.on_begin = backfiller.start_anew
    ingest.gap_records.on_book_lost = backfiller.lose_book
    return backfiller


def _open_telemetry(config: StreamerConfig) -> Telemetry | None:
    endpoint = config.telemetry.endpoint
    if not endpoint:
        return None
    return Telemetry(endpoint, config.name, config.generation, config.telemetry_keys)
