"""What is done with streams and sink, by what the group says. Kafka and sockets are played."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import product

import pytest

from streamer.errors import SinkUnavailable
from streamer.feed_counters import FeedCounters
from streamer.group.notices import VERSION, ShardNotice
from streamer.group.ownership import Assigned, Located, Lost, Member, NotLocated, Revoked, Told
from streamer.group.shard_streams import ShardStreams
from streamer.messages import GroupShards
from streamer.order.held_back import HeldBack
from streamer.order.positions import Position
from streamer.routes import Routes
from streamer.shards.assignment import shard_of
from streamer.subscription_manager import Change

COUNT = 2
PAUSE = 3.0
SYMBOLS = ("BTCUSDT", "ETHUSDT", "BNBUSDT", "SOLUSDT")
OF = {shard: [each for each in SYMBOLS if shard_of(each, COUNT) == shard] for shard in (0, 1)}
POSITIONS = {"btcusdt@trade": Position(7, 8)}


class Membership:
    def __init__(self):
        self.member = Member("a", "a-1", 10.0)
        self.failed, self.joined = None, False
        self.events, self.told, self.last, self.hearing = [], [], (), ()
        self.offers = []
        self.asked, self.confirmed, self.left, self.is_out = 0, 0, False, True
        self.assigned = frozenset()

    def take(self):
        taken, self.events = self.events, []
        return taken

    def tell(self, shard, kind, positions=None, offer=None):
        self.told.append((shard, kind, positions))
        self.offers.append(offer)

    def confirm(self):
        self.asked += 1
        return self.asked

    def is_confirmed(self, number):
        return self.confirmed >= number

    def leave(self):
        self.left = True


class ShardRoutes:
    def __init__(self):
        self.done, self.heard, self.noted, self.holds_on = [], False, [], False

    def join(self, streams, symbols, now):
        self.done.append(("join", tuple(streams), tuple(symbols)))

    def are_heard(self, symbols):
        return self.heard

    def note_heard(self, symbols):
        self.noted.append(tuple(symbols))

    def open(self, symbols, positions, now, *, is_seamless, begins=True):
        self.done.append(("seamless" if is_seamless else "open", tuple(symbols), positions))
        return begins or not self.holds_on

    def end(self, symbols, now, *, discards):
        self.done.append(("drop" if discards else "leave", tuple(symbols)))
        return POSITIONS

    def turn(self, now):
        pass


class Finder:
    def __init__(self):
        self.wanted, self.found = {}, []

    def want(self, shard, routes):
        self.wanted[shard] = list(routes)

    def forget(self, shard):
        self.wanted.pop(shard, None)

    def turn(self, now):
        found, self.found = self.found, []
        return found


@dataclass
class Counts:
    accepted_total: int = 0
    acknowledged_total: int = 0
    refused_total: int = 0


@dataclass
class Sink:
    numbers: Counts = field(default_factory=Counts)
    held: list[bool] = field(default_factory=list)
    discarded: list[str] = field(default_factory=list)
    asked: list[tuple[str, str]] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)
    has_waiting: bool = False
    is_elsewhere: Callable[[str], bool] | None = None

    def counts(self):
        return self.numbers

    def hold(self):
        self.held.append(True)

    def release(self, now):
        self.held.append(False)

    def discard(self, routes):
        self.discarded += [route.name for route in routes]

    def add(self, route):
        if route.stream in self.refused:
            raise SinkUnavailable("there is no such topic")
        self.asked.append(("add", route.name))

    def discard_inherited(self, is_elsewhere):
        assert self.held[-1], "before anything of it is taken"
        self.is_elsewhere = is_elsewhere

    def hand_over(self, route):
        self.asked.append(("hand over", route.name))


class Subscriptions:
    """With `fresh`, streams that join are added, and held."""

    def __init__(self, routes):
        self.wanted, self.fresh, self._routes = [], False, routes

    def change(self, streams, symbols, now, *, go_on=False):
        self.wanted.append((tuple(streams), tuple(symbols), go_on))
        if self.fresh:
            for stream, symbol in product(streams, symbols):
                route = self._routes.make(stream, symbol)
                route.held = HeldBack()
                self._routes.add(route)
        return Change()


class Stage:
    def __init__(self, *, has_waiting=False):
        self.membership, self.shard_routes, self.finder = Membership(), ShardRoutes(), Finder()
        self.routes = Routes(("trade",), ())
        self.sink, self.subscriptions = Sink(), Subscriptions(self.routes)
        self.sink.has_waiting = has_waiting
        self.counters = FeedCounters()
        self.streams = ShardStreams(
            ("trade",),
            SYMBOLS,
            self.subscriptions,
            self.shard_routes,
            self.routes,
            self.membership,
            self.finder,
            self.sink,
            self.counters,
            group_id="g",
            shard_count=COUNT,
            pause_seconds=PAUSE,
        )

    def turn(self, *events, now=0.0):
        """Return what is done with streams after events."""
        self.membership.events += events
        self.shard_routes.done = []
        self.streams.turn(now)
        return self.shard_routes.done

    def own(self, shard=0):
        self.membership.joined = True
        self.turn(Assigned(shard, None))
        self.finder.found = [Located(shard, POSITIONS)]
        self.turn()
        self.membership.told = []


@pytest.fixture
def stage():
    return Stage()


def notice(kind, process="b-1", positions=None, shard=0, offer=None):
    return ShardNotice(VERSION, kind, shard, process[0], process, positions, offer)


def test_a_shard_that_is_assigned_is_joined_looked_up_and_opened(stage):
    assert not stage.streams.is_settled
    stage.membership.joined = True
    assert stage.turn(Assigned(0, None)) == [("join", ("trade",), tuple(OF[0]))]
    assert list(stage.finder.wanted) == [0]
    assert not stage.streams.is_settled
    stage.finder.found = [NotLocated(0)]
    assert stage.turn() == []
    stage.finder.found = [Located(0, POSITIONS)]
    assert stage.turn() == [("open", tuple(OF[0]), POSITIONS)]
    assert stage.membership.told == [(0, "owned", None)]
    assert stage.finder.wanted == {}
    assert stage.streams.is_settled


def test_who_takes_a_shard_over_tells_when_its_streams_are_heard(stage):
    stage.turn(Assigned(0, notice("leaving")))
    assert stage.membership.told == []
    stage.shard_routes.heard = True
    stage.turn()
    stage.turn()
    assert stage.membership.told == [(0, "hearing", None)]
    assert stage.shard_routes.noted == [tuple(OF[0])], "when it is told, and not again"
    assert stage.turn(Told(notice("left", positions=POSITIONS)), now=1.0) == [
        ("seamless", tuple(OF[0]), POSITIONS)
    ]


def test_a_shard_that_was_dropped_for_a_late_notice_begins_again(stage):
    stage.own()
    stage.membership.assigned = frozenset({0})
    assert stage.turn(Told(notice("owned"))) == [("drop", tuple(OF[0]))]
    stage.membership.last = (notice("owned", shard=1), notice("owned"))
    assert stage.turn(now=PAUSE * 4 - 0.1) == []
    assert stage.turn(now=PAUSE * 4) == [("join", ("trade",), tuple(OF[0]))]
    assert stage.turn(now=PAUSE * 9) == [], "it is taken"
    assert list(stage.finder.wanted) == [0], "after what that one may have written"


def test_a_shard_that_goes_elsewhere_soon_is_not_begun_again(stage):
    stage.membership.assigned = frozenset({0})
    stage.turn()
    stage.membership.assigned = frozenset()
    assert stage.turn(now=PAUSE * 3) == []
    stage.membership.assigned = frozenset({0})
    assert stage.turn(now=PAUSE * 4) == []


def test_where_a_shard_was_left_is_told_when_all_of_it_is_acknowledged(stage):
    stage.own()
    stage.sink.numbers = Counts(5, 3, 1)
    stage.turn(Revoked(0))
    assert stage.turn(Told(notice("hearing"))) == []
    assert stage.turn(now=1.0) == [("leave", tuple(OF[0]))]
    assert stage.membership.told == []
    stage.sink.numbers = Counts(9, 4, 1)
    stage.turn(now=2.0)
    assert stage.membership.told == [(0, "left", POSITIONS)]
    stage.turn(now=3.0)
    assert len(stage.membership.told) == 1


def test_where_a_shard_was_left_is_not_told_when_kafka_does_not_acknowledge(stage):
    stage.own()
    for shard in (0, 1):
        stage.routes.add(stage.routes.make("trade", OF[shard][0]))
    stage.sink.numbers = Counts(5, 3)
    stage.turn(Revoked(0))
    stage.turn(now=8.0)
    stage.turn(now=8.9)
    assert stage.membership.told == []
    assert stage.sink.discarded == []
    stage.turn(now=9.0)
    assert stage.membership.told == [(0, "left", None)]
    ours = [f"{OF[0][0].lower()}@trade"]
    assert stage.sink.discarded == ours, "it would come after what the successor records"


def test_who_leaves_alone_has_a_moment_for_what_is_under_way(stage):
    stage.own()
    stage.sink.numbers = Counts(5, 3)
    stage.streams.leave(0.0, 5.0)
    stage.turn(Revoked(0))
    stage.turn(now=0.9)
    assert stage.membership.told == []
    stage.turn(now=1.0)
    assert stage.membership.told == [(0, "left", None)]


def test_what_was_to_be_delivered_before_a_pause_is_not_delivered_after_it(stage):
    stage.own()
    stage.routes.add(stage.routes.make("trade", OF[0][0]))
    stage.sink.numbers = Counts(5, 3)
    stage.turn(Revoked(0))
    stage.turn(now=30.0)
    assert stage.membership.told == [(0, "left", None)]
    assert stage.sink.discarded == [f"{OF[0][0].lower()}@trade"]


def test_of_a_shard_that_somebody_else_has_gone_on_with_nothing_more_is_delivered(stage):
    stage.own()
    stage.routes.add(stage.routes.make("trade", OF[0][0]))
    stage.sink.numbers = Counts(5, 3)
    stage.turn(Revoked(0))
    stage.turn(Told(notice("hearing")))
    stage.turn(now=1.0)
    for harmless in (notice("hearing"), notice("owned", shard=1), notice("owned", "a-1")):
        stage.turn(Told(harmless), now=1.1)
    assert stage.sink.discarded == []
    stage.turn(Told(notice("owned")), now=1.2)
    assert stage.sink.discarded == [f"{OF[0][0].lower()}@trade"]
    stage.turn(now=99.0)
    assert stage.membership.told == [], "the successor waits for no word"


def test_a_shard_that_is_lost_is_recorded_and_not_produced_until_it_is_known_whose_it_is(stage):
    stage.own()
    assert stage.turn(Lost(0)) == []
    assert stage.sink.held == [True]
    stage.turn()
    assert stage.sink.held == [True]
    assert stage.turn(Assigned(0, notice("owned", "a-1"))) == []
    assert stage.sink.held == [True, False]


def test_a_shard_that_is_lost_is_delivered_when_its_successor_waits_for_it(stage):
    stage.own()
    stage.turn(Lost(0))
    stage.turn(Told(notice("hearing")), now=5.0)
    assert (stage.membership.told, stage.membership.offers[-1]) == ([(0, "offered", None)], 5.0)
    assert stage.sink.held == [True]
    assert stage.streams.told.recorded == (0,), "on disk"
    stage.turn(Told(notice("hearing", offer=5.0)), now=5.1)
    assert stage.sink.held == [True, False]
    assert stage.turn(now=6.1) == [("leave", tuple(OF[0]))]
    stage.turn(now=6.2)
    assert stage.membership.told[-1] == (0, "left", POSITIONS)


def test_a_shard_that_somebody_else_has_is_dropped(stage):
    stage.own()
    stage.turn(Lost(0))
    assert stage.turn(Told(notice("owned"))) == [("drop", tuple(OF[0]))]
    assert stage.sink.held == [True, False]


def test_after_a_pause_nothing_is_produced_until_the_group_confirms(stage):
    stage.own()
    for now in (0.0, 2.9):
        stage.streams.woke(now)
    assert stage.sink.held == []
    stage.streams.woke(5.9)
    assert stage.sink.held == [True], "before anything is taken"
    stage.turn(now=6.0)
    assert (stage.membership.asked, stage.sink.held) == (1, [True])
    assert stage.counters.notices[-1].kind == "group_pause"
    stage.membership.confirmed = 1
    stage.turn(now=6.1)
    assert stage.sink.held == [True, False]


def test_who_stood_still_until_the_successor_went_on_produces_nothing_of_the_shard(stage):
    stage.own()
    stage.routes.add(stage.routes.make("trade", OF[0][0]))
    stage.turn(Revoked(0))
    for now in (6.0, 6.5, 8.9):
        stage.streams.woke(now)
    assert stage.sink.held == []
    stage.streams.woke(10.9)
    assert stage.sink.held == [True], "before anything is read"
    stage.sink.numbers = Counts(5, 3)
    stage.turn(now=10.9)
    assert stage.sink.discarded == [f"{OF[0][0].lower()}@trade"]
    assert stage.sink.held == [True, False]


@pytest.mark.parametrize("meanwhile", [(), (Lost(0),)])
def test_streams_of_which_the_one_before_told_nothing_are_looked_up(stage, meanwhile):
    stage.shard_routes.holds_on = True
    stage.turn(Assigned(0, notice("left", positions=POSITIONS)), *meanwhile)
    assert list(stage.finder.wanted) == [0]
    stage.finder.wanted.clear()
    stage.finder.found = [NotLocated(0)]
    assert stage.turn() == []
    assert list(stage.finder.wanted) == [0], "again"
    stage.finder.found = [Located(0, {})]
    assert stage.turn() == [("open", tuple(OF[0]), {})]
    stage.finder.wanted[0] = []
    stage.turn(Revoked(0), now=1.0)
    stage.turn(now=9.0)
    assert stage.finder.wanted == {}, "what has left is not looked up any more"


def test_a_confirmation_counts_when_what_came_before_it_was_taken(stage):
    """The membership's thread tells that shards are lost, and then that nothing is in doubt."""
    stage.own()
    stage.streams.woke(0.0)
    stage.streams.woke(5.9)

    def take():
        stage.membership.events, stage.membership.confirmed = [Lost(0)], 1
        return []

    stage.membership.take, really = take, stage.membership.take
    stage.streams.turn(6.0)
    assert stage.sink.held == [True], "the loss is not known yet"
    stage.membership.take = really
    stage.streams.turn(6.1)
    assert stage.sink.held == [True]


