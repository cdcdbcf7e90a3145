from __future__ import annotations

import re
from functools import cache

import pytest

from monitor.online import Change, Online, judge_online
from monitor.verdict import DocumentError, judge
from tests import profiles

HOUR = 3600


@cache
def online_leak() -> Online:
    return judge_online(profiles.leaking_day(5.0))


def at(changes: tuple[Change, ...], what: str) -> float:
    return next(one.elapsed_seconds for one in changes if re.search(what, one.what))


def test_a_leak_of_5_mb_an_hour_alarms_within_its_first_hours() -> None:
    online = online_leak()
    suspected = min(at(online.changes, "score above"), at(online.changes, "above 0.8"))
    convicted = at(online.changes, "leak score above 0.8")
    assert 2 * HOUR < suspected <= convicted < 8 * HOUR
    # The rule of the run fired on the same evidence, and growth by floors needs far longer.
    assert at(online.changes, "rules fails") == pytest.approx(convicted, abs=120)
    assert at(online.changes, "memory growth fails") > 10 * HOUR
    assert all(one.outcome == "fail" for one in online.changes if one.elapsed_seconds >= convicted)


def test_nothing_fails_in_a_good_day_and_nothing_passes_before_its_end() -> None:
    online = judge_online(profiles.passing_day())
    assert {one.outcome for one in online.changes} == {"inconclusive"}
    assert not any("fails" in one.what or "above" in one.what for one in online.changes)
    assert online.verdict.outcome == "pass"


@pytest.mark.parametrize(
    "document",
    [profiles.stopped_hour(), profiles.smoke(), profiles.predecessors(4)],
)
def test_the_last_word_is_the_verdict(document: profiles.Document) -> None:
    assert judge_online(document).verdict == judge(document)


def test_what_came_later_is_not_known_before() -> None:
    whole = profiles.leaking_day(5.0)
    early = {**whole, "memory_samples": whole["memory_samples"][:360]}
    before = [one for one in online_leak().changes if one.elapsed_seconds <= 6 * HOUR]
    assert before
    assert list(judge_online(early).changes) == before


def test_what_is_no_profile_is_refused() -> None:
    with pytest.raises(DocumentError):
        judge_online({"memory_samples": []})
