"""What a member does with each shard, as a state machine without clock, Kafka or sockets.

    assigned ─▶ joining ── the one before has left, or where records end was found ─▶ owned
    owned ── revoked ─▶ leaving ── a successor hears the streams, or too late ─▶ (left)
    owned ── lost ────▶ suspended ── assigned again, nobody was there meanwhile ─▶ owned
                                  ├─ somebody else has it ─▶ (dropped)
                                  └─ a successor hears the streams ─▶ offered
    offered ── the successor waits for it ─▶ leaving

A shard that joins is subscribed at once, so that no quote is missed, and what comes is held until
it is known after which records to go on. One that is suspended is recorded on disk, and not
produced, until it is known whose it is: nobody can tell at first whether the others have lost Kafka
as well. When all have, the group may give it to another member afterwards. That one asks the owner
before, by telling that it hears the streams, and goes on without where there is no answer.
`step` takes what has happened and returns the next states and what is to be done.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import TypeAlias, assert_never

from streamer.group.notices import Kind, ShardNotice
from streamer.order.positions import Position

OVERLAP_SECONDS = 1.0
"""How long one that leaves goes on after the successor hears the streams: what the exchange sent
before that may reach this machine later than the other one."""
ANSWER_SECONDS = 2.0
"""How long an owner without a word is waited for once its successor has asked: a notice takes some
milliseconds, and who was cut off from Kafka tries to reach it at least once a second."""
HEARD_SHARE = 0.8
"""Of the time for a handover, in which a successor must have been heard of."""
DELIVERED_SHARE = 0.9
"""Of it, in which all records must be acknowledged: at its end the successor goes on without a
word, and what is delivered then comes after its records."""
ACKNOWLEDGED_SECONDS = 1.0
"""For what is under way when a member leaves that waits for nobody: brokers take milliseconds."""


class Phase(Enum):
    """Where a shard is on its way; one that is not known here has none."""

    JOINING = "joining"
    OWNED = "owned"
    SUSPENDED = "suspended"
    OFFERED = "offered"
    LEAVING = "leaving"


@dataclass(frozen=True, slots=True)
class Shard:
    """A shard that this member has something to do with."""

    phase: Phase
    heard: bool = False  # of JOINING: all of its streams are subscribed
    overlapped_at: float = float("inf")  # of JOINING and heard: who left earlier did not hear of it
    awaits: str | None = None  # of JOINING: the process that has not left yet; of OFFERED: to whom
    asks: bool = False  # of JOINING: whether that one is there is not known
    positions: Mapping[str, Position] | None = None  # of JOINING: known already
    locating: bool = False  # of JOINING: where its records end is being looked up
    until: float = float("inf")  # of JOINING and LEAVING, monotonic: no longer waits for another
    deliver_until: float = float("inf")  # of OFFERED and LEAVING, monotonic
    offer: float | None = None  # of OFFERED: its own; of JOINING: the one that it waits for


@dataclass(frozen=True, slots=True)
class Member:
    """Who this is, and how long it waits for others."""

    name: str
    process: str
    handover_seconds: float


@dataclass(frozen=True, slots=True)
class Assigned:
    """The group gave a shard to this member; `last` is the latest notice of an owner of it."""

    shard: int
    last: ShardNotice | None
    is_known: bool = True  # else it could not be read whether there is one


@dataclass(frozen=True, slots=True)
class Revoked:
    """The group takes a shard from this member, which may go on until the next one is there."""

    shard: int
    is_withdrawn: bool = False  # the others were told so: it had not been told to be owned


@dataclass(frozen=True, slots=True)
class Lost:
    """The member is out of the group, or has not heard of it for the session's time."""

    shard: int


@dataclass(frozen=True, slots=True)
class Told:
    """Some member gave notice, which may be this one."""

    notice: ShardNotice


@dataclass(frozen=True, slots=True)
class Heard:
    """All streams of a shard that joins are subscribed."""

    shard: int


@dataclass(frozen=True, slots=True)
class Located:
    """It was found where the records of a shard end, or that there are none."""

    shard: int
    positions: Mapping[str, Position]


@dataclass(frozen=True, slots=True)
class NotLocated:
    """It could not be found: it is tried again."""

    shard: int


@dataclass(frozen=True, slots=True)
class Passed:
    """Time has passed."""


@dataclass(frozen=True, slots=True)
class Ended:
    """The member ends, and waits for no other one any more."""


Event: TypeAlias = Assigned | Revoked | Lost | Told | Heard | Located | NotLocated | Passed | Ended


@dataclass(frozen=True, slots=True)
class Join:
    """Subscribe the streams of a shard, and hold what comes."""

    shard: int


@dataclass(frozen=True, slots=True)
class Locate:
    """Look up where the records of a shard end."""

    shard: int


@dataclass(frozen=True, slots=True)
class Open:
    """Go on after these records, with what was held."""

    shard: int
    positions: Mapping[str, Position] = field(default_factory=dict)
    is_seamless: bool = False  # its streams were heard before the last one of these was recorded