def test_what_is_wanted_is_asked_for_of_the_own_shards_only(stage):
    stage.own()
    stage.streams.change(("trade",), (*SYMBOLS, "XRPUSDT"), 0.0, go_on=True)
    own = tuple(each for each in (*SYMBOLS, "XRPUSDT") if shard_of(each, COUNT) == 0)
    assert stage.subscriptions.wanted == [(("trade",), own, True)]
    new = tuple(each for each in (*SYMBOLS, "XRPUSDT") if shard_of(each, COUNT) == 1)
    assert stage.turn(Assigned(1, None)) == [("join", ("trade",), new)]


@pytest.mark.parametrize("event", [None, Lost(0), Revoked(0)])
def test_where_what_is_added_goes_on_is_looked_up_as_others_may_have_recorded_it(stage, event):
    stage.own()
    if event is not None:
        stage.turn(event)
    stage.subscriptions.fresh = True
    stage.streams.change(("trade",), (*SYMBOLS, "XRPUSDT"), 0.0)
    assert list(stage.finder.wanted) == [0]
    stage.finder.found = [Located(0, POSITIONS)]
    ((what, symbols, positions),) = stage.turn()
    assert (what, positions) == ("open", POSITIONS)
    assert set(OF[0]) <= set(symbols)


def test_what_is_added_to_a_shard_that_joins_goes_on_with_it(stage):
    stage.turn(Assigned(0, notice("leaving")))
    stage.subscriptions.fresh = True
    stage.streams.change(("trade",), (*SYMBOLS, "XRPUSDT"), 0.0)
    assert stage.finder.wanted == {}


