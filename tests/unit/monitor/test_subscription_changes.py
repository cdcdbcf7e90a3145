"""Streams that join and leave in the middle of a run: no false alarm, no false verdict."""

from __future__ import annotations

import json
from typing import Any

import pytest

from monitor.criteria import Criterion
from monitor.exposition import Exposition
from monitor.model import Fail, Rotate
from monitor.online import judge_online
from monitor.soak_plans import PROFILES
from monitor.verdict import concluded, judge
from tests.unit.monitor.observations import EPOCH, slot, stream
from tests.unit.monitor.runs import Run


def changing(at: int) -> dict[str, Any]:
    """ETHUSDT is removed at 1000 s and BNBUSDT joins; the second slot, which had drops, closes."""
    streams = [stream(50 * at)]
    if at < 1000:
        streams.append(stream(50 * at, "ETHUSDT"))
        return {"streams": tuple(streams), "slots": (slot(), slot("slot-2", drops_total=1))}
    if at < 1010:  # it leaves, and is as silent as it looks
        streams.append(stream(50_000, "ETHUSDT", leaving=True, silent_seconds=at - 900.0))
    streams.append(stream(40 * (at - 999), "BNBUSDT"))
    return {"streams": tuple(streams), "slots": (slot(),)}


def criterion(document: dict[str, Any], name: str) -> Criterion:
    (found,) = [one for one in judge(document).criteria if one.name == name]
    return found


@pytest.fixture(scope="module")
def run() -> Run:
    return Run(PROFILES["1h"]).seconds(3600, changing).end(streams=changing(3600)["streams"])


def test_the_verdict_expects_of_each_what_was_wanted_of_it(run: Run) -> None:
    document, verdict = concluded(run.document())
    assert [one.name for one in verdict.failed] == []
    assert judge(document) == verdict
    assert document["subscription_changes"] == [
        {"elapsed_seconds": 1000.0, "added": ["trade:BNBUSDT"], "removed": ["trade:ETHUSDT"]}
    ]
    symbols = criterion(document, "every symbol")
    assert (symbols.outcome, symbols.observed) == ("pass", 2)
    assert criterion(document, "stream outages").samples == 3
    assert criterion(document, "message rate").outcome == "pass"
    assert criterion(document, "unscheduled drops").observed == 1
    assert not [one for one in judge_online(document).changes if "fails" in one.what]


def test_nothing_is_done_about_the_silence_of_who_leaves(run: Run) -> None:
    assert not [one for one in run.actions if isinstance(one, (Rotate, Fail))]


def test_one_that_joined_and_never_spoke_fails() -> None:
    def mute(at: int) -> dict[str, Any]:
        joined = (stream(0, "BNBUSDT"),) if at >= 1000 else ()
        return {"streams": (stream(50 * at), stream(50 * at, "ETHUSDT"), *joined)}

    document = Run(PROFILES["1h"]).seconds(3600, mute).end(streams=mute(3600)["streams"]).document()
    symbols = criterion(document, "every symbol")
    assert (symbols.outcome, symbols.reason) == ("fail", "never: trade:BNBUSDT")


def test_one_that_joined_and_stopped_has_an_outage() -> None:
    def stops(at: int) -> dict[str, Any]:
        joined = (stream(50 * min(at - 999, 500), "BNBUSDT"),) if at >= 1000 else ()
        return {"streams": (stream(50 * at), stream(50 * at, "ETHUSDT"), *joined)}

    run = Run(PROFILES["1h"]).seconds(3600, stops).end(streams=stops(3600)["streams"])
    outages = criterion(run.document(), "stream outages")
    assert outages.outcome == "fail"
    assert outages.reason.startswith("trade:BNBUSDT")


def test_metrics_tell_of_what_is_streamed_now(run: Run) -> None:
    snapshot = run.recorder.snapshot(run.now, EPOCH)
    text = Exposition(lambda: snapshot).text()[0].decode()
    assert 'binance_stream_events_total{stream="trade",symbol="BNBUSDT"}' in text
    assert "ETHUSDT" not in text


def test_a_rate_without_any_rated_stream_is_no_rate() -> None:
    def tickers(at: int) -> dict[str, Any]:
        kind = "trade" if at < 500 else "bookTicker"
        return {"streams": (stream(50 * at, kind=kind),)}

    run = Run(None).seconds(2000, tickers)
    assert not [one for one in run.actions if one.breach.rule == "rate"]


def test_what_nobody_tells_about_is_not_judged(run: Run) -> None:
    document = run.document()
    document["test_metadata"]["symbols"] = []  # as if more had changed than is kept
    late = {"elapsed_seconds": 3600.5, "added": ["trade:ETHUSDT"], "removed": []}
    document["subscription_changes"] = [*document["subscription_changes"], late]
    assert criterion(document, "stream outages").samples == 1


def test_what_a_stream_brought_when_it_was_not_wanted_is_not_judged(run: Run) -> None:
    document = json.loads(json.dumps(run.document()))
    for row in document["memory_samples"]:
        del row["events"]  # as of many streams: their records are kept instead
    assert criterion(document, "stream outages").samples == 3
    for record in document["stream_records"]["trade:ETHUSDT"]:
        record[2] = 3000.0  # it ended
    assert criterion(document, "stream outages").samples == 2
