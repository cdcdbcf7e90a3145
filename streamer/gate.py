"""Between the sockets and the order: what is read while the sink takes nothing, and what is kept.

`streamer.backpressure` decides; here it is done, said and counted.
"""

from __future__ import annotations

import logging

from streamer.backpressure import Backpressure
from streamer.intake import Intake
from streamer.network.connection import Connection
from streamer.network.links import Links
from streamer.sinks import Sink
from streamer.tally import Tally

log = logging.getLogger(__name__)


class Gate:
    """Hands what was read to the intake, or lets it go. `heed` is to be called 10 times a second.

    It is called at once, too, when the sink does not accept any more.
    """

    def __init__(self, sink: Sink, links: Links, intake: Intake, tally: Tally) -> None:
        self._sink = sink
        self._links = links
        self._intake = intake
        self._tally = tally
        self._backpressure = Backpressure()
        self._total_before = 0  # let go, when this time began
        self._names: set[str] = set()

    @property
    def is_open(self) -> bool:
        """Whether what comes is read and kept: else silence says nothing."""
        return self._backpressure.mode == "reading"

    def take(self, connection: Connection, payloads: list[bytes]) -> None:
        """Take what a connection has received, oldest first."""
        if self._backpressure.mode == "letting_go":
            self._tally.let_go_total += self._intake.let_go(connection, payloads, self._names)
        else:
            first_ids, overlapping = self._links.first_ids(connection), self._links.overlapping
            self._intake.take(connection, payloads, first_ids, overlapping=overlapping)

    def heed(self, now: float) -> None:
        """Stop reading while the sink takes nothing; after some seconds read and let go."""
        before, since = self._backpressure.mode, self._backpressure.since
        mode = self._backpressure.turn(
            accepting=self._sink.accepting, unread_since=self._links.unread_since, now=now
        )
        if mode is None:
            return
        self._links.read(mode != "paused")
        if mode == "paused":
            message = "the sink takes no more: reading stops"
        elif mode == "letting_go":
            message = "the sink still takes nothing: what comes now is read and let go"
            self._total_before = self._tally.let_go_total
        elif before == "letting_go":
            message = self._account(now - since)
        else:
            message = "the sink takes records again: reading goes on"
        log.warning("%s", message)
        self._tally.notice("warning", message=message)

    def _account(self, seconds: float) -> str:
        """Tell what was let go: ids show their own gaps, times are declared here."""
        count = self._tally.let_go_total - self._total_before
        self._tally.notice("let_go", events=count, seconds=round(seconds, 3))
        self._intake.declare_let_go(sorted(self._names), seconds)
        self._names.clear()
        return (
            f"the sink takes records again: {count} events were let go in {seconds:.0f} s; "
            "the trades among them are fetched over REST"
        )
