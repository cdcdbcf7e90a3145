"""The real streamer under the supervisor, against the simulated exchange: faults and rules."""

from __future__ import annotations

import json
import signal
import urllib.error
import urllib.request

import pytest

from tests.audit import audit_files, await_caught_up, read_files, stored_bytes
from tests.exchange import Exchange
from tests.ports import free_port

HOOKED = ("-m", "tests.integration.hooked_streamer")
PLAIN = ("-m", "supervisor")
HEARTBEAT = """
[[rules]]
name = "heartbeat"
metric = "report_age_seconds"
above = "4s"
action = "{action}"
"""  # a busy machine alone makes no such silence
RATE = """
[[rules]]
name = "rate"
metric = "events_per_second"
below = 10
for = "2s"
action = "{action}"
"""


def start(vigil, exchange, *command, launcher=PLAIN, rules="", **settings):
    config = vigil.directory / "vigil.toml"
    config.write_text(rules)
    values = {
        "exchange.websocket_url": exchange.websocket_url,
        "exchange.rest_url": exchange.rest_url,
        "exchange.ca_file": exchange.ca_file,
        "exchange.symbols": ",".join(exchange.symbols),
        "connection.rotation_overlap": "300ms",
        "supervisor.drain_grace": 10,  # whoever drains at all ends sooner, also on a busy machine
        "sink.directory": vigil.directory / "records",
        "telemetry.report_every": 0.2,
        **{key.replace("__", "."): value for key, value in settings.items()},
    }
    launcher = (*launcher, f"--config={config}")
    return vigil.start("", *command, settings=values, launcher=launcher)


def records(vigil):
    return stored_bytes(vigil.directory / "records", "**/*.avro*")


@pytest.fixture
def exchange(vigil):
    with Exchange(vigil.directory, rate=100) as exchange:
        yield exchange


# Streamers that fail ------------------------------------------------------------------------------


def test_a_leak_past_the_ceiling_aborts_the_soak(vigil, exchange):
    profile = vigil.directory / "small.toml"
    profile.write_text('base = "smoke"\nmemory_ceiling = "120MiB"\n')
    start(vigil, exchange, "soak", f"--profile={profile}", launcher=(*HOOKED, "leaks"))
    assert vigil.exit_code() == 3
    document = vigil.profile()
    breach = next(one for one in document["criteria"] if one["name"] == "memory ceiling")
    assert breach["outcome"] == "fail"
    # Far above the ceiling it would have been killed, and so be without its last records.
    assert "ended by SIGKILL" not in vigil.log.read_text()
    for symbol in exchange.symbols:
        assert audit_files(exchange, vigil.directory / "records", "trade", symbol).clean


@pytest.mark.parametrize("hook", ["holds_gil", "hangs_without_term"])
def test_a_hanging_streamer_is_replaced_in_run(vigil, exchange, hook):
    rules = HEARTBEAT.format(action="restart")
    process = start(vigil, exchange, "run", rules=rules, launcher=(*HOOKED, hook))
    vigil.until_logged("generation 1 reports")
    first = vigil.streamer().pid
    vigil.until_logged("generation 2 reports")
    assert vigil.streamer().pid != first
    assert "Thread 0x" in (vigil.evidence / "streamer-1.1.stacks").read_text()
    process.send_signal(signal.SIGTERM)
    assert vigil.exit_code() == 0


@pytest.mark.parametrize("mode", ["run", "soak"])
def test_a_stopped_streamer_is_noticed(vigil, exchange, mode):
    action = "restart" if mode == "run" else "abort"
    command = ("run",) if mode == "run" else ("soak", "--profile=smoke")
    process = start(vigil, exchange, *command, rules=HEARTBEAT.format(action=action))
    vigil.until_logged("generation 1 reports")
    vigil.streamer().send_signal(signal.SIGSTOP)
    if mode == "run":
        vigil.until_logged("generation 2 reports")
        process.send_signal(signal.SIGTERM)
        assert vigil.exit_code() == 0
    else:
        assert vigil.exit_code() == 3
        failed = {one["name"] for one in vigil.profile()["criteria"] if one["outcome"] == "fail"}
        assert "heartbeat" in failed or "rules" in failed


def test_a_killed_streamer_is_launched_again_and_the_hole_is_exact(vigil, exchange):
    process = start(vigil, exchange, "run")
    vigil.until(lambda: records(vigil) > 20_000)
    vigil.streamer().kill()
    vigil.until_logged("generation 2 reports")
    before = records(vigil)
    vigil.until(lambda: records(vigil) > before + 20_000)
    await_caught_up(exchange, vigil.directory / "records")
    process.send_signal(signal.SIGTERM)
    assert vigil.exit_code() == 0
    for symbol in exchange.symbols:
        audit = audit_files(exchange, vigil.directory / "records", "trade", symbol)
        assert audit.intact
        assert len(audit.holes) <= 1


def test_a_killed_supervisor_leaves_a_streamer_that_flushes_and_ends(vigil, exchange):
    process = start(vigil, exchange, "run")
    vigil.until(lambda: records(vigil) > 20_000)
    process.kill()
    process.wait()
    vigil.until(lambda: not [pid for pid in vigil.left() if pid != exchange.process.pid])
    assert not list((vigil.directory / "records").rglob("*.open")), "every file is complete"
    for symbol in exchange.symbols:
        assert audit_files(exchange, vigil.directory / "records", "trade", symbol).clean


