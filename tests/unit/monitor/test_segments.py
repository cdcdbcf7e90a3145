"""A run that was interrupted is judged as the sum of what was run, and says so."""

from __future__ import annotations

import copy
import json
from datetime import datetime, timedelta
from typing import Any

import pytest

from monitor.criteria import Criterion, Verdict
from monitor.leak.assessment import Assessment
from monitor.report import render
from monitor.segments import joined
from monitor.soak_plans import PROFILES, SoakPlan, scaled
from monitor.verdict import judge
from streamer.messages import Notice, SinkCounts
from tests.hours import histogram
from tests.unit.monitor.observations import EPOCH, stream
from tests.unit.monitor.runs import SYMBOLS, Run

HALF = 1800
AWAY_SECONDS = 3000.0  # from the end of the first part to the start of the second


def part(
    seconds: int,
    *,
    rss_mib: float = 60.0,
    growth_mib_per_hour: float = 0.0,
    per_second: float = 100.0,
    silent_from: int | None = None,
    ended: Any = "completed",
    plan: SoakPlan = PROFILES["1h"],
    starts: float = 0.0,
    sink: SinkCounts | None = None,
) -> dict[str, Any]:
    """Return what one supervisor would have recorded; `starts` is seconds after the first one."""

    def in_report(second: int) -> dict[str, Any]:
        counts = round(second * per_second / 2)
        other = counts if silent_from is None else round(min(second, silent_from) * per_second / 2)
        values: dict[str, Any] = {
            "streams": (stream(counts, SYMBOLS[0]), stream(other, SYMBOLS[1])),
            "receive_latency": histogram(second, per_second, 3),
            "notices": (Notice(1, EPOCH, "gap", {"stream": "trade"}),),
        }
        return values if sink is None else {**values, "sink": sink}

    def in_sample(second: int) -> dict[str, Any]:
        return {"rss_mib": rss_mib + growth_mib_per_hour * second / 3600}

    run = Run(plan)
    run.seconds(seconds, in_report, in_sample, every=10)
    if ended is not None:
        run.end(ended, **in_report(seconds))
    document: dict[str, Any] = json.loads(json.dumps(run.document()))
    meta = document["test_metadata"]
    for key in ("start_time", "end_time"):
        moved = datetime.fromisoformat(meta[key]) + timedelta(seconds=starts)
        meta[key] = moved.isoformat()
    return document


