"""Between the sockets and the order: what is read while the sink takes nothing, and what is kept.

`streamer.backpressure` decides; here it is done, said and counted.
"""

from __future__ import annotations

import logging

from streamer.backpressure import Backpressure
from streamer.feed_counters import FeedCounters
from streamer.ingest.ingest import Ingest
from streamer.network.connection import Connection
from streamer.network.connection_manager import ConnectionManager
from streamer.sinks import Sink

log = logging.getLogger(__name__)


class FlowControl:
    """Hands what was read to the ingest, or drops it. `update` is to be called 10 times a second.

    It is called at once, too, when the sink does not accept any more.
    """

    def __init__(
        self,
        sink: Sink,
        connection_manager: ConnectionManager,
        ingest: Ingest,
        counters: FeedCounters,
    ) -> None:
        self._sink = sink
        self._connection_manager = connection_manager
        self._ingest = ingest
        self._counters = counters
        self._backpressure = Backpressure()
        self._total_before = 0  # dropped, when this time began
        self._names: set[str] = set()

    @property
    def is_open(self) -> bool:
        """Whether what comes is read and kept: else silence says nothing."""
        return self._backpressure.mode == "reading"

    def take(self, connection: Connection, payloads: list[bytes]) -> None:
        """Take what a connection has received, oldest first."""
        if self._backpressure.mode == "letting_go":
            self._counters.shed_total += self._ingest.shed(connection, payloads, self._names)
        else:
            first_ids, overlapping = (
                self._connection_manager.first_ids(connection),
                self._connection_manager.overlapping,
            )
            self._ingest.take(connection, payloads, first_ids, overlapping=overlapping)

    def update(self, now: float) -> None:
        """Stop reading while the sink takes nothing; after some seconds read and dropped."""
        before, since = self._backpressure.mode, self._backpressure.since
        mode = self._backpressure.turn(
            accepting=self._sink.accepting,
            unread_since=self._connection_manager.unread_since,
            now=now,
        )
        if mode is None:
            return
        self._connection_manager.read(mode != "paused")
        if mode == "paused":
            message = "the sink takes no more: reading stops"
        elif mode == "letting_go":
            message = "the sink still takes nothing: what comes now is read and dropped"
            self._total_before = self._counters.shed_total
        elif before == "letting_go":
            message = self._account(now - since)
        else:
            message = "the sink takes records again: reading goes on"
        log.warning("%s", message)
        self._counters.notice("warning", message=message)

    def _account(self, seconds: float) -> str:
        """Tell what was dropped: ids show their own gaps, times are declared here."""
        count = self._counters.shed_total - self._total_before
        self._counters.notice("let_go", events=count, seconds=round(seconds, 3))
        self._ingest.coverage.declare_shed(sorted(self._names), seconds)
        self._names.clear()
        return (
            f"the sink takes records again: {count} events were dropped in {seconds:.0f} s; "
            "the trades among them are fetched over REST"
        )
