"""What a process accounts for, from its reports to the verdict, live and from a saved profile."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from monitor.leak import LeakDetector
from monitor.memory_parts import (
    ALL_PARTS,
    EXPLAINED_MAX_BYTES,
    SETTLED_SECONDS,
    TOLD_WITHIN_SECONDS,
    MemoryRecord,
    accounts_for_all,
    explained_bytes,
)
from monitor.soak_plans import PROFILES
from monitor.verdict import concluded, judge
from streamer.config import KafkaConfig
from streamer.memory.free_heap import FreeHeap
from streamer.memory.heap import statistics
from streamer.memory.parts import MemoryAccount
from streamer.memory.python_heap import python_heap
from streamer.messages import MEMORY_PARTS_MAX, MemoryPart, SinkCounts
from tests.unit.monitor.observations import MIB, reported, sample
from tests.unit.monitor.runs import Run

HOUR = 3600
QUEUE_LIMIT_MIB = 100


def test_a_part_counts_up_to_its_limit():
    parts = {"queue": MemoryPart(50, 30), "pages": MemoryPart(5, 9)}
    assert explained_bytes(parts, 10**9) == 35


def test_what_has_no_limit_explains_nothing():
    assert explained_bytes({"heap_in_use": MemoryPart(50)}, 10**9) is None
    assert explained_bytes({}, 10**9) is None
    assert explained_bytes({"heap_in_use": MemoryPart(50), "pages": MemoryPart(3, 9)}, 99) == 3


def test_the_whole_is_bounded_whatever_the_limits_are():
    parts = {name: MemoryPart(10**12, 10**12) for name in "ab"}
    assert explained_bytes(parts, 10**13) == EXPLAINED_MAX_BYTES
    assert explained_bytes(parts, 1000) == 1000  # never more than there is


def test_parts_are_kept_once_settled_at_their_most_and_last():
    record = MemoryRecord()
    for uptime, size in ((1.0, 5), (SETTLED_SECONDS, 10), (SETTLED_SECONDS + 1, 40), (900.0, 20)):
        record.take({"queue": MemoryPart(size, 99)}, uptime)
    assert record.as_json() == {
        "queue": {"first_bytes": 10, "highest_bytes": 40, "last_bytes": 20, "limit_bytes": 99}
    }


def test_a_part_that_came_later_has_no_beginning_and_names_are_bounded():
    record = MemoryRecord()
    record.take({"queue": MemoryPart(1)}, 100.0)
    for number in range(3 * MEMORY_PARTS_MAX):
        record.take({f"part-{number}": MemoryPart(number)}, 200.0)
    assert len(record.highest) == MEMORY_PARTS_MAX
    (only,) = record.as_json().values()
    assert only["first_bytes"] is None
    assert only["highest_bytes"] == only["last_bytes"] == 3 * MEMORY_PARTS_MAX - 1


def test_what_was_told_long_ago_explains_nothing_now():
    run = Run(PROFILES["1h"])
    run.feed(reported(1.0, memory={"queue": MemoryPart(10 * MIB, 20 * MIB)}))
    generation = run.recorder._ledger.find("streamer-1", 1)
    run.feed(sample(1.0 + TOLD_WITHIN_SECONDS, 60.0))
    assert generation.binner.open.unexplained_min_bytes == 50 * MIB
    run.feed(sample(40.0, 60.0))
    assert generation.binner.open.unexplained_min_bytes is None


def test_who_leaves_out_one_part_does_not_account_for_all():
    parts = {name: MemoryPart(0, 1) for name in ALL_PARTS}
    assert accounts_for_all({**parts, "heap_in_use": MemoryPart(7)})
    for name in ALL_PARTS:
        assert not accounts_for_all({each: parts[each] for each in ALL_PARTS - {name}})


def test_a_streamer_here_accounts_for_all():
    parts = MemoryAccount(KafkaConfig(), FreeHeap()).parts(SinkCounts("null"), 0)
    assert accounts_for_all(parts) is (python_heap() is not None and statistics() is not None)


def _soak(
    memory_mib: Any, queue_mib: Any, hours: float, others: frozenset[str] = frozenset()
) -> tuple[Run, dict[str, Any]]:
    """Return a soak of 24 h that a person stopped, seen twice a minute, and its document.

    Its queue and `others`, which hold nothing, are what it tells.
    """
    noise = random.Random(3)
    run = Run(PROFILES["24h"])

    def in_sample(second: int) -> dict[str, Any]:
        return {"rss_mib": memory_mib(second / HOUR) + abs(noise.gauss(0, 0.4))}

    def in_report(second: int) -> dict[str, Any]:
        queue = round(queue_mib(second / HOUR) * MIB)
        nothing = dict.fromkeys(others, MemoryPart(0, MIB))
        return {"memory": nothing | {"sink_queue": MemoryPart(queue, QUEUE_LIMIT_MIB * MIB)}}

    # A sample comes before the report of its second: the report is the one of before.
    run.seconds(1, in_report, in_sample)
    for second in range(31, round(hours * HOUR), 30):
        run.now = float(second) - 1
        run.feed(reported(run.now, sequence=second, uptime_seconds=run.now, **in_report(second)))
        run.now = float(second)
        run.feed(sample(run.now, **in_sample(second)))
    return run, concluded(run.end("stopped").document())[0]


def _score(document: dict[str, Any]) -> float:
    return next(one for one in document["criteria"] if one["name"] == "leak score")["observed"]


def filling(hour: float) -> float:
    return 20 * min(hour, 4)


@pytest.fixture(scope="module")
def filling_queue():
    return _soak(lambda hour: 60 + filling(hour), filling, 3.5)


def test_a_queue_that_fills_is_no_leak(filling_queue):
    assert _score(filling_queue[1]) < 0.5


def test_the_same_memory_without_a_word_is_a_leak(filling_queue):
    document = json.loads(json.dumps(filling_queue[1]))
    for one in document["streamers"][0]["generations"]:
        del one["bins"]["unexplained_min_bytes"]  # as profiles were before
    old = judge(document)
    assert next(one for one in old.criteria if one.name == "leak score").observed > 0.8


def test_a_saved_profile_repeats_the_score_to_the_letter(filling_queue):
    run, document = filling_queue
    live = run.recorder._ledger.find("streamer-1", 1).leak.latest
    assert live.score is not None
    saved = json.loads(json.dumps(document))
    again = next(one for one in judge(saved).criteria if one.name == "leak score")
    assert again.observed == live.score
    assert live.reason in again.reason


def test_a_leak_beside_a_queue_that_fills_is_found():
    _, document = _soak(
        lambda hour: 60 + 10 * hour + filling(hour) / 4, lambda h: filling(h) / 4, 6
    )
    assert _score(document) > 0.8


def _leaking_beside_a_queue(others: frozenset[str]) -> tuple[Run, dict[str, Any]]:
    return _soak(
        lambda hour: 60 + 10 * hour + filling(hour) / 4, lambda h: filling(h) / 4, 3, others
    )


def test_a_leak_is_found_sooner_in_who_accounts_for_all():
    run, document = _leaking_beside_a_queue(ALL_PARTS)
    assert _score(document) > 0.8 > _score(_leaking_beside_a_queue(ALL_PARTS - {"python_free"})[1])
    live = run.recorder._ledger.find("streamer-1", 1).leak.latest
    saved = json.loads(json.dumps(document))
    again = next(one for one in judge(saved).criteria if one.name == "leak score")
    assert again.observed == live.score  # to the letter
    for one in saved["streamers"][0]["generations"]:
        del one["accounts_for_all_memory"]  # as profiles were before
    assert next(one for one in judge(saved).criteria if one.name == "leak score").observed < 0.8


def test_a_queue_that_grows_for_ever_is_found_beyond_its_limit():
    def queue(hour: float) -> float:
        return 40 * hour

    _, document = _soak(lambda hour: 60 + queue(hour), queue, 6)
    assert _score(document) > 0.8
    _, before = _soak(lambda hour: 60 + queue(hour), queue, QUEUE_LIMIT_MIB / 40)
    assert _score(before) < 0.5


def test_what_is_told_of_growth_never_excuses_growth_by_floors():
    _, document = _soak(lambda hour: 60 + filling(hour), filling, 6)
    grown = next(one for one in document["criteria"] if one["name"] == "memory growth")
    assert grown["observed"] > 20


def test_beside_a_reference_nothing_told_counts():
    reference = [((minute + 1) * 60.0, 60.0 * MIB) for minute in range(600)]
    plain, told = LeakDetector(86_400, reference), LeakDetector(86_400, reference)
    for minute in range(1, 200):
        memory = (60 + minute / 5) * MIB
        plain.observe(minute * 60, memory)
        told.observe(minute * 60, memory, explained_bytes=minute / 5 * MIB)
    assert told.assess() == plain.assess()
    assert plain.assess().score is not None
