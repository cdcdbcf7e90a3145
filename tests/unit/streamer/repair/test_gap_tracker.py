"""What is asked about gaps, and the order that comes out, whatever connections and REST do."""

from __future__ import annotations

import itertools
import random
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

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
from streamer.repair.rest_requests import PAGE_LIMIT

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


def test_the_gap_that_has_waited_longest_comes_first() -> None:
    repairs = open_gap(10, 5000)
    repairs.suspect("eth", 5, 6, 0.5)
    ask = repairs.next(0.6)
    assert ask is not None
    assert ask.key == "btc"
    repairs.page(ask, range(10, 1010), 0.6)
    repairs.advance("btc", 1010, 0.6)

    assert repairs.next(0.6) == Ask("eth", 5, 2)


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
