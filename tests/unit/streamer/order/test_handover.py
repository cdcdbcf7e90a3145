"""What a successor brings is held until its predecessor has brought as much."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from streamer.feed_counters import FeedCounters
from streamer.ingest.ingest import Ingest
from streamer.order.handover import WITHIN_SECONDS, Handover
from streamer.routes import Routes
from tests.unit.streamer.ingest.test_ingest import Connection, Rejected, Sink
from tests.unit.streamer.payloads import BOOK_TICKER, TRADE, frame

QUOTES, TRADES = "btcusdt@bookTicker", "btcusdt@trade"


def never(stream: str, first_id: int) -> bool:
    return False


def held() -> Handover[str, int]:
    handover: Handover[str, int] = Handover()
    for number in (5, 7):
        handover.hold(2, "a", 5, number, 10.0)
    handover.hold(2, "b", 9, 9, 10.5)
    return handover


def test_what_is_held_comes_back_in_order_once() -> None:
    handover = held()
    assert 2 in handover.successors
    assert 1 not in handover.successors
    assert handover.take(2, "a") == [5, 7]
    assert handover.take(2, "a") == []
    assert handover.take_all(2) == [9]
    assert 2 not in handover.successors
    assert handover.take_all(2) == []
    assert handover.take(2, "b") == []


def test_what_was_reached_is_due_at_once_and_the_rest_after_a_while() -> None:
    handover = held()
    assert handover.due(10.1, never) == []
    assert handover.due(10.1, lambda stream, first_id: (stream, first_id) == ("b", 9)) == [9]
    for at in (10.4, 10.8):
        assert handover.due(at, never) == []
    assert handover.due(10.0 + WITHIN_SECONDS, never) == [5, 7]
    assert 2 not in handover.successors


def test_time_in_which_nothing_was_read_does_not_count() -> None:
    handover = held()
    assert handover.due(10.0, never) == []
    assert handover.due(60.0, never) == []  # the loop stood still
    for at in (60.1, 70.0, 80.0):
        assert handover.due(at, never, reading=False) == []  # the sink takes nothing
    assert handover.due(80.3, never) == []
    assert handover.due(80.7, never) == [5, 7]  # the other came later


def test_at_the_end_everything_comes_back() -> None:
    handover = held()
    assert handover.due(10.0, never) == []
    assert sorted(handover.due(math.inf, never)) == [5, 7, 9]


# In the way of an event ---------------------------------------------------------------------------


class Stage:
    def __init__(self) -> None:
        self.sink, self.rejected = Sink(), Rejected()
        self.ingest = Ingest(
            Routes(["bookTicker", "trade"], ["BTCUSDT"]),
            self.sink,  # type: ignore[arg-type]
            self.rejected,  # type: ignore[arg-type]
            FeedCounters(),
            overlap_seconds=5.0,
        )
        self.first_ids: dict[str, int] = {}

    def hear(self, connection_id: int, *ids: int, name: str = QUOTES, price: str = "1.5") -> None:
        """Hear from the predecessor, 1, or from its successor, 2; 3 is that in its place."""
        payloads = {
            QUOTES: lambda number: BOOK_TICKER | {"u": number, "b": price},
            TRADES: lambda number: TRADE | {"t": number},
        }
        connection = Connection()
        connection.connection_id = min(connection_id, 2)
        frames = [frame(payloads[name](number), name) for number in ids]
        first_ids = self.first_ids if connection_id == 2 else None
        self.ingest.take(connection, frames, first_ids, overlapping=True)  # type: ignore[arg-type]

    @property
    def stored(self) -> list[int]:
        return [event.id for name, event in self.sink.put_of if name in (QUOTES, TRADES)]

    @property
    def gaps(self) -> int:
        return len(self.sink.put_of) - len(self.stored)


def test_a_successor_that_is_ahead_overtakes_nothing() -> None:
    stage = Stage()
    stage.hear(1, 101, 102)
    stage.hear(2, 105, 108)
    assert stage.stored == [101, 102]
    stage.hear(1, 103, 104, 105)
    stage.hear(2, 109)  # its predecessor is where it began: nothing can be missed any more
    assert stage.stored == [101, 102, 103, 104, 105, 108, 109]
    stage.hear(1, 108, 109, 110)
    stage.hear(2, 110)
    assert stage.stored == [101, 102, 103, 104, 105, 108, 109, 110]
    assert stage.gaps == 0


def test_trades_wait_for_nobody_since_their_ids_tell_what_is_missing() -> None:
    stage = Stage()
    stage.hear(1, 1, 2, name=TRADES)
    stage.hear(2, 3, name=TRADES)
    assert stage.stored == [1, 2, 3]


def test_the_very_first_quotes_wait_for_nobody() -> None:
    stage = Stage()
    stage.hear(2, 105)
    assert stage.stored == [105]


def test_a_successor_in_the_place_of_its_predecessor_is_taken_from_its_first_event_on() -> None:
    stage = Stage()
    stage.hear(1, 101)
    stage.hear(2, 105, 108)
    stage.hear(3, 110)
    assert stage.stored == [101, 105, 108, 110]
    assert stage.gaps == 1, "what came between 101 and 105 was missed, if anything did"


def test_a_predecessor_that_has_fallen_silent_holds_nothing_up_for_long(monkeypatch) -> None:
    now = 50.0
    monkeypatch.setattr("streamer.ingest.ingest.time.monotonic", lambda: now)
    stage = Stage()
    stage.hear(1, 101)
    stage.hear(2, 105)
    stage.ingest.expire(now)
    assert stage.stored == [101]
    for _ in range(3):
        now += WITHIN_SECONDS / 2
        stage.ingest.expire(now)
    stage.hear(2, 108)
    assert stage.stored == [101, 105, 108]
    assert stage.gaps == 1, "it was dead without a word"


def test_what_is_held_of_a_stream_that_left_is_dropped() -> None:
    stage = Stage()
    stage.hear(1, 101)
    stage.hear(2, 105)
    stage.ingest.routes.remove(stage.ingest.routes.by_name["btcusdt@bookTicker"])
    stage.ingest.expire(math.inf)
    assert stage.stored == [101]


def test_what_was_held_is_compared_with_what_the_predecessor_brought() -> None:
    stage = Stage()
    stage.hear(1, 101)
    stage.hear(2, 105, 106)
    stage.hear(1, 105, 106, price="1.6")
    stage.ingest.expire(0.0)
    assert [kind for kind, _ in stage.rejected.kept] == ["differing_copy"] * 2
    assert stage.stored == [101, 105, 106]


@given(
    ids=st.lists(st.integers(10_000, 10_400), min_size=8, max_size=40, unique=True).map(sorted),
    begins=st.integers(1, 7),
    order=st.lists(st.booleans(), max_size=80),
)
def test_whatever_the_skew_everything_is_stored_once_and_in_order(
    ids: list[int], begins: int, order: list[bool]
) -> None:
    """The predecessor brings all; the successor what comes from some event on.

    Ids are large, as of a book: one far below the last would begin an epoch.
    """
    stage = Stage()
    stage.hear(1, ids[0])
    ways = {1: ids[1:], 2: ids[begins:]}
    for is_successor in [*order, *([True] * len(ids)), *([False] * len(ids))]:
        which = 1 + is_successor
        if ways[which]:
            stage.hear(which, ways[which].pop(0))
    stage.ingest.expire(0.0)
    assert stage.stored == ids
