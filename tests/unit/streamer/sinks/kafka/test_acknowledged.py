from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streamer.sinks.kafka.acknowledged import AcknowledgeWatch, Look, Outstanding

A, B, NOWHERE = ("t", "0"), ("t", "1"), ("t", "-1")


def look(at: float, client: str = "one", queued: int | None = None, **partitions) -> Look:
    """`a=(acknowledged, waiting)` and so on."""
    keys = {"a": A, "b": B, "nowhere": NOWHERE}
    found = {keys[name]: Outstanding(*counts) for name, counts in partitions.items()}
    waiting = sum(one.waiting for one in found.values())
    return Look(client, at, waiting if queued is None else queued, found)


def marked(now: float = 1.0) -> AcknowledgeWatch[str]:
    watch = AcknowledgeWatch[str]()
    watch.mark("mark", now)
    return watch


def test_all_is_known_at_once_when_nothing_waits():
    watch = marked()
    assert watch.look(look(2.0, a=(10, 0), b=(5, 0))) == "mark"
    assert not watch.waiting


def test_a_look_from_before_the_mark_says_nothing():
    assert marked().look(look(0.5, a=(10, 0))) is None


def test_each_partition_has_to_pass_what_waited_in_it():
    watch = marked()
    assert watch.look(look(2.0, a=(10, 5), b=(7, 1))) is None
    assert watch.look(look(3.0, a=(16, 9), b=(7, 1))) is None
    assert watch.look(look(4.0, a=(16, 9), b=(8, 0))) == "mark"


def test_at_the_target_itself_something_may_have_escaped_the_first_look():
    watch = marked()
    assert watch.look(look(2.0, a=(10, 5))) is None
    assert watch.look(look(3.0, a=(15, 4))) is None
    assert watch.look(look(4.0, a=(15, 0), queued=4)) is None, "four are in none of the counts"
    assert watch.look(look(5.0, a=(16, 3))) == "mark"


def test_a_look_that_misses_records_sets_no_target():
    watch = marked()
    assert watch.look(look(2.0, queued=2187, a=(176_255, 0))) is None
    assert watch.look(look(3.0, a=(176_255, 2187))) is None
    assert watch.look(look(4.0, a=(178_442, 0))) == "mark"


def test_records_without_a_partition_have_no_number_yet():
    watch = marked()
    assert watch.look(look(2.0, nowhere=(0, 3))) is None
    assert watch.look(look(3.0, a=(0, 3), nowhere=(0, 0))) is None
    assert watch.look(look(4.0, a=(3, 0), nowhere=(0, 0))) == "mark"


def test_another_producer_begins_to_count_anew():
    watch = marked()
    assert watch.look(look(2.0, a=(10, 5))) is None
    assert watch.look(look(3.0, "two", a=(20, 0))) is None
    assert not watch.waiting


def test_a_partition_out_of_sight_is_waited_for():
    watch = marked()
    assert watch.look(look(2.0, a=(10, 5), b=(1, 1))) is None
    assert watch.look(look(3.0, a=(16, 0))) is None
    assert watch.look(look(4.0, a=(16, 0), b=(2, 0))) == "mark"


def test_nothing_is_known_without_a_mark():
    watch = AcknowledgeWatch[str]()
    assert watch.look(look(2.0, a=(1, 0))) is None
    watch.mark("mark", 3.0)
    watch.forget()
    assert watch.look(look(4.0, a=(1, 0))) is None


steps = st.lists(
    st.tuples(st.sampled_from(["produce", "send", "acknowledge", "mark"]), st.sampled_from("ab")),
    max_size=40,
)


@given(steps)
def test_a_mark_never_comes_back_before_all_of_it_is_acknowledged(steps):
    """A simulated producer: a batch that is being made is in no partition's count."""
    produced, acknowledged, dark = {"a": 0, "b": 0}, {"a": 0, "b": 0}, {"a": 0, "b": 0}
    watch: AcknowledgeWatch[dict[str, int]] = AcknowledgeWatch()
    for now, (step, name) in enumerate(steps, start=1):
        waiting = produced[name] - acknowledged[name]
        if step == "produce":
            produced[name] += 1
        elif step == "send":
            dark[name] = 0 if dark[name] else waiting
        elif step == "acknowledge":
            acknowledged[name] += dark[name] or (waiting + 1) // 2
            dark[name] = 0
        else:
            watch.mark(dict(produced), now)
        counts = {
            each: (acknowledged[each], produced[each] - acknowledged[each] - dark[each])
            for each in "ab"
        }
        queued = sum(produced[each] - acknowledged[each] for each in "ab")
        mark = watch.look(look(now, queued=queued, **counts))
        if mark is not None:
            assert all(acknowledged[each] >= mark[each] for each in "ab")
