"""A suspect is asked to collect and trim; what comes back weighs in, live and judged again."""

from __future__ import annotations

import math
from typing import Any

import pytest

from monitor.decide import decide
from monitor.leak import Assessment
from monitor.model import Collect, Collected
from monitor.series import AFTER_BINS, BEFORE_BINS, SETTLE_BINS, Bin, LeakTrack
from monitor.soak_plans import PROFILES
from monitor.verdict import concluded, judge
from tests.unit.monitor.observations import EPOCH, MIB, NAME
from tests.unit.monitor.runs import Run

EVERY_SECONDS = 10
RATE_MB_PER_HOUR = 12.0


class Told:
    """A detector that keeps what it is told."""

    def __init__(self) -> None:
        self.collections: list[tuple[float, float, float]] = []
        self.bins = 0

    def observe(self, *_: Any, **__: Any) -> None:
        self.bins += 1

    def collected(self, elapsed_seconds: float, before: float, after: float) -> None:
        self.collections.append((elapsed_seconds, before, after))

    def assess(self) -> Assessment:
        return Assessment(None, None, None, None, None, "none", "")


def test_floors_before_and_after_are_told_when_both_are_known() -> None:
    told = Told()
    track = LeakTrack(60.0, 86_400, lambda *_: told)
    lows = {3: 50, 99: 60, 100 + SETTLE_BINS: 31, 101 + SETTLE_BINS: 41}
    last = 100 + SETTLE_BINS + AFTER_BINS
    for index in range(last + 1):
        if index == 100:
            track.collected(index)
        track.add(Bin(index, lows.get(index, 70), 90, 80, 0, 0))
        if index < last:
            assert told.collections == []
    # 50 was longer ago than BEFORE_BINS, and 31 came before the process had settled.
    assert BEFORE_BINS < 97
    assert told.collections == [((last + 1) * 60.0, 60, 41)]
    assert track.collections[-1].after_bytes == 41


def test_one_collection_is_weighed_at_a_time_and_none_without_a_past() -> None:
    told = Told()
    track = LeakTrack(60.0, 86_400, lambda *_: told)
    track.collected(0)
    for index in range(60):
        if index in (10, 12):
            track.collected(index)
        track.add(Bin(index, 70, 90, 80, 0, 0))
    assert len(told.collections) == len(track.collections) == 1


class Suspect(Run):
    """Grows steadily; a collection is answered at once, and a share of the growth comes back."""

    def __init__(self, comes_back: float) -> None:
        super().__init__(PROFILES["24h"])
        self.comes_back = comes_back
        self.given_back = 0.0
        self.asked: list[float] = []

    def feed(self, event: Any) -> None:
        before = len(self.actions)
        super().feed(event)
        for action in self.actions[before:]:
            if isinstance(action, Collect):
                self.asked.append(self.now)
                self.given_back += self.comes_back * (self.grown(self.now) - self.given_back)
                self.feed(Collected(NAME, 1, objects=5, trimmed=True))

    def grown(self, second: float) -> float:
        return RATE_MB_PER_HOUR * second / 3600

    def run(self, hours: float) -> Suspect:
        self.seconds(
            hours * 3600, in_sample=lambda at: {"rss_mib": self.in_use(at)}, every=EVERY_SECONDS
        )
        return self

    def in_use(self, second: float) -> float:
        return 60 + self.grown(second) - self.given_back + 0.2 * (second % 7)


@pytest.mark.parametrize(("comes_back", "convicted"), [(0.0, True), (0.95, False)])
def test_what_comes_back_is_no_leak_and_what_stays_is(comes_back: float, convicted: bool) -> None:
    run = Suspect(comes_back).run(8)
    document, verdict = concluded(run.end().document())
    (leak,) = [one for one in verdict.criteria if one.name == "leak score"]
    assert run.asked, "it was never suspected"
    assert (leak.outcome == "fail") is convicted, leak
    [event, *_] = [one for one in document["events"] if one["kind"] == "collected"]
    given_back = (event["detail"]["before_bytes"] - event["detail"]["after_bytes"]) / MIB
    grown = run.grown(run.asked[0])
    # Less what it grew meanwhile, from the first bin before to the first one after.
    meanwhile = RATE_MB_PER_HOUR * (BEFORE_BINS + SETTLE_BINS + 1) / 60
    assert given_back == pytest.approx(comes_back * grown - meanwhile, abs=1.0)
    assert event["detail"]["objects"] == 5
    assert document["event_counts"]["collected"] == len(
        [one for one in run.asked if one + 60 * (SETTLE_BINS + AFTER_BINS + 1) < 8 * 3600]
    )
    # The same to the letter: live as the rules saw it, in the record, and judged again.
    assert NAME not in run.state.children  # it has ended
    (kept,) = run.state.ledger.generations[NAME]
    assert leak.observed == kept.leak.latest.score
    assert leak.reason.endswith(kept.leak.latest.reason)
    assert judge(document) == verdict


def test_rules_and_judge_hear_of_it_alike() -> None:
    run = Suspect(0.2).run(6)  # remains suspicious
    kept = run.state.children[NAME].process
    told = Told()
    judge(run.document(), detector=lambda *_: told)
    weighed = [one for one in kept.leak.collections if one.after_bytes is not None]
    assert [(before, after) for _, before, after in told.collections] == [
        (one.before_bytes, one.after_bytes) for one in weighed
    ]
    assert len(weighed) >= 2


def test_a_leak_is_convicted_though_each_collection_gives_back_what_is_soon_used_again() -> None:
    class Regrowing(Suspect):
        def in_use(self, second: float) -> float:
            idle = 10 * math.exp(-(second - self.asked[-1]) / 2400) if self.asked else 0.0
            return super().in_use(second) - idle

    document, _ = concluded(Regrowing(0.0).run(12).end().document())
    assert next(one for one in document["criteria"] if one["name"] == "leak score")["outcome"] == (
        "fail"
    )


def test_a_collection_of_a_generation_that_is_gone_changes_nothing() -> None:
    run = Run(PROFILES["24h"]).seconds(600, every=EVERY_SECONDS)
    late = Collected(NAME, 7, objects=None, trimmed=None)
    assert decide(run.state, late, run.now)[1] == ()
    run.recorder.observe(late, run.now, EPOCH + run.now)
    assert not run.state.children[NAME].process.leak.collections