def test_who_has_no_shard_asks_the_sink_for_new_kinds_of_streams_when_they_are_added(stage):
    stage.streams.change(("trade", "aggTrade"), SYMBOLS, 0.0)
    name = f"{SYMBOLS[0].lower()}@aggTrade"
    assert stage.sink.asked == [("add", name), ("hand over", name)]
    stage.sink.refused = {"bookTicker"}
    with pytest.raises(SinkUnavailable):
        stage.streams.change(("trade", "aggTrade", "bookTicker"), SYMBOLS, 0.0)
    assert len(stage.subscriptions.wanted) == 1, "nothing is changed"
    stage.streams.change(("trade", "bookTicker"), (), 0.0)
    assert len(stage.subscriptions.wanted) == 2


def test_symbols_that_are_streamed_still_leave_with_their_shard(stage):
    stage.own()
    stage.streams.change(("trade",), ("XRPUSDT",), 0.0)
    for symbol in SYMBOLS:
        stage.routes.add(stage.routes.make("trade", symbol))
    stage.turn(Revoked(0))
    ((what, symbols),) = stage.turn(now=8.0)
    assert what == "leave"
    assert set(OF[0]) <= set(symbols)


@pytest.mark.parametrize("is_owned", [True, False])
def test_who_stops_waits_for_the_others_when_there_are_any(stage, is_owned):
    stage.own()
    if is_owned:
        stage.membership.last = (notice("owned", shard=1),)
    else:
        stage.membership.hearing = (notice("hearing", shard=1),)
    stage.streams.leave(0.0, 5.0)
    assert stage.membership.left
    stage.turn(Revoked(0))
    assert not stage.streams.has_left(4.9, 5.0)
    assert stage.streams.has_left(5.0, 5.0)
    stage.turn(Told(notice("hearing")), now=1.0)
    stage.turn(now=2.0)
    assert stage.membership.told == [(0, "left", POSITIONS)]
    assert stage.streams.has_left(2.0, 5.0)


