"""How records go to Kafka, as a state machine without clock, producer or disk.

    direct ── a gap record was sent ──▶ awaiting acknowledgement ── acknowledged ──▶ direct
    direct ── the queue is full ──────▶ awaiting room ── half of it is free ───────▶ direct
    awaiting brokers ── they have answered ────────────────────────────────────────▶ overflowing
    any ── failed, stalled, no room ──▶ reclaiming ──▶ direct, or overflowing until all is delivered
    any ── hold ──────────────────────▶ reclaiming ──▶ held ── release ──▶ reclaiming

`step` takes what has been seen and returns the next state with what is to be done; the outcome of
an action is seen in turn. In every state but `direct` records wait, so that none overtakes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import TypeAlias, assert_never

ROOM_SECONDS = 3.0  # without room in the producer: a burst is over by then, and the feed waits
SLICE_EVERY_SECONDS = 0.02  # a quarter of the time at most is for the past: the present comes too
OTHER_EVENTS = 10  # errors and statistics, which `len` of a producer counts as well


class State(Enum):
    """What becomes of a record that is put."""

    DIRECT = "direct"  # it goes to the producer
    AWAITING_ACKNOWLEDGEMENT = "awaiting acknowledgement"  # it waits in memory: of a gap record
    AWAITING_ROOM = "awaiting room"  # it waits in memory: the producer's queue was full
    RECLAIMING = "reclaiming"  # it waits: the producer gives back what it has not delivered
    OVERFLOWING = "overflowing"  # it goes to disk, and from there to the producer in turn
    AWAITING_BROKERS = "awaiting brokers"  # it goes to disk: none has answered since the start
    HELD = "held"  # it goes to disk, with what the producer gave back: it may be somebody else's


class Action(Enum):
    """What the sink is to do; each but DRAIN has an outcome that is to be seen."""

    RECLAIM = "take back what the producer has not delivered"
    BEGIN_OVERFLOW = "put what waits on disk"
    RENEW = "go on with another producer"
    SEND_WAITING = "send what waits in memory, if nothing waits on disk"
    DRAIN = "give the producer a slice of what waits on disk"


@dataclass(frozen=True, slots=True)
class Flow:
    """The state, and what belongs to it."""

    state: State = State.DIRECT
    since: float = 0.0  # of the AWAITING states: monotonic seconds
    below: int = 0  # of the AWAITING states: over when fewer records are in the producer
    on_disk: bool = False  # of RECLAIMING: it goes on with OVERFLOWING
    is_held: bool = False  # of RECLAIMING: it goes on with HELD, whatever else
    slice_at: float = 0.0  # of OVERFLOWING: when the next slice is due

    @property
    def writes_to_disk(self) -> bool:
        """Return whether what waits is put on disk."""
        on_disk = self.state in (State.OVERFLOWING, State.AWAITING_BROKERS, State.HELD)
        return on_disk or self.on_disk

    def accepts(self, *, has_room: bool) -> bool:
        """Return whether records may be put; `has_room` is the overflow's word."""
        match self.state:
            case State.DIRECT:
                return True
            case (
                State.AWAITING_ACKNOWLEDGEMENT
                | State.OVERFLOWING
                | State.AWAITING_BROKERS
                | State.HELD
            ):
                return has_room
            case State.AWAITING_ROOM:
                return False
            case State.RECLAIMING:
                return self.on_disk and has_room
            case _ as never:
                assert_never(never)


OVERFLOWING = Flow(State.OVERFLOWING)
AWAITING_BROKERS = Flow(State.AWAITING_BROKERS)
HELD = Flow(State.HELD)


@dataclass(frozen=True, slots=True, kw_only=True)
class Polled:
    """The producer was polled."""

    now: float
    in_producer: int  # records that are not acknowledged
    failed: bool  # it is done with, and has to be replaced
    stalled: bool  # it acknowledges nothing
    wants_renewal: bool  # another one would do better, at a moment when nothing is under way
    all_taken: bool  # of what was on disk; what came lately may be in memory
    has_room: bool  # in the overflow


@dataclass(frozen=True, slots=True)
class Opened:
    """The brokers have answered, and the topics are as they are to be."""


@dataclass(frozen=True, slots=True)
class Hold:
    """Nothing is to be delivered from now on, and what can be is to be taken back."""


@dataclass(frozen=True, slots=True)
class Release:
    """Records may be delivered again."""


@dataclass(frozen=True, slots=True)
class GapSent:
    """The producer took a gap record."""

    now: float


@dataclass(frozen=True, slots=True)
class Full:
    """The producer had no room for a record, which waits."""

    now: float
    in_producer: int


