from __future__ import annotations

from dataclasses import replace

import pytest

from streamer.sinks.kafka.flow import (
    AWAITING_BROKERS,
    HELD,
    OTHER_EVENTS,
    OVERFLOWING,
    ROOM_SECONDS,
    SLICE_EVERY_SECONDS,
    Action,
    Failed,
    Flow,
    Full,
    GapSent,
    Hold,
    Opened,
    Polled,
    Reclaimed,
    Release,
    Renewed,
    Sent,
    State,
    step,
)

NOW = 100.0
POLLED = Polled(
    now=NOW,
    in_producer=5,
    failed=False,
    stalled=False,
    wants_renewal=False,
    all_taken=False,
    has_room=True,
)
RECLAIMED = Reclaimed(complete=True, waiting=3, failed=True, may_renew=False)
SENT = Sent(now=NOW, in_producer=40, blocked=False, left=False, with_gaps=False, failed=False)
DIRECT = Flow()
AWAITING_ACKNOWLEDGEMENT = Flow(State.AWAITING_ACKNOWLEDGEMENT, NOW, below=1)
AWAITING_ROOM = Flow(State.AWAITING_ROOM, NOW, below=20 + OTHER_EVENTS)
RECLAIMING = Flow(State.RECLAIMING)
RECLAIMING_ON_DISK = Flow(State.RECLAIMING, on_disk=True)
EVERY = (
    DIRECT,
    AWAITING_ACKNOWLEDGEMENT,
    AWAITING_ROOM,
    RECLAIMING,
    RECLAIMING_ON_DISK,
    OVERFLOWING,
)


@pytest.mark.parametrize(
    ("flow", "with_room", "without"),
    [
        (DIRECT, True, True),  # the producer says itself when it is full
        (AWAITING_ACKNOWLEDGEMENT, True, False),
        (AWAITING_ROOM, False, False),
        (RECLAIMING, False, False),
        (RECLAIMING_ON_DISK, True, False),
        (OVERFLOWING, True, False),
        (HELD, True, False),
    ],
)
def test_what_is_accepted(flow: Flow, with_room: bool, without: bool) -> None:
    assert flow.accepts(has_room=True) is with_room
    assert flow.accepts(has_room=False) is without


def test_what_happens_to_a_record_changes_the_state_alone() -> None:
    assert step(DIRECT, GapSent(NOW)) == (AWAITING_ACKNOWLEDGEMENT, ())
    assert step(DIRECT, Full(NOW, 40)) == (AWAITING_ROOM, ())
    assert step(DIRECT, Failed()) == (RECLAIMING, ())


@pytest.mark.parametrize("flow", EVERY)
def test_a_producer_that_failed_gives_back_what_it_has(flow: Flow) -> None:
    after, actions = step(flow, replace(POLLED, failed=True))
    assert actions == (Action.RECLAIM,)
    assert after.state is State.RECLAIMING
    assert after.writes_to_disk is flow.writes_to_disk, "nothing on disk is forgotten"


def test_what_lies_on_disk_is_gone_on_with_after_a_failure() -> None:
    assert OVERFLOWING.writes_to_disk
    assert step(OVERFLOWING, replace(POLLED, failed=True))[0] == RECLAIMING_ON_DISK
    assert step(RECLAIMING, replace(POLLED, failed=True))[0] == RECLAIMING


def test_a_stall_is_not_waited_for_where_records_go_to_the_producer_first() -> None:
    for flow in (DIRECT, AWAITING_ACKNOWLEDGEMENT, replace(AWAITING_ROOM, below=1)):
        assert step(flow, POLLED) == (flow, ())
        assert step(flow, replace(POLLED, stalled=True)) == (RECLAIMING, (Action.RECLAIM,))
    _, actions = step(OVERFLOWING, replace(POLLED, stalled=True))
    assert actions == (Action.DRAIN,), "there it has the time that it takes"