@dataclass(frozen=True, slots=True)
class Leave:
    """End the streams of a shard, and tell where its records end once all are acknowledged.

    What is not by `deliver_until` (monotonic) is not delivered any more.
    """

    shard: int
    deliver_until: float


@dataclass(frozen=True, slots=True)
class Drop:
    """End the streams of a shard; what is not delivered of it is fetched by somebody else."""

    shard: int


@dataclass(frozen=True, slots=True)
class Tell:
    """Give notice."""

    shard: int
    kind: Kind
    offer: float | None = None


Action: TypeAlias = Join | Locate | Open | Leave | Drop | Tell
Shards: TypeAlias = Mapping[int, Shard]


def step(
    shards: Shards, event: Event, member: Member, now: float
) -> tuple[Shards, tuple[Action, ...]]:
    """Return the shards after an event, and what is to be done, in order. `now` is monotonic."""
    match event:
        case Assigned():
            return _assigned(shards, event, member, now)
        case Revoked():
            return _revoked(shards, event, member, now)
        case Lost(shard):
            return _lost(shards, shard)
        case Told(notice):
            return _told(shards, notice, member, now)
        case Heard(shard):
            state = shards.get(shard)
            if state is None or state.phase is not Phase.JOINING or state.heard:
                return shards, ()
            until = min(state.until, now + ANSWER_SECONDS) if state.asks else state.until
            overlapped_at = now + OVERLAP_SECONDS
            heard = replace(state, heard=True, until=until, overlapped_at=overlapped_at)
            tell = (Tell(shard, "hearing", state.offer),) if state.awaits is not None else ()
            return _with(shards, shard, heard), tell
        case Located(shard, positions):
            state = shards.get(shard)
            if state is None or not state.locating:
                return shards, ()
            return _opened(shards, shard, positions)
        case NotLocated(shard):
            state = shards.get(shard)
            if state is None or not state.locating:
                return shards, ()
            return shards, (Locate(shard),)
        case Passed():
            return _passed(shards, now)
        case Ended():
            leaving = of_phase(shards, Phase.LEAVING)
            left = {key: state for key, state in shards.items() if key not in leaving}
            return left, tuple(Leave(shard, shards[shard].deliver_until) for shard in leaving)
        case _:
            assert_never(event)


def is_unsure(shards: Shards) -> bool:
    """Return whether nothing may be produced: it is not known whose some shard is."""
    return bool(of_phase(shards, Phase.SUSPENDED, Phase.OFFERED))


def is_late(shards: Shards, now: float) -> bool:
    """Return whether a successor may have gone on without a word with a shard that is left here."""
    leaving = of_phase(shards, Phase.LEAVING)
    return any(now >= shards[shard].deliver_until for shard in leaving)


def of_phase(shards: Shards, *phases: Phase) -> tuple[int, ...]:
    """Return the shards in one of these phases."""
    return tuple(shard for shard, state in shards.items() if state.phase in phases)


def _assigned(
    shards: Shards, event: Assigned, member: Member, now: float
) -> tuple[Shards, tuple[Action, ...]]:
    shard, last = event.shard, event.last
    state = shards.get(shard)
    is_ours = last is not None and last.process == member.process
    before: tuple[Action, ...] = ()
    if state is not None:
        if state.phase in (Phase.JOINING, Phase.OWNED):
            return shards, ()
        # Nobody has had it meanwhile: not a record is missing.
        is_first = event.is_known and last is None
        if is_ours or (is_first and state.phase is Phase.SUSPENDED):
            return _with(shards, shard, Shard(Phase.OWNED)), (Tell(shard, "owned"),)
        before = (Drop(shard),)
    if last is not None and last.kind == "left" and last.positions is not None:
        opened, actions = _opened(shards, shard, last.positions)
        return opened, (*before, Join(shard), *actions)
    if last is not None and last.kind in ("leaving", "offered") and not is_ours:
        until = now + member.handover_seconds
        joining = Shard(Phase.JOINING, awaits=last.process, until=until, offer=last.offer)
        return _with(shards, shard, joining), (*before, Join(shard))
    # An earlier process of this member is gone, as the group has taken this one.
    if last is not None and last.kind == "owned" and last.member != member.name:
        until = now + member.handover_seconds
        asking = Shard(Phase.JOINING, awaits=last.process, asks=True, until=until)
        return _with(shards, shard, asking), (*before, Join(shard))
    joining = Shard(Phase.JOINING, locating=True)
    return _with(shards, shard, joining), (*before, Join(shard), Locate(shard))


