"""What happens on the HTTP port, counted: for its own metrics and for one log line a minute."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from streamer.printable import printable

log = logging.getLogger(__name__)

LOG_EVERY_SECONDS = 60.0  # a port scan or a flood would fill the log otherwise
_SHOWN_BYTES = 300  # of one detail in the log


class HttpCounts(Collector):
    """Counts of responses and of clients that got none. Changed by the server's thread only."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self.responses: Counter[int] = Counter()  # by status
        self.dropped: Counter[str] = Counter()  # by reason
        self.clients = 0  # connected now, event streams among them
        self.event_streams = 0  # now
        self._monotonic = monotonic
        self._log_at = -LOG_EVERY_SECONDS

    def drop(self, reason: str, detail: str = "") -> None:
        """Count a client that was dropped or refused; log it, at most once a minute."""
        self.dropped[reason] += 1
        now = self._monotonic()
        if now < self._log_at + LOG_EVERY_SECONDS:
            return
        self._log_at = now
        totals = ", ".join(f"{name} {count}" for name, count in sorted(self.dropped.items()))
        shown = f": {printable(detail, _SHOWN_BYTES)}" if detail else ""
        log.warning("metrics port: a client was dropped (%s)%s; so far: %s", reason, shown, totals)

    def collect(self) -> Iterator[Metric]:
        """Yield the families."""
        responses = CounterMetricFamily(
            "vigil_http_responses", "Responses of the metrics port.", labels=["code"]
        )
        for status, count in sorted(self.responses.items()):
            responses.add_metric([str(status)], count)
        yield responses
        dropped = CounterMetricFamily(
            "vigil_http_clients_dropped",
            "Clients of the metrics port that were refused, or dropped without a response.",
            labels=["reason"],
        )
        for reason, count in sorted(self.dropped.items()):
            dropped.add_metric([reason], count)
        yield dropped
        yield GaugeMetricFamily(
            "vigil_http_clients", "Clients connected to the metrics port.", self.clients
        )
        yield GaugeMetricFamily(
            "vigil_http_event_streams",
            "Those of them that are sent each snapshot: live pages.",
            self.event_streams,
        )
