"""What is asked about gaps, and the order that comes out, whatever connections and REST do."""

from __future__ import annotations

import itertools
import random
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.data.binance_spot import PAGE_LIMIT
from streamer.order.pending import DiskStore
from streamer.order.sequence import EMPTY, ContiguousSequence, Gap
from streamer.repair.gap_tracker import (
    CONFIRM_SECONDS,
    DELAY_MAX_SECONDS,
    REFUSED_SECONDS,
    Ask,
    GapTracker,
    GiveUp,
)

GIVE_UP_AFTER = 100.0


def open_gap(first: int, last: int) -> GapTracker[str]:
    repairs = GapTracker[str](GIVE_UP_AFTER)
    repairs.suspect("btc", first, last, 0.0)
    return repairs


def test_a_gap_is_asked_for_page_by_page() -> None:
    repairs = open_gap(10, 10 + 2 * PAGE_LIMIT)

    ask = Ask("btc", 10, PAGE_LIMIT)
    assert repairs.next(0.0) == ask
    assert repairs.page(ask, range(10, 10 + PAGE_LIMIT), 0.1) is None
    assert repairs.advance("btc", 10 + PAGE_LIMIT, 0.1) is None
    ask = Ask("btc", 10 + PAGE_LIMIT, PAGE_LIMIT)
    assert repairs.next(0.1) == ask
    repairs.page(ask, range(10 + PAGE_LIMIT, 10 + 2 * PAGE_LIMIT), 0.2)
    repairs.advance("btc", 10 + 2 * PAGE_LIMIT, 0.2)
    assert repairs.next(0.2) == Ask("btc", 10 + 2 * PAGE_LIMIT, 1)
    assert repairs.advance("btc", 11 + 2 * PAGE_LIMIT, 0.3) is not None
    assert repairs.next(9.9) is None


def test_it_tells_how_far_the_open_gaps_are_repaired() -> None:
    repairs = open_gap(10, 109)
    assert repairs.ids(lambda key, first_id, below_id: below_id - first_id) == (100, 0)
    repairs.suspect("eth", 7, 7, 0.0)
    assert repairs.ids(lambda key, first_id, below_id: below_id - first_id) == (101, 0)
    repairs.advance("btc", 50, 0.1)
    assert repairs.ids(lambda key, first_id, below_id: below_id - first_id) == (61, 40)
    repairs.advance("btc", 110, 0.2)  # closed: of no open gap any more
    assert repairs.ids(lambda key, first_id, below_id: below_id - first_id) == (1, 0)


def test_a_short_page_is_no_end() -> None:
    repairs = open_gap(10, 19)
    ask = repairs.next(0.0)
    assert ask is not None
    repairs.page(ask, [10, 11, 12], 0.1)
    repairs.advance("btc", 13, 0.1)

    assert repairs.next(0.1) == Ask("btc", 13, 7)


def test_a_lagging_tail_is_asked_again_ever_more_rarely_and_given_up() -> None:
    repairs = open_gap(10, 19)
    asked, now = [], 0.0
    while not (given_up := repairs.overdue(now)):
        if (ask := repairs.next(now)) is not None:
            asked.append(now)
            assert repairs.page(ask, [], now) is None
        now += 0.05

    assert given_up == [GiveUp("btc", 19, "lagging")]
    assert now >= GIVE_UP_AFTER
    pauses = [after - before for before, after in itertools.pairwise(asked)]
    assert pauses[0] < 0.5
    assert DELAY_MAX_SECONDS <= pauses[-1] < DELAY_MAX_SECONDS + 0.2
    assert 10 < len(asked) < 20


def test_ids_that_rest_passes_over_twice_are_empty() -> None:
    repairs = open_gap(10, 14)
    ask = repairs.next(0.0)
    assert ask is not None

    assert repairs.page(ask, [13, 14], 0.0) is None
    assert repairs.next(CONFIRM_SECONDS - 0.1) is None
    assert repairs.next(CONFIRM_SECONDS) == ask
    assert repairs.page(ask, [13, 14], CONFIRM_SECONDS) == GiveUp("btc", 12, EMPTY)


