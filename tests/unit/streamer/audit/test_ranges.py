from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from streamer.audit.ranges import IdRanges

NUMBERS = st.integers(0, 40)
SPANS = st.lists(st.tuples(NUMBERS, NUMBERS).map(sorted).map(tuple), max_size=12)


def made(spans) -> tuple[IdRanges, set[int]]:
    ranges, numbers = IdRanges(), set()
    for first, last in spans:
        ranges.add(first, last)
        numbers |= set(range(first, last + 1))
    return ranges, numbers


def numbers_of(ranges) -> set[int]:
    return {number for first, last in ranges for number in range(first, last + 1)}


@given(SPANS)
def test_it_is_the_set_of_what_was_added(spans):
    ranges, numbers = made(spans)
    assert numbers_of(ranges) == numbers
    assert ranges.total == len(numbers)
    assert bool(ranges) == bool(numbers)
    assert all((number in ranges) == (number in numbers) for number in range(-1, 42))
    pairs = list(ranges)
    assert all(before[1] + 1 < after[0] for before, after in itertools.pairwise(pairs))
    if numbers:
        assert (ranges.first, ranges.last) == (min(numbers), max(numbers))
        inside = set(range(min(numbers), max(numbers)))
        assert numbers_of(ranges.between()) == inside - numbers


@given(SPANS, NUMBERS, NUMBERS)
def test_add_tells_how_many_are_new(spans, one, other):
    ranges, numbers = made(spans)
    first, last = sorted((one, other))
    assert ranges.add(first, last) == len(set(range(first, last + 1)) - numbers)


@given(SPANS, NUMBERS, NUMBERS)
def test_append_takes_what_follows_the_highest_and_nothing_else(spans, one, other):
    ranges, numbers = made(spans)
    first, last = sorted((one, other))
    taken = ranges.append(first, last)
    assert taken == (bool(numbers) and first == max(numbers) + 1)
    assert numbers_of(ranges) == (numbers | set(range(first, last + 1)) if taken else numbers)


@given(SPANS, SPANS)
def test_without_is_the_difference(spans, others):
    (ranges, numbers), (other, less) = made(spans), made(others)
    assert numbers_of(ranges.without(other)) == numbers - less


@given(SPANS, NUMBERS, NUMBERS)
def test_has_is_of_all_of_a_range(spans, one, other):
    ranges, numbers = made(spans)
    first, last = sorted((one, other))
    assert ranges.has(first, last) == (set(range(first, last + 1)) <= numbers)
