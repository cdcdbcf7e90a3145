from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import Any

import pytest

from monitor.criteria import Criterion, verdict_of
from monitor.model import Exited
from monitor.recorder import Ended
from monitor.soak_plans import PROFILES
from monitor.verdict import DocumentError, concluded, judge
from streamer.messages import SinkCounts
from tests.unit.monitor.observations import EPOCH, NAME, slot, stream
from tests.unit.monitor.runs import SYMBOLS, Change, Run, nothing

SMOKE = PROFILES["smoke"]


def criterion(document: dict[str, Any], name: str) -> Criterion:
    (found,) = [one for one in judge(document).criteria if one.name == name]
    return found


def smoke(in_report: Change = nothing, in_sample: Change = nothing) -> dict[str, Any]:
    return Run(SMOKE).seconds(120, in_report, in_sample).end().document()


def test_a_good_run_passes_and_every_required_criterion_rests_on_samples() -> None:
    verdict = judge(smoke())
    assert verdict.outcome == "pass", verdict.failed + verdict.open
    assert all(one.samples > 0 for one in verdict.criteria if one.required)


def test_the_saved_document_gives_the_same_verdict_to_the_letter() -> None:
    document, verdict = concluded(smoke())
    again = json.loads(json.dumps(document))
    assert judge(again) == verdict
    assert again["verdict"] == "pass"
    assert again["criteria"] == [asdict(one) for one in verdict.criteria]


@pytest.mark.parametrize(
    ("name", "in_report", "in_sample"),
    [
        ("memory ceiling", nothing, lambda at: {"rss_mib": 451.0 if at == 7 else 60.0}),
        ("rules", nothing, lambda at: {"rss_mib": 451.0 if at == 7 else 60.0}),
        ("memory growth", nothing, lambda at: {"rss_mib": 60.0 + at / 6}),
        (
            "message rate",
            lambda at: {"streams": tuple(stream(min(at, 60) * 50, s) for s in SYMBOLS)},
            nothing,
        ),
        (
            "every symbol",
            lambda at: {"streams": (stream(100 * at), stream(0, "ETHUSDT"))},
            nothing,
        ),
        ("unscheduled drops", lambda _: {"slots": (slot(drops_total=1),)}, nothing),
        ("connection age", lambda _: {"slots": (slot(age=4 * 3600 + 301.0),)}, nothing),
        (
            "heartbeat",
            lambda at: {"uptime_seconds": float(at + (11 if at > 50 else 0))},
            nothing,
        ),
        (
            "stream outages",
            lambda at: {"streams": (stream(900 * at), stream(50 * min(at, 90), "ETHUSDT"))},
            nothing,
        ),
        (
            "missing ids",
            lambda at: {"streams": tuple(stream(50 * at, s, missing_total=3) for s in SYMBOLS)},
            nothing,
        ),
        ("thread growth", nothing, lambda at: {"threads": 5 if at < 80 else 16}),
        ("open file growth", nothing, lambda at: {"open_files": 20 + at}),
    ],
)
def test_one_fault_fails_its_criterion(name: str, in_report: Change, in_sample: Change) -> None:
    document = smoke(in_report, in_sample)
    assert criterion(document, name).outcome == "fail"
    assert judge(document).outcome == "fail"


@pytest.mark.parametrize(
    ("name", "in_report", "in_sample"),
    [
        ("cpu", nothing, lambda at: {"cpu_seconds": 0.01 * at + 0.9 * min(max(at - 50, 0), 30)}),
        ("message errors", lambda _: {"message_errors": {"json": 1}}, nothing),
        ("sink errors", lambda _: {"sink": SinkCounts("kafka", errors_total=1)}, nothing),
    ],
)
def test_one_fault_is_told_and_fails_nothing(
    name: str, in_report: Change, in_sample: Change
) -> None:
    document = smoke(in_report, in_sample)
    assert criterion(document, name).outcome == "fail"
    assert judge(document).outcome == "pass"


def test_lost_changes_of_a_book_are_told_and_fail_nothing() -> None:
    def with_books(at: int) -> dict[str, object]:
        trades = tuple(stream(50 * at, symbol) for symbol in SYMBOLS)
        book = stream(10 * at, kind="depth@100ms", missing_total=3, gaps_total=1)
        return {"streams": (*trades, book)}

    document = smoke(with_books)
    assert document["summary_statistics"]["missing_updates"] == 3
    assert criterion(document, "missing ids").outcome == "pass"
    assert judge(document).outcome == "pass"


