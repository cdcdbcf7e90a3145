"""The watcher beside real processes that leak, or only look like it, in compressed time."""

from __future__ import annotations

import pytest

from benchmarks.leaks import processes
from benchmarks.leaks.processes import judge
from benchmarks.leaks.programs import HEALTHY, LEAKING

MIB = 1 << 20
QUICK_MINUTES = 5 * 60  # what grows by 5 MiB/h is convicted after four hours


def test_a_list_that_grows_is_convicted_and_a_collection_gave_nothing_back() -> None:
    judged = judge("list_growth", QUICK_MINUTES)
    assert judged.convicted_hours is not None
    assert judged.asked_hours is not None
    assert judged.asked_hours < judged.convicted_hours
    assert judged.collections[0].after_bytes is not None
    assert judged.collections[0].after_bytes >= judged.collections[0].before_bytes


def test_fragmentation_is_acquitted_by_what_a_trim_gives_back() -> None:
    judged = judge("fragmentation", QUICK_MINUTES)
    assert judged.asked_hours is not None
    assert judged.convicted_hours is None
    assert judged.collections[0].after_bytes is not None
    assert judged.collections[0].after_bytes < judged.collections[0].before_bytes - 5 * MIB


def test_without_a_collection_it_would_be_convicted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "LEAK_RULES", ("leak",))
    assert judge("fragmentation", QUICK_MINUTES).convicted_hours is not None


@pytest.mark.full
@pytest.mark.parametrize("name", [*HEALTHY, *LEAKING])
def test_every_program_is_told_right(name: str) -> None:
    judged = judge(name)
    assert judged.right, judged