def test_a_page_that_brings_them_the_second_time_was_right_to_be_doubted() -> None:
    repairs = open_gap(10, 14)
    ask = repairs.next(0.0)
    assert ask is not None
    repairs.page(ask, [13, 14], 0.0)

    assert repairs.page(ask, [10, 11, 12, 13, 14], 1.0) is None


def test_a_limit_stops_every_question_for_as_long_as_is_asked_for() -> None:
    repairs = open_gap(10, 14)
    repairs.suspect("eth", 5, 6, 0.0)
    ask = repairs.next(0.0)
    assert ask is not None
    repairs.trouble(ask, "throttled", 7.0, 0.0)

    assert repairs.next(6.9) is None
    assert repairs.paused(6.9)
    assert repairs.next(7.0) is not None


def refuse(repairs: GapTracker[str], now: float, until: float) -> tuple[float, list[GiveUp[str]]]:
    """Refuse whatever is asked; return when that was over, and what was given up meanwhile."""
    given_up: list[GiveUp[str]] = []
    while now < until and not given_up:
        if (ask := repairs.next(now)) is not None:
            outcome = repairs.trouble(ask, "refused", 0.0, now)
            given_up += [] if outcome is None else [outcome]
        now += 0.1
    return now, given_up


def test_a_refusal_concerns_one_gap_and_ends_it() -> None:
    repairs = open_gap(10, 14)
    now, given_up = refuse(repairs, 0.0, 2 * REFUSED_SECONDS)

    assert given_up == [GiveUp("btc", 14, "refused")]
    assert now >= REFUSED_SECONDS
    assert not repairs.paused(now)


def test_a_refusal_that_heals_costs_nothing() -> None:
    """As a proxy or a gateway may answer 400 for some seconds."""
    repairs = open_gap(10, 14)
    now, given_up = refuse(repairs, 0.0, 0.9 * REFUSED_SECONDS)
    now += 10.0
    ask = repairs.next(now)
    assert ask is not None
    repairs.page(ask, [], now)

    assert not given_up
    assert not refuse(repairs, now, now + 0.9 * REFUSED_SECONDS)[1]


def test_what_is_too_old_is_not_fetched_but_found_by_halving() -> None:
    """Ids below 700,000 are too old."""
    young_from, last = 700_000, 1_000_000
    repairs = open_gap(1, last)
    requests, given_up = 0, None
    while given_up is None:
        ask = repairs.next(0.0)
        assert ask is not None
        ids = range(ask.first_id, min(ask.first_id + ask.limit, last + 1))
        given_up = repairs.page(ask, ids, 0.0, too_old=ids[-1] < young_from)
        requests += 1

    assert given_up.reason == "too_old"
    assert young_from - PAGE_LIMIT <= given_up.last_id < young_from
    assert requests < 15
    repairs.advance("btc", given_up.last_id + 1, 0.0)
    assert repairs.next(0.0) == Ask("btc", given_up.last_id + 1, PAGE_LIMIT)


def test_a_search_for_what_is_too_old_ends_when_others_fill_the_gap_beyond_it() -> None:
    repairs = open_gap(1, 1_000_000)
    ask = repairs.next(0.0)
    assert ask is not None
    repairs.page(ask, range(1, 1001), 0.0, too_old=True)
    middle = repairs.next(0.0)
    assert middle is not None
    assert middle.limit == 1

    repairs.advance("btc", 900, 0.1)
    assert repairs.next(0.1) == middle, "the search is not passed yet"
    repairs.advance("btc", 2000, 0.2)
    assert repairs.next(0.2) == Ask("btc", 2000, PAGE_LIMIT)


