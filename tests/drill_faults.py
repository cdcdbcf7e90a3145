"""How the faults of drills are played and mended, and what lies around a rig for them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from confluent_kafka import Consumer
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from tests.disks import small_disk
from tests.drill_rig import DrillError, Rig
from tests.kafka_cluster import KafkaCluster
from tests.kafka_mock import TOPICS, MockKafka
from tests.ports import free_port
from tests.streaming import at_exchange

PAUSE_SECONDS = 40.0  # with ten reports a second: above what the queues and the kernel hold
LONG_SECONDS = 3600.0  # of a fault that is there until it is mended


@dataclass
class Place:
    """What lies around a rig: settings that lead to it, and handles on it."""

    settings: dict[str, object] = field(default_factory=dict)
    data: Path | None = None  # where the sink is
    mock: MockKafka | None = None
    cluster: KafkaCluster | None = None
    other: subprocess.Popen[bytes] | None = None  # another deployment
    is_over: threading.Event = field(default_factory=threading.Event)  # of a fault in a thread


Act = Callable[[Rig, Place], None]


def nothing(rig: Rig, place: Place) -> None:
    """Wait: it mends itself, or was mended by what is played."""


# Processes -----------------------------------------------------------------------------------


def kill_supervisor(rig: Rig, place: Place) -> None:
    rig.kill()


def start(rig: Rig, place: Place) -> None:
    rig.start()


def restart_vigil(rig: Rig, place: Place) -> None:
    rig.stop()
    rig.start()


def loop(rig: Rig, place: Place) -> None:
    for _ in range(4):
        before = _start_seen(rig)
        rig.kill()
        rig.start()
        rig.until(
            "a new start, as Prometheus sees it",
            lambda before=before: _start_seen(rig) not in ("", before),  # type: ignore[misc]
        )


def _start_seen(rig: Rig) -> str:
    """Return when the supervisor was started, as Prometheus has seen it; empty: it has not."""
    found = rig.query("vigil_start_time_seconds")
    return str(found[0]["value"][1]) if found else ""


def kill_streamer(rig: Rig, place: Place) -> None:
    rig.kill_streamer()


def kill_streamer_often(rig: Rig, place: Place) -> None:
    for _ in range(4):
        rig.until_ready()
        rig.kill_streamer()


def spend_the_budget(rig: Rig, place: Place) -> None:
    kill_streamer(rig, place)
    rig.until_ready()
    rig.until(
        "an empty budget, as Prometheus sees it",
        lambda: rig.query("vigil_restart_budget_remaining == 0"),
    )
    kill_streamer(rig, place)
    assert rig.vigil_process
    rig.until("exit code 6", lambda: rig.vigil_process and rig.vigil_process.poll() == 6)


def block_the_log(rig: Rig, place: Place) -> None:
    """Let nobody read what the supervisor says, and make it say much."""
    assert rig.vigil_process
    rig.log_is_read.clear()
    rig.change("monitor.sample_every", -1.0)  # wrong, so that each reload has something to say
    begun = rig.status()["time"]
    for _ in range(200):
        if rig.query("time() - vigil_snapshot_timestamp_seconds > 6"):
            return
        rig.vigil_process.send_signal(signal.SIGHUP)
        time.sleep(0.2)
    raise DrillError(f"it still writes, though nobody reads since {begun}")


def read_the_log(rig: Rig, place: Place) -> None:
    rig.change("monitor.sample_every", 1.0)
    rig.log_is_read.set()


def launch_again(rig: Rig, place: Place) -> None:
    rig.vigil("restart", "streamer-1")


# What Prometheus looks at ----------------------------------------------------------------------


def forget_the_job(rig: Rig, place: Place) -> None:
    rig.scrape("something-else")


def name_the_job(rig: Rig, place: Place) -> None:
    rig.scrape("vigil")


# The exchange ----------------------------------------------------------------------------------


def refuse_connections(rig: Rig, place: Place) -> None:
    rig.exchange.fault("refuse_connections", duration=25.0)
    rig.exchange.fault("reset")


def stall_a_symbol(rig: Rig, place: Place) -> None:
    rig.exchange.fault("stall", symbol="BTCUSDT", duration=25.0)


def keep_a_quiet_symbol(rig: Rig, place: Place) -> None:
    rig.change("exchange.symbols", ["BNBUSDT"])
    rig.vigil("reload")


def take_every_symbol(rig: Rig, place: Place) -> None:
    rig.change("exchange.symbols", rig.exchange.symbols)
    rig.vigil("reload")


def lose_trades(rig: Rig, place: Place) -> None:
    rig.exchange.fault("rest_error", duration=30.0)
    rig.exchange.fault("withhold", stream="trade", symbol="BTCUSDT", count=3)


def lose_book_changes(rig: Rig, place: Place) -> None:
    rig.exchange.fault("rest_error", duration=30.0)  # else a snapshot is there within seconds
    rig.exchange.fault("withhold", stream="depth@100ms", symbol="BTCUSDT", count=3)


def send_nonsense(rig: Rig, place: Place) -> None:
    rig.exchange.fault("malformed", count=3)


def another_venue(rig: Rig, place: Place) -> None:
    rig.exchange.fault("rest_other_venue", duration=20.0)
    rig.exchange.fault("withhold", stream="trade", symbol="ETHUSDT", count=7)


def wipe_the_history(rig: Rig, place: Place) -> None:
    rig.exchange.fault("ids_anew", symbol="BTCUSDT")


def tell_another_price(rig: Rig, place: Place) -> None:
    rig.exchange.fault("malformed", stream="trade", symbol="BTCUSDT", variant="other_price")


def right_the_exchange(rig: Rig, place: Place) -> None:
    rig.replace_exchange()
    restart_vigil(rig, place)


# Kafka -----------------------------------------------------------------------------------------


@contextmanager
def mock_kafka() -> Iterator[Place]:
    mock = MockKafka()
    with mock as servers:
        yield Place(
            {"sink.kind": "kafka", "kafka.bootstrap_servers": servers, "kafka.partitions": 4},
            mock=mock,
        )


@contextmanager
def real_kafka() -> Iterator[Place]:
    import tempfile

    with KafkaCluster(Path(tempfile.mkdtemp(prefix="vigil-kafka-"))) as cluster:
        yield Place(
            {
                "sink.kind": "kafka",
                "kafka.bootstrap_servers": cluster.bootstrap_servers,
                "kafka.create_topics": True,
                "kafka.replication_factor": 1,
                "kafka.partitions": 2,
            },
            cluster=cluster,
        )


def start_another_deployment(rig: Rig, place: Place) -> None:
    settings = {
        **place.settings,
        "sink.directory": rig.directory / "another",
        "exchange.streams": "trade,aggTrade",
    }
    options = at_exchange(rig.exchange, **{key: str(value) for key, value in settings.items()})
    place.other = rig.run([sys.executable, "-m", "streamer", *options])


def stop_the_other_deployment(rig: Rig, place: Place) -> None:
    assert place.other
    place.other.terminate()
    place.other.wait(30.0)


def stop_the_other_member(rig: Rig, place: Place) -> None:
    stop_the_other_deployment(rig, place)
    rig.other_ports.clear()
    rig.scrape("vigil")


@contextmanager
def group_on_kafka() -> Iterator[Place]:
    with real_kafka() as place:
        place.settings |= {"group.enabled": True, "group.member": "a", "group.shards": 4}
        yield place


def take_shards_for_nothing(rig: Rig, place: Place) -> None:
    """Join the group as a reader of its topic would, and record nothing."""
    settings = {
        "bootstrap.servers": place.settings["kafka.bootstrap_servers"],
        "group.id": "vigil",
        "partition.assignment.strategy": "cooperative-sticky",
    }

    def read() -> None:
        consumer = Consumer(settings)
        consumer.subscribe(["market.crypto.shards.binance"])
        while not place.is_over.is_set():
            consumer.poll(0.1)
        consumer.close()

    threading.Thread(target=read, daemon=True).start()


def give_shards_back(rig: Rig, place: Place) -> None:
    place.is_over.set()


def start_a_member_with_other_symbols(rig: Rig, place: Place) -> None:
    port = free_port()
    own = {
        "exchange.symbols": rig.exchange.symbols[0],
        "group.member": "b",
        "monitor.metrics_address": f"127.0.0.1:{port}",
        "sink.directory": rig.directory / "b" / "data",
        "supervisor.runtime_directory": rig.directory / "b" / "run",
        "supervisor.state_directory": rig.directory / "b" / "state",
    }
    changes = [part for key, value in own.items() for part in ("--set", f"{key}={value}")]
    command = [sys.executable, "-m", "supervisor", "--config", str(rig.config)]
    place.other = rig.run([*command, *changes])
    rig.other_ports.append(port)
    rig.scrape("vigil")


def kafka_away(rig: Rig, place: Place) -> None:
    assert place.mock
    place.mock.process.send_signal(signal.SIGSTOP)


def kafka_back(rig: Rig, place: Place) -> None:
    assert place.mock
    place.mock.process.send_signal(signal.SIGCONT)


def _limit_record_size(cluster: KafkaCluster, limit: int) -> None:
    topic = TOPICS["trade"]
    entries = [
        ConfigEntry("max.message.bytes", str(limit), incremental_operation=AlterConfigOpType.SET)
    ]
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=entries)
    admin = AdminClient(cluster.administrator)
    for future in admin.incremental_alter_configs([resource]).values():
        future.result()


def refuse_records(rig: Rig, place: Place) -> None:
    assert place.cluster
    _limit_record_size(place.cluster, 60)


def accept_records(rig: Rig, place: Place) -> None:
    assert place.cluster
    _limit_record_size(place.cluster, 1048588)


# Disk and memory -------------------------------------------------------------------------------


@contextmanager
def disk() -> Iterator[Place]:
    import tempfile

    parent = Path(tempfile.mkdtemp(prefix="vigil-disk-"))
    with small_disk(parent / "disk") as disk:
        yield Place(data=disk / "data")


def fill_the_disk(rig: Rig, place: Place) -> None:
    found = os.statvfs(rig.data)
    left = found.f_bavail * found.f_frsize
    filler = rig.data.parent / "filler"
    filler.write_bytes(bytes(max(0, left - 3 * (1 << 20))))


def make_room(rig: Rig, place: Place) -> None:
    (rig.data.parent / "filler").unlink()


def raise_the_ceiling(rig: Rig, place: Place) -> None:
    rig.change("[[rules]]", {**_LOW_CEILING, "above": "450MiB"})
    rig.vigil("reload")


_LOW_CEILING = {
    "name": "memory ceiling",
    "metric": "rss_bytes",
    "above": "450MiB",
    "action": "restart",
}


def lower_the_ceiling(rig: Rig, place: Place) -> None:
    """Let what is in use be more than nine tenths of what is allowed."""
    used = max(one["rss_bytes"] or 0 for one in rig.status()["streamers"])
    rig.change("[[rules]]", {**_LOW_CEILING, "above": round(used * 1.08)})
    rig.vigil("reload")


# The supervisor ------------------------------------------------------------------------------


def read_the_log_slowly(rig: Rig, place: Place) -> None:
    """Read the log for a moment every six seconds, and make the supervisor say more than fits."""
    process = rig.vigil_process
    assert process
    rig.log_is_read.clear()
    rig.change("monitor.sample_every", -1.0)  # wrong, so that each reload has something to say

    def play() -> None:
        while not place.is_over.is_set():
            for _ in range(60):
                process.send_signal(signal.SIGHUP)
                time.sleep(0.005)
            place.is_over.wait(6.0)
            rig.log_is_read.set()
            if not place.is_over.wait(0.2):
                rig.log_is_read.clear()

    threading.Thread(target=play, daemon=True).start()


def read_the_log_as_usual(rig: Rig, place: Place) -> None:
    place.is_over.set()
    read_the_log(rig, place)


def pause_the_supervisor(rig: Rig, place: Place) -> None:
    """Stop it for longer than the queues of the telemetry last, as a machine without time does."""
    assert rig.vigil_process
    rig.vigil_process.send_signal(signal.SIGSTOP)
    time.sleep(PAUSE_SECONDS)
    rig.vigil_process.send_signal(signal.SIGCONT)