def newest(vigil, stream, symbol):
    """Return the highest id of a stream that came live."""
    ids = {"trade": "trade_id", "aggTrade": "aggregate_trade_id"}
    found = read_files(vigil.directory / "records", stream, "*.avro*")
    return max(
        one[ids[stream]] for one in found if (one["symbol"], one["source"]) == (symbol, "live")
    )


# Rules --------------------------------------------------------------------------------------------


def rotations(document, rule):
    return [
        event
        for event in document["events"]
        if event["kind"] == "action"
        and event["detail"]["rule"] == rule
        and event["detail"]["action"] == "rotate"
    ]


@pytest.mark.parametrize(
    ("fault", "settings"),
    [
        ({"kind": "stall", "symbol": "ETHUSDT", "connection": "oldest"}, {}),
        (
            {"kind": "stall", "symbol": "ETHUSDT", "stream": "aggTrade", "connection": "oldest"},
            {"exchange.streams": "trade,aggTrade"},
        ),
        ({"kind": "silent_connection"}, {}),
    ],
    ids=["a symbol", "a stream beside a live one", "a connection"],
)
def test_silence_rotates_and_the_new_connection_speaks(vigil, exchange, fault, settings):
    address = f"127.0.0.1:{free_port()}"
    settings = {"connection.stale_after": "2s", "monitor.metrics_address": address, **settings}
    command = ("soak", "--profile=smoke", "--duration=1h")  # the test ends it
    process = start(vigil, exchange, *command, **settings)
    vigil.until(lambda: records(vigil) > 10_000)
    exchange.fault(duration=3600, **fault)

    def events():
        with urllib.request.urlopen(f"http://{address}/status", timeout=60) as answer:
            return json.load(answer)["event_counts"]

    vigil.until(lambda: events()["rotation_completed"])
    stream = fault.get("stream", "trade")
    spoken = exchange.status()["last_ids"][f"ethusdt@{stream}"]
    # It speaks again, on the new connection.
    vigil.until(lambda: newest(vigil, stream, "ETHUSDT") > spoken)
    process.send_signal(signal.SIGINT)
    vigil.exit_code()
    document = vigil.profile()
    assert rotations(document, "silence"), document["actions"]
    completed = [event for event in document["events"] if event["kind"] == "rotation_completed"]
    assert {event["detail"]["reason"] for event in completed} == {"stale"}
    silent = {
        key: seconds
        for generation in document["streamers"][0]["generations"]
        for key, seconds in generation["longest_silence_seconds"].items()
    }
    assert max(silent.values()) > 2.0


def test_a_rate_below_the_limit_fails_a_soak(vigil):
    with Exchange(vigil.directory, rate=5) as exchange:
        start(vigil, exchange, "soak", "--profile=smoke", "--duration=20s")
        assert vigil.exit_code() == 3
    document = vigil.profile()
    criteria = {one["name"]: one for one in document["criteria"]}
    assert criteria["message rate"]["outcome"] == "fail"
    assert criteria["message rate"]["observed"] < 10
    assert criteria["memory ceiling"]["outcome"] == "pass"
    assert [action["action"] for action in document["actions"] if action["rule"] == "rate"] == [
        "fail"
    ]


def test_in_run_a_low_rate_rotates_and_warns(vigil):
    rules = RATE.format(action="rotate")
    with Exchange(vigil.directory, rate=5) as exchange:
        process = start(vigil, exchange, "run", rules=rules)
        vigil.until_logged("events per second")
        vigil.until(lambda: exchange.status()["attempts_total"] >= 2)
        process.send_signal(signal.SIGTERM)
        assert vigil.exit_code() == 0


def test_age_rotates_in_run(vigil, exchange):
    process = start(vigil, exchange, "run", **{"connection.max_age": "2s"})
    vigil.until(lambda: exchange.status()["attempts_total"] >= 3)
    process.send_signal(signal.SIGTERM)
    assert vigil.exit_code() == 0
    for symbol in exchange.symbols:
        assert audit_files(exchange, vigil.directory / "records", "trade", symbol).clean


def test_the_pages_tell_what_is_measured(vigil, exchange):
    address = f"127.0.0.1:{free_port()}"
    settings = {"exchange.streams": "trade,aggTrade", "monitor.metrics_address": address}
    process = start(vigil, exchange, "run", **settings)
    vigil.until_logged("generation 1 reports")

    def get(page):
        with urllib.request.urlopen(f"http://{address}{page}", timeout=60) as answer:
            return answer.read().decode()

    def streaming():
        try:
            return get("/readyz")
        except urllib.error.HTTPError:
            return None

    vigil.until(streaming)
    vigil.until(lambda: 'binance_messages_received_total{symbol="BTCUSDT"' in get("/metrics"))
    vigil.until(lambda: "process_memory_rss_bytes{" in get("/metrics"))
    assert get("/healthz")
    status = json.loads(get("/status"))
    assert status["streamers"]
    process.send_signal(signal.SIGTERM)
    assert vigil.exit_code() == 0
    assert read_files(vigil.directory / "records", "aggTrade")