def test_larger_batches_wait_until_nothing_is_under_way() -> None:
    assert step(DIRECT, replace(POLLED, wants_renewal=True)) == (DIRECT, ())
    idle = replace(POLLED, wants_renewal=True, in_producer=0)
    assert step(DIRECT, idle) == (RECLAIMING, (Action.RECLAIM,))


@pytest.mark.parametrize("flow", [AWAITING_ACKNOWLEDGEMENT, AWAITING_ROOM])
def test_what_waits_in_memory_is_sent_when_it_may(flow: Flow) -> None:
    _, actions = step(flow, replace(POLLED, in_producer=flow.below))
    assert actions == ()
    assert step(flow, replace(POLLED, in_producer=flow.below - 1)) == (flow, (Action.SEND_WAITING,))


@pytest.mark.parametrize(
    ("flow", "has_room", "gives_up"),
    [
        (AWAITING_ROOM, True, True),
        (AWAITING_ACKNOWLEDGEMENT, True, False),
        (AWAITING_ACKNOWLEDGEMENT, False, True),
    ],
)
def test_without_room_it_is_not_waited_for_long(flow: Flow, has_room: bool, gives_up: bool) -> None:
    soon = replace(POLLED, in_producer=90, has_room=has_room)
    assert step(flow, soon) == (flow, ())
    late = replace(soon, now=NOW + ROOM_SECONDS)
    expected = (RECLAIMING, (Action.RECLAIM,)) if gives_up else (flow, ())
    assert step(flow, late) == expected


def test_what_waits_on_disk_is_drained_in_slices() -> None:
    flow, actions = step(OVERFLOWING, POLLED)
    assert actions == (Action.DRAIN,)
    assert step(flow, POLLED) == (flow, ())
    _, actions = step(flow, replace(POLLED, now=NOW + SLICE_EVERY_SECONDS))
    assert actions == (Action.DRAIN,)


def test_an_overflow_ends_when_all_of_it_is_taken_and_acknowledged() -> None:
    for unfinished in (replace(POLLED, all_taken=True), replace(POLLED, in_producer=0)):
        assert Action.SEND_WAITING not in step(OVERFLOWING, unfinished)[1]
    done = replace(POLLED, all_taken=True, in_producer=0)
    assert step(OVERFLOWING, done) == (OVERFLOWING, (Action.SEND_WAITING,))


def test_what_is_not_given_back_yet_is_waited_for() -> None:
    for flow in (RECLAIMING, RECLAIMING_ON_DISK):
        incomplete = replace(RECLAIMED, complete=False)
        assert step(flow, incomplete) == (flow, ())
        assert step(flow, POLLED) == (flow, (Action.RECLAIM,))


@pytest.mark.parametrize(
    ("flow", "seen", "on_disk", "actions"),
    [
        (RECLAIMING, RECLAIMED, True, (Action.BEGIN_OVERFLOW,)),
        (RECLAIMING, replace(RECLAIMED, waiting=0), False, ()),
        (RECLAIMING, replace(RECLAIMED, may_renew=True), False, (Action.RENEW,)),
        (RECLAIMING_ON_DISK, RECLAIMED, True, ()),
        (RECLAIMING_ON_DISK, replace(RECLAIMED, may_renew=True), True, (Action.RENEW,)),
        # It stalled, but did not fail: Kafka takes nothing, and another producer tries at once.
        (
            RECLAIMING,
            replace(RECLAIMED, failed=False),
            True,
            (Action.BEGIN_OVERFLOW, Action.RENEW),
        ),
        (RECLAIMING, replace(RECLAIMED, failed=False, waiting=0), False, (Action.RENEW,)),
    ],
)
def test_what_came_back_waits_on_disk_unless_it_can_be_sent_at_once(
    flow: Flow, seen: Reclaimed, on_disk: bool, actions: tuple[Action, ...]
) -> None:
    assert step(flow, seen) == (replace(flow, on_disk=on_disk), actions)


