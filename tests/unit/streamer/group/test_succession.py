"""Several members and one shard that goes from one to the next, whenever notices arrive.

What one of them delivers after another has gone on without its word comes after later records.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from streamer.group.notices import VERSION, ShardNotice
from streamer.group.ownership import (
    Assigned,
    Heard,
    Join,
    Leave,
    Locate,
    Located,
    Lost,
    Member,
    Open,
    Passed,
    Phase,
    Revoked,
    Shards,
    Tell,
    Told,
    step,
)
from streamer.order.positions import Position

SHARD = 1
ENDS = {"btcusdt@bookTicker": Position(7, 8)}
TURN_SECONDS = 0.25
LOOK_UP_SECONDS = 1.0
HANDOVER_SECONDS = 10.0


@dataclass
class Player:
    """A member, and what it is asked to do with the streams of the shard."""

    name: str
    lag: float  # until it reads a notice
    hears_after: float
    acknowledged_after: float  # of what it has recorded, once it may deliver
    shards: Shards = field(default_factory=dict)
    read: int = 0
    joined_at: float | None = None
    located_at: float | None = None
    pending: tuple[float, float] | None = None  # after Leave: it delivers until, all is there at

    def delivers_after(self, now: float) -> bool:
        """Whether records of it may arrive later than now."""
        state = self.shards.get(SHARD)
        return self.pending is not None or (state is not None and state.phase is Phase.LEAVING)


class Group:
    """The topic of notices, the coordinator, and time."""

    def __init__(self, players: list[Player]) -> None:
        self.players = players
        self.log: list[tuple[float, ShardNotice]] = []
        self.now = 0.0
        self.assignee: Player | None = None

    def follow(self, player: Player, event) -> None:
        member = Member(player.name, f"{player.name}-1", HANDOVER_SECONDS)
        player.shards, actions = step(player.shards, event, member, self.now)
        for action in actions:
            match action:
                case Join():
                    player.joined_at, player.pending = self.now, None
                case Locate():
                    player.located_at = self.now + LOOK_UP_SECONDS
                case Open(_, positions):
                    if positions is not ENDS:
                        late = [one.name for one in self.players
                                if one is not player and one.delivers_after(self.now)]  # fmt: skip
                        assert not late, f"{player.name} goes on, and {late} deliver"
                case Leave(_, deliver_until):
                    player.pending = (deliver_until, self.now + player.acknowledged_after)
                case Tell(_, kind, offer):
                    self.write(player, kind, offer=offer)

    def write(self, player: Player, kind, positions=None, offer=None) -> None:
        told = ShardNotice(VERSION, kind, SHARD, player.name, f"{player.name}-1", positions, offer)
        self.log.append((self.now, told))

    def last(self) -> ShardNotice | None:
        """Return what Membership takes for the latest notice of an owner."""
        last = None
        for _, notice in self.log:
            is_of_last = last is not None and last.process == notice.process
            is_offer = notice.kind == "offered" and is_of_last
            if notice.kind in ("owned", "leaving", "left") or is_offer:
                last = notice
        return last

    def read(self, player: Player, *, lag: float) -> None:
        while player.read < len(self.log) and self.log[player.read][0] + lag <= self.now:
            notice = self.log[player.read][1]
            player.read += 1
            if notice.kind == "owned" and notice.member != player.name:
                player.pending = None  # as ShardStreams does
            self.follow(player, Told(notice))

    def turn(self) -> None:
        self.now += TURN_SECONDS
        for player in self.players:
            self.read(player, lag=player.lag)
            if player.located_at is not None and self.now >= player.located_at:
                player.located_at = None
                self.follow(player, Located(SHARD, {}))
            if player.joined_at is not None and self.now >= player.joined_at + player.hears_after:
                player.joined_at = None
                self.follow(player, Heard(SHARD))
            self.follow(player, Passed())
            if player.pending is not None:
                deliver_until, acknowledged_at = player.pending
                if self.now >= acknowledged_at or self.now >= deliver_until:
                    is_all = self.now >= acknowledged_at
                    player.pending = None
                    self.write(player, "left", ENDS if is_all else None)

    def give(self, player: Player | None, *, is_told: bool) -> None:
        """Take the shard from who has it, with its knowledge or without, and give it to another."""
        before, self.assignee = self.assignee, player
        if before is not None and before is not player:
            state = before.shards.get(SHARD)
            if is_told:
                owned = state is not None and state.phase is Phase.OWNED
                self.write(before, "leaving" if owned else "withdrawn")
            self.follow(before, Revoked(SHARD) if is_told else Lost(SHARD))
        if player is not None and before is not player:
            self.read(player, lag=0.0)
            self.follow(player, Assigned(SHARD, self.last()))

    def pass_seconds(self, seconds: float) -> None:
        for _ in range(round(seconds / TURN_SECONDS)):
            self.turn()


SECONDS = st.floats(0.0, 12.0)
PLAYERS = st.tuples(
    *(st.builds(Player, st.just(name), SECONDS, SECONDS, SECONDS) for name in ("a", "b", "c"))
)
MOVES = st.lists(st.tuples(st.sampled_from([0, 1, 2, None]), st.booleans(), SECONDS), max_size=8)


@given(PLAYERS, MOVES)
def test_nobody_delivers_after_another_has_gone_on_without_its_word(players, moves):
    group = Group(list(players))
    group.give(players[0], is_told=True)
    group.pass_seconds(15.0)
    for number, is_told, seconds in moves:
        group.give(None if number is None else players[number], is_told=is_told)
        group.pass_seconds(seconds)
    if group.assignee is None:
        group.give(players[1], is_told=True)
    group.pass_seconds(45.0)
    owners = [one for one in players if one.shards.get(SHARD, None) is not None]
    assert owners == [group.assignee], "who is assigned it records it, and nobody else"
    assert group.assignee.shards[SHARD].phase is Phase.OWNED


def test_what_was_recorded_while_nobody_reached_kafka_is_delivered_by_who_has_it():
    a, b = (Player(name, 0.1, 1.5, 2.0) for name in ("a", "b"))
    group = Group([a, b])
    group.give(a, is_told=True)
    group.pass_seconds(5.0)
    group.give(b, is_told=False)
    group.pass_seconds(10.0)
    told = [(notice.member, notice.kind) for _, notice in group.log]
    assert told == [
        ("a", "owned"), ("b", "hearing"), ("a", "offered"), ("b", "hearing"), ("a", "left"),
        ("b", "owned"),
    ]  # fmt: skip
    assert group.log[-2][1].positions is ENDS
