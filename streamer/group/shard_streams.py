"""The symbols of the shards that the group assigns: done with the streams of the feed."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import product

from streamer.errors import StreamerError
from streamer.feed_counters import FeedCounters
from streamer.group.inheritance import Inheritance
from streamer.group.membership import Membership
from streamer.group.notices import ShardNotice
from streamer.group.ownership import (
    OVERLAP_SECONDS,
    Action,
    Assigned,
    Drop,
    Ended,
    Event,
    Heard,
    Join,
    Leave,
    Locate,
    Located,
    NotLocated,
    Open,
    Passed,
    Phase,
    Revoked,
    Shards,
    Tell,
    Told,
    is_late,
    is_unsure,
    of_phase,
    others_are_there,
    step,
)
from streamer.group.position_finder import PositionFinder
from streamer.group.shard_routes import ShardRoutes
from streamer.messages import GroupShards
from streamer.order.positions import Position
from streamer.routes import Route, Routes
from streamer.shards.assignment import shard_of
from streamer.sinks.kafka import KafkaSink
from streamer.subscription_manager import Change, SubscriptionManager

RECORDED = (Phase.OWNED, Phase.LEAVING, Phase.SUSPENDED, Phase.OFFERED)
"""What comes of these is kept: of one that is suspended or offered on disk, as the others may have
lost Kafka as well."""
UNUSED_PAUSES = 4
"""Two sessions: by then the group has told who was none of its members any more."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Leaving:
    """A shard that has ended here, until what is accepted of it is acknowledged."""

    positions: dict[str, Position]
    routes: tuple[Route, ...]
    accepted_total: int
    until: float


