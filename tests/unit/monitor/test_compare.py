from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.compare import Comparison, Line, change_of, compare
from monitor.estimates import Estimate
from monitor.evidence import DocumentError
from monitor.leak import LeakDetector
from monitor.leak.assessment import Assessment
from monitor.leak.explain import too_early
from monitor.segments import joined
from tests import profiles
from tests.hours import hour


class Blind:
    """Stands in for the leak detector, which takes a third of a second."""

    def __init__(self, _horizon_seconds: float, _reference: object) -> None: ...

    def observe(self, *_: object, **__: object) -> None: ...

    def collected(self, *_: object) -> None: ...

    def assess(self) -> Assessment:
        return too_early(0.0, 1080.0)


def compared(new: dict[str, Any], old: dict[str, Any]) -> Comparison:
    return compare(new, old, detector=Blind)


def lines(comparison: Comparison) -> dict[str, Line]:
    return {one.name: one for one in comparison.lines}


def test_the_same_program_again_is_not_worse() -> None:
    found = compare(hour(2), hour(1))
    assert {one.name: one.change for one in found.lines} == dict.fromkeys(lines(found), "not_worse")
    assert found.outcome == "pass"
    assert found.caveats == ()
    assert found.criteria == ()


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("memory", {"rss_mib": 56.0}),
        ("memory growth", {"growth_mib": 20.0}),
        ("message rate", {"per_second": 80.0}),
        ("receive latency", {"latency_bucket": 5}),
        ("receive latency p99", {"latency_bucket": 5}),
        ("acknowledge latency", {"latency_bucket": 5}),
        ("acknowledge latency p99", {"latency_bucket": 5}),
        ("cpu per message", {"cpu_per_message": 180e-6}),
        ("drops", {"drops": 9}),
        ("incidents with gaps", {"gaps_at": tuple(range(300, 3500, 300))}),
        ("missing ids", {"gaps_at": (900,), "missing": 3}),
    ],
)
def test_what_became_worse_is_told(name: str, change: dict[str, Any]) -> None:
    detector = LeakDetector if name == "memory growth" else Blind
    found = compare(hour(2, **change), hour(1), detector=detector)
    line = lines(found)[name]
    assert line.change == "worse"
    assert line.difference is not None
    assert line.margin is not None
    direction = -1 if name == "message rate" else 1
    ends = (line.difference.low, line.difference.high)
    assert min(direction * one for one in ends) > line.margin
    assert found.outcome == "fail"
    # And the other way round it became better, which fails nobody.
    back = compare(hour(1), hour(2, **change), detector=detector)
    assert name in back.of("better")


def test_a_growth_is_the_slope_against_the_older_run_at_the_same_ages() -> None:
    line = lines(compare(hour(2, growth_mib=20.0), hour(1)))["memory growth"]
    assert line.difference is not None
    assert line.difference.low < 20 < line.difference.high
    # A run that leaked already has not become worse.
    same = lines(compare(hour(2, growth_mib=20.0), hour(1, growth_mib=20.0)))["memory growth"]
    assert same.change == "not_worse"
    assert same.difference is not None
    assert same.difference.low < 0 < same.difference.high


def test_a_difference_below_what_matters_is_not_worse() -> None:
    line = lines(compared(hour(2, rss_mib=51.0), hour(1)))["memory"]
    assert line.difference is not None
    assert line.difference.low > 0
    assert line.change == "not_worse"


def test_one_gap_in_an_hour_tells_nothing_yet() -> None:
    found = compared(hour(2, gaps_at=(900, 930)), hour(1))  # of one incident
    line = lines(found)["incidents with gaps"]
    assert line.new is not None
    assert line.new.value == 1
    assert line.change == "cannot_tell"
    assert found.outcome == "inconclusive"


def test_what_does_not_happen_is_not_worse_however_short_the_run() -> None:
    line = lines(compared(hour(2), hour(1)))["drops"]
    assert line.difference is not None
    assert line.margin is not None
    assert line.difference.high > line.margin
    assert line.change == "not_worse"


def test_runs_of_different_lengths_are_compared_at_common_ages_with_a_caveat() -> None:
    found = compare(hour(2, seconds=2700, ended="stopped"), hour(1))
    assert lines(found)["memory"].change == "not_worse"
    assert lines(found)["memory growth"].difference is not None
    assert "duration: 1:00:00 before, 0:45:00 now" in found.caveats
    assert "NEW did not come to its end (stopped)" in found.caveats
    assert found.new_verdict == "inconclusive"
    assert found.outcome == "inconclusive"


def test_a_run_that_is_too_short_tells_no_growth() -> None:
    found = compared(profiles.smoke(), profiles.smoke())
    line = lines(found)["memory growth"]
    assert line.change == "cannot_tell"
    assert "2 min in common are too few for a slope" in line.reason
    assert found.outcome == "inconclusive"


def test_a_criterion_that_is_no_longer_passed_is_named() -> None:
    found = compared(hour(2, gaps_at=(900,), missing=3), hour(1))
    assert found.criteria == ("missing ids: fail: in 1 gaps",)
    assert (found.old_verdict, found.new_verdict) == ("pass", "fail")


def test_a_verdict_that_fails_fails_the_comparison_though_nothing_is_worse() -> None:
    both = hour(1, gaps_at=(900,), missing=3)
    found = compared(both, both)
    assert found.of("worse") == ()
    assert found.outcome == "fail"