def both(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    return json.loads(json.dumps(joined(first, second)))  # type: ignore[no-any-return]


def criteria(document: dict[str, Any], **options: Any) -> dict[str, Criterion]:
    verdict: Verdict = judge(document, **options)
    return {one.name: one for one in verdict.criteria}


@pytest.fixture(scope="module")
def stopped() -> dict[str, Any]:
    return part(HALF, ended="stopped")


@pytest.fixture(scope="module")
def killed() -> dict[str, Any]:
    return part(HALF, ended=None)


@pytest.fixture(scope="module")
def rest() -> dict[str, Any]:
    return part(HALF, starts=HALF + AWAY_SECONDS)


@pytest.mark.parametrize("how", ["stopped", "killed"])
def test_two_halves_make_an_hour_that_passes(
    how: str, rest: dict[str, Any], request: pytest.FixtureRequest
) -> None:
    document = both(request.getfixturevalue(how), rest)
    verdict = judge(document)
    assert verdict.outcome == "pass", [(one.name, one.reason) for one in verdict.open]
    told = criteria(document, detector=None)
    assert told["duration"].observed == pytest.approx(1.0)  # the time away is not counted
    assert told["samples"].observed == 1.0
    (reason,) = (told["segments"].reason,)
    assert reason.startswith("0:30:00 from 2023-11-14T22:13:20+00:00 by version unknown")
    assert f"({how})" in reason
    assert ", then nothing for 0:" in reason
    assert told["segments"].observed == 2
    assert not told["segments"].required


def test_time_goes_on_where_it_stopped_and_counts_go_on(
    stopped: dict[str, Any], rest: dict[str, Any]
) -> None:
    document = both(stopped, rest)
    rows = document["memory_samples"]
    times = [row["elapsed_seconds"] for row in rows]
    assert times == sorted(times)
    assert times[-1] == pytest.approx(3600)
    assert document["test_metadata"]["total_samples"] == len(rows)
    for key in ("messages_received", "rated_events"):
        counts = [row[key] for row in rows]
        assert counts == sorted(counts)
    assert rows[-1]["events"]["trade:BTCUSDT"] == sum(
        one["memory_samples"][-1]["events"]["trade:BTCUSDT"] for one in (stopped, rest)
    )
    summary = document["summary_statistics"]
    assert summary["total_messages"] == 2 * stopped["summary_statistics"]["total_messages"]
    assert summary["avg_message_rate"] == pytest.approx(100, rel=0.01)
    assert document["event_counts"]["gap"] == 2
    assert document["event_counts"]["resumed"] == 1
    kinds = [(one["kind"], one["generation"]) for one in document["events"]]
    assert kinds.index(("resumed", None)) < kinds.index(("gap", 2))
    assert kinds.index(("gap", 1)) < kinds.index(("resumed", None))
    counts = document["latency"]["receive"]["counts"]
    assert sum(counts) == 2 * sum(stopped["latency"]["receive"]["counts"])
    assert document["test_metadata"]["start_time"] == stopped["test_metadata"]["start_time"]
    assert document["test_metadata"]["end_time"] == rest["test_metadata"]["end_time"]


def test_each_process_is_judged_by_itself(stopped: dict[str, Any]) -> None:
    grown = part(HALF, rss_mib=90.0, starts=2 * HALF)
    document = both(stopped, grown)
    generations = document["streamers"][0]["generations"]
    assert [one["generation"] for one in generations] == [1, 2]
    assert generations[1]["started_seconds"] == pytest.approx(HALF)
    # That the second process is larger is no growth of any.
    assert criteria(document)["memory growth"].outcome == "pass"
    assert criteria(document)["memory growth"].observed == pytest.approx(0, abs=0.1)


def test_many_short_processes_are_not_each_allowed_the_growth_of_a_day() -> None:
    day = scaled(PROFILES["24h"], 12 * 3600)  # 25 MiB in 12 h
    hours = [part(3600, growth_mib_per_hour=24.0, plan=day, starts=at * 4000) for at in range(2)]
    growth = criteria(both(*hours), detector=None)["memory growth"]
    assert growth.limit == 10  # what no run is too short to be allowed
    assert growth.outcome == "fail"
    alone = criteria(hours[0], detector=None)["memory growth"]
    assert alone.limit == 25


def test_processes_too_young_for_a_score_leave_it_open() -> None:
    quarters = [part(900, ended="stopped", starts=at * 1000) for at in range(3)]
    document = both(both(*quarters[:2]), part(2000, starts=3000))
    leak = criteria(document, detector=Scored)["leak score"]
    assert leak.outcome == "pass"  # more than half of the time, by one that is old enough
    short = both(both(both(*quarters[:2]), quarters[2]), part(2000, starts=4000))
    leak = criteria(short, detector=Scored)["leak score"]
    assert leak.outcome == "inconclusive"
    assert "did not live long enough" in leak.reason
    # A leak stays one, however short the others were.
    assert criteria(short, detector=Leaking)["leak score"].outcome == "fail"
    assert criteria(short, detector=LateLeaking)["leak score"].outcome == "fail"


def test_a_window_over_the_interruption_is_judged_by_nobody(
    stopped: dict[str, Any], rest: dict[str, Any]
) -> None:
    late = copy.deepcopy(rest)
    for row in late["memory_samples"]:  # as a start that takes a minute: nothing comes until then
        row["rated_events"] = max(row["rated_events"] - 6000, 0)
    slowest = criteria(both(stopped, late), detector=None)["message rate"]
    assert slowest.outcome == "pass"
    assert slowest.observed == pytest.approx(100, rel=0.05)


def test_an_outage_in_any_segment_is_found(rest: dict[str, Any]) -> None:
    silent = part(HALF, silent_from=600, ended="stopped")
    for document in (both(silent, rest), both(part(HALF, ended="stopped"), silent)):
        outages = criteria(document, detector=None)["stream outages"]
        assert outages.outcome == "fail"
        assert "trade:ETHUSDT: nothing for" in outages.reason


def test_segments_too_short_for_a_window_show_no_outage() -> None:
    parts = [part(280, ended="stopped", starts=at * 300) for at in range(2)]
    outages = criteria(both(*parts), detector=None)["stream outages"]
    assert outages.outcome == "inconclusive"


def test_what_was_on_its_way_when_it_was_killed_was_refused_by_nobody(
    killed: dict[str, Any], stopped: dict[str, Any], rest: dict[str, Any]
) -> None:
    lost = copy.deepcopy(killed)
    lost["summary_statistics"]["sink_accepted"] += 70
    assert criteria(both(lost, rest), detector=None)["refused records"].outcome == "pass"
    refused = copy.deepcopy(stopped)
    refused["summary_statistics"]["sink_accepted"] += 70
    found = criteria(both(refused, rest), detector=None)["refused records"]
    assert (found.outcome, found.observed) == ("fail", 70)
    unknown = criteria(both(stopped, killed), detector=None)["refused records"]
    assert unknown.outcome == "inconclusive"


def test_a_relaunch_within_a_segment_leaves_it_open(
    stopped: dict[str, Any], rest: dict[str, Any]
) -> None:
    again = copy.deepcopy(stopped)
    generations = again["streamers"][0]["generations"]
    generations.append({**generations[0], "generation": 2})
    document = both(again, rest)
    assert criteria(document, detector=None)["refused records"].outcome == "inconclusive"
    assert [one["generation"] for one in document["streamers"][0]["generations"]] == [1, 2, 3]


def test_losses_and_alarms_of_every_segment_count(
    stopped: dict[str, Any], rest: dict[str, Any]
) -> None:
    first, second = copy.deepcopy(stopped), copy.deepcopy(rest)
    alarm = {"rule": "rate", "action": "fail", "count": 1, "first_elapsed_seconds": 100.0}
    alarm |= {"observed": 1, "limit": 10, "message": "too few"}
    first["summary_statistics"]["missing_ids"] = 2
    second["actions"] = [alarm]
    first["actions"] = [{**alarm, "rule": "leak", "action": "warn"}]
    document = both(first, second)
    told = criteria(document, detector=None)
    assert told["missing ids"].observed == 2
    assert told["rules"].first_breach == HALF + 100
    again = both(document, second)
    (rate,) = (one for one in again["actions"] if one["rule"] == "rate")
    assert (rate["count"], rate["first_elapsed_seconds"]) == (2, HALF + 100)


def test_a_run_is_resumed_any_number_of_times(
    stopped: dict[str, Any], killed: dict[str, Any], rest: dict[str, Any]
) -> None:
    document = both(both(stopped, killed), rest)
    assert [one["ended"] for one in document["segments"]] == ["stopped", None, "completed"]
    starts = [one["started_seconds"] for one in document["segments"]]
    assert starts == [0, HALF, 2 * HALF]
    assert [one["generation"] for one in document["streamers"][0]["generations"]] == [1, 2, 3]


def test_a_clock_that_was_set_back_leaves_the_time_between_unknown(
    stopped: dict[str, Any],
) -> None:
    document = both(stopped, part(HALF, starts=-86400))
    assert document["segments"][1]["between_seconds"] is None
    told = criteria(document, detector=None)
    assert ", then nothing for an unknown time" in told["segments"].reason
    assert told["duration"].observed == pytest.approx(1.0)


def test_an_upgrade_is_named(stopped: dict[str, Any], rest: dict[str, Any]) -> None:
    new = copy.deepcopy(rest)
    new["environment"] |= {"packages": {"vigil": "2.0.0"}, **{f"k{n}": n for n in range(7)}}
    reason = criteria(both(stopped, new), detector=None)["segments"].reason
    assert "by version 2.0.0 (completed)" in reason
    assert "environment k0: nothing before, 0 now" in reason
    assert reason.endswith("; 3 more")


def test_buckets_of_another_version_are_not_added_up(
    stopped: dict[str, Any], rest: dict[str, Any]
) -> None:
    old = copy.deepcopy(stopped)
    old["latency"]["bucket_seconds"] = [1.0]
    assert both(old, rest)["latency"] == rest["latency"]


def test_a_part_that_has_shown_nothing_yet(stopped: dict[str, Any], rest: dict[str, Any]) -> None:
    nothing = copy.deepcopy(rest)
    nothing["memory_samples"], nothing["streamers"] = [], []
    nothing["test_metadata"]["actual_duration_hours"] = 0.0
    document = both(stopped, nothing)
    assert document["memory_samples"] == stopped["memory_samples"]
    assert document["segments"][1]["final_report"] is False
    empty = both(nothing, nothing)
    assert empty["summary_statistics"]["final_rss_mb"] is None
    assert empty["summary_statistics"]["avg_message_rate"] is None
    assert both(nothing, rest)["memory_samples"][0]["messages_received"] > 0


def test_the_report_shows_it(stopped: dict[str, Any], rest: dict[str, Any]) -> None:
    page = render(both(stopped, rest)).decode()
    assert "then nothing for 0:" in page


class Scored:
    """A detector that needs 20 minutes of bins for its score."""

    score = 0.1

    def __init__(self, _horizon_seconds: float, _reference: object) -> None:
        self._at = 0.0

    def observe(self, elapsed_seconds: float, *_: object, **__: object) -> None:
        self._at = elapsed_seconds

    def collected(self, *_: object) -> None: ...

    def assess(self) -> Assessment:
        score = self.score if self._at > 1500 or self.score > 0.8 else None
        return Assessment(score, score, None, None, None, "none", "stands in")


class Leaking(Scored):
    score = 0.9


class LateLeaking(Scored):
    """A leak that is seen only in the last process."""

    def assess(self) -> Assessment:
        score = 0.9 if self._at > 1500 else None
        return Assessment(score, score, None, None, None, "none", "stands in")


def test_what_an_older_profile_tells_of_streams_is_in_its_rows(
    stopped: dict[str, Any], rest: dict[str, Any]
) -> None:
    older = {name: value for name, value in stopped.items() if name != "stream_records"}
    assert both(older, rest)["stream_records"] == both(stopped, rest)["stream_records"]
