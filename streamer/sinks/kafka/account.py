"""What the sink `kafka` counts: accepted, refused, and what of each stream is acknowledged."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Mapping

from streamer.sinks import RefusedRecord
from streamer.sinks.delivery import Errors

STALL_SECONDS = 10.0  # without any acknowledgement: a broker that restarts takes as long
REFUSED_LIMIT = 1_000  # kept between two calls of take_refused; the others are counted only

_log = logging.getLogger(__name__)


class Progress:
    """Whether Kafka acknowledges anything: librdkafka retries much without a word."""

    def __init__(self, errors: Errors, now: float) -> None:
        self.stalled = False
        self._errors = errors
        self._at = now  # when something was acknowledged, or nothing queued
        self._total = 0

    def observe(self, acknowledged: int, queued: int, now: float) -> None:
        """Take the totals at the time of a poll, monotonic."""
        seconds = now - self._at
        if queued and acknowledged <= self._total:
            self.stalled = seconds >= STALL_SECONDS
            if self.stalled:
                text = f"Kafka has acknowledged nothing for {seconds:.0f} s; {queued} records wait"
                self._errors.note("stalled", text, now)
            return
        if self.stalled:
            _log.warning("Kafka acknowledges records again, after %.0f s", seconds)
        self.stalled = False
        self._at, self._total = now, acknowledged


class Refusals:
    """Records that were given up, counted by topic, and kept until somebody takes them."""

    def __init__(self, errors: Errors) -> None:
        self.total = 0
        self.of: Counter[str] = Counter()
        self._errors = errors
        self._kept: list[RefusedRecord] = []

    def add(self, topic: str, content: bytes, error_type: str, reason: str) -> None:
        """Give a record up."""
        self.total += 1
        self.of[topic] += 1
        self._errors.note(error_type, f"{topic}: {reason}", time.monotonic())
        if len(self._kept) < REFUSED_LIMIT:
            self._kept.append(RefusedRecord(topic, content, error_type, reason))

    def take(self) -> list[RefusedRecord]:
        """Return what was given up since the last call."""
        kept, self._kept = self._kept, []
        return kept


class StreamAccount:
    """How many records of each kind are acknowledged: exact when none waits, else never too many.

    `kinds` are those of the topics.
    """

    def __init__(self, kinds: Mapping[str, str]) -> None:
        self._kinds = kinds
        self._acknowledged_of: dict[str, int] = dict.fromkeys(kinds.values(), 0)

    def look(
        self, accepted_of: Mapping[str, int], open_of: tuple[Mapping[str, int], ...], late: int
    ) -> None:
        """Take counts of one moment: accepted by kind, and by topic what is not acknowledged.

        `late` records were accepted after that moment, of whatever kind.
        """
        not_acknowledged: Counter[str] = Counter()
        for topic, kind in self._kinds.items():
            not_acknowledged[kind] += sum(counts.get(topic, 0) for counts in open_of)
        for kind, waiting in not_acknowledged.items():  # topics may have come
            now = accepted_of.get(kind, 0) - late - waiting
            self._acknowledged_of[kind] = max(self._acknowledged_of.get(kind, 0), now)

    def acknowledged_of(self) -> dict[str, int]:
        """Return the counts by kind."""
        return dict(self._acknowledged_of)
