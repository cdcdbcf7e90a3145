"""Snapshots of a book beside its changes: when they are asked for, and what is stored."""

from __future__ import annotations

import pytest

from streamer.config import DepthSnapshotConfig
from streamer.data.kinds.depth_snapshot import DepthSnapshot
from streamer.data.rest_page import RestRequest
from streamer.order.sequence import Gap
from streamer.repair.gap_tracker import GapTracker
from streamer.repair.rest_requests import RestFailure
from tests.unit.streamer.payloads import DEPTH, NOW_US, frame
from tests.unit.streamer.repair.exchange_by_hand import UNIX, World

ASKED = RestRequest("depth", (("symbol", "BTCUSDT"), ("limit", "1000")), 50)
BIDS, ASKS = [["2.0", "1"], ["1.0", "1"]], [["3.0", "1"]]


class Books(World):
    """One symbol's changes of a book."""

    def __init__(self, directory, *, same_venue=True, stream="depth@100ms", **config):
        self.snapshot_config = DepthSnapshotConfig(**config)
        super().__init__(directory, stream, same_venue=same_venue, snapshots=self.snapshot_config)
        assert self.turn() == RestRequest("time", (), 1)
        self.say({"serverTime": round(UNIX * 1e6)})

    def change(self, first_id: int, last_id: int, **levels) -> None:
        changed = {**DEPTH, "U": first_id, "u": last_id, **levels}
        event = self.route.decode(frame(changed, self.route.name), NOW_US)
        self.keep(self.route.sequence.take(first_id, (event, NOW_US), self.now))
        self.routes.hold(self.route)

    def keep(self, released):
        for item in released:
            if isinstance(item, Gap):
                self.backfiller.lose_book(self.route, item.last_id)
            else:
                self.route.latest = item[0]

    def give_up(self, seconds=1.0):
        self.now += seconds
        self.keep(self.route.sequence.expire(self.now))

    def book(self, last_id, **other):
        return self.say({"lastUpdateId": last_id, "bids": BIDS, "asks": ASKS, **other})

    @property
    def snapshots(self):
        return [(each.id, each.reason) for each in self.stored if isinstance(each, DepthSnapshot)]


@pytest.fixture
def books(tmp_path):
    return Books(tmp_path)


def test_a_book_is_asked_for_once_its_first_change_is_in_hand(books):
    assert books.turn(1.0) is None
    assert (books.route.book_lost, books.route.book_awaited) == (False, True), "nothing was lost"
    books.change(10, 14)
    assert books.turn(1.0) == ASKED
    books.book(12)
    assert books.stored == [
        DepthSnapshot(12, "BTCUSDT", "start", 1000, [("2.0", "1"), ("1.0", "1")], [("3.0", "1")])
    ]
    assert (books.route.book_lost, books.route.book_awaited) == (False, False)
    assert books.turn(3599.0) is None or books.exchange.asked[-1].endpoint == "time"


def test_one_older_than_the_first_change_is_asked_for_again(books):
    books.change(10, 14)
    books.turn(1.0)
    assert books.book(8) is None
    assert books.snapshots == []
    assert books.route.book_awaited
    assert books.turn(1.0) == ASKED
    books.book(9)
    assert books.snapshots == [(9, "start")]


def test_after_a_gap_the_book_is_lost_until_a_snapshot_reaches_its_end(books):
    books.change(10, 14)
    books.turn(1.0)
    books.book(14)
    books.change(20, 24)
    books.give_up()
    assert books.route.book_lost
    assert books.turn() == ASKED
    books.book(18)
    assert books.route.book_lost
    assert books.notices("book_restored") == []
    assert books.turn(1.0) == ASKED
    books.book(19)
    assert books.snapshots == [(14, "start"), (19, "gap")]
    assert books.route.book_lost is False
    assert books.notices("book_restored") == [
        {"stream": "depth@100ms", "symbol": "BTCUSDT", "last_update_id": 19}
    ]


def test_a_gap_before_the_first_snapshot_loses_the_book(books):
    books.change(10, 14)
    books.turn(1.0)
    books.change(20, 24)
    books.give_up()
    assert (books.route.book_lost, books.route.book_awaited) == (True, True)
    books.book(30)
    assert (books.route.book_lost, books.route.book_awaited) == (False, False)
    assert len(books.notices("book_restored")) == 1


def test_while_the_sink_accepts_nothing_no_book_is_asked_for(books):
    books.change(10, 14)
    assert books.turn(1.0, accepting=False) is None
    assert books.turn(1.0) == ASKED


