"""Streamers that share the symbols by a Kafka consumer group, with a real broker.

Not a trade is missing whatever becomes of a member, and first occurrences are in order; a planned
handover misses no quote and makes no copy.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import Cluster
from tests.exchange import Exchange
from tests.kafka_cluster import KafkaCluster
from tests.streaming import eventually

pytestmark = [pytest.mark.full, pytest.mark.timeout(900)]

SYMBOLS = [f"S{number}USDT" for number in range(12)]


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaCluster]:
    with KafkaCluster(tmp_path_factory.mktemp("kafka")) as cluster:
        yield cluster


@pytest.fixture
def cluster(tmp_path: Path, kafka: KafkaCluster) -> Iterator[Cluster]:
    with (
        Exchange(tmp_path, rate=60, symbols=SYMBOLS) as exchange,
        Cluster(tmp_path, exchange, kafka) as cluster,
    ):
        yield cluster


def shards_told(cluster: Cluster, name: str) -> int:
    """Return how often a member has begun to record a shard."""
    return cluster.members[name].output.count("symbols are recorded here")


def await_more_shards(cluster: Cluster, name: str, before: int) -> None:
    eventually(lambda: shards_told(cluster, name) > before, within=60, what=f"a shard at {name}")


def assert_trades(cluster: Cluster) -> None:
    for symbol, audit in cluster.audits("trade").items():
        assert not audit.missing, (symbol, audit.holes)
        assert not audit.disordered, (symbol, audit.disordered)
        assert not audit.wrong, (symbol, audit.wrong)
        assert not audit.foreign, (symbol, audit.foreign)


@pytest.mark.parametrize("supervised", [False, True])
def test_members_that_leave_and_come_one_by_one_lose_no_quote_and_copy_nothing(cluster, supervised):
    """Streamers alone, or two under a supervisor each."""
    cluster.supervised = supervised
    cluster.settings["streamers.count"] = 2  # a lone streamer passes over it
    for name in ("a", "b", "c"):
        cluster.start(name)
    cluster.await_live()
    for name in ("a", "b", "c"):
        assert cluster.members[name].stop() == 0, cluster.members[name].output
        cluster.await_live()
        before = shards_told(cluster, name)
        cluster.start(name)
        await_more_shards(cluster, name, before)
        cluster.await_live()
    for stream in cluster.streams:
        for symbol, audit in cluster.audits(stream).items():
            assert audit.clean, (stream, symbol, audit)
    assert not cluster.stored("gap")


def test_a_member_that_is_killed_is_replaced_and_not_a_trade_is_missing(cluster):
    for name in ("a", "b"):
        cluster.start(name)
    cluster.await_live()
    before = shards_told(cluster, "b")
    cluster.members["a"].kill()
    await_more_shards(cluster, "b", before)
    cluster.await_live()
    assert_trades(cluster)
    gaps = {(one["symbol"], one["stream"]) for one in cluster.stored("gap")}
    assert {stream for _, stream in gaps} == {"bookTicker"}, "the time without quotes is on record"


def test_a_member_that_was_frozen_learns_that_its_shards_are_gone(cluster):
    for name in ("a", "b"):
        cluster.start(name)
    cluster.await_live()
    before = shards_told(cluster, "b")
    cluster.members["a"].signal(signal.SIGSTOP)
    await_more_shards(cluster, "b", before)
    cluster.await_live()
    cluster.members["a"].signal(signal.SIGCONT)
    eventually(
        lambda: "somebody else has it" in cluster.members["a"].output,
        within=60,
        what="the loss at a",
    )
    eventually(
        lambda: "records are produced again" in cluster.members["a"].output, what="a's release"
    )
    cluster.await_live()
    assert_trades(cluster)


def test_kafka_that_is_away_for_all_members_costs_no_trade_and_no_quote_without_a_record(
    cluster, kafka
):
    for name in ("a", "b"):
        cluster.start(name)
    cluster.await_live()
    kafka.stop_node(1)
    for member in cluster.members.values():
        eventually(lambda one=member: "may be lost" in one.output, within=60, what="the suspense")
    kafka.start_node(1)
    for member in cluster.members.values():
        eventually(
            lambda one=member: "records are produced again" in one.output,
            within=60,
            what="the release",
        )
    cluster.await_live()
    assert_trades(cluster)
    on_record = {(one["symbol"], one["stream"]) for one in cluster.stored("gap")}
    for symbol, audit in cluster.audits("bookTicker").items():
        assert not audit.disordered, (symbol, audit.disordered)
        assert not audit.missing or (symbol, "bookTicker") in on_record, (symbol, audit.missing)


def test_of_two_members_with_one_name_one_ends_with_a_clear_error(cluster):
    first = cluster.start("a")
    cluster.await_live()
    second = cluster.start("a", **{"sink.directory": cluster.directory / "another"})
    processes = [first.process, second.process]
    eventually(lambda: any(each.poll() is not None for each in processes), within=60, what="an end")
    assert sorted(each.poll() or 0 for each in processes) == [0, 2]
    assert "another streamer is group.member = a.streamer-1" in second.output
    cluster.await_live()
    assert [each.poll() for each in processes].count(None) == 1
    assert_trades(cluster)


def test_a_restart_within_the_session_moves_nothing(cluster):
    session_seconds = 30.0  # a start takes longer than six seconds where many tests run
    cluster.settings["group.session_timeout"] = f"{session_seconds}s"
    for name in ("a", "b"):
        cluster.start(name)
    # Else "a" alone has all of it, and is live, or more is on its way to "b".
    await_more_shards(cluster, "b", cluster.shards // 2 - 1)
    cluster.await_live()
    before = shards_told(cluster, "b")
    cluster.members["a"].kill()
    deadline = time.monotonic() + session_seconds + 2.0
    cluster.start("a")
    cluster.await_live()
    eventually(lambda: time.monotonic() > deadline, within=2 * session_seconds)
    assert shards_told(cluster, "b") == before
    assert_trades(cluster)


def test_two_deployments_that_record_the_same_into_the_same_topics_are_told(cluster):
    """A look is made each minute; the one before it tells from where on."""
    other = {"group.id": f"{cluster.prefix}-2", "group.topic": cluster.topic("shards-2")}
    both = [cluster.start("a"), cluster.start("b", **other)]
    cluster.await_live()
    told = "of the same streams into the same topics: every record comes twice"
    eventually(lambda: all(told in one.output for one in both), within=240, what="the other one")
    for one in both:
        assert one.stop() == 0, one.output
    for stream in cluster.streams:
        for symbol, audit in cluster.audits(stream).items():
            assert not audit.missing, (stream, symbol)
            assert audit.doubled, (stream, symbol)
