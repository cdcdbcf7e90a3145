"""Prometheus metrics from the latest snapshot: names and labels are public API.

The predecessor's names keep their meaning; what it lacked carries `vigil_` or its `binance_` kin.
What each stream has is in `monitor.stream_metrics`. A custom collector writes no `_created`
series. A streamer that is not up has no memory figures: an absent series can be alerted on, a zero
would look like a good one.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Iterator, Mapping

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from monitor.counters import Key
from monitor.health_metrics import health
from monitor.snapshot import Snapshot, StreamerSnapshot
from streamer.messages import LATENCY_BUCKETS_SECONDS, TELEMETRY_DROPS
from streamer.version import version

_STATES = ("pass", "fail", "inconclusive")

_COUNTERS = (
    ("binance_message_errors", "Frames that could not be decoded.", "message_errors", "error_type"),
    ("binance_unsupported_frames", "Frames of kinds without a schema.", "unsupported", "kind"),
    ("binance_connection_rotations", "Completed rotations.", "rotations", "reason"),
    ("binance_connection_rotation_failures", "Rotations given up.", "rotations_failed", None),
    ("binance_connection_drops", "Connections lost outside the plan.", "drops", "slot"),
    ("binance_reconnects", "Reconnections.", "reconnects", "reason"),
    (
        "binance_connection_errors",
        "Failed attempts to connect.",
        "connection_errors",
        "error_type",
    ),
    ("binance_rest_errors", "REST questions without an answer.", "rest_errors", "error_type"),
    (
        "vigil_telemetry_dropped_messages",
        "Messages that a streamer could not send to its supervisor.",
        "telemetry_dropped",
        "reason",
    ),
    ("binance_pong_timeouts", "Pongs that did not come in time.", "pong_timeouts", None),
    ("serializer_cache_evictions", "Schemas put out of the cache.", "cache_evictions", None),
    ("kafka_messages_produced", "Records acknowledged by the sink.", "acknowledged", None),
    ("kafka_produce_errors", "Records the sink could not write.", "sink_errors", None),
    ("kafka_produce_retries", "Requests to brokers sent again.", "produce_retries", None),
    ("kafka_request_timeouts", "Requests to brokers without an answer.", "produce_timeouts", None),
    ("kafka_producers_replaced", "Producers that failed.", "producers_replaced", None),
    ("vigil_sink_refused_records", "Records given up, as Kafka takes none such.", "refused", None),
    (
        "vigil_stream_acknowledged_records",
        "Records acknowledged by the sink, never too many; late by some seconds under load.",
        "acknowledged_of",
        "stream",
    ),
    ("vigil_events_let_go", "Read and not kept: the sink took nothing.", "shed", None),
    ("vigil_dead_letters", "Undecodable or refused, and kept.", "dead_letters", None),
    (
        "vigil_dead_letters_dropped",
        "The same, beyond the bounds of rate and size.",
        "dead_letters_dropped",
        None,
    ),
    ("vigil_sink_accepted_records", "Records handed to the sink.", "accepted", None),
    ("vigil_sink_acknowledged_records", "Records acknowledged by the sink.", "acknowledged", None),
    ("vigil_sink_bytes", "Bytes written by the sink.", "sink_bytes", None),
)
"""Name without `_total`, help, the count's name in `monitor.counters`, and its label."""


class SnapshotCollector(Collector):
    """Turns what `source` returns into metric families at each scrape."""

    def __init__(self, source: Callable[[], Snapshot | None]) -> None:
        self._source = source
        self._version = version()

    def collect(self) -> Iterator[Metric]:
        """Yield the families; none before the first snapshot."""
        snapshot = self._source()
        if snapshot is not None:
            yield self._build_info()
            yield from _process(snapshot.streamers)
            yield from health(snapshot)
            yield from _feed(snapshot)
            yield from _counts(snapshot.totals)
            yield from _latencies(snapshot.totals)
            yield from _judgement(snapshot)

    def _build_info(self) -> Metric:
        family = GaugeMetricFamily(
            "vigil_build_info", "1; the labels say what runs.", labels=["version", "python"]
        )
        family.add_metric([self._version, platform.python_version()], 1.0)
        return family


