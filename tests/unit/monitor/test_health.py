from __future__ import annotations

import dataclasses

import pytest
from msgspec.structs import replace

from monitor.health import freshness, is_fresh, obstacles, unavailable, warnings
from monitor.load import Load
from monitor.model import Exited
from monitor.series_limit import SeriesLimit
from monitor.snapshot import Snapshot
from monitor.soak_plans import PROFILES
from monitor.status import as_status
from monitor.stream_metrics import stream_families
from streamer.messages import SinkCounts
from tests.unit.monitor.observations import EPOCH, NAME, launched, slot, stream
from tests.unit.monitor.runs import Run


def shown(run: Run, later: float = 0.0) -> Snapshot:
    return run.recorder.snapshot(run.now + later, EPOCH + run.now + later)


def after(seconds: int, **in_report: object) -> Run:
    return Run(PROFILES["smoke"]).seconds(seconds, lambda _: in_report)


@pytest.mark.parametrize(
    ("silence", "seconds", "live", "fresh"),
    [
        (None, 29.9, True, True),
        (None, 30.0, True, False),
        ("quiet", 3000.0, True, True),
        ("quiet", 3000.0, False, True),
        ("news", 30.0, True, False),
        ("unconfirmed", 59.9, True, True),  # REST is being asked
        ("unconfirmed", 60.0, True, False),
        ("unconfirmed", 30.0, False, False),
    ],
)
def test_a_silence_that_the_exchange_explains_is_fresh(
    silence: str | None, seconds: float, live: bool, fresh: bool
) -> None:
    assert is_fresh(stream(silence=silence), seconds, 30.0, live) is fresh


def test_no_silence_is_too_long_when_that_is_disabled() -> None:
    assert is_fresh(stream(silence=None), 1e6, 0.0, True)


def test_a_stream_is_as_old_as_the_report_that_told_of_it() -> None:
    run = after(5, streams=(stream(9, silent_seconds=20.0),))
    assert freshness(shown(run).streamers[0], 30.0) == {("trade", "BTCUSDT"): True}
    assert freshness(shown(run, later=11.0).streamers[0], 30.0) == {("trade", "BTCUSDT"): False}


def test_a_stream_is_judged_by_the_slot_that_serves_it() -> None:
    run = after(
        5,
        slots=(slot("a"), slot("b", age=None)),
        streams=(
            stream(9, "AUSDT", slot="a", silent_seconds=40.0, silence="unconfirmed"),
            stream(9, "BUSDT", slot="b", silent_seconds=40.0, silence="unconfirmed"),
            stream(9, "CUSDT", silent_seconds=40.0, silence="unconfirmed"),
            stream(9, "DUSDT", slot="gone", silent_seconds=40.0, silence="unconfirmed"),
            stream(9, "EUSDT", slot="b", silent_seconds=40.0, leaving=True),
        ),
    )
    found = freshness(shown(run).streamers[0], 30.0)
    assert found == {
        ("trade", "AUSDT"): True,
        ("trade", "BUSDT"): False,
        ("trade", "CUSDT"): False,
        ("trade", "DUSDT"): True,
    }


def test_what_streams_and_stores_is_ready() -> None:
    assert obstacles(shown(after(5))) == ()


def test_of_one_that_has_not_reported_nothing_is_unavailable() -> None:
    assert unavailable(shown(Run(PROFILES["smoke"])).streamers[0]) == {}


def test_one_that_reports_no_more_is_not_ready() -> None:
    run = after(5)
    run.now += 11.0
    assert f"{NAME}: has not reported for 11 s" in obstacles(shown(run))


def test_no_streamer_is_not_ready() -> None:
    run = Run(PROFILES["smoke"])
    assert obstacles(shown(run)) == (f"{NAME}: has not reported yet",)
    assert freshness(shown(run).streamers[0], 30.0) == {}
    run.state.ledger.generations.clear()
    assert obstacles(shown(run)) == ("no streamer was launched yet",)


def test_a_process_that_is_gone_is_not_ready() -> None:
    run = after(5)
    run.feed(Exited(NAME, 1, -9, False, EPOCH))
    assert obstacles(shown(run)) == (f"{NAME}: its process is not running",)


def test_a_shard_without_symbols_is_ready_when_it_says_that_there_may_be_none() -> None:
    assert obstacles(shown(after(5, slots=(), streams=()))) == ()
    assert obstacles(shown(after(5, slots=(), streams=(), state="connecting"))) == (
        f"{NAME}: is connecting",
    )
    assert obstacles(shown(after(5, slots=()))) != (), "streams without a connection"


def test_a_connection_that_is_down_is_not_ready() -> None:
    run = after(5, slots=(slot("a"), slot("b", age=None)))
    assert obstacles(shown(run)) == (f"{NAME}: is streaming, no live connection in b",)
    run = after(5, state="connecting")
    assert obstacles(shown(run)) == (f"{NAME}: is connecting",)


