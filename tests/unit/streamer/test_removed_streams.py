from __future__ import annotations

import json
from pathlib import Path

from streamer.order.positions import Position
from streamer.removed_streams import FILE, RemovedStreams

NAME = "ethusdt@trade"


def at(last_id: int) -> Position:
    return Position(last_id, last_id)


def opened(
    directory: Path, stored: dict[str, Position], *wanted: str, shared: bool = False
) -> RemovedStreams:
    removed_streams = RemovedStreams(directory, wanted)
    removed_streams.take_stored(stored, shared=shared)
    return removed_streams


def started(directory: Path, stored: int, *wanted: str) -> RemovedStreams:
    return opened(directory, {NAME: at(stored)}, *wanted)


def test_one_that_was_out_of_the_settings_at_a_start_returns_where_it_had_ended(
    tmp_path: Path,
) -> None:
    assert not started(tmp_path, 5, NAME).returning
    assert not started(tmp_path, 9).returning  # its settings do not name it
    assert started(tmp_path, 9, NAME).returning == {NAME: at(9)}


def test_it_returns_until_there_is_a_record_beyond_that(tmp_path: Path) -> None:
    started(tmp_path, 9)
    assert started(tmp_path, 9, NAME).returning
    assert started(tmp_path, 9, NAME).returning  # killed before its first record
    assert not started(tmp_path, 12, NAME).returning  # what was missed since then is a loss
    assert not started(tmp_path, 12, NAME).returning


def test_it_can_leave_again(tmp_path: Path) -> None:
    started(tmp_path, 9)
    started(tmp_path, 9, NAME)
    started(tmp_path, 12)
    assert started(tmp_path, 12, NAME).returning == {NAME: at(12)}


def test_one_that_came_back_live_and_was_killed_has_lost_what_came_since(tmp_path: Path) -> None:
    running = started(tmp_path, 9)
    assert running.take(NAME) == at(9)
    assert started(tmp_path, 9, NAME).returning == {NAME: at(9)}  # before its first record
    assert not started(tmp_path, 10, NAME).returning


def test_one_that_was_wanted_again_before_it_was_gone_has_not_left(tmp_path: Path) -> None:
    running = started(tmp_path, 5, NAME)
    running.note({NAME: at(7)})
    running.stay([NAME, "unknown@trade"])
    assert not started(tmp_path, 7, NAME).returning
    running.note({NAME: at(7)})
    assert started(tmp_path, 7, NAME).returning == {NAME: at(7)}


def test_one_that_left_while_the_sink_took_nothing_ends_where_the_sink_says(tmp_path: Path) -> None:
    running = started(tmp_path, 5, NAME)
    running.note({NAME: None})  # it was heard up to 9, and killed before that was stored
    assert started(tmp_path, 7, NAME).returning == {NAME: at(7)}


def test_of_a_shared_sink_one_counts_that_joined_while_others_ran(tmp_path: Path) -> None:
    other = "btcusdt@trade"
    stored = {NAME: at(7), other: at(9)}
    running = opened(tmp_path, {}, "solusdt@trade", shared=True)
    running.join([NAME])  # and it was taken out of the settings while no streamer ran
    again = opened(tmp_path, stored, "solusdt@trade", shared=True)
    assert again.take(NAME) == at(7)
    assert again.take(other) is None  # another streamer's


def test_a_sink_is_told_of_all_that_were_wanted_here_before(tmp_path: Path) -> None:
    """Files are searched for those that are named only: of one not named, the end is lost."""
    first = opened(tmp_path, {}, "solusdt@trade")
    assert not first.streamed - {"solusdt@trade"}
    first.join([NAME])
    first.note({"ethusdt@aggTrade": None, "btcusdt@trade": at(3)})
    again = RemovedStreams(tmp_path, ["bnbusdt@trade"])
    assert again.streamed == {"solusdt@trade", NAME, "ethusdt@aggTrade", "btcusdt@trade"}


def test_a_file_of_an_earlier_version_tells_of_nobody_who_left(tmp_path: Path) -> None:
    earlier = {NAME: {"last_id": 5, "received_us": 5}}
    (tmp_path / FILE).write_text(json.dumps(earlier))
    assert not started(tmp_path, 5, NAME).returning
    assert RemovedStreams(tmp_path).take(NAME) == at(5)


def test_what_a_pattern_chooses_goes_on_in_shared_topics_where_nothing_was_kept_here(
    tmp_path: Path,
) -> None:
    """As in a container without a volume: nobody knows what was recorded but the topics."""
    stored = {NAME: at(9), "else@trade": at(5)}
    started_anew = RemovedStreams(tmp_path)
    started_anew.take_stored(stored, shared=True, chosen={NAME})
    assert started_anew.take("else@trade", go_on=True) is None
    assert started_anew.take(NAME, go_on=True) == at(9)
    # Killed between the exchange's list and its joining: it has not left.
    (tmp_path / "again").mkdir()
    again = RemovedStreams(tmp_path / "again")
    again.take_stored(stored, shared=True, chosen={NAME})
    wanted = opened(tmp_path / "again", stored, NAME, shared=True)
    assert not wanted.returning
