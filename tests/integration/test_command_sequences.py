"""Random sequences of commands, signals and kills: no orphan, no stuck command, no lost profile.

All 200: `pytest -m "full or not full" tests/integration/test_command_sequences.py`; what a seed
leads to: `python -c "from tests.command_sequences import plan; print(plan(7))"`.
"""

from __future__ import annotations

import pytest

from tests.command_sequences import carry_out, check, plan
from tests.exchange import Exchange
from tests.supervising import Supervised

SEEDS = 200
USUAL = 10  # for every commit


@pytest.mark.parametrize(
    "seed",
    [
        *range(1, USUAL + 1),
        *(pytest.param(seed, marks=pytest.mark.full) for seed in range(USUAL + 1, SEEDS + 1)),
    ],
)
def test_a_sequence_leaves_nothing_behind(vigil: Supervised, seed: int) -> None:
    the_plan = plan(seed)
    if the_plan.manner != "real":
        check(carry_out(the_plan, vigil, {}), vigil)
        return
    with Exchange(vigil.directory, rate=100) as exchange:
        settings: dict[str, object] = {
            "exchange.websocket_url": exchange.websocket_url,
            "exchange.rest_url": exchange.rest_url,
            "exchange.ca_file": exchange.ca_file,
            "sink.directory": vigil.directory / "records",
        }
        check(carry_out(the_plan, vigil, settings), vigil)