@pytest.mark.parametrize(
    ("name", "in_sample"),
    [
        ("thread growth", lambda at: {"threads": 5 if at < 12 else 30}),  # the start
        ("thread growth", lambda at: {"threads": 30 if at % 30 == 0 else 5}),  # rotations
        ("open file growth", lambda at: {"open_files": 20 if at < 12 else 90}),
    ],
)
def test_what_a_start_and_a_peak_take_is_no_growth(name: str, in_sample: Change) -> None:
    assert criterion(smoke(in_sample=in_sample), name).outcome == "pass"


def test_a_symbol_that_is_always_quiet_has_no_outage() -> None:
    def quiet(at: int) -> dict[str, Any]:
        return {"streams": (stream(900 * at), stream(at // 20, "ETHUSDT"))}

    document = Run(PROFILES["1h"]).seconds(3600, quiet, every=5).end().document()
    outages = criterion(document, "stream outages")
    assert (outages.outcome, outages.samples) == ("pass", 1)


def test_records_that_the_sink_gave_up_fail() -> None:
    sink = SinkCounts("kafka", accepted_total=9, acknowledged_total=8)
    run = Run(SMOKE).seconds(120).end(sink=sink)
    refused = criterion(run.document(), "refused records")
    assert (refused.outcome, refused.observed) == ("fail", 1)
    sink = SinkCounts("kafka", accepted_total=9, acknowledged_total=9)
    whole = Run(SMOKE).seconds(120).end(sink=sink).document()
    assert criterion(whole, "refused records").outcome == "pass"
    unheard = Run(SMOKE).seconds(120)
    unheard.recorder.ended("completed", unheard.now, EPOCH + unheard.now)
    assert criterion(unheard.document(), "refused records").outcome == "inconclusive"


def test_an_unplanned_end_fails() -> None:
    run = Run(SMOKE).seconds(60)
    run.recorder.ended("streamer_ended", run.now, EPOCH + run.now)
    run.feed(Exited(NAME, 1, -9, False, EPOCH))
    ends = criterion(run.document(), "streamer stayed up")
    assert (ends.outcome, ends.observed, ends.first_breach) == ("fail", 1, 60.0)
    assert "generation 1 ended with -9" in ends.reason


def test_records_left_unacknowledged_fail() -> None:
    run = Run(SMOKE).seconds(120).end(sink=SinkCounts("kafka", accepted_total=9, queued=2))
    assert criterion(run.document(), "sink acknowledged").outcome == "fail"


@pytest.mark.parametrize("reason", ["stopped", None])
def test_stopped_early_is_inconclusive_unless_something_failed(reason: Ended | None) -> None:
    run = Run(SMOKE).seconds(60)
    assert judge((run.end(reason) if reason else run).document()).outcome == "inconclusive"
    run = Run(SMOKE).seconds(60, lambda _: {"slots": (slot(drops_total=3),)})
    assert judge((run.end(reason) if reason else run).document()).outcome == "fail"


def test_missing_samples_fail_a_completed_run() -> None:
    document = smoke()
    del document["memory_samples"][::10]
    assert criterion(document, "samples").outcome == "fail"


def test_a_run_without_any_sample_never_passes() -> None:
    run = Run(SMOKE)
    run.now = 120.0
    run.recorder.ended("completed", run.now, EPOCH + run.now)
    verdict = judge(run.document())
    assert verdict.outcome == "inconclusive"
    never = {"memory ceiling", "memory growth", "message rate", "heartbeat", "every symbol"}
    assert never <= {one.name for one in verdict.open}


def test_rotations_that_were_due_must_have_been_done() -> None:
    good = Run(SMOKE, max_age_seconds=20).seconds(120).end().document()
    rotations = criterion(good, "rotations")
    assert (rotations.outcome, rotations.observed) == ("pass", 5)
    age = criterion(good, "connection age")
    assert (age.limit, age.outcome) == (35, "pass")
    bad = Run(SMOKE, max_age_seconds=20, rotates=False)
    bad.seconds(60).seconds(60, lambda at: {"slots": (slot(age=at - 59.0, connection_id=2),)})
    assert criterion(bad.end(slots=()).document(), "rotations").outcome == "fail"


def test_a_connection_that_was_lost_excuses_its_rotation() -> None:
    run = Run(SMOKE, max_age_seconds=20, rotates=False)
    run.seconds(22).seconds(
        10, lambda _: {"slots": (slot(age=1.0, connection_id=2, drops_total=1),)}
    )
    run.end(slots=(slot(age=2.0, connection_id=2, drops_total=1),))
    assert criterion(run.document(), "rotations").outcome == "pass"


def test_another_loss_excuses_no_rotation() -> None:
    def lost_early_and_replaced_unrotated(at: int) -> dict[str, Any]:
        number, opened = (2, 5) if at < 60 else (3, 60)
        return {"slots": (slot(age=float(at - opened), connection_id=number, drops_total=1),)}

    run = Run(SMOKE, max_age_seconds=20, rotates=False)
    run.seconds(5).seconds(60, lost_early_and_replaced_unrotated).end(slots=())
    rotations = criterion(run.document(), "rotations")
    assert (rotations.outcome, rotations.limit) == ("fail", 1)
    # In older profiles any loss may have been of the connection that was due.
    document = run.document()
    del document["streamers"][0]["generations"][0]["rotations_lost"]
    assert criterion(document, "rotations").outcome == "pass"


def test_a_slot_that_is_given_up_excuses_its_rotation() -> None:
    run = Run(SMOKE, max_age_seconds=20, rotates=False)
    other = slot("slot-2", age=1.0, connection_id=7)
    run.seconds(22).seconds(10, lambda _: {"slots": (other,)}).end(slots=(other,))
    rotations = criterion(run.document(), "rotations")
    assert (rotations.outcome, rotations.reason) == ("pass", "1 due, 1 excused")


def test_book_tickers_alone_need_no_rate() -> None:
    document = smoke(lambda at: {"streams": (stream(at, kind="bookTicker"),)})
    document["settings"]["streams"] = ["bookTicker"]
    assert not criterion(document, "message rate").required


# The predecessor's format -----------------------------------------------------------------------


def predecessor(**changes: Any) -> dict[str, Any]:
    rows = [
        {
            "timestamp": f"2025-01-01T{minute // 60:02}:{minute % 60:02}:00",
            "elapsed_hours": minute / 60,
            "rss_mb": 120.0,
            "vms_mb": 900.0,
            "messages_received": minute * 60 * 20,
        }
        for minute in range(1, 1441)
    ]
    return {
        "test_metadata": {
            "test_duration_hours": 24,
            "actual_duration_hours": 24.0,
            "start_time": "2025-01-01T00:00:00",
            "end_time": "2025-01-02T00:00:00",
            "symbols": ["BTCUSDT"],
            "sample_interval_seconds": 60,
            "total_samples": 1440,
        },
        "summary_statistics": {},
        "memory_samples": rows,
    } | changes


def test_what_the_predecessors_format_lacks_is_inconclusive() -> None:
    verdict = judge(predecessor())
    outcomes = {one.name: one.outcome for one in verdict.criteria}
    assert verdict.outcome == "inconclusive"
    for name in ("duration", "samples", "memory ceiling", "memory growth", "leak score"):
        assert outcomes[name] == "pass", name
    assert outcomes["message rate"] == "pass"
    for name in ("heartbeat", "rules", "streamer stayed up", "unscheduled drops", "rotations"):
        assert outcomes[name] == "inconclusive", name


def test_what_the_predecessors_format_shows_is_judged() -> None:
    document = predecessor()
    document["memory_samples"][700]["rss_mb"] = 451.0
    assert judge(document).outcome == "fail"
    short = predecessor()
    short["test_metadata"]["actual_duration_hours"] = 20.0
    assert criterion(short, "duration").outcome == "fail"


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"test_metadata": {}, "memory_samples": []},
        predecessor(memory_samples=[{"rss_mb": 1}]),
        predecessor(schema_version=99, streamers=[]),
        predecessor(memory_samples=3),
    ],
)
def test_what_is_no_profile_is_said_to_be_none(document: dict[str, Any]) -> None:
    with pytest.raises(DocumentError, match="not a profile that can be judged"):
        judge(document)


def test_what_a_profile_lacks_is_named() -> None:
    with pytest.raises(DocumentError, match=r"judged: it has no 'test_metadata'$"):
        judge({})


def test_required_alone_decides() -> None:
    good = Criterion("a", "", 1.0, 2.0, "", "pass", True, 1)
    told = replace(good, outcome="fail", required=False)
    left_open = replace(good, outcome="inconclusive")
    failed = replace(good, outcome="fail")
    assert verdict_of((good, told)).outcome == "pass"
    assert verdict_of((good, left_open)).outcome == "inconclusive"
    assert verdict_of((good, left_open, failed)).outcome == "fail"
    assert verdict_of(()).outcome == "inconclusive"