def test_an_answer_about_what_has_changed_meanwhile_says_nothing() -> None:
    repairs = open_gap(10, 14)
    ask = repairs.next(0.0)
    assert ask is not None
    repairs.page(ask, [13, 14], 0.0)  # once more, and 10 to 12 do not exist
    repairs.advance("btc", 11, 0.5)

    assert repairs.page(ask, [13, 14], CONFIRM_SECONDS) is None
    assert repairs.next(CONFIRM_SECONDS) == Ask("btc", 11, 4)
    repairs.advance("btc", 15, 1.5)
    assert repairs.page(ask, [13, 14], 2.0) is None
    assert repairs.open == {}


def test_trouble_about_a_closed_gap_still_says_how_rest_is() -> None:
    repairs = open_gap(10, 14)
    ask = repairs.next(0.0)
    assert ask is not None
    repairs.advance("btc", 15, 0.0)

    assert repairs.trouble(ask, "refused", 0.0, 0.0) is None
    assert not repairs.paused(0.0)
    assert repairs.trouble(ask, "throttled", 7.0, 0.0) is None
    assert repairs.paused(6.9)
    assert not repairs.paused(7.0)


def test_whether_the_gaps_take_more_weight_is_known_after_as_few_as_do() -> None:
    repairs = open_gap(10, 1500)
    repairs.suspect("eth", 5, 6, 0.0)
    repairs.suspect("bnb", 7, 8, 0.0)
    asked = []

    def weigh(key: str, first_id: int, below_id: int) -> int:
        asked.append(key)
        return below_id - first_id

    assert repairs.weight_left(weigh) == 1495
    assert not repairs.takes_more_than(1495, weigh)
    assert repairs.takes_more_than(1494, weigh)
    asked.clear()
    assert repairs.takes_more_than(1490, weigh)
    assert asked == ["btc"]
    assert not GapTracker[str](60.0).takes_more_than(0, weigh)


def test_a_gap_is_finished_before_the_next_one_and_the_busiest_comes_first() -> None:
    repairs = open_gap(10, 1500)
    repairs.suspect("eth", 5, 6, 0.0)
    repairs.suspect("bnb", 7, 8, 0.0)
    waiting = {"btc": 9, "eth": 1, "bnb": 2}.__getitem__
    ask = repairs.next(0.6, waiting)
    assert ask is not None
    assert ask.key == "btc"
    repairs.asked()
    repairs.page(ask, range(10, 1010), 0.6)
    repairs.advance("btc", 1010, 0.6)

    assert repairs.next(0.6, waiting) == Ask("btc", 1010, 491)
    assert repairs.weight_left(lambda _, first_id, below_id: below_id - first_id) == 495
    repairs.advance("btc", 1501, 0.6)
    assert repairs.next(0.6, waiting) == Ask("eth", 5, 2)  # the oldest have a share
    repairs.asked()
    repairs.advance("eth", 7, 0.6)
    assert repairs.next(0.6, waiting) == Ask("bnb", 7, 2)


def disk_store(directory: str, limit: int) -> DiskStore[int]:
    return DiskStore(
        limit,
        Path(directory),
        lambda item: str(item).encode(),
        lambda data: (int(data), int(data)),
    )


@settings(deadline=None, max_examples=200)
@given(
    first=st.integers(0, 2**40),
    existing=st.sets(st.integers(1, 90), min_size=30),
    connections=st.lists(st.sets(st.integers(0, 90)), min_size=1, max_size=4),
    seed=st.integers(0, 2**32),
    in_memory=st.integers(0, 20),
)
def test_whatever_connections_and_rest_do_the_order_is_complete(
    first: int, existing: set[int], connections: list[set[int]], seed: int, in_memory: int
) -> None:
    """Ids forwarded strictly increase, and every id is forwarded or in a declared gap.

    Any number of connections lose and copy what they like, in nearly any order; REST lags, cuts
    pages, fails and refuses as it likes.
    """
    order = random.Random(seed)  # hypothesis' own would draw thousands of times
    existing = {first, *(first + each for each in existing)}
    arrivals = [
        (position + order.random() * order.choice([1, 5, 40]), event_id)
        for lost in connections
        for position, event_id in enumerate(sorted(existing))
        if event_id - first not in lost
    ]
    with TemporaryDirectory() as directory:
        check_order(first, existing, [first, *(each for _, each in sorted(arrivals))],
                    order, disk_store(directory, in_memory))  # fmt: skip


