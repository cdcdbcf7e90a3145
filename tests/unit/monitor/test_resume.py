from __future__ import annotations

import copy
import json
from dataclasses import asdict
from typing import Any

import pytest

from monitor.evidence import DocumentError
from monitor.reference import Reference
from monitor.resume import UnfitProfileError, disagreements, resumed_from
from monitor.segments import joined
from tests import profiles
from tests.unit.monitor.runs import Run

EFFECTIVE = {
    "sink": {"kind": "files"},
    "connection": {"max_age": 14400.0, "stale_after": 30.0},
}
SETTINGS: dict[str, Any] = {
    "symbols": ["BTCUSDT", "ETHUSDT"],
    "streams": ["trade"],
    "effective": EFFECTIVE,
}


def stopped() -> dict[str, Any]:
    document = copy.deepcopy(profiles.stopped_hour())
    document["settings"]["effective"] = EFFECTIVE
    return document


def test_a_stopped_run_goes_on() -> None:
    found = resumed_from(stopped(), "a.json")
    assert found.plan.name == "1h"
    assert found.elapsed_seconds == 1500
    assert found.remaining_seconds == 2100
    assert found.reference is None
    assert list(disagreements(found, SETTINGS)) == []


def test_so_does_one_that_was_killed() -> None:
    document = stopped()
    document["test_metadata"]["ended"] = document["verdict"] = None
    assert resumed_from(document, "a.json").remaining_seconds == 2100


def test_so_does_one_that_was_interrupted_before() -> None:
    document = stopped()
    document["test_metadata"]["actual_duration_hours"] = 0.2
    again = json.loads(json.dumps(joined(document, document)))
    assert resumed_from(again, "a.json").elapsed_seconds == 1440


def test_its_reference_goes_on_with_it() -> None:
    reference = Reference("good.json", "2026", ("BTCUSDT",), ("trade",), 15.0, (0, 1), (5, 6))
    document = stopped()
    document["reference"] = {**asdict(reference), "symbols": ["BTCUSDT"], "index": [0, 1]}
    assert resumed_from(document, "a.json").reference == reference


@pytest.mark.parametrize("ended", ["completed", "aborted", "streamer_ended", "error"])
def test_a_verdict_that_was_reached_stays(ended: str) -> None:
    document = stopped()
    document["test_metadata"]["ended"] = ended
    with pytest.raises(UnfitProfileError, match=f"it has ended .{ended}. with the verdict"):
        resumed_from(document, "a.json")


def test_what_has_failed_cannot_be_mended() -> None:
    document = stopped()
    document["summary_statistics"]["missing_ids"] = 5
    with pytest.raises(UnfitProfileError, match=r"has failed already.*missing ids: in 0 gaps"):
        resumed_from(document, "a.json")


def test_what_is_done_is_done() -> None:
    document = stopped()
    document["test_metadata"]["actual_duration_hours"] = 1.01
    with pytest.raises(UnfitProfileError, match="3636 s of its 3600 s were run: nothing is left"):
        resumed_from(document, "a.json")


def test_a_service_and_the_predecessor_have_no_soak_to_go_on_with() -> None:
    for document in (Run(None).seconds(60).document(), profiles.predecessors()):
        with pytest.raises(UnfitProfileError, match="it is not of a soak"):
            resumed_from(document, "a.json")


def test_what_is_no_profile_is_refused() -> None:
    with pytest.raises(DocumentError):
        resumed_from({"schema_version": 1}, "a.json")


@pytest.mark.parametrize("key", ["events_dropped", "latency", "subscription_changes"])
def test_a_profile_that_could_not_be_added_to_is_refused_before_anything_runs(key: str) -> None:
    document = stopped()
    del document[key]
    with pytest.raises(UnfitProfileError, match=f"incomplete, or of another version .*{key}"):
        resumed_from(document, "a.json")


def test_other_streams_are_another_soak() -> None:
    found = resumed_from(stopped(), "a.json")
    (why,) = disagreements(found, {**SETTINGS, "symbols": ["XRPUSDT"]})
    assert why == ("its streams are trade:BTCUSDT, trade:ETHUSDT, and now they are trade:XRPUSDT")
    many = {**SETTINGS, "symbols": [f"S{number:02}" for number in range(12)]}
    assert "trade:S09 and 2 more" in next(disagreements(found, many))
    assert "now they are none" in next(disagreements(found, {**SETTINGS, "symbols": []}))


def test_streams_that_came_while_it_ran_belong_to_it() -> None:
    document = stopped()
    document["subscription_changes"] = [
        {"elapsed_seconds": 900.0, "added": ["trade:XRPUSDT"], "removed": ["trade:ETHUSDT"]}
    ]
    document["memory_samples"][-1]["events"]["trade:XRPUSDT"] = 50
    found = resumed_from(document, "a.json")
    assert list(disagreements(found, {**SETTINGS, "symbols": ["BTCUSDT", "XRPUSDT"]})) == []
    assert list(disagreements(found, SETTINGS))


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [("sink", "kind", "kafka"), ("connection", "max_age", 60.0), ("connection", "stale_after", 5)],
)
def test_settings_that_decide_the_verdict_must_agree(section: str, key: str, value: object) -> None:
    effective = {**EFFECTIVE, section: {**EFFECTIVE[section], key: value}}  # type: ignore[dict-item]
    found = resumed_from(stopped(), "a.json")
    (why,) = disagreements(found, {**SETTINGS, "effective": effective})
    assert why.startswith(f"its {section}.{key} is ")
    assert why.endswith(f"and now it is {value}")


def test_in_a_group_the_settings_are_to_agree_whatever_was_assigned() -> None:
    document = stopped()
    document["settings"]["effective"] = {**EFFECTIVE, "group": {"enabled": True}}
    document["subscription_changes"] = [
        {"elapsed_seconds": 9.0, "added": [], "removed": ["trade:ETHUSDT"]}
    ]
    assert list(disagreements(resumed_from(document, "a.json"), SETTINGS)) == []


def test_with_patterns_the_settings_are_to_agree_whatever_was_listed() -> None:
    document = stopped()
    document["test_metadata"]["symbols"] = ["*USDT", "!B*"]
    found = resumed_from(document, "a.json")
    assert list(disagreements(found, {**SETTINGS, "symbols": ["!B*", "*USDT"]})) == []
    (why,) = disagreements(found, {**SETTINGS, "symbols": ["*USDT"]})
    assert why.startswith("its streams are trade:!B*, trade:*USDT, and now they are trade:*USDT")
    (why,) = disagreements(found, SETTINGS)
    assert "now they are trade:BTCUSDT, trade:ETHUSDT" in why