class ShardStreams:
    """What the wanted streams are changed by, and the group's side of it. The feed's thread only.

    `pause_seconds` is how long the feed may stand still without having lost its shards.
    """

    def __init__(
        self,
        streams: Iterable[str],
        symbols: Iterable[str],
        subscriptions: SubscriptionManager,
        shard_routes: ShardRoutes,
        routes: Routes,
        membership: Membership,
        finder: PositionFinder,
        sink: KafkaSink,
        counters: FeedCounters,
        *,
        group_id: str,
        shard_count: int,
        pause_seconds: float,
    ) -> None:
        self.shards: Shards = {}
        self._streams = tuple(streams)
        self._symbols = tuple(symbols)
        self._subscriptions = subscriptions
        self._shard_routes = shard_routes
        self._routes = routes
        self._membership = membership
        self._member = membership.member
        self._finder = finder
        self._sink = sink
        self._counters = counters
        self._group_id = group_id
        self._shard_count = shard_count
        self._pause_seconds = pause_seconds
        self._leaving: dict[int, _Leaving] = {}
        self._shard_of: dict[str, int] = {}
        self._unused_since: dict[int, float] = {}  # assigned and not taken, monotonic
        self._confirmation: int | None = None  # that is awaited: nothing is produced
        self._alive_at: float | None = None
        self._left_at: float | None = None
        self._inheritance: Inheritance | None = None  # until all of it is decided
        self._is_held = sink.has_waiting
        if self._is_held:
            self._inheritance = Inheritance(range(shard_count), membership.member.name)
            sink.hold()
        self._has_joined = False
        self._joined_at = 0.0
        self._may_be_idle = False  # who joins is assigned nothing until the others have given it

    @property
    def failed(self) -> StreamerError | None:
        """Why this streamer can be no member any more."""
        return self._membership.failed

    @property
    def is_settled(self) -> bool:
        """Whether the group has told what is this member's, and all of it is recorded.

        Not while the whole group has no symbol, such as by a pattern that none matches.
        """
        is_told = self._has_joined and self._may_be_idle and bool(self._symbols)
        return is_told and not of_phase(self.shards, Phase.JOINING)

    @property
    def told(self) -> GroupShards:
        """What a watcher is told: which shards are recorded here, those that go included."""
        recorded = of_phase(self.shards, *RECORDED)
        streams = len(self._streams) * len(self._symbols)
        return GroupShards(self._group_id, self._shard_count, tuple(sorted(recorded)), streams)

    def start(self) -> None:
        """Join the group."""
        self._membership.start()

    def change(
        self,
        streams: Iterable[str],
        symbols: Iterable[str],
        now: float,
        *,
        go_on: bool = False,
    ) -> Change:
        """Want these streams of these symbols in the whole group; see SubscriptionManager."""
        streams, symbols = tuple(streams), tuple(symbols)
        ours = [each for each in symbols if self._shard(each) in self.shards]
        if not ours:
            self._ask_sink([each for each in streams if each not in self._streams], symbols)
        change = self._subscriptions.change(streams, ours, now, go_on=go_on)
        self._streams, self._symbols = streams, symbols
        held = {self._shard(route.symbol) for route in self._routes if route.held is not None}
        for shard in sorted(held & self.shards.keys()):
            if self.shards[shard].phase is not Phase.JOINING:  # else they go on with the others
                self._finder.want(shard, self._targets(self._of(shard)))
        return change

    def _ask_sink(self, streams: Iterable[str], symbols: Iterable[str]) -> None:
        """Have the sink be ready for streams that come with a shard. Raises StreamerError."""
        for stream, symbol in product(streams, tuple(symbols)[:1]):  # topics are those of all
            route = self._routes.make(stream, symbol)
            self._sink.add(route)
            self._sink.hand_over(route)

    def woke(self, now: float) -> None:
        """Note that the feed is at work; to be called with each turn, before anything is taken.

        After a pause others may have the shards: nothing is produced until the group confirms.
        """
        before, self._alive_at = self._alive_at, now
        if before is None or now - before < OVERLAP_SECONDS:
            return
        if now - before < self._pause_seconds:
            self._hold(now)
            return
        log.warning(
            "nothing was done for %.1f s: the group is asked whose shards are", now - before
        )
        self._counters.notice("group_pause", seconds=round(now - before, 3))
        self._confirmation = self._membership.confirm()
        self._hold(now)

    def turn(self, now: float) -> None:
        """Follow the group."""
        # Before what has happened is taken: a confirmation counts with all that came before it.
        is_confirmed = self._is_confirmed()
        if self._membership.joined and not self._has_joined:
            self._has_joined, self._joined_at = True, now
        for event in self._membership.take():
            self._follow(event, now)
        for found in self._finder.turn(now):
            if found.shard in of_phase(self.shards, Phase.JOINING):
                self._follow(found, now)
            elif found.shard in self.shards:
                self._begin_rest(found, now)
        for shard in of_phase(self.shards, Phase.JOINING):
            state = self.shards[shard]
            if not state.heard and self._shard_routes.are_heard(self._of(shard)):
                self._shard_routes.note_heard(self._of(shard))
                self._follow(Heard(shard), now)
        self._follow(Passed(), now)
        has_waited = self._has_joined and now - self._joined_at >= self._pause_seconds
        self._may_be_idle = self._may_be_idle or has_waited or bool(self.shards)
        self._take_up(now)
        self._decide_inheritance()
        self._shard_routes.turn(now)
        self._tell_left(now)
        if is_confirmed:
            self._confirmation = None
        self._hold(now)

    def leave(self, now: float, within_seconds: float) -> None:
        """Give the shards to the others, who are waited for that long, if there are any."""
        self._left_at = now
        others = self._others_are_there()
        seconds = min(self._member.handover_seconds, within_seconds) if others else 0.0
        self._member = replace(self._member, handover_seconds=seconds)
        self._membership.leave()

    def has_left(self, now: float, within_seconds: float) -> bool:
        """Return whether nothing is to be waited for, since `leave` was called."""
        assert self._left_at is not None  # noqa: S101 - for the type checker
        if now - self._left_at >= within_seconds:
            return True
        # Who is told to stop while it joins may be assigned something yet.
        is_done = not self.shards and not self._leaving
        return self._membership.is_out and (is_done or self._is_left_alone())

    def _is_left_alone(self) -> bool:
        """Return whether nobody may come for what is left: the others have left as well."""
        is_given = all(state.phase is Phase.LEAVING for state in self.shards.values())
        return is_given and not self._others_are_there()

    def _others_are_there(self) -> bool:
        notices = (*self._membership.last, *self._membership.hearing)
        return others_are_there(notices, self._member)

    def end_leaving(self, now: float) -> None:
        """End the streams of what is to be left, whoever has not taken it over yet."""
        self._follow(Ended(), now)

    def tell_left(self) -> None:
        """Tell now where the records of what was left end, as far as they are acknowledged."""
        self._tell_left(float("inf"))

    def close(self) -> None:
        """End the membership."""
        self._membership.close()

    def _take_up(self, now: float) -> None:
        """Begin again with a shard that is this member's, and was dropped.

        A notice of somebody else, who is no member any more, can come that late.
        """
        unused = self._membership.assigned - self.shards.keys()
        self._unused_since = {shard: self._unused_since.get(shard, now) for shard in unused}
        for shard, since in self._unused_since.items():
            if now - since >= self._pause_seconds * UNUSED_PAUSES:
                log.warning("shard %d is this member's, and nobody records it: it begins", shard)
                last = next((one for one in self._membership.last if one.shard == shard), None)
                self._follow(Assigned(shard, last), now)

    def _follow(self, event: Event, now: float) -> None:
        if isinstance(event, Told):
            self._give_up_leaving(event.notice)
        if isinstance(event, Assigned) and self._inheritance is not None:
            self._inheritance.assigned(event.shard, event.last, is_known=event.is_known)
        before = self.shards
        self.shards, actions = step(before, event, self._member, now)
        for action in actions:
            self._do(action, now, is_looked_up=isinstance(event, Located))
        if isinstance(event, Revoked) or self.shards.keys() != before.keys():
            owned = of_phase(self.shards, Phase.OWNED)
            self._counters.notice(
                "shards_changed", owned=len(owned), known=len(self.shards), count=self._shard_count
            )

    def _decide_inheritance(self) -> None:
        """Have delivered what an earlier process left of shards that nobody else has recorded."""
        inheritance = self._inheritance
        if inheritance is None:
            return
        inheritance.look(self._membership.last)
        if inheritance.undecided:
            return
        self._inheritance = None
        if elsewhere := frozenset(inheritance.elsewhere):
            log.warning(
                "shards %s: what an earlier process left on disk is not delivered, as others have "
                "gone on",
                ", ".join(map(str, sorted(elsewhere))),
            )
            self._sink.discard_inherited(lambda symbol: self._shard(symbol) in elsewhere)

    def _begin_rest(self, found: Located | NotLocated, now: float) -> None:
        """Go on with those streams of a shard of which the one before has told nothing."""
        symbols = self._of(found.shard)
        if isinstance(found, Located):
            self._shard_routes.open(symbols, found.positions, now, is_seamless=False)
        else:
            self._finder.want(found.shard, self._targets(symbols))

    def _do(self, action: Action, now: float, *, is_looked_up: bool) -> None:
        shard = action.shard
        symbols = self._of(shard)
        match action:
            case Join():
                self._leaving.pop(shard, None)
                self._shard_routes.join(self._streams, symbols, now)
            case Locate():
                self._finder.want(shard, self._targets(symbols))
            case Open(_, positions, is_seamless):
                self._finder.forget(shard)
                if not self._shard_routes.open(
                    symbols, positions, now, is_seamless=is_seamless, begins=is_looked_up
                ):
                    self._finder.want(shard, self._targets(symbols))
                log.info("shard %d: %d symbols are recorded here", shard, len(symbols))
            case Leave(_, deliver_until):
                self._finder.forget(shard)
                routes = tuple(route for route in self._routes if route.symbol in symbols)
                positions = self._shard_routes.end(symbols, now, discards=False)
                accepted = self._sink.counts().accepted_total
                self._leaving[shard] = _Leaving(positions, routes, accepted, deliver_until)
                log.info("shard %d: its symbols are not recorded here any more", shard)
            case Drop():
                self._finder.forget(shard)
                self._shard_routes.end(symbols, now, discards=True)
                log.warning("shard %d: somebody else has it", shard)
            case Tell(_, kind, offer):
                self._membership.tell(shard, kind, offer=offer)

    def _give_up_leaving(self, notice: ShardNotice) -> None:
        """Deliver nothing more of a shard that has ended here when somebody else records it."""
        if notice.kind != "owned" or notice.process == self._member.process:
            return
        if (leaving := self._leaving.pop(notice.shard, None)) is not None:
            log.warning("shard %d: somebody else went on before all was told", notice.shard)
            self._sink.discard(leaving.routes)

    def _tell_left(self, now: float) -> None:
        """Tell where the records of a shard end, once all of them are acknowledged."""
        if not self._leaving:
            return
        counts = self._sink.counts()
        done = counts.acknowledged_total + counts.refused_total
        for shard, leaving in tuple(self._leaving.items()):
            if done >= leaving.accepted_total:
                self._membership.tell(shard, "left", leaving.positions)
            elif now >= leaving.until:
                log.warning("shard %d: not all of it is acknowledged: the topics tell", shard)
                self._membership.tell(shard, "left")
                if math.isfinite(now):  # else it ends: what waits on disk is for its next start
                    self._sink.discard(leaving.routes)  # the successor goes on without it
            else:
                continue
            del self._leaving[shard]

    def _is_confirmed(self) -> bool:
        return self._confirmation is not None and self._membership.is_confirmed(self._confirmation)

    def _hold(self, now: float) -> None:
        """Have the sink produce nothing while it is not known whose the shards are."""
        is_doubtful = is_unsure(self.shards) or is_late(self.shards, now)
        is_asking = self._confirmation is not None or self._inheritance is not None
        is_unsafe = is_asking or is_doubtful
        if is_unsafe and not self._is_held:
            self._sink.hold()
        elif self._is_held and not is_unsafe:
            self._sink.release(now)
            log.info("the group has told whose the shards are: records are produced again")
        self._is_held = is_unsafe

    def _of(self, shard: int) -> tuple[str, ...]:
        """Return the symbols of a shard: those wanted, and those that are streamed still."""
        streamed = (route.symbol for route in self._routes)
        known = dict.fromkeys((*self._symbols, *streamed))
        return tuple(each for each in known if self._shard(each) == shard)

    def _shard(self, symbol: str) -> int:
        shard = self._shard_of.get(symbol)
        if shard is None:  # a digest for each shard: not again with each turn
            shard = self._shard_of[symbol] = shard_of(symbol, self._shard_count)
        return shard

    def _targets(self, symbols: Iterable[str]) -> list[Route]:
        wanted = set(symbols)
        routes = [route for route in self._routes if route.symbol in wanted]
        return [*routes, *(self._routes.gaps[each] for each in wanted if each in self._routes.gaps)]
