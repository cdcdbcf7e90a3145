import random

import pytest

from streamer.network.backoff import FullJitter
from streamer.network.slot import SETTLED_SECONDS, Slot


def slot():
    return Slot("slot-1", ["btcusdt@trade"], FullJitter(1.0, 60.0, random.Random(1).random))


def live(now=0.0, connection_id=1):
    subject = slot()
    subject.attempted()
    subject.opened(connection_id, now)
    subject.subscribed(connection_id, now)
    return subject


def test_a_fresh_slot_wishes_for_a_connection_at_once():
    subject = slot()
    assert subject.attempt_at == 0.0
    assert not subject.live


def test_it_is_live_only_once_subscribed():
    subject = slot()
    subject.attempted()
    subject.opened(1, 1.0)
    assert not subject.live
    subject.subscribed(1, 2.0)
    assert subject.live
    assert subject.attempt_at is None


def test_an_unplanned_end_is_a_drop_and_is_tried_again_with_a_delay():
    subject = live()
    assert subject.ended(1, "reset", 5.0) == "dropped"
    assert subject.drops_total == 1
    assert subject.attempt_at is not None
    assert 5.0 <= subject.attempt_at <= 6.0
    assert subject.reconnect_reason == "reset"


def test_a_connection_that_never_was_live_does_not_drop():
    subject = slot()
    subject.attempted()
    subject.opened(1, 0.0)
    assert subject.ended(1, "close", 1.0) == "down"
    assert subject.drops_total == 0


def test_delays_grow_until_a_connection_has_settled():
    subject = live()
    latest = []
    for number in range(1, 12):
        subject.ended(number, "close", number)
        latest.append(subject.delay_seconds)
        subject.attempted()
        subject.opened(number + 1, number)
        subject.subscribed(number + 1, number)
    assert max(latest) > 5.0  # a hot loop against a server that closes at once would stay below 1
    subject.ended(12, "close", 12 + SETTLED_SECONDS)
    assert subject.delay_seconds <= 1.0


def test_rotation_makes_before_it_breaks():
    subject = live()
    assert subject.rotate("age", 10.0)
    assert subject.attempt_at == 10.0
    assert not subject.rotate("age", 10.5)  # one at a time
    subject.attempted()
    subject.opened(2, 11.0)
    assert subject.active is not None
    assert subject.active.connection_id == 1
    subject.subscribed(2, 12.0)
    retired = subject.retire()
    assert retired is not None
    assert (retired.connection_id, subject.active.connection_id) == (1, 2)
    assert subject.rotation is None
    assert subject.ended(1, "retired", 13.0) == "foreign"
    assert subject.drops_total == 0


def test_a_failed_successor_leaves_the_old_one_and_is_tried_again():
    subject = live()
    subject.rotate("age", 10.0)
    subject.attempted()
    subject.failed(11.0)
    assert subject.live
    assert subject.rotation is not None
    assert subject.attempt_at is not None
    subject.attempted()
    subject.opened(2, 12.0)
    assert subject.ended(2, "reset", 13.0) == "successor"
    assert subject.live
    assert subject.attempt_at is not None


def test_the_successor_serves_when_the_old_one_ends_first():
    subject = live()
    subject.rotate("server_shutdown", 10.0)
    subject.attempted()
    subject.opened(2, 11.0)
    subject.subscribed(2, 11.5)
    assert subject.ended(1, "close", 12.0) == "replaced"
    assert subject.drops_total == 0
    assert subject.attempt_at is None
    assert subject.rotation is None


def test_an_unready_successor_does_not_hide_a_drop():
    subject = live()
    subject.rotate("server_shutdown", 10.0)
    subject.attempted()
    subject.opened(2, 11.0)
    assert subject.ended(1, "close", 12.0) == "dropped"
    assert subject.attempt_at is None  # the successor is on its way
    subject.subscribed(2, 12.5)
    assert subject.live


def test_the_attempt_of_a_rotation_becomes_the_reconnect_when_the_old_one_ends():
    subject = live()
    subject.rotate("age", 10.0)
    subject.attempted()
    assert subject.ended(1, "reset", 11.0) == "dropped"
    assert subject.attempt_at is None  # one attempt is under way already
    subject.opened(2, 12.0)
    subject.subscribed(2, 12.5)
    assert subject.active is not None
    assert subject.active.connection_id == 2


def test_a_slot_without_a_connection_cannot_rotate():
    assert not slot().rotate("command", 1.0)


def test_the_server_can_ask_for_a_longer_delay():
    subject = slot()
    subject.attempted()
    assert subject.failed(1.0, retry_after=120.0) == 120.0
    assert subject.attempt_at == 121.0


def test_a_connection_of_another_time_changes_nothing():
    subject = live()
    subject.subscribed(99, 5.0)
    assert subject.ended(99, "reset", 5.0) == "foreign"
    assert subject.live


def test_how_long_nothing_was_heard_is_told_once_when_it_is_over():
    subject = live()
    assert subject.heard_again(4.0) is None
    subject.ended(1, "reset", 5.0)
    assert subject.heard_again(6.0) is None
    subject.attempted()
    subject.opened(2, 7.0)
    assert subject.heard_again(7.0) is None  # up, but not yet subscribed
    subject.subscribed(2, 8.0)
    assert subject.heard_again(8.5) == 3.5
    assert subject.heard_again(9.0) is None


@pytest.mark.parametrize("asked", [315_360_000.0, float("inf"), 3 * 86400.0])
def test_nobody_keeps_a_slot_away_for_longer_than_the_longest_ban(asked):
    subject = slot()
    subject.attempted()
    assert subject.failed(0.0, asked) == 3 * 86400.0
    assert subject.attempt_at == 3 * 86400.0