def test_another_producer_sends_what_waits_or_drains_the_disk() -> None:
    assert step(RECLAIMING, Renewed(True)) == (RECLAIMING, (Action.SEND_WAITING,))
    assert step(RECLAIMING_ON_DISK, Renewed(True)) == (OVERFLOWING, ())
    for flow in (RECLAIMING, RECLAIMING_ON_DISK):
        assert step(flow, Renewed(False)) == (flow, ())


@pytest.mark.parametrize(
    ("seen", "after"),
    [
        (SENT, DIRECT),
        (replace(SENT, with_gaps=True), AWAITING_ACKNOWLEDGEMENT),
        (replace(SENT, left=True, with_gaps=True), AWAITING_ROOM),
        (replace(SENT, failed=True, left=True), RECLAIMING),
    ],
)
@pytest.mark.parametrize("flow", [AWAITING_ACKNOWLEDGEMENT, AWAITING_ROOM, RECLAIMING, OVERFLOWING])
def test_what_was_sent_decides_what_comes_next(flow: Flow, seen: Sent, after: Flow) -> None:
    assert step(flow, seen) == (after, ())


def test_while_something_waits_on_disk_nothing_is_sent_past_it() -> None:
    blocked = replace(SENT, blocked=True)
    after, actions = step(OVERFLOWING, blocked)
    assert (after.state, actions) == (State.OVERFLOWING, (Action.DRAIN,))
    assert step(AWAITING_ROOM, blocked) == (AWAITING_ROOM, ())


def test_before_brokers_have_answered_records_go_to_disk_and_stay_there() -> None:
    assert AWAITING_BROKERS.writes_to_disk
    assert AWAITING_BROKERS.accepts(has_room=True)
    assert not AWAITING_BROKERS.accepts(has_room=False)
    for seen in (
        POLLED,
        replace(POLLED, failed=True, stalled=True),
        replace(POLLED, in_producer=0, all_taken=True, wants_renewal=True),
    ):
        assert step(AWAITING_BROKERS, seen) == (AWAITING_BROKERS, ())
    assert step(AWAITING_BROKERS, Opened()) == (OVERFLOWING, ())


@pytest.mark.parametrize("flow", EVERY)
def test_to_hold_is_to_take_back_what_the_producer_has_and_to_keep_it(flow: Flow) -> None:
    taking, actions = step(flow, Hold())
    assert (taking.state, actions) == (State.RECLAIMING, (Action.RECLAIM,))
    assert taking.writes_to_disk is flow.writes_to_disk, "nothing on disk is forgotten"
    assert step(taking, Hold()) == (taking, ())
    assert step(taking, replace(RECLAIMED, complete=False)) == (taking, ())
    assert step(taking, POLLED) == (taking, (Action.RECLAIM,)), "it is not forgotten to hold"
    for failed in (False, True):
        seen = replace(RECLAIMED, failed=failed, may_renew=True)
        begins = () if flow.writes_to_disk else (Action.BEGIN_OVERFLOW,)
        assert step(taking, seen) == (HELD, begins), "nothing is sent, though it could be"
        assert step(taking, replace(seen, waiting=0)) == (HELD, ())


def test_what_is_held_stays_on_disk_until_it_is_released() -> None:
    assert HELD.writes_to_disk
    for seen in (POLLED, replace(POLLED, failed=True, stalled=True), Hold()):
        assert step(HELD, seen) == (HELD, ())
    assert step(HELD, Release()) == (RECLAIMING_ON_DISK, ()), "another producer goes on"


def test_before_brokers_have_answered_there_is_nothing_to_take_back() -> None:
    assert step(AWAITING_BROKERS, Hold()) == (AWAITING_BROKERS, ())
    assert step(AWAITING_BROKERS, Release()) == (AWAITING_BROKERS, ())


@pytest.mark.parametrize("flow", [RECLAIMING, RECLAIMING_ON_DISK])
def test_what_is_released_before_all_came_back_goes_on_as_after_a_failure(flow: Flow) -> None:
    taking, _ = step(flow, Hold())
    assert step(taking, Release()) == (flow, ())
    assert step(DIRECT, Release()) == (DIRECT, ())
