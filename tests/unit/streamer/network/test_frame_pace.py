from hypothesis import given
from hypothesis import strategies as st

from streamer.network.frame_pace import SPACING_SECONDS, SPACING_SECONDS_MAX, FramePace


def test_each_complaint_doubles_the_distance_up_to_a_bound_and_time_halves_it():
    pace = FramePace()
    assert pace.seconds == 0.5
    assert not pace.hear_close(1001, 0.0)
    assert pace.hear_close(1008, 1.0)
    assert pace.seconds == 1.0
    assert pace.hear_close(1008, 2.0)
    assert not pace.hear_close(1008, 3.0)  # no slower: nothing to tell
    assert pace.seconds == 2.0
    pace.recover(602.0)
    assert pace.seconds == 2.0
    pace.recover(603.0)
    assert pace.seconds == 1.0
    pace.recover(604.0)
    assert pace.seconds == 1.0
    pace.recover(1203.0)
    pace.recover(9999.0)
    assert pace.seconds == 0.5


@given(st.lists(st.tuples(st.sampled_from([0, 1000, 1008]), st.integers(0, 1000))))
def test_it_never_leaves_its_bounds(closes):
    pace, now = FramePace(), 0.0
    for code, seconds in closes:
        now += seconds
        pace.hear_close(code, now)
        pace.recover(now)
        assert SPACING_SECONDS <= pace.seconds <= SPACING_SECONDS_MAX