def _revoked(
    shards: Shards, event: Revoked, member: Member, now: float
) -> tuple[Shards, tuple[Action, ...]]:
    shard = event.shard
    state = shards.get(shard)
    if state is None or state.phase in (Phase.LEAVING, Phase.OFFERED):
        return shards, ()
    if state.phase is Phase.OWNED and not event.is_withdrawn:
        until = now + HEARD_SHARE * member.handover_seconds
        leaving = Shard(Phase.LEAVING, until=until, deliver_until=_deliver_until(member, now))
        return _with(shards, shard, leaving), ()
    return _without(shards, shard), (Drop(shard),)


def _lost(shards: Shards, shard: int) -> tuple[Shards, tuple[Action, ...]]:
    state = shards.get(shard)
    if state is None or state.phase in (Phase.LEAVING, Phase.OFFERED, Phase.SUSPENDED):
        return shards, ()
    if state.phase is Phase.OWNED:
        return _with(shards, shard, Shard(Phase.SUSPENDED)), ()
    return _without(shards, shard), (Drop(shard),)


def _told(
    shards: Shards, notice: ShardNotice, member: Member, now: float
) -> tuple[Shards, tuple[Action, ...]]:
    shard, state = notice.shard, shards.get(notice.shard)
    if state is None or notice.process == member.process:
        return shards, ()
    match state.phase:
        case Phase.SUSPENDED | Phase.OFFERED | Phase.OWNED | Phase.LEAVING if (
            notice.kind == "owned"
        ):  # of OWNED and LEAVING it was lost unnoticed
            return _without(shards, shard), (Drop(shard),)
        case Phase.SUSPENDED if notice.kind == "hearing":
            return _offered(shards, notice, member, now)
        case Phase.OFFERED if notice.kind == "hearing" and now >= state.deliver_until:
            if notice.process == state.awaits:  # its answer came too late, as the next one would
                return shards, ()
            return _offered(shards, notice, member, now)
        case Phase.OFFERED if notice.kind == "hearing" and notice.offer == state.offer:
            until = min(state.deliver_until, now + OVERLAP_SECONDS)
            leaving = Shard(Phase.LEAVING, until=until, deliver_until=state.deliver_until)
            return _with(shards, shard, leaving), ()
        case Phase.LEAVING if notice.kind == "hearing":
            until = min(state.until, now + OVERLAP_SECONDS)
            return _with(shards, shard, replace(state, until=until)), ()
        case Phase.JOINING if notice.kind == "offered" and notice.process == state.awaits:
            until = now + member.handover_seconds
            waiting = replace(state, asks=False, offer=notice.offer, until=until)
            tell = (Tell(shard, "hearing", notice.offer),) if state.heard else ()
            return _with(shards, shard, waiting), tell
        case Phase.JOINING if notice.kind == "left" and notice.process == state.awaits:
            if notice.positions is None:
                return _locating(shards, shard, state)
            is_seamless = now >= state.overlapped_at
            return _opened(shards, shard, notice.positions, is_seamless=is_seamless)
        case _:
            return shards, ()


def _offered(
    shards: Shards, hearing: ShardNotice, member: Member, now: float
) -> tuple[Shards, tuple[Action, ...]]:
    """Offer to deliver what is recorded here, which is done once the successor waits for it."""
    deliver_until = _deliver_until(member, now)
    offered = Shard(Phase.OFFERED, awaits=hearing.process, deliver_until=deliver_until, offer=now)
    return _with(shards, hearing.shard, offered), (Tell(hearing.shard, "offered", now),)


def _deliver_until(member: Member, now: float) -> float:
    return now + max(DELIVERED_SHARE * member.handover_seconds, ACKNOWLEDGED_SECONDS)


def _passed(shards: Shards, now: float) -> tuple[Shards, tuple[Action, ...]]:
    actions: list[Action] = []
    for shard, state in tuple(shards.items()):
        if now < state.until:
            continue
        if state.phase is Phase.LEAVING:
            shards = _without(shards, shard)
            actions.append(Leave(shard, state.deliver_until))
        else:
            shards, more = _locating(shards, shard, state)
            actions += more
    return shards, tuple(actions)


def _locating(shards: Shards, shard: int, state: Shard) -> tuple[Shards, tuple[Action, ...]]:
    locating = replace(state, awaits=None, asks=False, locating=True, until=float("inf"))
    return _with(shards, shard, locating), (Locate(shard),)


def _opened(
    shards: Shards, shard: int, positions: Mapping[str, Position], *, is_seamless: bool = False
) -> tuple[Shards, tuple[Action, ...]]:
    return (
        _with(shards, shard, Shard(Phase.OWNED)),
        (Open(shard, positions, is_seamless), Tell(shard, "owned")),
    )


def _with(shards: Shards, shard: int, state: Shard) -> Shards:
    return {**shards, shard: state}


def _without(shards: Shards, shard: int) -> Shards:
    return {key: state for key, state in shards.items() if key != shard}


def others_are_there(last: Iterable[ShardNotice], member: Member) -> bool:
    """Return whether somebody may hear what this member leaves, by the latest notices."""
    return any(
        notice.member != member.name and notice.kind in ("owned", "hearing") for notice in last
    )