def _process(streamers: Iterable[StreamerSnapshot]) -> Iterator[Metric]:
    values: dict[str, tuple[str, Callable[[StreamerSnapshot], float | None]]] = {
        "vigil_streamer_up": ("1 when the streamer's process lives.", lambda s: s.up),
        "vigil_streamer_generation": ("Launches of the streamer so far.", lambda s: s.generation),
        "process_memory_rss_bytes": (
            "Resident memory of the streamer, seen from outside.",
            lambda s: s.sample.rss_bytes if s.up and s.sample else None,
        ),
        "process_memory_vms_bytes": (
            "Address space of the streamer.",
            lambda s: s.sample.vms_bytes if s.up and s.sample else None,
        ),
        "vigil_streamer_threads": (
            "Threads of the streamer.",
            lambda s: s.sample.threads if s.up and s.sample else None,
        ),
        "vigil_streamer_open_files": (
            "Open file descriptors of the streamer.",
            lambda s: s.sample.open_files if s.up and s.sample else None,
        ),
        "vigil_streamer_cpu_cores": ("Cores that the streamer uses.", lambda s: s.cpu_cores),
        "vigil_sample_timestamp_seconds": (
            "Time of the latest look at the streamer.",
            lambda s: s.sample.time if s.sample else None,
        ),
        "vigil_report_timestamp_seconds": (
            "Time of the streamer's latest report.",
            lambda s: s.report.time if s.report else None,
        ),
        "vigil_memory_growth_bytes": ("Growth of the memory's floor.", lambda s: s.growth_bytes),
        "memory_leak_detection_score": (
            "0 to 1: from 0.5 suspected, above 0.8 a leak.",
            lambda s: s.leak.score if s.leak else None,
        ),
    }
    streamers = tuple(streamers)
    for name, (text, read) in values.items():
        family = GaugeMetricFamily(name, text, labels=["streamer"])
        for streamer in streamers:
            value = read(streamer)
            if value is not None:
                family.add_metric([streamer.name], float(value))
        yield family
    encoders = GaugeMetricFamily(
        "vigil_streamer_encoder_info",
        "1; the label says what encodes the records, compiled or python.",
        labels=["streamer", "encoder"],
    )
    for streamer in streamers:
        if streamer.up and streamer.report is not None:
            encoders.add_metric([streamer.name, streamer.report.encoder], 1.0)
    yield encoders


def _feed(snapshot: Snapshot) -> Iterator[Metric]:
    reports = [one.report for one in snapshot.streamers if one.up and one.report is not None]
    slots = [slot for report in reports for slot in report.slots]
    ages = [slot.age_seconds for slot in slots if slot.age_seconds is not None]
    pongs = [slot.last_pong_time for slot in slots if slot.last_pong_time is not None]
    times = [
        one.last_event_time
        for report in reports
        for one in report.streams
        if one.last_event_time is not None
    ]
    yield _gauge(
        "binance_connection_status",
        "1 when every slot has a live, subscribed connection.",
        snapshot.connected,
    )
    if ages:
        yield _gauge(
            "binance_connection_lifetime_seconds", "Age of the oldest connection.", max(ages)
        )
    if pongs:
        yield _gauge(
            "binance_last_pong_timestamp_seconds",
            "Time of the last pong; of the slot where it is longest ago.",
            min(pongs),
        )
    if times:
        yield _gauge(
            "binance_last_message_timestamp_seconds", "Arrival of the latest event.", max(times)
        )
    if reports:
        yield _gauge(
            "binance_reconnect_delay_seconds",
            "Delay before the latest attempt to connect.",
            max(report.reconnect_delay_seconds for report in reports),
        )
        yield _gauge(
            "vigil_held_events",
            "Events that wait above an open gap.",
            sum(one.pending for report in reports for one in report.streams),
        )
        yield _gauge(
            "vigil_backfill_gaps",
            "Gaps that REST is asked about.",
            sum(report.backfill.gaps for report in reports),
        )
        yield _gauge(
            "vigil_backfill_ids_left",
            "Ids that these still miss; of klines, candles.",
            sum(report.backfill.ids_left for report in reports),
        )
        yield _gauge(
            "vigil_backfill_expected_seconds",
            "In how long these can all have been asked for, by REST's weight; 0 without one.",
            max((report.backfill.seconds_left or 0.0 for report in reports), default=0.0),
        )
        offsets = [r.clock_offset_seconds for r in reports if r.clock_offset_seconds is not None]
        if offsets:
            yield _gauge(
                "binance_clock_offset_seconds",
                "The exchange's clock less ours, the largest of any streamer.",
                max(offsets, key=abs),
            )
        yield _gauge(
            "serializer_cache_size",
            "Schemas in the serializers' caches.",
            sum(report.sink.serializer_cache_size for report in reports),
        )
        yield _gauge(
            "vigil_sink_queued_records",
            "Records accepted and not yet acknowledged.",
            sum(report.sink.queued for report in reports),
        )
        yield _gauge(
            "kafka_producer_queue_bytes",
            "Bytes of records that brokers have not acknowledged, without overhead.",
            sum(report.sink.queued_bytes for report in reports),
        )
        yield _gauge(
            "vigil_sink_overflow_records",
            "Records that wait on disk while Kafka takes nothing.",
            sum(report.sink.overflow_records for report in reports),
        )
        yield _gauge(
            "vigil_sink_overflow_bytes",
            "Bytes of the files that they wait in.",
            sum(report.sink.overflow_bytes for report in reports),
        )
        yield _gauge(
            "vigil_sink_other_writers",
            "Other processes that record some of the same streams into the same topics.",
            sum(report.sink.other_writers for report in reports),
        )
    brokers = GaugeMetricFamily(
        "kafka_broker_latency_seconds",
        "99 of 100 requests to the broker took less; of the streamer where it is slowest.",
        labels=["broker"],
    )
    slowest: dict[str, float] = {}
    for report in reports:
        for broker, seconds in report.sink.broker_latency_seconds.items():
            slowest[broker] = max(seconds, slowest.get(broker, 0.0))
    for broker, seconds in slowest.items():
        brokers.add_metric([broker], seconds)
    yield brokers


