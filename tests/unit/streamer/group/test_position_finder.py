"""Positions looked up on a helper thread: for all shards that are wanted at once, and again."""

from __future__ import annotations

import threading

import pytest

from streamer.config import KafkaConfig
from streamer.errors import SinkAway
from streamer.group import position_finder
from streamer.group.ownership import Located, NotLocated
from streamer.group.position_finder import AGAIN_SECONDS, PositionFinder
from streamer.order.positions import Position
from streamer.routes import Routes
from tests.waiting import eventually

ROUTES = list(Routes(("trade",), ("BTCUSDT", "ETHUSDT")))
POSITIONS = {"btcusdt@trade": Position(7, 8), "ethusdt@trade": Position(1, 2)}


@pytest.fixture
def asked(monkeypatch):
    """Answer questions with what is in `answers`, and note them."""
    asked = []

    def find(config, topics, overflow, *, max_age_seconds, deadline):
        asked.append(sorted(route.name for route in topics))
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, threading.Event):
            assert answer.wait(10.0)
            return POSITIONS
        return answer

    answers = [POSITIONS]
    monkeypatch.setattr(position_finder, "find_positions", find)
    return asked, answers


def all_of(finder, count, now=0.0):
    found = []

    def enough():
        found.extend(finder.turn(now))
        return len(found) >= count

    eventually(enough, what="answers")
    return found


def test_one_look_is_for_all_shards_that_are_wanted(asked):
    woken = threading.Event()
    finder = PositionFinder(KafkaConfig(), 60.0, woken.set)
    finder.want(1, ROUTES[:1])
    finder.want(2, ROUTES[1:])
    finder.want(3, ROUTES)
    finder.forget(3)
    found = all_of(finder, 2)
    assert found == [
        Located(1, {"btcusdt@trade": Position(7, 8)}),
        Located(2, {"ethusdt@trade": Position(1, 2)}),
    ]
    assert asked[0] == [["btcusdt@trade", "ethusdt@trade"]]
    assert woken.is_set()


def looked(finder, now):
    """Return what is found by a look that begins now, if one does."""
    found = finder.turn(now)
    if finder._thread is not None:
        finder._thread.join()
    return found + finder.turn(now)


@pytest.mark.parametrize("error", [SinkAway("away"), ValueError("unforeseen")])
def test_after_trouble_it_is_tried_again_a_little_later(asked, error, monkeypatch):
    monkeypatch.setattr(position_finder.time, "monotonic", lambda: 100.0)
    asked[1].insert(0, error)
    finder = PositionFinder(KafkaConfig(), 60.0, lambda: None)
    finder.want(1, ROUTES)
    assert looked(finder, 100.0) == [NotLocated(1)]
    finder.want(1, ROUTES)
    assert looked(finder, 100.0 + AGAIN_SECONDS / 2) == []
    assert len(asked[0]) == 1
    assert looked(finder, 100.0 + AGAIN_SECONDS) == [Located(1, POSITIONS)]


def test_what_a_look_finds_that_began_before_a_shard_was_gone_is_of_no_use(asked):
    """Somebody else has recorded it meanwhile: where it ended then is not where to go on."""
    finder, go_on = PositionFinder(KafkaConfig(), 60.0, lambda: None), threading.Event()
    asked[1][:] = [go_on, {"btcusdt@trade": Position(9, 10)}]
    finder.want(1, ROUTES)
    assert finder.turn(0.0) == []
    finder.forget(1)
    finder.want(1, ROUTES)
    go_on.set()
    finder._thread.join()
    assert all_of(finder, 1) == [Located(1, {"btcusdt@trade": Position(9, 10)})]