def test_a_gap_below_the_latest_snapshot_loses_nothing(books):
    books.change(10, 14)
    books.turn(1.0)
    books.book(30)
    books.change(20, 34)
    books.give_up()
    assert books.route.book_lost is False
    assert books.turn() is None


def test_a_stream_that_goes_on_after_an_earlier_run_needs_one_too(tmp_path):
    books = Books(tmp_path)
    books.route.sequence.start_after(9)
    books.backfiller.begin(books.route)
    assert books.turn(1.0) is None
    books.change(10, 14)
    assert books.turn(1.0) == ASKED
    books.book(9)
    assert books.snapshots == [(9, "start")]


def test_it_is_asked_for_again_after_the_interval_and_stored_if_it_is_another_one(tmp_path):
    books = Books(tmp_path, interval=60.0, levels=100)
    books.change(10, 14)
    assert books.turn(1.0) == RestRequest("depth", (("symbol", "BTCUSDT"), ("limit", "100")), 5)
    books.book(14)
    assert books.turn(59.0) is None
    assert books.turn(1.0).endpoint == "depth"
    books.book(14)
    assert books.turn(60.0).endpoint == "depth"
    books.book(15)
    assert books.snapshots == [(14, "start"), (15, "interval")]


@pytest.mark.parametrize(
    "wrong",
    [
        {"bids": [["3.0", "1"]]},
        {"bids": [["1.0", "1"], ["2.0", "1"]]},
        {"asks": [["4.0", "1"], ["3.0", "1"]]},
        {"asks": [["x", "1"]]},
        {"asks": [["3.0", "1"]] * 1001},
        {"lastUpdateId": -1},
        {"lastUpdateId": 10**15},
        {"bids": None},
    ],
)
def test_what_is_no_book_of_this_stream_is_not_stored_and_asked_for_again(books, wrong):
    books.change(10, 14)
    books.turn(1.0)
    books.book(14, **wrong)
    assert books.stored == []
    assert len(books.notices("rest_trouble")) == 1
    assert books.turn(1.0) == ASKED


def test_a_refusal_concerns_one_book_and_a_ban_everything(books):
    books.change(10, 14)
    books.turn(1.0)
    books.exchange.outcome = RestFailure("refused", "no")
    books.turn()
    assert books.turn(0.6) == ASKED
    books.exchange.outcome = RestFailure("throttled", "429", 30.0)
    assert books.turn() is None
    assert books.turn(29.0) is None
    assert books.turn(2.0) == ASKED


@pytest.mark.parametrize("same_venue", [False, True])
def test_of_an_unknown_host_the_first_snapshot_has_to_tell_the_same_as_a_change(
    tmp_path, same_venue
):
    books = Books(tmp_path, same_venue=same_venue, interval=1.0)
    books.change(10, 14, b=[["2.0", "7"], ["1.0", "8"]], a=[["3.0", "7"]])
    books.turn(1.0)
    books.book(14)  # another quantity at each price
    assert bool(books.snapshots) == same_venue
    books.turn(1.0)
    books.book(15, bids=[["2.0", "7"]])
    assert len(books.snapshots) == 1 + same_venue
    books.change(16, 20, b=[["2.0", "5"]], a=[])
    books.turn(60.0)
    books.book(21)  # the host is known by now
    assert len(books.snapshots) == 2 + same_venue
    assert books.route.book_lost is False


def test_of_a_host_whose_trades_were_the_same_no_book_is_compared_but_by_its_prices(tmp_path):
    books = Books(tmp_path, same_venue=False)
    books.backfiller._gap_filler._page_check.trusted = True
    books.change(10, 14, b=[["2.5", "7"]], a=[["9.0", "7"]])
    books.turn(1.0)
    books.book(14, asks=[["2.4", "1"]])  # somebody bids more
    assert books.snapshots == []
    books.turn(1.0)
    books.book(14)
    assert books.snapshots == [(14, "start")]


def test_the_change_at_the_time_of_the_question_is_compared_if_the_stream_is_ahead(tmp_path):
    books = Books(tmp_path, same_venue=False)
    books.change(10, 14, b=[["2.0", "1"]], a=[])
    books.turn(1.0)
    books.change(15, 20, b=[["2.0", "7"]], a=[])
    books.book(14)
    assert books.snapshots == [(14, "start")]