def check_order(
    first: int, existing: set[int], arrivals: list[int], order: Any, store: DiskStore[int]
) -> None:
    sequence = ContiguousSequence[int](wait_seconds=1.0, store=store)
    repairs = GapTracker[str](GIVE_UP_AFTER)
    out: list[int | Gap] = []
    now = 0.0

    def turn() -> None:
        out.extend(sequence.release())
        suspected = sequence.suspected(now)
        if suspected is not None:
            gap, since = suspected
            assert all(sequence.wants(each) for each in (gap.first_id, gap.last_id))
            repairs.suspect("btc", gap.first_id, gap.last_id, now, since)
        for overdue in repairs.overdue(now):
            out.extend(sequence.give_up(overdue.last_id, overdue.reason))
        if "btc" in repairs.open:
            repairs.advance("btc", (sequence.last_id or 0) + 1, now)
        ask = repairs.next(now)
        if ask is None:
            return
        if order.random() < 0.3:
            kind = order.choice(["unavailable", "throttled", "blocked", "refused"])
            given_up = repairs.trouble(ask, kind, order.choice([0.0, 5.0]), now)
        else:
            horizon = order.choice([first, first + 40, first + 1000])
            page = [each for each in sorted(existing) if ask.first_id <= each <= horizon]
            page = page[: min(ask.limit, order.choice([1, 3, 1000]))]
            given_up = repairs.page(ask, page, now)
            for each in page:
                if sequence.wants(each):
                    out.extend(sequence.take(each, each, now))
        if given_up is not None:
            out.extend(sequence.give_up(given_up.last_id, given_up.reason))

    for event_id in arrivals:
        now += order.choice([0.0, 0.01, 0.4])
        if sequence.advance(event_id):
            out.append(event_id)
        else:
            out.extend(sequence.take(event_id, event_id, now))
        turn()
    for _ in range(2000):
        if not sequence.pending and not repairs.open:
            break
        now += 0.5
        turn()

    assert sequence.pending == 0
    assert sequence.last_id is not None
    expected = first
    for step in out:
        if isinstance(step, Gap):
            assert step.first_id == expected
            if step.reason == EMPTY:
                assert not existing & set(range(step.first_id, step.last_id + 1))
            expected = step.last_id + 1
        else:
            assert step == expected
            expected += 1
    assert expected == sequence.last_id + 1
    assert sequence.last_id >= max(arrivals)
    gaps = [step for step in out if isinstance(step, Gap)]
    assert sequence.events_total == len(out) - len(gaps)
    assert sequence.missing_total == sum(gap.missing for gap in gaps if gap.reason != EMPTY)
    assert sequence.empty_total == sum(gap.missing for gap in gaps if gap.reason == EMPTY)


def test_a_gap_that_is_dropped_is_asked_for_no_more() -> None:
    repairs = open_gap(10, 19)
    repairs.drop("btc")
    repairs.drop("btc")
    assert not repairs.open
    assert repairs.next(1.0) is None


def test_a_misfit_pauses_no_other_question_and_is_given_up_by_its_name() -> None:
    repairs = open_gap(10, 19)
    ask = repairs.next(0.0)
    assert ask is not None
    assert repairs.trouble(ask, "misfit", 0.0, 0.1) is None
    assert not repairs.paused(0.1)
    repairs.trouble(ask, "misfit", 0.0, 1.0)

    assert repairs.trouble(ask, "misfit", 0.0, 61.0) == GiveUp("btc", 19, "misfit")


