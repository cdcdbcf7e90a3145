"""Every drill: a fault that is played for real, the alerts it must raise, and how it is mended."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

from tests import drill_faults as faults
from tests.drill_faults import Act, Place
from tests.drill_rig import Rig


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


DRILLS = {
    "down": Drill(
        about="The supervisor is killed, and nobody starts it again.",
        runbook="down.md#vigildown",
        alerts=("VigilDown", "VigilFreshnessBurnsFast", "VigilFreshnessBurnsSlowly"),
        lasting=("VigilFreshnessBurnsFast", "VigilFreshnessBurnsSlowly"),
        fault=faults.kill_supervisor,
        fix=faults.start,
    ),
    "absent": Drill(
        about="Prometheus no longer looks at Vigil.",
        runbook="down.md#vigilabsent",
        alerts=("VigilAbsent",),
        fault=faults.forget_the_job,
        fix=faults.name_the_job,
    ),
    "stuck": Drill(
        about="Nobody reads the supervisor's log: its loop waits in the middle of a line.",
        runbook="down.md#vigilstuck",
        alerts=("VigilStuck",),
        piped=True,
        fault=faults.block_the_log,
        fix=faults.read_the_log,
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
        fault=faults.kill_streamer,
        fix=faults.launch_again,
    ),
    "restart-loop": Drill(
        about="The supervisor is killed and started again and again.",
        runbook="down.md#vigilrestartloop",
        alerts=("VigilRestartLoop",),
        fault=faults.loop,
        fix=faults.nothing,
    ),
    "restart-rate": Drill(
        about="The streamer is killed four times.",
        runbook="down.md#vigilrestartratehigh",
        alerts=("VigilRestartRateHigh",),
        fault=faults.kill_streamer_often,
        fix=faults.nothing,
    ),
    "budget-spent": Drill(
        about="The streamer is killed more often than it may be restarted.",
        runbook="down.md#vigilrestartbudgetspent",
        alerts=("VigilRestartBudgetSpent",),
        settings={"supervisor.restart_limit": 1},
        fault=faults.spend_the_budget,
        fix=faults.start,
    ),
    "connection-down": Drill(
        about="The exchange ends the connections and refuses new ones.",
        runbook="stale-feed.md#vigilconnectiondown",
        alerts=("VigilConnectionDown", "VigilNotReady"),
        not_ready="no live connection in slot-1",
        fault=faults.refuse_connections,
        fix=faults.nothing,
    ),
    "symbol-silent": Drill(
        about="The exchange sends nothing of BTCUSDT, though it is traded.",
        runbook="stale-feed.md#vigilsymbolsilent",
        alerts=("VigilSymbolSilent",),
        not_ready="silent: BTCUSDT",
        settings={"connection.stale_after": 3.0},
        fault=faults.stall_a_symbol,
        fix=faults.nothing,
    ),
    "rate-low": Drill(
        about="Somebody has taken out all symbols but one, which is hardly traded.",
        runbook="stale-feed.md#vigilratelow",
        alerts=("VigilRateLow",),
        exchange=("--symbols", "BTCUSDT,ETHUSDT,BNBUSDT=0.05"),
        fault=faults.keep_a_quiet_symbol,
        fix=faults.take_every_symbol,
    ),
    "clock-off": Drill(
        about="Our clock is two seconds behind that of the exchange.",
        runbook="clock.md#vigilclockoff",
        alerts=("VigilClockOff",),
        exchange=("--clock-ahead", "2s"),
        fault=faults.nothing,
        fix=faults.right_the_exchange,
    ),
    "other-venue": Drill(
        about="REST tells another market's trades under the same ids, while trades are missing.",
        runbook="wrong-data.md#vigilothervenue",
        alerts=("VigilOtherVenue",),
        fault=faults.another_venue,
        fix=faults.nothing,
    ),
    "ids-anew": Drill(
        about="The exchange has wiped its history: ids begin at 1000 again.",
        runbook="wrong-data.md#vigilidsstartedanew",
        alerts=("VigilIdsStartedAnew",),
        fault=faults.wipe_the_history,
        fix=faults.nothing,
    ),
    "unusable-trades": Drill(
        about="One trade in 499 has no quantity, as REST confirms.",
        runbook="wrong-data.md#vigilunusabletrades",
        alerts=("VigilUnusableTrades",),
        exchange=("--no-trade-every", "499"),
        fault=faults.nothing,
        fix=faults.right_the_exchange,
    ),
    "differing-copies": Drill(
        about="The exchange tells a trade twice, with different prices.",
        runbook="wrong-data.md#vigildifferingcopies",
        alerts=("VigilDifferingCopies",),
        fault=faults.tell_another_price,
        fix=faults.nothing,
    ),
    "missing-ids": Drill(
        about="Trades are lost, and REST does not answer until they are given up.",
        runbook="gaps.md#vigilmissingids",
        alerts=("VigilMissingIds",),
        settings={"repair.give_up_after": 3.0},
        fault=faults.lose_trades,
        fix=faults.nothing,
    ),
    "book-lost": Drill(
        about="Changes of an order book are lost.",
        runbook="book.md#vigilbooklost",
        alerts=("VigilBookLost",),
        streams=("trade", "depth@100ms"),
        fault=faults.lose_book_changes,
        fix=faults.nothing,
    ),
    "dead-letters": Drill(
        about="The exchange sends frames that cannot be decoded.",
        runbook="dead-letters.md#vigildeadletters",
        alerts=("VigilDeadLetters",),
        fault=faults.send_nonsense,
        fix=faults.nothing,
    ),
    "records-refused": Drill(
        about="A topic's limit of size is lowered below that of any record (a real broker).",
        runbook="dead-letters.md#vigilrecordsrefused",
        alerts=("VigilRecordsRefused",),
        place=faults.real_kafka,
        fault=faults.refuse_records,
        fix=faults.accept_records,
    ),
    "other-writers": Drill(
        about="Somebody has started another deployment that records the same into the same topics.",
        runbook="kafka.md#vigilotherwriters",
        alerts=("VigilOtherWriters",),
        place=faults.mock_kafka,
        fault=faults.start_another_deployment,
        fix=faults.stop_the_other_deployment,
    ),
    "shard-unrecorded": Drill(
        about="Somebody reads the group's topic as a member of the group, and gets shards for it.",
        runbook="down.md#vigilshardunrecorded",
        alerts=("VigilShardUnrecorded",),
        place=faults.group_on_kafka,
        fault=faults.take_shards_for_nothing,
        fix=faults.give_shards_back,
    ),
    "group-disagrees": Drill(
        about="A member of a group is started with the symbols of an older file.",
        runbook="symbols.md#vigilgroupdisagrees",
        alerts=("VigilGroupDisagrees",),
        place=faults.group_on_kafka,
        fault=faults.start_a_member_with_other_symbols,
        fix=faults.stop_the_other_member,
        seconds=240.0,
    ),
    "kafka-away": Drill(
        about="The brokers answer no more.",
        runbook="kafka.md#vigilsinkstalled",
        alerts=("VigilSinkStalled", "VigilOverflowGrows"),
        not_ready="nothing is stored",
        place=faults.mock_kafka,
        fault=faults.kafka_away,
        fix=faults.kafka_back,
    ),
    "events-let-go": Drill(
        about="The brokers answer no more, and there is next to no room to wait in.",
        runbook="disk.md#vigileventsletgo",
        alerts=("VigilEventsLetGo",),
        place=faults.mock_kafka,
        settings={"kafka.overflow_bytes": "16MiB"},
        exchange=("--rate", "3000"),
        fault=faults.kafka_away,
        fix=faults.kafka_back,
        seconds=240.0,
    ),
    "disk-full": Drill(
        about="The sink's disk fills up.",
        runbook="disk.md#vigildisknearlyfull",
        alerts=("VigilDiskNearlyFull",),
        place=faults.disk,
        fault=faults.fill_the_disk,
        fix=faults.make_room,
    ),
    "leak": Drill(
        # In a soak of an hour, as `run` wants two hours of samples before it says anything.
        about="The streamer leaks 6 MB a minute; it takes half an hour until that is certain.",
        runbook="memory.md#vigilleaksuspected",
        alerts=("VigilLeakSuspected",),
        hook="leaks_slowly",
        command=("soak", "--profile", "1h", "--output", "{directory}/profile.json"),
        fault=faults.nothing,
        fix=faults.launch_again,
        seconds=3600.0,
    ),
    "supervisor-overloaded": Drill(
        about="The supervisor has much to say, and waits for somebody who reads its log slowly.",
        runbook="capacity.md#vigilsupervisoroverloaded",
        alerts=("VigilSupervisorOverloaded",),
        piped=True,
        fault=faults.read_the_log_slowly,
        fix=faults.read_the_log_as_usual,
    ),
    "telemetry-lost": Drill(
        about="The supervisor gets no time for a while, and reports come fast.",
        runbook="capacity.md#vigiltelemetrylost",
        alerts=("VigilTelemetryLost",),
        settings={"telemetry.report_every": 0.01},
        fault=faults.pause_the_supervisor,
        fix=faults.nothing,
    ),
    "memory-high": Drill(
        about="The ceiling of memory is set just above what the streamer uses.",
        runbook="memory.md#vigilmemoryhigh",
        alerts=("VigilMemoryHigh",),
        fault=faults.lower_the_ceiling,
        fix=faults.raise_the_ceiling,
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
