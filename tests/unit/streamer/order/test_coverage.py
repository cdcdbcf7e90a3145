from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streamer.order.coverage import Coverage, Uncovered, covered, dropped, is_of_before, lost

FRESH = Coverage()


def test_what_was_never_heard_cannot_be_missed() -> None:
    assert lost(FRESH, None) == FRESH
    assert covered(FRESH, 50) == (FRESH, None)
    assert dropped(FRESH, None, 10, 20) == (FRESH, None)


def test_from_the_last_event_to_the_next_one_is_on_record_once() -> None:
    gone = lost(FRESH, 100)
    assert gone.is_lost
    assert lost(gone, 140) == gone, "it goes on"
    back, record = covered(gone, 200)
    assert record == Uncovered(100, 200)
    assert covered(back, 210) == (back, None)


def test_a_second_loss_before_a_quiet_stream_has_spoken_begins_where_the_first_one_ended() -> None:
    back, first = covered(lost(FRESH, 100), 200)
    _, second = covered(lost(back, 100), 300)
    assert (first, second) == (Uncovered(100, 200), Uncovered(200, 300))


def test_what_was_dropped_is_on_record_from_the_last_event_that_was_kept() -> None:
    assert dropped(FRESH, 100, 150, 180) == (Coverage(180), Uncovered(100, 180))
    assert dropped(FRESH, 170, 150, 180) == (Coverage(180), Uncovered(150, 180))
    assert dropped(Coverage(120), 100, 150, 180) == (Coverage(180), Uncovered(120, 180))


def test_what_is_dropped_of_a_lost_stream_is_part_of_its_loss() -> None:
    gone = lost(FRESH, 100)
    assert dropped(gone, 100, 150, 180) == (gone, None)
    assert covered(gone, 200)[1] == Uncovered(100, 200)


@given(st.lists(st.sampled_from(["lost", "event", "restored", "dropped"]), max_size=30))
def test_records_never_overlap_and_hold_every_moment_without_a_connection(steps: list[str]) -> None:
    coverage, heard_us, now_us = FRESH, 1_000, 1_000
    records: list[Uncovered] = []
    missing: list[tuple[int, int]] = []
    lost_at: int | None = None
    for step in steps:
        now_us += 10
        record = None
        if step == "lost":
            coverage = lost(coverage, heard_us)
            lost_at = now_us if lost_at is None else lost_at
        elif step == "dropped":
            coverage, record = dropped(coverage, heard_us, now_us - 5, now_us)
            missing.append((now_us - 5, now_us))
        else:
            coverage, record = covered(coverage, now_us)
            if lost_at is not None:
                missing.append((lost_at, now_us))
            lost_at = None
            heard_us = now_us if step == "event" else heard_us
        if record is not None:
            assert record.from_us < record.to_us == now_us
            assert not records or records[-1].to_us <= record.from_us
            records.append(record)
    if lost_at is not None:
        coverage, record = covered(coverage, now_us + 10)
        assert record is not None
        records.append(record)
    for begin, end in missing:
        assert any(one.from_us <= begin and end <= one.to_us for one in records), (begin, end)


def test_a_time_never_ends_before_it_begins_whatever_the_clock_of_another_machine_says() -> None:
    uncovered = covered(Coverage(lost_us=900), 800)[1]
    assert uncovered == Uncovered(800, 800)


def test_what_came_before_a_stream_was_lost_says_nothing_of_now() -> None:
    assert not is_of_before(FRESH, 7)
    assert is_of_before(Coverage(lost_us=8), 7)
    assert not is_of_before(Coverage(lost_us=8), 8)