def test_conditions_that_were_not_the_same_are_named() -> None:
    new = copy.deepcopy(hour(2))
    new["environment"] = {"host": "test", "packages": {"vigil": "2.0.0"}, "cpus": 4}
    new["settings"]["streams"] = ["trade", "aggTrade"]
    new["settings"]["effective"] = {
        "sink": {"kind": "kafka", "directory": "/elsewhere"},
        "exchange": {"streams": ["trade", "aggTrade"], "symbols": ["X" * 80]},
    }
    new["profile"]["name"] = "mine"
    new["test_metadata"]["symbols"] = ["BTCUSDT", "X" * 80]
    found = compared(new, hour(1))
    assert set(found.caveats) == {
        "soak: 1h before, mine now",
        f"symbols: BTCUSDT, ETHUSDT before, BTCUSDT, {'X' * 50}… now",
        "streams: trade before, aggTrade, trade now",
        "environment cpus: nothing before, 4 now",
        "environment packages.vigil: nothing before, 2.0.0 now",
        "setting sink.kind: nothing before, kafka now",
    }


def test_another_rate_is_a_caveat_for_what_depends_on_it() -> None:
    (caveat,) = compared(hour(2, per_second=80.0), hour(1)).caveats
    assert caveat.startswith("message rate: 100.0/s before, 80.0/s now")


def test_several_processes_are_a_caveat() -> None:
    document = copy.deepcopy(hour(2))
    generations = document["streamers"][0]["generations"]
    generations.append(copy.deepcopy(generations[0]))
    for columns in generations[1]["bins"].values():
        if isinstance(columns, list):
            del columns[20:]
    found = compared(document, hour(1))
    assert "NEW has 2 processes of a streamer" in found.caveats
    assert lines(found)["memory"].change == "not_worse"  # the longest one is taken


def test_a_resumed_run_is_a_caveat() -> None:
    halves = [hour(seed, seconds=1800, ended="stopped") for seed in (2, 3)]
    found = compared(joined(*halves), hour(1))
    assert "NEW was resumed: it has 2 segments" in found.caveats
    assert lines(found)["message rate"].change == "not_worse"


def test_bins_that_end_at_different_ages_tell_no_growth() -> None:
    document = copy.deepcopy(hour(2))
    columns = document["streamers"][0]["generations"][0]["bins"]
    columns["seconds"] = 1800.0
    for name in [one for one in columns if isinstance(columns[one], list)]:
        del columns[name][3:]
    line = lines(compared(hour(1), document))["memory growth"]
    assert line.reason in ("their samples end at different ages", "")
    assert line.change == "cannot_tell"


def test_the_predecessors_format_has_what_it_has() -> None:
    found = compared(hour(2), profiles.predecessors())
    assert (
        "OLD is in the predecessor's format, which sampled itself and knows less" in found.caveats
    )
    assert lines(found)["memory"].difference is not None
    assert lines(found)["message rate"].difference is not None
    for name in ("drops", "incidents with gaps", "missing ids"):
        assert lines(found)[name].reason == "OLD: not recorded"


def test_a_profile_from_before_latency_was_kept_by_interval() -> None:
    old = copy.deepcopy(hour(1))
    for row in old["memory_samples"]:
        del row["receive_mean_seconds"], row["receive_p99_seconds"]
    found = lines(compared(hour(2), old))
    assert found["receive latency"].reason == "OLD: not recorded by interval"
    assert found["acknowledge latency"].change == "not_worse"


def test_events_that_were_not_all_kept_count_no_incidents() -> None:
    document = copy.deepcopy(hour(2, gaps_at=(900,)))
    document["event_counts"]["gap"] = 4000
    line = lines(compared(document, hour(1)))["incidents with gaps"]
    assert line.reason == "NEW: so many events that not all were kept"


@pytest.mark.parametrize("empty", ["rows", "processes", "bins", "time"])
def test_a_run_without_observations_cannot_be_told_about(empty: str) -> None:
    document = copy.deepcopy(hour(2))
    if empty == "rows":
        document["memory_samples"] = []
    elif empty == "processes":
        document["streamers"] = []
    elif empty == "bins":
        for columns in document["streamers"][0]["generations"][0]["bins"].values():
            if isinstance(columns, list):
                columns.clear()
    else:
        document["test_metadata"]["actual_duration_hours"] = 0.0
    found = compared(document, hour(1))
    assert found.of("cannot_tell")
    assert found.outcome in ("fail", "inconclusive")


def test_the_one_that_is_no_profile_is_named() -> None:
    with pytest.raises(DocumentError, match="OLD: not a profile"):
        compared(hour(1), {})
    with pytest.raises(DocumentError, match=r"NEW: .*schema_version 7 is not known"):
        compared({**hour(1), "schema_version": 7}, hour(1))


@given(st.lists(st.floats(-1e9, 1e9), min_size=3, max_size=3).map(sorted), st.floats(0, 1e9))
def test_a_change_is_what_the_whole_interval_says(ends: list[float], margin: float) -> None:
    low, value, high = ends
    change = change_of(Estimate(value, low, high), margin)
    assert (change == "worse") == (low > margin)
    assert (change == "better") == (high < -margin)
    assert (change == "cannot_tell") == (low <= margin < high)
    mirrored = change_of(Estimate(-value, -high, -low), margin, more_is_worse=False)
    assert mirrored == change
