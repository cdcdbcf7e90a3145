"""Records go to the producer, or to the overflow on disk and from there to the producer.

What is to be done is decided by `flow`, which is pure; here it is done.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import assert_never

from confluent_kafka import KafkaException

from streamer.sinks.kafka import flow
from streamer.sinks.kafka.account import Progress
from streamer.sinks.kafka.flow import (
    Action,
    Failed,
    Flow,
    Full,
    GapSent,
    Hold,
    Opened,
    Polled,
    Reclaimed,
    Release,
    Renewed,
    Seen,
    Sent,
    State,
)
from streamer.sinks.kafka.overflow import Overflow
from streamer.sinks.kafka.overflow_files import Record
from streamer.sinks.kafka.producer import RestartableProducer

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class DrainBounds:
    """How much of what waits on disk is given to the producer."""

    slice_records: int = 2_000  # at once: 5 ms, so that pongs and reports never wait
    ahead_records: int = 10_000  # not acknowledged: 3 MiB, and many batches under way


class Sending:
    """The flow of a sink's records, with its producer and its overflow.

    `kinds` are the kinds of streams by topic. While it `is_direct`, a record is to be given to
    `produce`; else to the overflow.
    """

    __slots__ = (
        "_bounds",
        "_flow",
        "_kinds",
        "_overflow",
        "_producer",
        "_progress",
        "is_direct",
        "produce",
    )

    def __init__(
        self,
        producer: RestartableProducer,
        overflow: Overflow,
        progress: Progress,
        kinds: Mapping[str, str],
        bounds: DrainBounds,
    ) -> None:
        self._producer = producer
        self._overflow = overflow
        self._progress = progress
        self._kinds = kinds
        self._bounds = bounds
        self.produce = producer.produce
        self.enter(Flow())

    @property
    def state(self) -> State:
        """The state of the flow."""
        return self._flow.state

    @property
    def accepting(self) -> bool:
        """Whether there is room for more."""
        return self._flow.accepts(has_room=self._overflow.accepting)

    @property
    def writes_to_disk(self) -> bool:
        """Whether records go to the overflow's files."""
        return self._flow.writes_to_disk

    def turn(self, now: float) -> None:
        """Do what is due. To be called after each poll of the producer."""
        self._follow(self._polled(now), now)

    def opened(self, now: float) -> None:
        """Handle that the brokers have answered for the first time."""
        self._follow(Opened(), now)

    def hold(self, now: float) -> None:
        """Have everything wait that the producer has not delivered, and deliver nothing."""
        self._follow(Hold(), now)

    def release(self, now: float) -> None:
        """Deliver again."""
        self._follow(Release(), now)

    def take_back(self) -> None:
        """Have all that is not acknowledged in the overflow, for good."""
        self.enter(flow.OVERFLOWING)
        returned = self._producer.take_back()
        if returned is None:
            _log.error("librdkafka does not return its records: they are abandoned")
            returned = []
        self._overflow.give_back(returned)

    def enter(self, entered: Flow) -> None:
        """Be in a state of the flow."""
        self._flow = entered
        self.is_direct = entered.state is State.DIRECT

    def note(self, seen: GapSent | Full | Failed) -> None:
        """Step the flow by what happened to a record; what is to be done is done at the poll."""
        entered, _ = flow.step(self._flow, seen)
        self.enter(entered)

    def _follow(self, seen: Seen, now: float) -> None:
        """Step the flow by what was seen, do what it wants, and step it by the outcome in turn."""
        entered, actions = flow.step(self._flow, seen)
        self.enter(entered)
        for action in actions:
            outcome = self._do(action, now)
            if outcome is not None:
                self._follow(outcome, now)

    def _do(self, action: Action, now: float) -> Seen | None:
        match action:
            case Action.RECLAIM:
                return self._reclaim(now)
            case Action.BEGIN_OVERFLOW:
                self._overflow.write(now)
                _log.warning(
                    "%s: records wait in %s from now on",
                    "nothing may be delivered"
                    if self._flow.state is State.HELD
                    else "Kafka takes nothing",
                    self._overflow.directory,
                )
                return None
            case Action.RENEW:
                done = self._producer.renew(now)
                self.produce = self._producer.produce
                return Renewed(done)
            case Action.SEND_WAITING:
                return self._send_waiting(now)
            case Action.DRAIN:
                room = self._bounds.ahead_records - len(self._producer)
                if room > 0:
                    records = self._overflow.take(min(room, self._bounds.slice_records), now)
                    self._overflow.give_back(self._produce_all(records))
                return None
            case _ as never:
                assert_never(never)

    def _polled(self, now: float) -> Polled:
        in_producer = len(self._producer)
        if not in_producer and self._flow.state is State.OVERFLOWING:
            self._overflow.settle()
        return Polled(
            now=now,
            in_producer=in_producer,
            failed=self._producer.trouble is not None,
            stalled=self._progress.stalled,
            wants_renewal=self._producer.wants_larger_batches(now),
            all_taken=self._overflow.all_taken,
            has_room=self._overflow.accepting,
        )

    def _reclaim(self, now: float) -> Reclaimed:
        returned = self._producer.take_back()
        if returned is not None:
            self._producer.tell_trouble()
            self._overflow.give_back(returned)
        return Reclaimed(
            complete=returned is not None,
            waiting=len(self._overflow),
            failed=self._producer.trouble is not None,
            may_renew=now >= self._producer.renew_at,
        )

    def _send_waiting(self, now: float) -> Sent:
        """Produce what waits in memory, unless something waits on disk.

        Gap records go at once. What comes after the first of them goes on waiting until they are
        acknowledged, as does what there was no room for.
        """
        tail = self._overflow.end()
        due: list[Record] = []
        after_gaps: list[Record] = []
        has_gaps = False
        for record in tail or ():
            is_gap = self._kinds.get(record[0]) == "gap"
            has_gaps = has_gaps or is_gap
            (due if is_gap or not has_gaps else after_gaps).append(record)
        left = self._produce_all(due)
        self._overflow.give_back(left + after_gaps)
        if tail is not None and self._flow.state is State.OVERFLOWING:
            _log.warning("nothing waits on disk any more: records go to Kafka at once")
        return Sent(
            now=now,
            in_producer=len(self._producer),
            blocked=tail is None,
            left=bool(left),
            with_gaps=has_gaps,
            failed=self._producer.trouble is not None,
        )

    def _produce_all(self, records: list[Record]) -> list[Record]:
        """Produce records; return those that have to wait, from the first one on."""
        produce = self.produce
        for number, record in enumerate(records):
            try:
                produce(*record)
            except BufferError:
                return records[number:]
            except KafkaException as error:
                self._producer.not_taken(record, error.args[0])
                if self._producer.trouble is not None:
                    return records[number + 1 :]
        return []