def test_gaps_that_wait_for_their_turn_behind_others_are_not_given_up() -> None:
    """A hundred of two pages each, a second for each answer: REST is at work for 2 x the limit."""
    repairs = GapTracker[str](GIVE_UP_AFTER)
    for number in range(100):
        repairs.suspect(f"symbol {number}", 1, 2 * PAGE_LIMIT, 0.0)
    now = 0.0
    while repairs.open:
        assert repairs.overdue(now) == []
        ask = repairs.next(now)
        assert ask is not None
        if now % 7 == 3:  # trouble now and then
            repairs.trouble(ask, "unavailable", 0.0, now)
        else:
            repairs.page(ask, range(ask.first_id, ask.first_id + ask.limit), now)
            repairs.advance(ask.key, ask.first_id + ask.limit, now)
        now += 1.0
    assert now >= 2 * GIVE_UP_AFTER


def test_gaps_nobody_asked_about_are_given_up_when_rest_helps_nobody() -> None:
    """With the reason for which nobody asked: a ban of three days, told for another gap."""
    repairs = open_gap(10, 14)
    repairs.suspect("eth", 5, 6, 0.0)
    repairs.pause("throttled", 3 * 24 * 3600.0, 1.0)
    repairs.suspect("sol", 7, 8, 50.0)

    assert repairs.next(60.0) is None
    assert repairs.overdue(GIVE_UP_AFTER - 0.1) == []
    due = [GiveUp("btc", 14, "throttled"), GiveUp("eth", 6, "throttled")]
    assert repairs.overdue(GIVE_UP_AFTER) == due
    assert repairs.overdue(50.0 + GIVE_UP_AFTER) == [*due, GiveUp("sol", 8, "throttled")]


def test_gaps_of_one_stream_after_another_are_not_waited_for_one_after_another() -> None:
    """While REST is away: the second was missed as long ago as the first."""
    repairs = open_gap(10, 14)
    for now in (0.0, GIVE_UP_AFTER):
        ask = repairs.next(now)
        assert ask is not None
        repairs.trouble(ask, "blocked", 0.0, now)
    assert repairs.overdue(GIVE_UP_AFTER) == [GiveUp("btc", 14, "blocked")]
    repairs.advance("btc", 15, GIVE_UP_AFTER)
    assert not repairs.open
    repairs.suspect("btc", 20, 21, GIVE_UP_AFTER + 1.0, since=0.5)

    assert repairs.overdue(GIVE_UP_AFTER + 1.0) == [GiveUp("btc", 21, "blocked")]


@pytest.mark.parametrize(
    ("since", "later"),
    [(GIVE_UP_AFTER, 0.0), (GIVE_UP_AFTER + 1.0, GIVE_UP_AFTER)],
    ids=["missed before: as long ago in vain", "missed later: a time of its own"],
)
def test_the_next_gap_of_a_stream_that_rest_does_not_help(since: float, later: float) -> None:
    """Though it helps another one; the limit after it was missed is what it has in any case."""
    repairs = open_gap(10, 14)
    repairs.page(Ask("btc", 10, 5), [], 0.0)

    def help_another(now: float) -> None:
        repairs.suspect("eth", 5, 5000, now)
        ask = Ask("eth", repairs.open["eth"].first_id, 1000)
        repairs.page(ask, [ask.first_id], now)
        repairs.advance("eth", ask.first_id + 1, now)

    help_another(GIVE_UP_AFTER)
    assert repairs.overdue(GIVE_UP_AFTER) == [GiveUp("btc", 14, "lagging")]
    repairs.advance("btc", 15, GIVE_UP_AFTER)
    repairs.suspect("btc", 20, 21, GIVE_UP_AFTER + 2.0, since=since)

    due = since + GIVE_UP_AFTER
    help_another(due)
    assert repairs.overdue(due - 0.5) == []
    if later:
        assert repairs.overdue(due) == [], "it was never asked about"
        repairs.page(Ask("btc", 20, 2), [], due)
        help_another(due + later)
    assert repairs.overdue(due + later) == [GiveUp("btc", 21, "lagging")]


def test_gaps_nobody_could_ask_about_are_given_up_for_want_of_weight() -> None:
    assert open_gap(10, 14).overdue(GIVE_UP_AFTER) == [GiveUp("btc", 14, "throttled")]