def _counts(totals: Mapping[Key, int]) -> Iterator[Metric]:
    # From 0 on: an alert sees a counter grow, not one that appears.
    totals = {**{("telemetry_dropped", why): 0 for why in TELEMETRY_DROPS}, **totals}
    by_name: dict[str, list[tuple[Key, int]]] = {}
    counted_here = {counted for _, _, counted, _ in _COUNTERS}
    for key, count in totals.items():
        if key[0] in counted_here:
            by_name.setdefault(key[0], []).append((key, count))
    for name, text, counted, label in _COUNTERS:
        if label is None:
            family = CounterMetricFamily(name, text, value=totals.get((counted,), 0))
        else:
            family = CounterMetricFamily(name, text, labels=[label])
            for key, count in by_name.get(counted, ()):
                family.add_metric([key[1]], count)
        yield family


def _latencies(totals: Mapping[Key, int]) -> Iterator[Metric]:
    yield _histogram(
        "kafka_produce_duration_seconds",
        "From handing a record to the sink to its acknowledgement.",
        "acknowledge",
        totals,
    )
    yield _histogram(
        "binance_receive_latency_seconds",
        "From the exchange's event time to reception, corrected by binance_clock_offset_seconds.",
        "receive",
        totals,
    )


def _judgement(snapshot: Snapshot) -> Iterator[Metric]:
    criteria = GaugeMetricFamily(
        "vigil_criterion_state",
        "1 for the state that a criterion of the soak is in.",
        labels=["criterion", "state"],
    )
    for criterion in snapshot.criteria:
        for state in _STATES:
            criteria.add_metric([criterion.name, state], float(criterion.outcome == state))
    yield criteria
    actions = CounterMetricFamily(
        "vigil_actions", "Actions taken on breached rules.", labels=["rule", "action"]
    )
    for (rule, action), count in snapshot.actions.items():
        actions.add_metric([rule, action], count)
    yield actions
    refused = CounterMetricFamily(
        "vigil_telemetry_refused_messages",
        "Messages at the telemetry's socket that were not taken.",
        labels=["reason"],
    )
    for reason, count in snapshot.telemetry_refused.items():
        refused.add_metric([reason], count)
    yield refused
    yield _gauge(
        "vigil_memory_ceiling_bytes",
        "RSS above which a streamer is ended.",
        snapshot.memory_ceiling_bytes,
    )
    yield _gauge("vigil_snapshot_timestamp_seconds", "Time of these figures.", snapshot.time)
    if snapshot.load is not None:
        yield _gauge(
            "vigil_supervisor_busy_ratio",
            "Part of the last 10 s in which the supervisor's loop did not wait for something.",
            snapshot.load.busy_ratio,
        )
        yield _gauge(
            "vigil_supervisor_report_delay_seconds",
            "Time from the making of the latest report to its judgement.",
            snapshot.load.report_delay_seconds,
        )
        yield _gauge(
            "vigil_supervisor_overloaded",
            "1 when more comes than the supervisor can judge in time.",
            snapshot.load.is_overloaded,
        )
    if snapshot.supervisor is not None:
        yield _gauge(
            "vigil_supervisor_memory_rss_bytes",
            "Resident memory of the supervisor itself.",
            snapshot.supervisor.rss_bytes,
        )
        yield CounterMetricFamily(
            "vigil_supervisor_cpu_seconds",
            "CPU time of the supervisor itself.",
            value=snapshot.supervisor.cpu_seconds,
        )


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=float(value))


def _histogram(name: str, text: str, counted: str, totals: Mapping[Key, int]) -> Metric:
    bounds = [*(str(bound) for bound in LATENCY_BUCKETS_SECONDS), "+Inf"]
    below, buckets = 0, []
    for index, bound in enumerate(bounds):
        below += totals.get((counted, str(index)), 0)
        buckets.append((bound, below))
    seconds = totals.get((counted, "sum_microseconds"), 0) / 1e6
    return HistogramMetricFamily(name, text, buckets=buckets, sum_value=seconds)