def test_nothing_is_asked_of_a_venue_that_contradicts_the_stream(books):
    books.backfiller._gap_filler._page_check.doubt()
    books.change(10, 14)
    assert books.turn(1.0) is None


def test_its_share_of_the_weight_is_its_own(tmp_path):
    books = Books(tmp_path, weight_share=0.02, interval=1.0)  # 120 a minute: two books
    books.now = -UNIX % 60.0 + 2.0  # the clock's minute has just begun
    books.change(10, 14)
    for number in range(2):
        assert books.turn(1.0) == ASKED
        books.book(14 + number)
    assert books.turn(5.0) is None
    assert books.turn(60.0) == ASKED


def test_while_the_share_is_used_nothing_is_looked_through(tmp_path):
    books = Books(tmp_path, weight_share=0.01, interval=1.0)  # 60 a minute: one book
    books.now = -UNIX % 60.0 + 2.0
    books.change(10, 14)
    assert books.turn(1.0) == ASKED
    books.book(14)
    looks = []
    books.backfiller._snapshots._plan.next = looks.append
    assert books.turn(5.0) is None
    assert looks == []


def test_streams_without_a_change_are_looked_at_once_a_second(books):
    looks = []
    books.backfiller._snapshots._look_at_starts = lambda: looks.append(books.now)
    for _ in range(30):
        books.turn(0.1)
    assert 2 <= len(looks) <= 3


def test_ids_that_begin_anew_need_a_snapshot_of_their_own(books):
    books.change(10, 14)
    books.turn(1.0)
    books.book(14)
    books.route.sequence.start_anew("new_epoch")
    books.route.epoch = 7
    books.backfiller.start_anew(books.route)
    assert books.turn(1.0) is None
    assert books.route.book_lost
    books.change(3, 4)
    assert books.turn(1.0) == ASKED
    books.book(2)
    assert books.stored[1] == 7
    assert books.snapshots == [(14, "start"), (2, "gap")]


def test_each_numbering_of_a_symbols_streams_has_the_snapshot(books):
    other = books.routes.make("depth", "BTCUSDT")
    books.routes.add(other)
    books.backfiller.begin(other)
    books.change(10, 14)
    books.turn(1.0)
    books.book(14)
    assert books.stored == [books.stored[0]], "of the same numbering: once"
    books.route.epoch, other.epoch = 7, 8  # each when its first event came
    for route in (books.route, other):
        route.sequence.start_anew("new_epoch")
        books.backfiller.start_anew(route)
    books.change(20, 24)
    other.sequence.take(20, (books.route.latest, NOW_US), books.now)
    books.turn(1.0)
    books.book(24)
    renewed = [each for each in books.stored[1:] if isinstance(each, int)]
    assert renewed == [7, 8]
    assert [id_ for id_, _ in books.snapshots] == [14, 24, 24]
    assert (books.route.book_lost, other.book_lost) == (False, False)


def test_a_stream_that_leaves_has_no_book(books):
    books.change(10, 14)
    assert books.turn(1.0) == ASKED
    books.backfiller.forget(books.route)
    books.book(14)
    assert books.stored == []
    assert books.route.book_lost is None
    books.backfiller.lose_book(books.route, 20)
    books.backfiller.start_anew(books.route)
    assert books.turn(1.0) is None


def test_other_streams_have_no_books(tmp_path):
    world = World(tmp_path, snapshots=DepthSnapshotConfig())
    world.backfiller.begin(world.route)
    world.backfiller.forget(world.route)
    assert world.route.book_lost is None
    assert world.routes.snapshots == {}


def test_while_gaps_need_more_weight_than_there_is_books_take_an_eighth_of_theirs(
    tmp_path, monkeypatch
):
    books = Books(tmp_path, weight_share=0.16, interval=1.0)  # 960 a minute, an eighth: two books
    books.now = -UNIX % 60.0 + 2.0
    books.change(10, 14)
    monkeypatch.setattr(GapTracker, "takes_more_than", lambda *_: True)
    for number in range(2):
        assert books.turn(1.0) == ASKED
        books.book(14 + number)
    assert books.turn(5.0) is None
    monkeypatch.setattr(GapTracker, "takes_more_than", lambda *_: False)
    assert books.turn(1.0) == ASKED, "the rest is left for the time after"
    books.book(16)
    monkeypatch.setattr(GapTracker, "takes_more_than", lambda *_: True)
    assert books.turn(5.0) is None
    assert books.turn(60.0) == ASKED, "never none"
