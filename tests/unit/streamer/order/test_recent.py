"""The latest items by key."""

from __future__ import annotations

from streamer.order.recent import Recent


def test_at_least_the_last_ones_are_found_and_at_most_twice_as_many():
    recent: Recent[str] = Recent(3)
    for number in range(10):
        recent.add(number, f"item {number}")
        assert all(recent.find(one) for one in range(max(0, number - 2), number + 1))

    assert recent.find(3) is None
    assert recent.find(9) == "item 9"


def test_nothing_is_found_after_all_is_forgotten():
    recent: Recent[str] = Recent(3)
    recent.clear()
    recent.add(1, "one")
    recent.clear()
    assert recent.find(1) is None