def test_records_that_nobody_acknowledges_are_not_ready() -> None:
    run = after(5, sink=SinkCounts("kafka", accepted_total=90, acknowledged_total=20, queued=70))
    run.seconds(30, lambda _: {"sink": SinkCounts("kafka", 300, 20, queued=280)})
    assert obstacles(shown(run)) == (
        f"{NAME}: nothing is stored: 280 records wait, and the sink acknowledged none for 34 s",
    )
    told = as_status(shown(run))
    assert told["ready"] is False
    assert told["streamers"][0]["sink"]["unacknowledged_seconds"] == 34.0
    run.seconds(1, lambda _: {"sink": SinkCounts("kafka", 300, 21, queued=279)})
    assert obstacles(shown(run)) == ()


def test_a_sink_that_was_never_answered_is_not_ready_from_its_first_report_on() -> None:
    run = after(1, sink=SinkCounts("kafka", accepted_total=7, queued=7, opened=False))
    (told,) = obstacles(shown(run))
    assert told.startswith(f"{NAME}: nothing is stored for good: ")
    assert "7 records wait on disk" in told


def test_an_idle_sink_is_ready() -> None:
    run = after(90, sink=SinkCounts("files", accepted_total=20, acknowledged_total=20))
    assert shown(run).streamers[0].unacknowledged_seconds == 0.0
    assert obstacles(shown(run)) == ()


def test_records_that_come_after_a_pause_have_not_waited_through_it() -> None:
    run = after(90, sink=SinkCounts("files", accepted_total=20, acknowledged_total=20))
    run.seconds(2, lambda _: {"sink": SinkCounts("files", 21, 20, queued=1)})
    assert shown(run).streamers[0].unacknowledged_seconds == 2.0


def test_a_new_process_is_not_blamed_for_what_waited_before_it() -> None:
    waiting = SinkCounts("kafka", accepted_total=90, acknowledged_total=20, queued=70)
    run = after(60, sink=waiting)
    run.feed(Exited(NAME, 1, -9, False, EPOCH))
    run.feed(launched(2))
    run.seconds(5, lambda _: {"sink": waiting, "generation": 2}, lambda _: {"generation": 2})
    assert shown(run).streamers[0].unacknowledged_seconds == 4.0


def test_silent_streams_that_trade_are_not_ready_and_named() -> None:
    streams = tuple(
        stream(9, f"{name}USDT", silent_seconds=31.0, silence="news") for name in "ABCDEFG"
    )
    run = after(5, streams=(*streams, stream(9, "QUSDT", silent_seconds=90.0, silence="quiet")))
    assert obstacles(shown(run)) == (
        f"{NAME}: silent: AUSDT trade, BUSDT trade, CUSDT trade, DUSDT trade, EUSDT trade "
        "and 2 more",
    )
    run = after(5, streams=(stream(9, silent_seconds=31.0, silence="news"),))
    assert obstacles(shown(run)) == (f"{NAME}: silent: BTCUSDT trade",)


def test_what_the_exchange_does_not_serve_is_a_warning_and_the_rest_is_ready() -> None:
    absent = stream(0, "XUSDT", silent_seconds=9e4, silence="unconfirmed")
    run = after(
        5,
        streams=(
            stream(9),
            replace(absent, unavailable="unknown_symbol"),
            replace(absent, stream="aggTrade", unavailable="refused"),
        ),
    )
    found = shown(run)
    assert obstacles(found) == ()
    assert warnings(found) == (
        f"{NAME}: the exchange refuses the subscription of: XUSDT aggTrade",
        f"{NAME}: the exchange does not know the symbol of: XUSDT trade",
    )
    assert freshness(found.streamers[0], 30.0) == {("trade", "BTCUSDT"): True}
    status = as_status(found)
    assert status["ready"]
    assert status["warnings"] == list(warnings(found))
    assert [one["unavailable"] for one in status["streamers"][0]["streams"]] == [
        None,
        "unknown_symbol",
        "refused",
    ]
    families = {one.name: one for one in stream_families(found, SeriesLimit(9))}
    assert families["vigil_stream_unavailable"].values == {
        ("trade", "XUSDT", "unknown_symbol"): 1.0,
        ("aggTrade", "XUSDT", "refused"): 1.0,
    }


def test_where_the_exchange_serves_nothing_nothing_is_ready() -> None:
    absent = replace(stream(0, "XUSDT", silent_seconds=9e4), unavailable="unknown_symbol")
    found = shown(after(5, streams=(absent,)))
    assert obstacles(found) == (f"{NAME}: the exchange serves none of its streams",)


def test_a_supervisor_that_does_not_keep_up_is_a_warning() -> None:
    told = shown(after(5))
    assert warnings(told) == ()
    overloaded = dataclasses.replace(told, load=Load(busy_ratio=0.97, report_delay_seconds=0.1))
    [warning] = warnings(overloaded)
    assert warning.startswith("the supervisor is overloaded: ")
