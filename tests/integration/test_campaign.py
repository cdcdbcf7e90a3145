"""The fault campaign: two seeds in every run of the tests, and what its audits would notice.

More seeds: `scripts/faults`, docs/faults.md.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.campaign import supervised
from tests.campaign_plan import Step, plan
from tests.campaign_run import STREAMS, SYMBOLS, Result, run_seed
from tests.campaign_sinks import FilesSink, KafkaSink
from tests.kafka_cluster import KafkaCluster
from tests.supervising import Supervised

pytestmark = pytest.mark.timeout(240)
CALM = ()  # of the exchange: no nasty REST, so that what fails is what was disabled
LOSSES = [
    Step(0.0, "rotate"),
    Step(0.5, "withhold", {"count": 7, "stream": "trade"}),
    Step(1.5, "kill"),
    Step(3.5, "rotate"),
]
ROTATIONS = [Step(1.2 * number, "rotate") for number in range(4)]


@pytest.fixture
def vigil() -> Iterator[Supervised]:
    with supervised() as started:
        yield started


def run(vigil: Supervised, seed: int, steps: list[Step], **more) -> Result:
    sink = FilesSink(vigil.directory / "records")
    return run_seed(seed, steps, vigil, sink, print, **more)


def test_a_seed_into_files(vigil):
    result = run(vigil, 1, plan(1, 18, SYMBOLS, STREAMS))
    assert result.passed, "\n".join(result.checked.problems) + vigil.log.read_text()[-8000:]
    assert result.kills
    assert result.checked.backfilled
    assert not result.checked.copies


@pytest.mark.full
@pytest.mark.timeout(600)  # the first run on a machine fetches Kafka
def test_a_seed_into_kafka(vigil, tmp_path):
    with KafkaCluster(tmp_path / "kafka") as cluster:
        sink = KafkaSink(cluster, "seed1", vigil.directory / "records", STREAMS)
        steps = plan(1, 30, SYMBOLS, STREAMS, broker=True)
        result = run_seed(1, steps, vigil, sink, print)
    assert result.passed, "\n".join(result.checked.problems) + vigil.log.read_text()[-8000:]
    assert result.kills
    assert result.checked.backfilled


# What the audits would notice ---------------------------------------------------------------------


def told(result: Result, what: str) -> bool:
    """Return whether both audits say so: the comparison with the tape, and the streamer's own."""
    problems = result.checked.problems
    return any(f"trade BTCUSDT: {what}" in one for one in problems) and any(
        "streamer audit: exit code 3" in one for one in problems
    )


def test_nothing_disabled_nothing_found(vigil):
    result = run(vigil, 1, LOSSES, streams=("trade",), extra=CALM)
    assert result.passed, result.checked.problems


@pytest.mark.parametrize(
    ("hook", "what"),
    [
        ("without_deduplication", "doubled"),
        ("without_repair", "missing"),
        ("without_resume", "missing"),
    ],
)
def test_both_audits_fail(vigil, hook, what):
    result = run(vigil, 1, LOSSES, hook=hook, streams=("trade",), extra=CALM)
    assert told(result, what), result.checked.problems


@pytest.mark.parametrize("hook", ["none", "without_comparison"])
def test_another_venues_trades_are_stored_only_without_comparison(vigil, hook):
    """The ids are right, so that only the comparison with the tape can tell."""
    steps = [
        Step(0.0, "rest_other_venue", {"duration": 8.0}),
        Step(0.2, "withhold", {"count": 7, "stream": "trade", "symbol": "BTCUSDT"}),
    ]
    result = run(vigil, 1, steps, hook=hook, streams=("trade",), extra=CALM)
    wrong = [one for one in result.checked.problems if one.startswith("trade BTCUSDT: wrong")]
    assert result.passed == (hook == "none"), result.checked.problems
    assert bool(wrong) == (hook != "none"), result.checked.problems


@pytest.mark.full  # without epochs nothing comes any more: a minute until that is told
@pytest.mark.parametrize("hook", ["none", "without_epochs"])
def test_ids_that_begin_anew_go_on_only_with_epochs(vigil, hook):
    steps = [
        Step(0.5, "ids_anew", {"first_id": 10**7}),
        Step(2.0, "kill"),
        Step(2.2, "ids_anew", {"first_id": 10**5, "symbol": "BTCUSDT"}),
    ]
    result = run(vigil, 1, steps, hook=hook, extra=CALM)
    assert result.passed == (hook == "none"), result.checked.problems
    if hook != "none":
        assert any(one.startswith("not caught up") for one in result.checked.problems)


@pytest.mark.parametrize("hook", ["none", "without_overlap"])
def test_rotations_lose_quotes_only_without_overlap(vigil, hook):
    """Quotes cannot be asked for later: what a rotation loses of them stays lost."""
    streams = ("trade", "bookTicker")
    result = run(vigil, 1, ROTATIONS, hook=hook, streams=streams, extra=CALM, nothing_lost=True)
    lost = [one for one in result.checked.problems if one.startswith("bookTicker")]
    if hook == "none":
        assert result.passed, result.checked.problems
        assert not result.checked.backfilled
    else:
        assert lost
        assert result.checked.backfilled