def test_who_stops_while_it_joins_waits_until_it_has_left(stage):
    stage.membership.is_out = False
    stage.streams.leave(0.0, 5.0)
    assert not stage.streams.has_left(0.1, 5.0), "it may be assigned a shard yet"
    assert stage.streams.has_left(5.0, 5.0)
    stage.membership.is_out = True
    assert stage.streams.has_left(0.1, 5.0)


def test_who_stops_with_all_the_others_waits_for_none_of_them(stage):
    stage.own()
    stage.membership.last = (notice("owned", shard=1),)
    stage.streams.leave(0.0, 5.0)
    stage.membership.last = (notice("leaving", shard=1),)
    assert not stage.streams.has_left(0.1, 5.0), "it is not revoked so far"
    stage.turn(Revoked(0), now=0.1)
    assert stage.streams.has_left(0.1, 5.0)


def test_who_stops_tells_where_shards_end_for_which_nobody_came_in_time(stage):
    stage.own()
    stage.membership.last = (notice("owned", shard=1),)
    stage.sink.numbers = Counts(accepted_total=5, acknowledged_total=4)
    stage.streams.leave(0.0, 5.0)
    stage.turn(Revoked(0))
    stage.shard_routes.done = []
    stage.streams.end_leaving(5.0)
    assert stage.shard_routes.done == [("leave", tuple(OF[0]))]
    stage.sink.numbers.acknowledged_total = 5
    stage.streams.tell_left()
    assert stage.membership.told == [(0, "left", POSITIONS)]


