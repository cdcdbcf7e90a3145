from __future__ import annotations

from monitor.series_limit import SeriesLimit


def streams(*symbols: str) -> list[tuple[str, str]]:
    return [(kind, symbol) for kind in ("trade", "bookTicker") for symbol in symbols]


def test_whole_symbols_are_shown_the_first_ones_first() -> None:
    limit = SeriesLimit(5)
    limit.take(streams("A", "B", "C", "D"))
    assert limit.omitted == {"C", "D"}


def test_nothing_is_omitted_below_the_limit_and_all_at_zero() -> None:
    enough, none = SeriesLimit(4), SeriesLimit(0)
    for limit in (enough, none):
        limit.take(streams("A", "B"))
    assert enough.omitted == set()
    assert none.omitted == {"A", "B"}


def test_what_was_told_together_stays_so() -> None:
    limit = SeriesLimit(4)
    limit.take(streams("A", "B", "C"))
    limit.take(streams("B", "C"))
    assert limit.omitted == {"C"}


def test_one_that_is_gone_makes_room_for_a_new_one() -> None:
    limit = SeriesLimit(4)
    limit.take(streams("A", "B"))
    limit.take(streams("B", "C"))
    assert limit.omitted == set()


def test_none_is_shown_out_of_turn() -> None:
    limit = SeriesLimit(3)
    limit.take([*streams("A", "B"), ("trade", "C")])
    assert limit.omitted == {"B", "C"}
