"""Topics that a stream needs that joins later: prepared off the feed's thread, before it joins."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from streamer.sinks.kafka.late_opening import PAUSE_SECONDS, LateOpening

Prepare = Callable[[Mapping[str, str]], Mapping[str, bytes]]
"""Takes kinds by topic, sees to it that the topics are there, and returns what goes before each
record by topic. Waits for brokers and the registry. Raises StreamerError."""


class Ready(NamedTuple):
    """A topic that is there now."""

    topic: str
    kind: str
    header: bytes  # what goes before each record


class LateTopics:
    """On the feed's thread; all topics that wait are prepared at once, on a thread of their own.

    What fails is tried again until it is done, as there.
    """

    def __init__(self, prepare: Prepare, *, pause_seconds: float = PAUSE_SECONDS) -> None:
        self._prepare = prepare
        self._pause_seconds = pause_seconds
        self._waiting: dict[str, str] = {}  # kinds by topic, of those that are not begun
        self._begun: dict[str, str] = {}
        self._headers: dict[str, bytes] = {}  # of the begun; the thread fills it in
        self._opening: LateOpening | None = None

    @property
    def is_busy(self) -> bool:
        """Whether topics are not ready, or `take` has to be called for those that are."""
        return self._opening is not None

    def want(self, topic: str, kind: str) -> None:
        """Have a topic be prepared, unless it is already."""
        if topic not in self._begun:
            self._waiting[topic] = kind
        if self._opening is None:
            self._begin()

    def take(self) -> list[Ready]:
        """Return the topics that are ready since the last call."""
        if self._opening is None or not self._opening.is_done:
            return []
        ready = [Ready(topic, kind, self._headers[topic]) for topic, kind in self._begun.items()]
        self._opening, self._begun = None, {}
        if self._waiting:
            self._begin()
        return ready

    def take_error(self) -> str | None:
        """Return why the latest attempt failed, once."""
        return None if self._opening is None else self._opening.take_error()

    def close(self) -> None:
        """Try no more."""
        if self._opening is not None:
            self._opening.close()

    def _begin(self) -> None:
        begun, headers = self._waiting, dict[str, bytes]()
        self._begun, self._headers, self._waiting = begun, headers, {}
        self._opening = LateOpening(
            lambda: headers.update(self._prepare(begun)), pause_seconds=self._pause_seconds
        )
