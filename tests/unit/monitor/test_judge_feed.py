"""Each criterion on the feed at its limit, from evidence that a test writes by hand.

Whole runs are judged in test_verdict.py, test_short_runs.py and test_subscription_changes.py.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from monitor.criteria import Criterion
from monitor.evidence import Evidence, Process
from monitor.judge_feed import OUTAGE_EVENTS, feed_criteria
from monitor.soak_plans import PROFILES

PLAN = replace(PROFILES["smoke"], rate_limit_per_second=10.0, rate_window_seconds=20.0)
FACTS: dict[str, Any] = {
    "reports": 100,
    "final_report": True,
    "sink_queued": 0,
    "oldest_connection_seconds": 60.0,
    "rotations_due": 0,
    "rotations": 0,
    "rotations_pending": 0,
    "rotations_lost": 0,
    "drops": 0,
    "longest_silence_seconds": {"trade:BTCUSDT": 1.0},
}
SUMMARY: dict[str, Any] = {
    "unscheduled_drops": 0,
    "missing_ids": 0,
    "gaps": 0,
    "duplicates": 0,
    "message_errors": 0,
    "connection_errors": 0,
    "sink_errors": 0,
    "sink_accepted": 100,
    "sink_acknowledged": 100,
}
PER_SECOND = 20


def row(second: float, total: float, **events: float) -> dict[str, Any]:
    return {
        "elapsed_seconds": second,
        "messages_received": total,
        "events": {f"trade:{symbol}": count for symbol, count in events.items()},
    }


def rows(seconds: int = 120, until: int = 10**9) -> list[dict[str, Any]]:
    """One a second; after `until` nothing comes any more."""
    counts = ((second, PER_SECOND * min(second, until)) for second in range(1, seconds + 1))
    return [row(float(second), count, BTCUSDT=count) for second, count in counts]


def process(name: str = "streamer-1", generation: int = 1, **facts: Any) -> Process:
    return Process(name, generation, 0.0, 60.0, (), 1, {**FACTS, **facts})


def evidence(**changes: Any) -> Evidence:
    good: dict[str, Any] = {
        "own_format": True,
        "profile": PLAN,
        "elapsed_seconds": 120.0,
        "ended": "completed",
        "rows": rows(),
        "processes": (process(),),
        "summary": SUMMARY,
        "settings": {
            "streams": ["trade"],
            "stale_after_seconds": 30.0,
            "connection_max_age_seconds": 60.0,
        },
        "symbols": ("BTCUSDT",),
        "changes": (),
        "actions": (),
        "reference": None,
    }
    return Evidence(**good | changes)


def told(**summary: Any) -> Evidence:
    return evidence(summary=SUMMARY | summary)


def of(found: Evidence, name: str) -> Criterion:
    [criterion] = [one for one in feed_criteria(found) if one.name == name]
    return criterion


def test_a_good_run_passes_each_criterion_with_samples() -> None:
    criteria = feed_criteria(evidence())
    assert {one.outcome for one in criteria} == {"pass"}
    assert all(one.samples for one in criteria)
    assert len({one.name for one in criteria}) == len(criteria)


def test_of_nothing_recorded_no_required_criterion_is_answered() -> None:
    criteria = feed_criteria(evidence(rows=[], processes=(), summary={}))
    assert {one.outcome for one in criteria if one.required} == {"inconclusive"}
    assert all(one.reason for one in criteria)


# The rate ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("slow", "outcome"), [(200, "pass"), (199, "fail")])
def test_the_rate_is_that_of_the_slowest_window(slow: int, outcome: str) -> None:
    totals = {20: 400, 40: 400 + slow, 60: 800 + slow}
    judged = of(
        evidence(rows=[row(0.0, 0), *(row(float(at), it) for at, it in totals.items())]),
        "message rate",
    )
    assert (judged.outcome, judged.observed) == (outcome, slow / 20)
    assert judged.first_breach == (None if outcome == "pass" else 40.0)
    assert (judged.limit, judged.samples) == (10.0, 3)


def test_no_whole_window_is_no_rate() -> None:
    judged = of(evidence(rows=rows(seconds=15)), "message rate")
    assert (judged.outcome, judged.reason) == ("inconclusive", "no whole window was observed")


def test_what_is_rated_are_trades_where_they_are_told_apart() -> None:
    quotes_only = [one | {"rated_events": 0} for one in rows()]
    assert of(evidence(rows=quotes_only), "message rate").outcome == "fail"


@pytest.mark.parametrize(
    ("streams", "required"),
    [(["trade"], True), (["aggTrade", "depth"], True), (["bookTicker"], False), (None, True)],
)
def test_a_rate_is_required_of_trades_alone(streams: list[str] | None, required: bool) -> None:
    settings = {} if streams is None else {"streams": streams}
    assert of(evidence(settings=settings), "message rate").required is required


# Symbols and their outages -----------------------------------------------------------------------


def test_a_symbol_that_never_came_fails_by_name() -> None:
    judged = of(evidence(symbols=("BTCUSDT", "ETHUSDT")), "every symbol")
    assert (judged.outcome, judged.observed, judged.limit) == ("fail", 1, 2)
    assert judged.reason == "never: trade:ETHUSDT"


@pytest.mark.parametrize(("seconds", "outcome"), [(29.0, "inconclusive"), (30.0, "fail")])
def test_a_stopped_run_has_shown_a_symbol_silent_after_a_while_only(
    seconds: float, outcome: str
) -> None:
    stopped = evidence(
        symbols=("BTCUSDT", "ETHUSDT"), elapsed_seconds=seconds, ended="stopped", rows=rows(29)
    )
    assert of(stopped, "every symbol").outcome == outcome


def test_what_was_removed_is_not_asked_for() -> None:
    removal = {"elapsed_seconds": 50.0, "added": [], "removed": ["trade:ETHUSDT"]}
    judged = of(evidence(symbols=("BTCUSDT", "ETHUSDT"), changes=(removal,)), "every symbol")
    assert (judged.outcome, judged.limit) == ("pass", 1)


@pytest.mark.parametrize(
    ("changes", "outcome", "limit"),
    [
        ((), "pass", 1),
        (({"elapsed_seconds": 5.0, "added": ["trade:BTCUSDT"], "removed": []},), "pass", 1),
        (({"elapsed_seconds": 5.0, "added": ["trade:ETHUSDT"], "removed": []},), "fail", 2),
    ],
)
def test_a_member_of_a_group_is_asked_for_what_was_here_and_not_for_all_symbols(
    changes: tuple[dict[str, Any], ...], outcome: str, limit: int
) -> None:
    settings = {"streams": ["trade"], "effective": {"group": {"enabled": True}}}
    ours = evidence(symbols=("BTCUSDT", "ETHUSDT"), settings=settings, changes=changes)
    judged = of(ours, "every symbol")
    assert (judged.outcome, judged.limit) == (outcome, limit)


@pytest.mark.parametrize(("until", "outcome"), [(101, "pass"), (100, "fail")])
def test_a_stream_that_stops_for_a_window_has_an_outage(until: int, outcome: str) -> None:
    judged = of(evidence(rows=rows(until=until)), "stream outages")
    assert judged.outcome == outcome
    if outcome == "fail":
        assert (judged.observed, judged.first_breach) == (1, 120.0)
        assert judged.reason == "trade:BTCUSDT: nothing for 20 s"


def test_a_rare_stream_may_be_silent_for_longer() -> None:
    """With 2.5 events a second, a hundred of them take 40 s and not the window's 20."""
    rare = [row(float(second), 0, BTCUSDT=min(second, 90) * 300 // 90) for second in range(1, 121)]
    assert of(evidence(rows=rare), "stream outages").outcome == "pass"


@pytest.mark.parametrize(("total", "judged"), [(2 * OUTAGE_EVENTS - 1, 0), (2 * OUTAGE_EVENTS, 1)])
def test_too_few_events_are_not_judged(total: int, judged: int) -> None:
    few = [row(float(second), 0, BTCUSDT=total * second // 120) for second in range(1, 121)]
    found = of(evidence(rows=few), "stream outages")
    assert (found.samples, found.required) == (judged, judged > 0)
    assert found.outcome == ("pass" if judged else "inconclusive")


@pytest.mark.parametrize(("seconds", "outcome"), [(30.0, "pass"), (30.1, "fail")])
def test_the_longest_silence_is_told_and_decides_nothing(seconds: float, outcome: str) -> None:
    silent = process(longest_silence_seconds={"trade:BTCUSDT": 2.0, "trade:ETHUSDT": seconds})
    judged = of(evidence(processes=(process(), silent)), "longest silence")
    assert (judged.outcome, judged.observed, judged.reason) == (outcome, seconds, "trade:ETHUSDT")
    assert not judged.required


# Connections -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("drops", "outcome"), [(2, "pass"), (3, "fail")])
def test_drops_fail_from_their_limit_on(drops: int, outcome: str) -> None:
    found = replace(told(unscheduled_drops=drops), profile=replace(PLAN, drops_limit=3))
    assert of(found, "unscheduled drops").outcome == outcome


def test_without_a_limit_drops_are_told() -> None:
    found = replace(told(unscheduled_drops=99), profile=replace(PLAN, drops_limit=None))
    judged = of(found, "unscheduled drops")
    assert (judged.outcome, judged.required, judged.observed) == ("pass", False, 99)


def test_drops_that_nobody_reported_are_not_known() -> None:
    assert of(evidence(processes=(process(reports=0),)), "unscheduled drops").outcome == (
        "inconclusive"
    )


@pytest.mark.parametrize(
    ("age", "limit"), [(60.0, 75.0), (3600.0, 3675.0), (14_400.0, 14_700.0), (86_400.0, 86_700.0)]
)
def test_no_connection_outlives_its_age_by_more_than_a_rotation_takes(
    age: float, limit: float
) -> None:
    for oldest, outcome in ((limit, "pass"), (limit + 0.1, "fail")):
        found = evidence(
            settings={"connection_max_age_seconds": age},
            processes=(process(oldest_connection_seconds=oldest),),
        )
        judged = of(found, "connection age")
        assert (judged.limit, judged.outcome) == (limit, outcome)


@pytest.mark.parametrize(
    ("facts", "outcome", "limit"),
    [
        ({"rotations_due": 3, "rotations": 3}, "pass", 3),
        ({"rotations_due": 3, "rotations": 2}, "fail", 3),
        ({"rotations_due": 3, "rotations": 2, "rotations_pending": 1}, "pass", 2),
        ({"rotations_due": 3, "rotations": 2, "rotations_lost": 1}, "pass", 2),
        ({"rotations_due": 1, "rotations": 0, "rotations_pending": 1, "drops": 5}, "pass", 0),
    ],
)
def test_rotations_that_were_due_are_done_or_excused(
    facts: dict[str, int], outcome: str, limit: int
) -> None:
    judged = of(evidence(processes=(process(**facts),)), "rotations")
    assert (judged.outcome, judged.limit) == (outcome, limit)


def test_processes_without_a_report_had_no_rotations_to_do() -> None:
    dead = process(generation=2, reports=0, rotations_due=9)
    assert of(evidence(processes=(process(), dead)), "rotations").outcome == "pass"


# What was lost -----------------------------------------------------------------------------------


def test_one_missing_id_fails() -> None:
    judged = of(told(missing_ids=1, gaps=3), "missing ids")
    assert (judged.outcome, judged.required, judged.reason) == ("fail", True, "in 3 gaps")


@pytest.mark.parametrize(
    ("name", "key", "outcome"),
    [
        ("gaps", "gaps", "pass"),
        ("duplicates", "duplicates", "pass"),
        ("connection errors", "connection_errors", "pass"),
        ("message errors", "message_errors", "fail"),
        ("sink errors", "sink_errors", "fail"),
    ],
)
def test_what_is_told_only_decides_nothing(name: str, key: str, outcome: str) -> None:
    judged = of(told(**{key: 1}), name)
    assert (judged.outcome, judged.observed, judged.required) == (outcome, 1, False)


@pytest.mark.parametrize(
    ("acknowledged", "queued", "refused", "outcome"),
    [(100, 0, 0, "pass"), (97, 3, 0, "pass"), (97, 2, 1, "fail")],
)
def test_records_are_acknowledged_on_their_way_or_refused(
    acknowledged: int, queued: int, refused: int, outcome: str
) -> None:
    found = replace(told(sink_acknowledged=acknowledged), processes=(process(sink_queued=queued),))
    judged = of(found, "refused records")
    assert (judged.outcome, judged.observed) == (outcome, refused)


@pytest.mark.parametrize(
    "processes",
    [(process(final_report=False),), (process(), process(generation=2))],
    ids=["no last word", "launched again, from before what it left"],
)
def test_how_many_were_refused_may_not_be_known(processes: tuple[Process, ...]) -> None:
    judged = of(evidence(processes=processes), "refused records")
    assert (judged.outcome, judged.observed) == ("inconclusive", None)


@pytest.mark.parametrize(("queued", "outcome"), [(0, "pass"), (1, "fail")])
def test_at_the_end_all_is_acknowledged(queued: int, outcome: str) -> None:
    judged = of(evidence(processes=(process(sink_queued=queued),)), "sink acknowledged")
    assert (judged.outcome, judged.observed) == (outcome, queued)


def test_only_the_last_process_of_a_streamer_has_to_end_with_nothing_left() -> None:
    killed = process(final_report=False, sink_queued=7)
    again = process(generation=2)
    other = process("streamer-2", sink_queued=2)
    assert of(evidence(processes=(killed, again)), "sink acknowledged").outcome == "pass"
    assert of(evidence(processes=(again, killed)), "sink acknowledged").outcome == "inconclusive"
    assert of(evidence(processes=(again, other)), "sink acknowledged").observed == 2