def test_what_rest_helped_before_anything_was_open_is_no_matter() -> None:
    repairs = GapTracker[str](GIVE_UP_AFTER)
    now = 10 * GIVE_UP_AFTER
    repairs.suspect("btc", 10, 14, now, since=now - 2 * GIVE_UP_AFTER)

    assert repairs.overdue(now) == [], "it was never asked about"
    ask = repairs.next(now)
    assert ask is not None
    repairs.trouble(ask, "unavailable", 0.0, now)
    assert repairs.overdue(now + 1.0) == [], "one trouble, though it was missed long ago"
    assert repairs.overdue(now + GIVE_UP_AFTER) == [GiveUp("btc", 14, "unavailable")]


def test_an_answer_that_brings_nothing_that_can_be_used_does_not_go_on_for_ever() -> None:
    """As a candle that REST still takes for open: its id is told, and nothing is closed."""
    repairs = open_gap(10, 14)
    now = 0.0
    while not (given_up := repairs.overdue(now)):
        if (ask := repairs.next(now)) is not None:
            assert repairs.page(ask, [10], now) is None
        now += 1.0
    assert given_up == [GiveUp("btc", 14, "lagging")]
    assert now == GIVE_UP_AFTER


KINDS = st.sampled_from(["unavailable", "throttled", "blocked"])
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["page", "page", "empty", "trouble", "nothing", "live"]),
        KINDS,
        st.sampled_from([0.0, 5.0, 300.0]),
        st.integers(1, 160).map(lambda each: each / 4),  # exact as binary fractions
    ),
    max_size=60,
)


@settings(deadline=None)
@given(gaps=st.integers(1, 5), steps=STEPS)
def test_a_gap_is_given_up_after_the_limit_and_never_while_rest_works_for_others(
    gaps: int, steps: list[tuple[str, Any, float, float]]
) -> None:
    repairs = GapTracker[int](GIVE_UP_AFTER)
    for key in range(gaps):
        repairs.suspect(key, 0, 1000, 0.0)
    now = helped_at = 0.0
    asked_since: dict[int, float] = {}
    progress_at = dict.fromkeys(range(gaps), 0.0)

    def advance(key: int) -> None:
        if key not in repairs.open:
            return
        repairs.advance(key, repairs.open[key].first_id + 1, now)
        progress_at[key] = now
        asked_since.pop(key, None)

    def check() -> None:
        due = {each.key for each in repairs.overdue(now)}
        for key in repairs.open:
            in_vain = now - asked_since.get(key, now) >= GIVE_UP_AFTER
            alone = min(now - helped_at, now - progress_at[key]) >= GIVE_UP_AFTER
            assert (key in due) == (in_vain or alone)

    for what, kind, wait_seconds, seconds in steps:
        now += seconds
        check()
        if what == "live":
            advance(0)
        if what in ("nothing", "live") or (ask := repairs.next(now)) is None:
            continue
        if what == "trouble":
            repairs.trouble(ask, kind, wait_seconds, now)
        else:
            repairs.page(ask, [ask.first_id] if what == "page" else [], now)
        asked_since.setdefault(ask.key, now)
        if what == "page":
            helped_at = now
            advance(ask.key)
    now += GIVE_UP_AFTER
    assert len(repairs.overdue(now)) == len(repairs.open), "by the clock alone"


def test_what_was_compared_is_asked_for_at_once_unless_it_is_closed() -> None:
    repairs = open_gap(10, 109)
    ask = repairs.next(0.0)
    assert ask is not None
    repairs.page(ask, [], 0.1)
    assert repairs.next(0.1) is None
    repairs.compared(ask, 0.1)
    assert repairs.next(0.1) == ask
    repairs.drop("btc")
    repairs.compared(ask, 0.2)
    assert repairs.next(0.2) is None


def test_a_look_at_a_gap_that_was_closed_meanwhile_changes_nothing() -> None:
    repairs = open_gap(10, 12)
    ask = repairs.next(0.0)
    assert ask is not None
    assert repairs.advance("btc", 13, 0.5) is not None
    repairs.looked(ask, 1.0)
    assert repairs.next(1.0) is None
