import random

from hypothesis import given
from hypothesis import strategies as st

from streamer.network.backoff import FullJitter
from streamer.network.slots import STREAMS_PER_SLOT, Slots


def slots(*names):
    made = Slots(lambda: FullJitter(1.0, 60.0, random.Random(1).random))
    made.add(names)
    return made


def names_of(subject):
    return [slot.wire_names for slot in subject]


def test_streams_go_where_there_is_room_then_into_a_new_slot():
    subject = slots(*(f"s{number}" for number in range(STREAMS_PER_SLOT - 1)))
    placed = subject.add(["a", "b", "c"])
    assert {slot.name: names for slot, names in placed.items()} == {
        "slot-1": ["a"],
        "slot-2": ["b", "c"],
    }
    assert len(subject) == 2
    assert [len(names) for names in names_of(subject)] == [STREAMS_PER_SLOT, 2]
    assert subject.find("c").name == "slot-2"


def test_what_is_removed_makes_room_and_is_known_until_it_is_forgotten():
    subject = slots("a", "b")
    [(slot, gone)] = subject.remove(["a"]).items()
    assert (slot.name, gone, slot.wire_names) == ("slot-1", ["a"], ("b",))
    assert subject.find("a") is slot
    subject.forget("a")
    assert subject.find("a") is None
    assert subject.close_empty() == []


def test_an_empty_slot_is_closed_and_its_number_is_not_used_again():
    subject = slots("a")
    [slot] = subject.remove(["a"])
    assert slot in subject
    assert subject.close_empty() == [slot]
    assert slot not in subject
    assert [one.name for one in subject.add(["b"])] == ["slot-2"]


def test_a_slot_that_is_filled_again_stays():
    subject = slots("a")
    subject.remove(["a"])
    subject.add(["b"])
    assert subject.close_empty() == []
    assert names_of(subject) == [("b",)]


@given(st.lists(st.sets(st.integers(0, 2500), max_size=2500), max_size=5))
def test_every_wanted_stream_is_in_exactly_one_slot(wishes):
    subject = slots()
    current = set()
    for wish in wishes:
        wanted = {f"s{number}" for number in wish}
        subject.remove(sorted(current - wanted))
        subject.add(sorted(wanted - current))
        subject.close_empty()
        current = wanted
        placed = [name for names in names_of(subject) for name in names]
        assert sorted(placed) == sorted(wanted)
        assert all(0 < len(names) <= STREAMS_PER_SLOT for names in names_of(subject))
        assert all(name in subject.find(name).wire_names for name in wanted)
