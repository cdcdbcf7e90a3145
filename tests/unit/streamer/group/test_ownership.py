"""The states of a shard: who records it, from when on, and until when."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.group.notices import VERSION, ShardNotice
from streamer.group.ownership import (
    ANSWER_SECONDS,
    OVERLAP_SECONDS,
    Assigned,
    Drop,
    Ended,
    Heard,
    Join,
    Leave,
    Locate,
    Located,
    Lost,
    Member,
    NotLocated,
    Open,
    Passed,
    Phase,
    Revoked,
    Shard,
    Tell,
    Told,
    is_late,
    is_unsure,
    of_phase,
    others_are_there,
    step,
)
from streamer.order.positions import Position

ME = Member("a", "a-1", 10.0)
POSITIONS = {"btcusdt@trade": Position(7, 8)}
OWNED = {1: Shard(Phase.OWNED)}


def notice(kind, process="b-1", positions=None, shard=1, offer=None):
    return ShardNotice(VERSION, kind, shard, process[0], process, positions, offer)


def after(*events, shards=None, now=0.0):
    """Return the shards after events, and what the last one of them has done."""
    shards, actions = shards or {}, ()
    for event in events:
        shards, actions = step(shards, event, ME, now)
    return shards, actions


def test_a_shard_that_nobody_left_is_looked_up_and_owned():
    shards, actions = after(Assigned(1, None))
    assert actions == (Join(1), Locate(1))
    assert of_phase(shards, Phase.JOINING) == (1,)
    shards, actions = after(Located(1, POSITIONS), shards=shards)
    assert actions == (Open(1, POSITIONS), Tell(1, "owned"))
    assert shards == OWNED


def test_an_owner_without_a_word_is_asked_and_waited_for_a_moment():
    shards, actions = after(Assigned(1, notice("owned")))
    assert actions == (Join(1),)
    shards, actions = after(Heard(1), shards=shards, now=3.0)
    assert actions == (Tell(1, "hearing"),)
    assert after(Passed(), shards=shards, now=3.0 + ANSWER_SECONDS - 0.1)[1] == ()
    shards, actions = after(Passed(), shards=shards, now=3.0 + ANSWER_SECONDS)
    assert actions == (Locate(1),)
    late = after(Told(notice("offered", offer=4.0)), shards=shards)
    assert late == (shards, ()), "what is recorded here is not given up any more"


def test_an_owner_without_a_word_is_not_waited_for_when_nothing_is_heard():
    shards, _ = after(Assigned(1, notice("owned")))
    assert after(Passed(), shards=shards, now=9.9)[1] == ()
    assert after(Passed(), shards=shards, now=10.0)[1] == (Locate(1),)


def test_an_owner_that_answers_is_told_that_it_is_waited_for_and_delivers_first():
    shards, _ = after(Assigned(1, notice("owned")))
    shards, _ = after(Heard(1), shards=shards, now=3.0)
    shards, actions = after(Told(notice("offered", "c-1", offer=9.0)), shards=shards, now=4.0)
    assert actions == (), "that is somebody else"
    shards, actions = after(Told(notice("offered", offer=9.0)), shards=shards, now=4.0)
    assert actions == (Tell(1, "hearing", 9.0),)
    assert after(Passed(), shards=shards, now=13.9)[1] == ()
    left = notice("left", positions=POSITIONS)
    _, actions = after(Told(left), shards=shards, now=13.9)
    assert actions == (Open(1, POSITIONS, is_seamless=True), Tell(1, "owned"))


def test_an_owner_that_answers_before_its_streams_are_heard_is_told_when_they_are():
    shards, actions = after(Assigned(1, notice("owned")), Told(notice("offered", offer=9.0)))
    assert actions == ()
    shards, actions = after(Heard(1), shards=shards, now=3.0)
    assert actions == (Tell(1, "hearing", 9.0),)
    assert after(Passed(), shards=shards, now=9.9)[1] == ()


def test_an_owner_that_has_offered_to_another_is_waited_for():
    shards, actions = after(Assigned(1, notice("offered", offer=9.0)))
    assert actions == (Join(1),)
    shards, actions = after(Heard(1), shards=shards, now=9.0)
    assert actions == (Tell(1, "hearing", 9.0),)
    assert after(Passed(), shards=shards, now=9.9)[1] == ()
    assert after(Passed(), shards=shards, now=10.0)[1] == (Locate(1),)


def test_an_earlier_process_of_this_member_is_another_one():
    assert after(Assigned(1, notice("owned", "a-0")))[1] == (Join(1), Locate(1))


def test_a_look_up_that_failed_is_tried_again():
    assert after(Assigned(1, None), NotLocated(1))[1] == (Locate(1),)


def test_a_shard_that_was_left_goes_on_there_at_once():
    shards, actions = after(Assigned(1, notice("left", positions=POSITIONS)))
    assert actions == (Join(1), Open(1, POSITIONS), Tell(1, "owned"))
    assert shards == OWNED


def test_a_shard_that_was_left_without_positions_is_looked_up():
    assert after(Assigned(1, notice("left")))[1] == (Join(1), Locate(1))


def test_a_successor_tells_that_it_hears_once_and_goes_on_where_the_one_before_has_left():
    shards, actions = after(Assigned(1, notice("leaving")))
    assert actions == (Join(1),)
    shards, actions = after(Heard(1), shards=shards)
    assert actions == (Tell(1, "hearing"),)
    assert after(Heard(1), shards=shards) == (shards, ())
    assert after(Told(notice("left", "c-1", POSITIONS)), shards=shards) == (shards, ())
    left = Told(notice("left", positions=POSITIONS))
    shards, actions = after(left, shards=shards, now=OVERLAP_SECONDS)
    assert actions == (Open(1, POSITIONS, is_seamless=True), Tell(1, "owned"))
    assert shards == OWNED


def test_a_shard_that_is_left_before_its_streams_are_heard_has_a_time_without() -> None:
    shards, _ = after(Assigned(1, notice("leaving")))
    _, actions = after(Told(notice("left", positions=POSITIONS)), shards=shards)
    assert actions == (Open(1, POSITIONS, is_seamless=False), Tell(1, "owned"))


def test_a_predecessor_that_leaves_without_positions_has_them_looked_up():
    shards, _ = after(Assigned(1, notice("leaving")), Heard(1))
    assert after(Told(notice("left")), shards=shards)[1] == (Locate(1),)


def test_a_successor_does_not_wait_for_ever():
    shards, _ = after(Assigned(1, notice("leaving")), Heard(1))
    assert after(Passed(), shards=shards, now=9.9)[1] == ()
    shards, actions = after(Passed(), shards=shards, now=10.0)
    assert actions == (Locate(1),)
    assert after(Passed(), shards=shards, now=99.0)[1] == ()


def test_nobody_is_told_of_hearing_where_nobody_waits():
    assert after(Assigned(1, None), Heard(1))[1] == ()


def test_a_shard_that_is_revoked_is_recorded_until_the_successor_hears_it():
    shards, actions = after(Revoked(1), shards=OWNED)
    assert actions == ()
    assert of_phase(shards, Phase.LEAVING) == (1,)
    shards, actions = after(Told(notice("hearing")), shards=shards, now=3.0)
    assert actions == ()
    assert after(Passed(), shards=shards, now=3.0 + OVERLAP_SECONDS / 2)[1] == ()
    assert after(Passed(), shards=shards, now=3.0 + OVERLAP_SECONDS) == ({}, (Leave(1, 9.0),))


def test_a_shard_that_is_revoked_is_left_when_nobody_comes():
    shards, _ = after(Revoked(1), shards=OWNED)
    assert after(Passed(), shards=shards, now=7.9)[1] == ()
    assert after(Passed(), shards=shards, now=8.0) == ({}, (Leave(1, 9.0),))


@pytest.mark.parametrize("told", [(), (Told(notice("hearing")),)])
def test_who_leaves_has_delivered_all_before_the_successor_goes_on_without_a_word(told):
    revoked, _ = after(Revoked(1), shards=OWNED)
    assigned, _ = after(Assigned(1, notice("leaving")))
    leaving, _ = after(*told, shards=revoked, now=7.9)
    _, (leave,) = after(Passed(), shards=leaving, now=8.0)
    assert leave.deliver_until < assigned[1].until == 10.0


def test_who_ends_leaves_what_nobody_has_come_for_and_nothing_else():
    others = {2: Shard(Phase.OWNED), 3: Shard(Phase.SUSPENDED)}
    leaving = {1: Shard(Phase.LEAVING, until=8.0, deliver_until=9.0)}
    assert after(Ended(), shards={**leaving, **others}) == (others, (Leave(1, 9.0),))


def test_a_successor_that_hears_late_prolongs_nothing():
    shards, _ = after(Revoked(1), shards=OWNED)
    shards, _ = after(Told(notice("hearing")), shards=shards, now=7.5)
    assert after(Passed(), shards=shards, now=8.0)[1] == (Leave(1, 9.0),)


def test_a_shard_that_comes_back_while_it_is_being_left_goes_on():
    shards, _ = after(Revoked(1), shards=OWNED)
    assert after(Assigned(1, notice("leaving", "a-1")), shards=shards) == (
        OWNED,
        (Tell(1, "owned"),),
    )


def test_a_shard_that_comes_back_after_another_had_it_begins_anew():
    shards, _ = after(Revoked(1), shards=OWNED)
    _, actions = after(Assigned(1, notice("owned")), shards=shards)
    assert actions == (Drop(1), Join(1))


@pytest.mark.parametrize("event", [Revoked(1), Lost(1)])
def test_a_shard_that_goes_before_it_was_owned_is_dropped(event):
    assert after(Assigned(1, None), event) == ({}, (Drop(1),))


def test_a_shard_that_is_lost_is_suspended_until_it_is_known_whose_it_is():
    shards, actions = after(Lost(1), shards=OWNED)
    assert actions == ()
    assert is_unsure(shards)
    assert not is_unsure(OWNED)


@pytest.mark.parametrize("last", [None, notice("owned", "a-1")])
def test_a_suspended_shard_that_nobody_had_meanwhile_goes_on(last):
    assert after(Lost(1), Assigned(1, last), shards=OWNED) == (OWNED, (Tell(1, "owned"),))


def test_a_suspended_shard_that_somebody_had_meanwhile_begins_anew():
    _, actions = after(Lost(1), Assigned(1, notice("owned")), shards=OWNED)
    assert actions == (Drop(1), Join(1))


def test_a_suspended_shard_is_dropped_when_another_has_it():
    assert after(Lost(1), Told(notice("owned")), shards=OWNED) == ({}, (Drop(1),))


ASKING = Told(notice("hearing"))


def waiting(offer, process="b-1"):
    return Told(notice("hearing", process, offer=offer))


def test_a_suspended_shard_is_offered_to_a_successor_and_delivered_once_that_one_waits():
    shards, actions = after(Lost(1), ASKING, shards=OWNED, now=20.0)
    assert actions == (Tell(1, "offered", 20.0),)
    assert is_unsure(shards), "it may have gone on already"
    assert after(ASKING, waiting(19.0), shards=shards, now=21.0) == (shards, ())
    shards, actions = after(waiting(20.0), shards=shards, now=22.0)
    assert actions == ()
    assert not is_unsure(shards)
    assert after(Passed(), shards=shards, now=21.9 + OVERLAP_SECONDS)[1] == ()
    assert after(Passed(), shards=shards, now=22.0 + OVERLAP_SECONDS) == ({}, (Leave(1, 29.0),))


def test_who_is_answered_late_has_the_less_time_to_deliver():
    shards, _ = after(Lost(1), ASKING, shards=OWNED)
    shards, _ = after(waiting(0.0), shards=shards, now=8.9)
    assert after(Passed(), shards=shards, now=9.0)[1] == (Leave(1, 9.0),)


def test_an_offer_that_is_answered_too_late_is_made_again_to_another_successor_only():
    offered, _ = after(Lost(1), ASKING, shards=OWNED)
    assert after(waiting(0.0), shards=offered, now=9.0) == (offered, ()), "it goes on soon"
    shards, actions = after(waiting(0.0, "c-1"), shards=offered, now=9.0)
    assert actions == (Tell(1, "offered", 9.0),)
    shards, _ = after(waiting(9.0, "c-1"), shards=shards, now=9.5)
    assert after(Passed(), shards=shards, now=99.0)[1] == (Leave(1, 18.0),)


def test_an_offered_shard_is_dropped_when_the_successor_has_gone_on():
    assert after(Lost(1), ASKING, Told(notice("owned")), shards=OWNED) == ({}, (Drop(1),))


@pytest.mark.parametrize("event", [Lost(1), Revoked(1), Passed(), Told(notice("withdrawn"))])
def test_an_offered_shard_waits_for_a_word_of_the_successor(event):
    shards, _ = after(Lost(1), ASKING, shards=OWNED)
    assert after(event, shards=shards, now=99.0) == (shards, ())


@pytest.mark.parametrize("kind", ["owned", "offered"])
def test_an_offered_shard_that_is_assigned_again_goes_on(kind):
    shards, _ = after(Lost(1), ASKING, shards=OWNED)
    assert after(Assigned(1, notice(kind, "a-1")), shards=shards) == (OWNED, (Tell(1, "owned"),))


def test_what_is_left_by_others_ends_no_suspense():
    shards, _ = after(Lost(1), shards=OWNED)
    assert after(Told(notice("left")), shards=shards) == (shards, ())


@pytest.mark.parametrize("before", [(), (Revoked(1),)])
def test_a_shard_that_another_owns_is_dropped_however_it_was_lost(before):
    assert after(*before, Told(notice("owned")), shards=OWNED) == ({}, (Drop(1),))


def test_own_notices_and_those_of_other_shards_change_nothing():
    assert after(Told(notice("owned", "a-1")), shards=OWNED) == (OWNED, ())
    assert after(Told(notice("owned", shard=2)), shards=OWNED) == (OWNED, ())


@pytest.mark.parametrize(
    "event",
    [Revoked(2), Lost(2), Heard(2), Located(2, {}), NotLocated(2), Heard(1), Located(1, {})],
)
def test_what_comes_too_late_changes_nothing(event):
    assert after(event, shards=OWNED) == (OWNED, ())


@pytest.mark.parametrize("events", [(), (Revoked(1),), (Lost(1),)])
def test_what_is_told_twice_changes_nothing(events):
    shards, _ = after(*events, shards=OWNED)
    event = events[0] if events else Assigned(1, None)
    assert after(event, shards=shards) == (shards, ())


def test_a_leaving_shard_that_is_lost_is_left_in_its_time():
    shards, _ = after(Revoked(1), shards=OWNED)
    assert after(Lost(1), shards=shards) == (shards, ())


def test_others_are_there_when_one_of_them_owns_or_hears_a_shard():
    assert others_are_there([notice("owned")], ME)
    assert others_are_there([notice("hearing")], ME)
    assert not others_are_there([notice("left"), notice("owned", "a-0")], ME)
    assert not others_are_there([], ME)


EVENTS = st.one_of(
    st.builds(
        Assigned,
        st.just(1),
        st.one_of(
            st.none(),
            st.builds(
                notice,
                st.sampled_from(["owned", "leaving", "hearing", "left"]),
                st.sampled_from(["a-0", "a-1", "b-1"]),
                st.sampled_from([None, POSITIONS]),
            ),
        ),
    ),
    st.sampled_from(
        [Revoked(1), Lost(1), Heard(1), Located(1, POSITIONS), NotLocated(1), Passed()]
    ),
    st.builds(
        Told,
        st.builds(
            notice,
            st.sampled_from(["owned", "leaving", "left", "offered", "hearing", "withdrawn"]),
            st.sampled_from(["a-1", "b-1"]),
            st.sampled_from([None, POSITIONS]),
            offer=st.one_of(st.none(), st.floats(0, 50)),
        ),
    ),
)


@given(st.lists(st.tuples(EVENTS, st.floats(0, 5)), max_size=30))
def test_whatever_happens_streams_are_joined_once_and_opened_only_when_joined(events):
    """What is done to a shard's streams follows join → open → leave, or drop at any time."""
    shards, now, streams = {}, 0.0, None
    for event, seconds in events:
        now += seconds
        shards, actions = step(shards, event, ME, now)
        for action in actions:
            match action:
                case Join():
                    assert streams is None
                    streams = "held"
                case Open():
                    assert streams == "held"
                    streams = "open"
                case Leave():
                    assert streams == "open"
                    streams = None
                case Drop():
                    assert streams is not None
                    streams = None
                case Locate():
                    assert streams == "held"
        phase = shards[1].phase if shards else None
        assert (streams == "held") == (phase is Phase.JOINING)
        assert (streams is None) == (phase is None)


def test_a_predecessor_that_left_before_it_can_have_heard_of_the_successor_has_a_time_without():
    hearing, _ = after(Assigned(1, notice("leaving")), Heard(1))
    left = Told(notice("left", positions=POSITIONS))
    _, actions = after(left, shards=hearing, now=OVERLAP_SECONDS - 0.01)
    assert actions == (Open(1, POSITIONS, is_seamless=False), Tell(1, "owned"))


def test_a_shard_that_was_owned_after_it_was_withdrawn_is_dropped():
    assert after(Revoked(1, is_withdrawn=True), shards=OWNED) == ({}, (Drop(1),))


def test_who_stood_still_until_its_time_to_deliver_was_over_is_late():
    leaving, _ = after(Revoked(1), shards=OWNED)
    assert not is_late(leaving, 8.9)
    assert is_late(leaving, 9.0)
    assert not is_late(OWNED, 99.0)


def test_a_suspended_shard_begins_anew_where_it_is_not_known_who_had_it_meanwhile():
    suspended = {1: Shard(Phase.SUSPENDED)}
    shards, actions = after(Assigned(1, None, is_known=False), shards=suspended)
    assert actions == (Drop(1), Join(1), Locate(1))
    assert of_phase(shards, Phase.JOINING) == (1,)
