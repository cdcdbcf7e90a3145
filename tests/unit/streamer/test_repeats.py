from hypothesis import given
from hypothesis import strategies as st

from streamer.repeats import LINES_AT_ONCE, REPEAT_SECONDS, Repeats


def test_the_first_is_written_and_its_like_counted_for_a_while():
    repeats = Repeats()
    assert repeats.admit("slot-1: no connection in 3.5 s", 0.0) == 0
    assert repeats.admit("slot-2: no connection in 10.25 s", 0.1) is None
    assert repeats.admit("slot-1: another matter", 0.2) == 0
    assert repeats.admit("slot-1: no connection in 1.0 s", 29.9) is None
    assert repeats.admit("slot-1: no connection in 1.0 s", 30.0) == 2
    assert repeats.admit("slot-1: no connection in 1.0 s", 60.0) == 0


def test_lines_made_up_anew_are_bounded_too_and_none_is_uncounted():
    repeats = Repeats()
    texts = [chr(0x4E00 + number) for number in range(10_000)]
    written = [repeats.admit(text, 1000.0) for text in texts]
    assert written[:LINES_AT_ONCE] == [0] * LINES_AT_ONCE
    assert written[LINES_AT_ONCE:] == [None] * (10_000 - LINES_AT_ONCE)
    assert repeats.admit("later", 1002.0) == 10_000 - LINES_AT_ONCE
    assert len(repeats._kinds) <= 64


def test_the_count_of_a_kind_that_is_forgotten_is_told_with_the_next():
    repeats = Repeats()
    for _ in range(6):
        repeats.admit("old", 0.0)
    told = [repeats.admit(chr(0x4E00 + number), 1.0) for number in range(65)]
    assert told == [0] * 64 + [5]


def test_where_numbers_matter_only_the_bound_holds():
    repeats = Repeats()
    told = [repeats.admit("gap from 1", 0.0, collapse=False) for _ in range(LINES_AT_ONCE + 5)]
    assert told == [0] * LINES_AT_ONCE + [None] * 5
    assert repeats.admit("gap from 1", 1.0, collapse=False) == 5


@given(st.lists(st.tuples(st.sampled_from(["a", "b", "c1", "c2"]), st.floats(0, 20)), max_size=200))
def test_every_line_is_written_or_counted_and_alike_ones_are_far_apart(lines):
    repeats, now, told, written_at = Repeats(), 0.0, 0, {}
    for text, seconds in lines:
        now += seconds
        counted = repeats.admit(text, now)
        if counted is not None:
            told += 1 + counted
            kind = text[0]
            assert now - written_at.get(kind, -REPEAT_SECONDS) >= REPEAT_SECONDS
            written_at[kind] = now
    left = repeats._forgotten + sum(kind.counted for kind in repeats._kinds.values())
    assert told + left == len(lines)
