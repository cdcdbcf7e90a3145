"""When is everything acknowledged that was produced up to a moment? Pure.

Successful deliveries call nobody back: librdkafka's statistics tell, partition by partition, the
number of the last record that was acknowledged and how many wait (docs/decisions/). A producer
that is idempotent has each partition's records acknowledged in their order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Mark = TypeVar("Mark")

NO_PARTITION = "-1"  # where records wait while nobody knows the topic's partitions


@dataclass(frozen=True, slots=True)
class Outstanding:
    """One partition at a look: the last record acknowledged, and how many were seen waiting."""

    acknowledged: int
    waiting: int


@dataclass(frozen=True, slots=True)
class Look:
    """What librdkafka told at a moment, by its monotonic clock in seconds."""

    client: str = ""  # its name, another one for each producer
    at: float = 0.0
    queued: int = 0  # records in the producer, in any state
    partitions: Mapping[tuple[str, str], Outstanding] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether no record escaped the look.

        A batch that is being made, or waits for its connection, is in none of the partitions'
        counts, though the producer counts it: seen for seconds after a broker came back.
        """
        waiting = sum(one.waiting for one in self.partitions.values())
        unplaced = any(
            one.waiting for (_, number), one in self.partitions.items() if number == NO_PARTITION
        )
        return waiting >= self.queued and not unplaced


class AcknowledgeWatch(Generic[Mark]):
    """Takes a mark when records were produced, and gives it back when they are acknowledged."""

    def __init__(self) -> None:
        self._mark: Mark | None = None
        self._marked_at = 0.0
        self._client = ""
        self._targets: dict[tuple[str, str], int] | None = None

    @property
    def waiting(self) -> bool:
        """Whether there is a mark."""
        return self._mark is not None

    def mark(self, mark: Mark, now: float) -> None:
        """Begin to wait for everything produced up to now, by the clock of the looks."""
        self._mark, self._marked_at, self._targets = mark, now, None

    def forget(self) -> None:
        """Wait no more: records were taken back from the producer."""
        self._mark = self._targets = None

    def look(self, look: Look) -> Mark | None:
        """Return the mark if everything up to it is acknowledged, which ends the waiting."""
        if self._mark is None or look.at < self._marked_at:
            return None
        if self._targets is not None and look.client != self._client:
            self.forget()
            return None
        if self._targets is None:
            if not look.complete:
                return None
            self._client = look.client
            self._targets = {
                key: one.acknowledged + one.waiting for key, one in look.partitions.items()
            }
        for key in tuple(self._targets):
            if self._reached(self._targets[key], look.partitions.get(key), look):
                del self._targets[key]
        if self._targets:
            return None
        mark, self._mark, self._targets = self._mark, None, None
        return mark

    @staticmethod
    def _reached(target: int, one: Outstanding | None, look: Look) -> bool:
        """Tell whether a partition is done with; at the target itself, only when nothing waits.

        So a batch that escaped the look which set the target is not overlooked.
        """
        if one is None or one.acknowledged < target:
            return False
        return one.acknowledged > target or (one.waiting == 0 and look.complete)
