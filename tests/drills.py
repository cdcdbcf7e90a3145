"""Every drill: a fault that is played for real, the alerts it must raise, and how it is mended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

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


@dataclass(frozen=True, kw_only=True)
class Drill:
    """One fault. `fault` plays it, `fix` does what the runbook says."""

    about: str
    runbook: str  # under docs/runbooks, with its heading
    alerts: tuple[str, ...]  # all of them must fire
    fault: Act
    fix: Act
    lasting: tuple[str, ...] = ()  # of these: they go by themselves, too late to wait for
    place: Callable[[], AbstractContextManager[Place]] = lambda: nullcontext(Place())
    settings: dict[str, object] = field(default_factory=dict)
    streams: tuple[str, ...] = ("trade", "aggTrade")
    exchange: tuple[str, ...] = ()
    hook: str | None = None
    command: tuple[str, ...] = ("run",)
    piped: bool = False  # the log is a pipe, which can be left unread
    not_ready: str = ""  # what /readyz says meanwhile, in part
    seconds: float = 120.0  # from the fault to the last alert


def nothing(rig: Rig, place: Place) -> None:
    """Wait: it mends itself, or was mended by what is played."""


# Processes -----------------------------------------------------------------------------------


def _kill_supervisor(rig: Rig, place: Place) -> None:
    rig.kill()


def _start(rig: Rig, place: Place) -> None:
    rig.start()


def _restart_vigil(rig: Rig, place: Place) -> None:
    rig.stop()
    rig.start()


def _loop(rig: Rig, place: Place) -> None:
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


def _kill_streamer(rig: Rig, place: Place) -> None:
    rig.kill_streamer()


def _kill_streamer_often(rig: Rig, place: Place) -> None:
    for _ in range(4):
        rig.until_ready()
        rig.kill_streamer()


def _spend_the_budget(rig: Rig, place: Place) -> None:
    _kill_streamer(rig, place)
    rig.until_ready()
    rig.until(
        "an empty budget, as Prometheus sees it",
        lambda: rig.query("vigil_restart_budget_remaining == 0"),
    )
    _kill_streamer(rig, place)
    assert rig.vigil_process
    rig.until("exit code 6", lambda: rig.vigil_process and rig.vigil_process.poll() == 6)


def _block_the_log(rig: Rig, place: Place) -> None:
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


def _read_the_log(rig: Rig, place: Place) -> None:
    rig.change("monitor.sample_every", 1.0)
    rig.log_is_read.set()


def _launch_again(rig: Rig, place: Place) -> None:
    rig.vigil("restart", "streamer-1")


# What Prometheus looks at ----------------------------------------------------------------------


def _forget_the_job(rig: Rig, place: Place) -> None:
    rig.scrape("something-else")


def _name_the_job(rig: Rig, place: Place) -> None:
    rig.scrape("vigil")


# The exchange ----------------------------------------------------------------------------------


def _refuse_connections(rig: Rig, place: Place) -> None:
    rig.exchange.fault("refuse_connections", duration=25.0)
    rig.exchange.fault("reset")


def _stall_a_symbol(rig: Rig, place: Place) -> None:
    rig.exchange.fault("stall", symbol="BTCUSDT", duration=25.0)


def _keep_a_quiet_symbol(rig: Rig, place: Place) -> None:
    rig.change("exchange.symbols", ["BNBUSDT"])
    rig.vigil("reload")


def _take_every_symbol(rig: Rig, place: Place) -> None:
    rig.change("exchange.symbols", rig.exchange.symbols)
    rig.vigil("reload")


def _lose_trades(rig: Rig, place: Place) -> None:
    rig.exchange.fault("rest_error", duration=30.0)
    rig.exchange.fault("withhold", stream="trade", symbol="BTCUSDT", count=3)


def _lose_book_changes(rig: Rig, place: Place) -> None:
    rig.exchange.fault("rest_error", duration=30.0)  # else a snapshot is there within seconds
    rig.exchange.fault("withhold", stream="depth@100ms", symbol="BTCUSDT", count=3)


def _send_nonsense(rig: Rig, place: Place) -> None:
    rig.exchange.fault("malformed", count=3)


def _another_venue(rig: Rig, place: Place) -> None:
    rig.exchange.fault("rest_other_venue", duration=20.0)
    rig.exchange.fault("withhold", stream="trade", symbol="ETHUSDT", count=7)


def _wipe_the_history(rig: Rig, place: Place) -> None:
    rig.exchange.fault("ids_anew", symbol="BTCUSDT")


def _tell_another_price(rig: Rig, place: Place) -> None:
    rig.exchange.fault("malformed", stream="trade", symbol="BTCUSDT", variant="other_price")


def _right_the_exchange(rig: Rig, place: Place) -> None:
    rig.replace_exchange()
    _restart_vigil(rig, place)


# Kafka -----------------------------------------------------------------------------------------


@contextmanager
def _mock_kafka() -> Iterator[Place]:
    mock = MockKafka()
    with mock as servers:
        yield Place(
            {"sink.kind": "kafka", "kafka.bootstrap_servers": servers, "kafka.partitions": 4},
            mock=mock,
        )


@contextmanager
def _real_kafka() -> Iterator[Place]:
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


def _start_another_deployment(rig: Rig, place: Place) -> None:
    settings = {
        **place.settings,
        "sink.directory": rig.directory / "another",
        "exchange.streams": "trade,aggTrade",
    }
    options = at_exchange(rig.exchange, **{key: str(value) for key, value in settings.items()})
    place.other = rig.run([sys.executable, "-m", "streamer", *options])


def _stop_the_other_deployment(rig: Rig, place: Place) -> None:
    assert place.other
    place.other.terminate()
    place.other.wait(30.0)


def _kafka_away(rig: Rig, place: Place) -> None:
    assert place.mock
    place.mock.process.send_signal(signal.SIGSTOP)


def _kafka_back(rig: Rig, place: Place) -> None:
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


def _refuse_records(rig: Rig, place: Place) -> None:
    assert place.cluster
    _limit_record_size(place.cluster, 60)


def _accept_records(rig: Rig, place: Place) -> None:
    assert place.cluster
    _limit_record_size(place.cluster, 1048588)


# Disk and memory -------------------------------------------------------------------------------


@contextmanager
def _small_disk() -> Iterator[Place]:
    import tempfile

    parent = Path(tempfile.mkdtemp(prefix="vigil-disk-"))
    with small_disk(parent / "disk") as disk:
        yield Place(data=disk / "data")


def _fill_the_disk(rig: Rig, place: Place) -> None:
    found = os.statvfs(rig.data)
    left = found.f_bavail * found.f_frsize
    filler = rig.data.parent / "filler"
    filler.write_bytes(bytes(max(0, left - 3 * (1 << 20))))


def _make_room(rig: Rig, place: Place) -> None:
    (rig.data.parent / "filler").unlink()


def _raise_the_ceiling(rig: Rig, place: Place) -> None:
    rig.change("[[rules]]", {**_LOW_CEILING, "above": "450MiB"})
    rig.vigil("reload")


_LOW_CEILING = {
    "name": "memory ceiling",
    "metric": "rss_bytes",
    "above": "450MiB",
    "action": "restart",
}


def _lower_the_ceiling(rig: Rig, place: Place) -> None:
    """Let what is in use be more than nine tenths of what is allowed."""
    used = max(one["rss_bytes"] or 0 for one in rig.status()["streamers"])
    rig.change("[[rules]]", {**_LOW_CEILING, "above": round(used * 1.08)})
    rig.vigil("reload")


# The supervisor ------------------------------------------------------------------------------


def _read_the_log_slowly(rig: Rig, place: Place) -> None:
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


def _read_the_log_as_usual(rig: Rig, place: Place) -> None:
    place.is_over.set()
    _read_the_log(rig, place)


def _pause_the_supervisor(rig: Rig, place: Place) -> None:
    """Stop it for longer than the queues of the telemetry last, as a machine without time does."""
    assert rig.vigil_process
    rig.vigil_process.send_signal(signal.SIGSTOP)
    time.sleep(PAUSE_SECONDS)
    rig.vigil_process.send_signal(signal.SIGCONT)


DRILLS = {
    "down": Drill(
        about="The supervisor is killed, and nobody starts it again.",
        runbook="down.md#vigildown",
        alerts=("VigilDown", "VigilFreshnessBurnsFast", "VigilFreshnessBurnsSlowly"),
        lasting=("VigilFreshnessBurnsFast", "VigilFreshnessBurnsSlowly"),
        fault=_kill_supervisor,
        fix=_start,
    ),
    "absent": Drill(
        about="Prometheus no longer looks at Vigil.",
        runbook="down.md#vigilabsent",
        alerts=("VigilAbsent",),
        fault=_forget_the_job,
        fix=_name_the_job,
    ),
    "stuck": Drill(
        about="Nobody reads the supervisor's log: its loop waits in the middle of a line.",
        runbook="down.md#vigilstuck",
        alerts=("VigilStuck",),
        piped=True,
        fault=_block_the_log,
        fix=_read_the_log,
    ),
    "streamer-down": Drill(
        about="The streamer is killed, and its next launch is a minute away.",
        runbook="down.md#vigilstreamerdown",
        alerts=("VigilStreamerDown",),
        not_ready="its process is not running",
        settings={
            "supervisor.restart_backoff_initial": 60.0,
            "supervisor.restart_backoff_max": 60.0,
        },
        fault=_kill_streamer,
        fix=_launch_again,
    ),
    "restart-loop": Drill(
        about="The supervisor is killed and started again and again.",
        runbook="down.md#vigilrestartloop",
        alerts=("VigilRestartLoop",),
        fault=_loop,
        fix=nothing,
    ),
    "restart-rate": Drill(
        about="The streamer is killed four times.",
        runbook="down.md#vigilrestartratehigh",
        alerts=("VigilRestartRateHigh",),
        fault=_kill_streamer_often,
        fix=nothing,
    ),
    "budget-spent": Drill(
        about="The streamer is killed more often than it may be restarted.",
        runbook="down.md#vigilrestartbudgetspent",
        alerts=("VigilRestartBudgetSpent",),
        settings={"supervisor.restart_limit": 1},
        fault=_spend_the_budget,
        fix=_start,
    ),
    "connection-down": Drill(
        about="The exchange ends the connections and refuses new ones.",
        runbook="stale-feed.md#vigilconnectiondown",
        alerts=("VigilConnectionDown", "VigilNotReady"),
        not_ready="no live connection in slot-1",
        fault=_refuse_connections,
        fix=nothing,
    ),
    "symbol-silent": Drill(
        about="The exchange sends nothing of BTCUSDT, though it is traded.",
        runbook="stale-feed.md#vigilsymbolsilent",
        alerts=("VigilSymbolSilent",),
        not_ready="silent: BTCUSDT",
        settings={"connection.stale_after": 3.0},
        fault=_stall_a_symbol,
        fix=nothing,
    ),
    "rate-low": Drill(
        about="Somebody has taken out all symbols but one, which is hardly traded.",
        runbook="stale-feed.md#vigilratelow",
        alerts=("VigilRateLow",),
        exchange=("--symbols", "BTCUSDT,ETHUSDT,BNBUSDT=0.05"),
        fault=_keep_a_quiet_symbol,
        fix=_take_every_symbol,
    ),
    "clock-off": Drill(
        about="Our clock is two seconds behind that of the exchange.",
        runbook="clock.md#vigilclockoff",
        alerts=("VigilClockOff",),
        exchange=("--clock-ahead", "2s"),
        fault=nothing,
        fix=_right_the_exchange,
    ),
    "other-venue": Drill(
        about="REST tells another market's trades under the same ids, while trades are missing.",
        runbook="wrong-data.md#vigilothervenue",
        alerts=("VigilOtherVenue",),
        fault=_another_venue,
        fix=nothing,
    ),
    "ids-anew": Drill(
        about="The exchange has wiped its history: ids begin at 1000 again.",
        runbook="wrong-data.md#vigilidsstartedanew",
        alerts=("VigilIdsStartedAnew",),
        fault=_wipe_the_history,
        fix=nothing,
    ),
    "unusable-trades": Drill(
        about="One trade in 499 has no quantity, as REST confirms.",
        runbook="wrong-data.md#vigilunusabletrades",
        alerts=("VigilUnusableTrades",),
        exchange=("--no-trade-every", "499"),
        fault=nothing,
        fix=_right_the_exchange,
    ),
    "differing-copies": Drill(
        about="The exchange tells a trade twice, with different prices.",
        runbook="wrong-data.md#vigildifferingcopies",
        alerts=("VigilDifferingCopies",),
        fault=_tell_another_price,
        fix=nothing,
    ),
    "missing-ids": Drill(
        about="Trades are lost, and REST does not answer until they are given up.",
        runbook="gaps.md#vigilmissingids",
        alerts=("VigilMissingIds",),
        settings={"repair.give_up_after": 3.0},
        fault=_lose_trades,
        fix=nothing,
    ),
    "book-lost": Drill(
        about="Changes of an order book are lost.",
        runbook="book.md#vigilbooklost",
        alerts=("VigilBookLost",),
        streams=("trade", "depth@100ms"),
        fault=_lose_book_changes,
        fix=nothing,
    ),
    "dead-letters": Drill(
        about="The exchange sends frames that cannot be decoded.",
        runbook="dead-letters.md#vigildeadletters",
        alerts=("VigilDeadLetters",),
        fault=_send_nonsense,
        fix=nothing,
    ),
    "records-refused": Drill(
        about="A topic's limit of size is lowered below that of any record (a real broker).",
        runbook="dead-letters.md#vigilrecordsrefused",
        alerts=("VigilRecordsRefused",),
        place=_real_kafka,
        fault=_refuse_records,
        fix=_accept_records,
    ),
    "other-writers": Drill(
        about="Somebody has started another deployment that records the same into the same topics.",
        runbook="kafka.md#vigilotherwriters",
        alerts=("VigilOtherWriters",),
        place=_mock_kafka,
        fault=_start_another_deployment,
        fix=_stop_the_other_deployment,
    ),
    "kafka-away": Drill(
        about="The brokers answer no more.",
        runbook="kafka.md#vigilsinkstalled",
        alerts=("VigilSinkStalled", "VigilOverflowGrows"),
        not_ready="nothing is stored",
        place=_mock_kafka,
        fault=_kafka_away,
        fix=_kafka_back,
    ),
    "events-let-go": Drill(
        about="The brokers answer no more, and there is next to no room to wait in.",
        runbook="disk.md#vigileventsletgo",
        alerts=("VigilEventsLetGo",),
        place=_mock_kafka,
        settings={"kafka.overflow_bytes": "16MiB"},
        exchange=("--rate", "3000"),
        fault=_kafka_away,
        fix=_kafka_back,
        seconds=240.0,
    ),
    "disk-full": Drill(
        about="The sink's disk fills up.",
        runbook="disk.md#vigildisknearlyfull",
        alerts=("VigilDiskNearlyFull",),
        place=_small_disk,
        fault=_fill_the_disk,
        fix=_make_room,
    ),
    "leak": Drill(
        # In a soak of an hour, as `run` wants two hours of samples before it says anything.
        about="The streamer leaks 6 MB a minute; it takes half an hour until that is certain.",
        runbook="memory.md#vigilleaksuspected",
        alerts=("VigilLeakSuspected",),
        hook="leaks_slowly",
        command=("soak", "--profile", "1h", "--output", "{directory}/profile.json"),
        fault=nothing,
        fix=_launch_again,
        seconds=3600.0,
    ),
    "supervisor-overloaded": Drill(
        about="The supervisor has much to say, and waits for somebody who reads its log slowly.",
        runbook="capacity.md#vigilsupervisoroverloaded",
        alerts=("VigilSupervisorOverloaded",),
        piped=True,
        fault=_read_the_log_slowly,
        fix=_read_the_log_as_usual,
    ),
    "telemetry-lost": Drill(
        about="The supervisor gets no time for a while, and reports come fast.",
        runbook="capacity.md#vigiltelemetrylost",
        alerts=("VigilTelemetryLost",),
        settings={"telemetry.report_every": 0.01},
        fault=_pause_the_supervisor,
        fix=nothing,
    ),
    "memory-high": Drill(
        about="The ceiling of memory is set just above what the streamer uses.",
        runbook="memory.md#vigilmemoryhigh",
        alerts=("VigilMemoryHigh",),
        fault=_lower_the_ceiling,
        fix=_raise_the_ceiling,
    ),
}


def play(
    name: str,
    say: Callable[[str], None],
    mend: Callable[[Rig, Place], None] | None = None,
) -> None:
    """Play a drill to its end. Raises DrillError when an alert, or the cure, does not come.

    `mend` takes the place of the drill's own fix, for people who practise.
    """
    drill = DRILLS[name]
    with drill.place() as place, rig_of(drill, place) as rig:
        rig.until_ready()
        say(f"{name}: {drill.about}")
        say(f"settings {rig.config}, log {rig.log}")
        say(f"metrics http://127.0.0.1:{rig.metrics_port}/metrics")
        say(f"Prometheus http://127.0.0.1:{rig.prometheus_port}/alerts (its rules run 60 x faster)")
        rig.until("a first look of Prometheus", lambda: rig.query("vigil_ready == 1"))
        drill.fault(rig, place)
        say("the fault is there")
        if drill.not_ready:
            rig.until(drill.not_ready, lambda: _refuses(rig.page("/readyz"), drill.not_ready))
            say(f"/readyz: {drill.not_ready}")
        for alert in drill.alerts:
            # Or has fired: some are over before the next one comes.
            rig.until(alert, lambda alert=alert: alert in rig.ever_fired(), drill.seconds)  # type: ignore[misc]
            say(f"{alert} fires")
        say(f"the runbook: docs/runbooks/{drill.runbook}")
        (mend or drill.fix)(rig, place)
        rig.until_ready()
        over = set(drill.alerts) - set(drill.lasting)
        rig.until(f"the end of {', '.join(over)}", lambda: not over & rig.firing(), 180.0)
        say("mended: it streams and stores everything, and the alerts are over")


def _refuses(page: tuple[int, str], why: str) -> bool:
    status, body = page
    return status == 503 and why in body


def rig_of(drill: Drill, place: Place) -> Rig:
    """Return the rig of a drill, not started yet."""
    return Rig(
        settings={**drill.settings, **place.settings},
        streams=drill.streams,
        exchange=drill.exchange,
        hook=drill.hook,
        piped=drill.piped,
        command=drill.command,
        data=place.data,
    )
