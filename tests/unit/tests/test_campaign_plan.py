from __future__ import annotations

import itertools

from simulator.faults import KINDS, validated
from tests.campaign_plan import plan

SYMBOLS, STREAMS = ("BTCUSDT", "ETHUSDT"), ("trade", "aggTrade")


def test_a_seed_is_a_plan():
    assert plan(5, 50, SYMBOLS, STREAMS) == plan(5, 50, SYMBOLS, STREAMS)
    assert plan(5, 50, SYMBOLS, STREAMS) != plan(6, 50, SYMBOLS, STREAMS)


def test_every_fault_is_met_and_can_be_carried_out():
    actions = set()
    for seed in range(1, 51):
        steps = plan(seed, 50, SYMBOLS, STREAMS, broker=True)
        assert steps == sorted(steps, key=lambda step: step.at)
        assert 1 <= sum(step.action == "kill" for step in steps) <= 2
        assert sum(step.action == "broker" for step in steps) == 1
        for step in steps:
            actions.add(step.action)
            if step.action in KINDS:
                validated(1, {"kind": step.action, **step.arguments}, SYMBOLS)
        first_ids = [int(step.arguments["first_id"]) for step in steps if step.action == "ids_anew"]
        assert all(after * 10 < before for before, after in itertools.pairwise(first_ids))
    assert actions == {*KINDS, "rotate", "kill", "symbols", "broker"}
    assert not [step for step in plan(5, 50, SYMBOLS, STREAMS, kill=False, change=False)
                if step.action in ("kill", "symbols", "broker")]  # fmt: skip