@dataclass(frozen=True, slots=True)
class Failed:
    """The producer failed while it was given a record."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reclaimed:
    """The outcome of RECLAIM."""

    complete: bool  # the producer has given back all of it
    waiting: int  # records, with those that came back
    failed: bool  # else there was no failure, and nothing to wait for
    may_renew: bool  # the pause after a failure is over


@dataclass(frozen=True, slots=True)
class Renewed:
    """The outcome of RENEW: whether there is another producer."""

    done: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """The outcome of SEND_WAITING."""

    now: float
    in_producer: int
    blocked: bool  # something waits on disk: nothing was sent
    left: bool  # there was no room for all of it
    with_gaps: bool  # gap records are among it, and what comes after them waits
    failed: bool


Seen: TypeAlias = (
    Polled | Opened | Hold | Release | GapSent | Full | Failed | Reclaimed | Renewed | Sent
)
Step: TypeAlias = tuple[Flow, tuple[Action, ...]]


def step(flow: Flow, seen: Seen) -> Step:
    """Return the flow after what was seen, and what is to be done now, in order."""
    match seen:
        case Polled():
            return _polled(flow, seen)
        case Opened():
            return OVERFLOWING, ()
        case Hold():
            return _held(flow)
        case Release():
            return _released(flow), ()
        case GapSent():
            return _awaiting_acknowledgement(seen.now), ()
        case Full():
            return _awaiting_room(seen.in_producer, seen.now), ()
        case Failed():
            return _reclaiming(flow), ()
        case Reclaimed():
            return _reclaimed(flow, seen)
        case Renewed():
            if not seen.done:
                return flow, ()
            if flow.on_disk:
                return OVERFLOWING, ()
            return flow, (Action.SEND_WAITING,)
        case Sent():
            return _sent(flow, seen)
        case _:
            assert_never(seen)


def _held(flow: Flow) -> Step:
    if flow.is_held or flow.state in (State.HELD, State.AWAITING_BROKERS):
        return flow, ()
    return replace(_reclaiming(flow), is_held=True), (Action.RECLAIM,)


def _released(flow: Flow) -> Flow:
    """Go on with another producer: this one is done with, as everything was taken back."""
    if flow.state is State.HELD:
        return Flow(State.RECLAIMING, on_disk=True)
    return replace(flow, is_held=False)


def _polled(flow: Flow, seen: Polled) -> Step:
    if flow.state in (State.AWAITING_BROKERS, State.HELD):
        return flow, ()  # a producer that fails meanwhile is replaced afterwards
    if seen.failed or flow.state is State.RECLAIMING:
        return _reclaiming(flow), (Action.RECLAIM,)
    match flow.state:
        case State.DIRECT:
            give_up = seen.stalled or (seen.wants_renewal and not seen.in_producer)
        case State.AWAITING_ACKNOWLEDGEMENT | State.AWAITING_ROOM:
            if seen.in_producer < flow.below:
                return flow, (Action.SEND_WAITING,)
            # As long as there is room it has the time of one for which nothing waits: giving it
            # up makes copies of what is under way.
            no_room = not flow.accepts(has_room=seen.has_room)
            give_up = seen.stalled or (no_room and seen.now - flow.since >= ROOM_SECONDS)
        case State.OVERFLOWING:
            if not seen.in_producer and seen.all_taken:
                return flow, (Action.SEND_WAITING,)
            return _drain(flow, seen.now)
        case _ as never:
            assert_never(never)
    return (_reclaiming(flow), (Action.RECLAIM,)) if give_up else (flow, ())


def _drain(flow: Flow, now: float) -> Step:
    if now < flow.slice_at:
        return flow, ()
    return replace(flow, slice_at=now + SLICE_EVERY_SECONDS), (Action.DRAIN,)


def _reclaimed(flow: Flow, seen: Reclaimed) -> Step:
    if not seen.complete:
        return flow, ()  # until the next poll
    if flow.is_held:
        begins = seen.waiting and not flow.on_disk
        return HELD, (Action.BEGIN_OVERFLOW,) if begins else ()
    may_renew = not seen.failed or seen.may_renew
    actions: tuple[Action, ...] = (Action.RENEW,) if may_renew else ()
    at_once = seen.failed and seen.may_renew
    if seen.waiting and not flow.on_disk and not at_once:
        return replace(flow, on_disk=True), (Action.BEGIN_OVERFLOW, *actions)
    return flow, actions


def _sent(flow: Flow, seen: Sent) -> Step:
    if seen.blocked:
        return _drain(flow, seen.now) if flow.state is State.OVERFLOWING else (flow, ())
    if seen.failed:
        return Flow(State.RECLAIMING), ()
    if seen.left:
        return _awaiting_room(seen.in_producer, seen.now), ()
    if seen.with_gaps:
        return _awaiting_acknowledgement(seen.now), ()
    return Flow(), ()


def _awaiting_acknowledgement(now: float) -> Flow:
    return Flow(State.AWAITING_ACKNOWLEDGEMENT, now, below=1)


def _awaiting_room(in_producer: int, now: float) -> Flow:
    """Await that half of the queue is free: else the feed would stop many times a second."""
    return Flow(State.AWAITING_ROOM, now, in_producer // 2 + OTHER_EVENTS)


def _reclaiming(flow: Flow) -> Flow:
    return Flow(State.RECLAIMING, on_disk=flow.writes_to_disk, is_held=flow.is_held)
