"""Whether something is missing where a stream goes from one machine to another."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.order.seam import Seam, unproven

HEARD, WITHIN = 1_000, 100
MET = Seam(7, HEARD, first_id=7, first_us=HEARD)
QUIET = Seam(7, HEARD)
LATE = Seam(7, HEARD, first_id=8, first_us=HEARD + WITHIN)
EARLY = Seam(7, HEARD, first_id=8, first_us=HEARD + WITHIN - 1)
BROKEN = Seam(7, None, first_id=7, first_us=HEARD)


@pytest.mark.parametrize(
    ("seams", "expected"),
    [
        ([MET], []),
        ([MET, QUIET, LATE], []),
        ([MET, EARLY], [1]),
        ([MET, BROKEN], [1]),
        ([QUIET, LATE], [0, 1]),
        ([QUIET, EARLY], [0, 1]),
        ([BROKEN, QUIET], [0]),
        ([], []),
    ],
)
def test_a_stream_is_proven_by_what_both_sides_had(seams, expected):
    assert unproven(dict(enumerate(seams)), WITHIN) == set(expected)


EVENTS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 2_000)), max_size=40)


@given(EVENTS, st.integers(0, 2_000), st.integers(0, 2_000))
def test_who_was_deaf_before_the_other_listened_is_never_taken_for_proven_by_itself(
    events, deaf_us, heard_us
):
    """Ids are times. Nothing that came between the two is missing without a word."""
    heard_us = max(heard_us, deaf_us + 1)
    for stream in {stream for stream, _ in events}:
        times = sorted(at for each, at in events if each == stream)
        before = [at for at in times if at <= deaf_us]
        after = [at for at in times if at >= heard_us]
        missing = [at for at in times if deaf_us < at < heard_us]
        first = {"first_id": after[0], "first_us": after[0]} if after else {}
        seam = Seam(before[-1] if before else 0, heard_us, **first)
        if missing:
            assert unproven({"one": seam}, 500) == {"one"}