def test_who_stops_and_could_not_deliver_all_has_the_topics_tell_where_shards_end(stage):
    stage.own()
    stage.routes.add(stage.routes.make("trade", OF[0][0]))
    stage.sink.numbers = Counts(accepted_total=5, acknowledged_total=4)
    stage.streams.leave(0.0, 5.0)
    stage.turn(Revoked(0))
    stage.streams.end_leaving(5.0)
    stage.streams.tell_left()
    assert stage.membership.told == [(0, "left", None)]
    assert stage.sink.discarded == [], "nobody may have taken it over: it waits for the next start"


def test_a_member_is_settled_when_all_that_it_was_assigned_is_recorded(stage):
    assert not stage.streams.is_settled
    stage.membership.joined = True  # and what was assigned is taken with the next turn
    assert not stage.streams.is_settled
    stage.turn(Assigned(0, None))
    assert not stage.streams.is_settled, "what comes is held"
    stage.finder.found = [Located(0, POSITIONS)]
    stage.turn()
    assert stage.streams.is_settled


def test_who_stops_alone_waits_for_nobody(stage):
    stage.own()
    stage.streams.leave(0.0, 5.0)
    assert stage.turn(Revoked(0)) == [("leave", tuple(OF[0]))]
    assert stage.streams.has_left(0.0, 5.0)


