from __future__ import annotations

import threading

from streamer.errors import SinkUnavailable
from streamer.sinks.kafka.late_opening import LateOpening
from tests.streaming import eventually


def test_it_is_tried_until_it_is_done_and_errors_are_told_once() -> None:
    go_on = threading.Semaphore(0)
    outcomes = [SinkUnavailable("the topic t does not exist"), ValueError("odd"), None]

    def prepare() -> None:
        go_on.acquire()
        outcome = outcomes.pop(0)
        if outcome is not None:
            raise outcome

    opening = LateOpening(prepare, pause_seconds=0.01)
    go_on.release()
    assert eventually(opening.take_error) == "the topic t does not exist"
    assert opening.take_error() is None
    assert not opening.is_done
    go_on.release()
    assert eventually(opening.take_error) == "ValueError('odd')"
    go_on.release()
    eventually(lambda: opening.is_done)
    assert not outcomes


def test_it_ends_when_it_is_closed() -> None:
    calls = []

    def prepare() -> None:
        calls.append(1)
        raise SinkUnavailable("away")

    opening = LateOpening(prepare, pause_seconds=60.0)
    eventually(lambda: calls)
    opening.close()
    eventually(lambda: "late opening" not in {thread.name for thread in threading.enumerate()})
    assert len(calls) == 1