def test_who_joins_is_not_settled_before_the_others_may_have_given_it_something(stage):
    stage.membership.joined = True
    stage.turn(now=10.0)
    assert not stage.streams.is_settled
    stage.turn(now=10.0 + PAUSE - 0.1)
    assert not stage.streams.is_settled
    stage.turn(now=10.0 + PAUSE)
    assert stage.streams.is_settled, "the others have all of it"
    stage.own()
    stage.turn(Lost(0))
    assert stage.streams.is_settled


def test_where_the_whole_group_has_no_symbol_nobody_is_settled(stage):
    stage.own()
    assert stage.streams.is_settled
    stage.streams.change(("trade",), (), 1.0)
    assert not stage.streams.is_settled


def test_a_watcher_is_told_which_shards_are_recorded_also_while_they_go(stage):
    streams = len(SYMBOLS)
    assert stage.streams.told == GroupShards("g", COUNT, (), streams)
    stage.turn(Assigned(0, None))
    assert stage.streams.told.recorded == (), "what comes is held"
    stage.own()
    assert stage.streams.told.recorded == (0,)
    stage.turn(Lost(0))
    assert stage.streams.told.recorded == (0,), "on disk"
    stage.turn(Assigned(0, None))
    stage.turn(Revoked(0))
    assert stage.streams.told.recorded == (0,), "until a successor hears its streams"
    stage.streams.end_leaving(0.0)
    assert stage.streams.told.recorded == ()


def test_what_an_earlier_process_left_is_delivered_once_the_group_has_given_all_of_it_back():
    stage = Stage(has_waiting=True)
    assert stage.sink.held == [True]
    stage.membership.joined = True
    stage.turn(Assigned(0, notice("owned", "a-0")))
    assert stage.sink.held == [True], "shard 1 may be somebody else's"
    stage.turn(Assigned(1, None))
    assert stage.sink.held == [True, False]
    assert stage.sink.is_elsewhere is None


GIVEN_BACK = Assigned(0, notice("owned", "a-0"))


@pytest.mark.parametrize("turns", [[[GIVEN_BACK]], [[], [GIVEN_BACK]]])
def test_what_an_earlier_process_left_of_shards_that_others_record_is_not_delivered(turns):
    stage = Stage(has_waiting=True)
    stage.membership.last = (notice("owned", shard=1),)
    for events in turns:
        assert stage.sink.held == [True]
        stage.turn(*events)
    assert stage.sink.held == [True, False]
    assert [stage.sink.is_elsewhere(OF[shard][0]) for shard in (0, 1)] == [False, True]


def test_what_an_earlier_process_left_waits_until_it_is_known_whose_each_shard_is():
    stage = Stage(has_waiting=True)
    stage.membership.joined = True
    stage.turn(GIVEN_BACK, now=100.0)
    stage.turn(now=1_000.0)
    assert stage.sink.held == [True], "nobody has told that shard 1 is its own, as Kafka is away"
    stage.membership.last = (notice("owned", shard=1),)
    stage.turn(now=1_001.0)
    assert stage.sink.held == [True, False]
