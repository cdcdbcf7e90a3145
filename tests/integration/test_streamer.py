"""The lone streamer against the simulated exchange: what it stores is what the tape holds."""

from __future__ import annotations

import json
import signal

import pytest

from tests.audit import audit_files, await_caught_up, read_files, stored_bytes
from tests.exchange import Exchange
from tests.integration.test_repair import await_every_symbol
from tests.kafka_mock import MockKafka
from tests.streaming import Process, at_exchange, eventually

STREAMS = ("trade", "aggTrade", "bookTicker")
MALFORMED_ERROR_TYPES = {
    "bad_price", "bad_time", "binary", "invalid_utf8", "missing_field", "not_json",
    "too_deep", "truncated", "unknown_shape", "wrong_symbol", "wrong_type",
}  # fmt: skip
FATAL_VARIANTS = ("oversized", "reserved_bit", "unknown_opcode", "masked", "stray_continuation")


def streamer(tmp_path, exchange, **settings):
    settings = {
        "exchange.streams": ",".join(STREAMS),
        "sink.directory": tmp_path / "records",
        "connection.rotation_overlap": "500ms",
        "connection.backoff_initial": "100ms",
        **settings,
    }
    return Process(tmp_path / "streamer.log", "streamer", *at_exchange(exchange, **settings))


def opened(exchange):
    """How many connections the exchange has accepted so far."""
    return exchange.status()["attempts_total"]


def stored(tmp_path, stream="trade"):
    return stored_bytes(tmp_path / "records" / stream, "*")


def test_every_event_is_stored_once_exact_and_in_order_over_rotations(tmp_path):
    with (
        Exchange(tmp_path, rate=150) as exchange,
        streamer(tmp_path, exchange, connection__max_age="2s") as process,
    ):
        eventually(lambda: opened(exchange) >= 4, what="three rotations")
        assert process.stop() == 0
        for stream in STREAMS:
            for symbol in exchange.symbols:
                audit = audit_files(exchange, tmp_path / "records", stream, symbol)
                assert audit.clean, (stream, symbol, audit)
                assert audit.count > 50


def test_after_a_reset_without_repair_exactly_the_hole_is_missing(tmp_path):
    with (
        Exchange(tmp_path, rate=300) as exchange,
        streamer(
            tmp_path, exchange, connection__backoff_initial="1s", repair__enabled="false"
        ) as process,
    ):
        await_every_symbol(tmp_path, exchange)
        exchange.fault("reset")
        eventually(lambda: opened(exchange) >= 2, what="a reconnect")
        size = stored(tmp_path)
        eventually(lambda: stored(tmp_path) > size + 50_000, what="more records")
        assert process.stop() == 0
        for symbol in exchange.symbols:
            audit = audit_files(exchange, tmp_path / "records", "trade", symbol)
            assert audit.intact, audit
            [(first, last)] = audit.holes
            assert f"gap: trade of {symbol} from {first} to {last} " in process.output


@pytest.mark.parametrize("fault", ["duplicate", "reorder", "server_shutdown", "burst"])
def test_a_fault_that_loses_nothing_leaves_no_trace(tmp_path, fault):
    with Exchange(tmp_path, rate=150) as exchange, streamer(tmp_path, exchange) as process:
        await_every_symbol(tmp_path, exchange)
        record = exchange.fault(fault)
        exchange.happened(record["number"])
        size = stored(tmp_path)
        eventually(lambda: stored(tmp_path) > size + 30_000, what="more records")
        assert process.stop() == 0
        for symbol in exchange.symbols:
            audit = audit_files(exchange, tmp_path / "records", "trade", symbol)
            assert audit.clean, audit


def test_without_repair_withheld_ids_are_the_gap_that_is_declared(tmp_path):
    with (
        Exchange(tmp_path, rate=150) as exchange,
        streamer(
            tmp_path, exchange, connection__gap_wait="300ms", repair__enabled="false"
        ) as process,
    ):
        await_every_symbol(tmp_path, exchange)
        planned = exchange.fault("withhold", stream="trade", symbol="ETHUSDT", count=7)
        exchange.happened(planned["number"])
        eventually(lambda: "gap: trade of ETHUSDT" in process.output, what="the gap")
        assert process.stop() == 0
        audit = audit_files(exchange, tmp_path / "records", "trade", "ETHUSDT")
        assert len(audit.missing) == 7
        assert f"from {audit.missing[0]} to {audit.missing[-1]} (7 missing)" in process.output


def test_a_second_signal_skips_the_flush(tmp_path):
    kafka = MockKafka()
    with Exchange(tmp_path, rate=50) as exchange, kafka as brokers:
        settings = {"sink.kind": "kafka", "kafka.bootstrap_servers": brokers}
        with streamer(tmp_path, exchange, **settings) as process:
            eventually(lambda: opened(exchange) >= 1, what="a connection")
            kafka.stop()  # nobody listens: the flush would wait
            sent = exchange.events_sent()
            eventually(lambda: exchange.events_sent() > sent + 50, what="more events")
            process.send(signal.SIGTERM)
            eventually(lambda: "stopping" in process.output, what="the drain")
            assert process.stop(signal.SIGTERM) == 143


def test_unacknowledged_records_are_an_exit_code(tmp_path):
    kafka = MockKafka()
    with Exchange(tmp_path, rate=50) as exchange, kafka as brokers:
        settings = {"sink.kind": "kafka", "kafka.bootstrap_servers": brokers}
        with streamer(tmp_path, exchange, **settings) as process:
            eventually(lambda: opened(exchange) >= 1, what="a connection")
            kafka.stop()
            sent = exchange.events_sent()
            eventually(lambda: exchange.events_sent() > sent + 50, what="more events")
            assert process.stop() == 1
            assert "records are not acknowledged" in process.output


def test_without_a_broker_it_does_not_start(tmp_path):
    with Exchange(tmp_path, rate=50) as exchange:
        settings = {
            "sink.kind": "kafka",
            "kafka.bootstrap_servers": "127.0.0.1:1",
            "kafka.start_within": "1s",
        }
        with streamer(tmp_path, exchange, **settings) as process:
            assert process.wait() == 5
            assert "no broker answered within kafka.start_within (1 s)" in process.output
        assert opened(exchange) == 0


def test_a_wrong_setting_ends_it_with_the_key_and_the_cure(tmp_path):
    with Process(tmp_path / "log", "streamer", "--set", "exchange.symbols=BTC/USDT") as process:
        assert process.wait() == 2
        assert "expected a symbol such as BTCUSDT" in process.output
        assert "Traceback" not in process.output


def test_a_tls_certificate_that_is_not_trusted_is_refused_with_the_cure(tmp_path):
    with Exchange(tmp_path, rate=50) as exchange:
        exchange.ca_file = None
        with streamer(tmp_path, exchange) as process:
            eventually(lambda: "exchange.ca_file" in process.output, what="the refusal")
            assert process.stop() == 0
    assert not read_files(tmp_path / "records", "trade")


def test_malformed_frames_are_kept_and_counted_and_disturb_nothing_else(tmp_path):
    with Exchange(tmp_path, rate=150) as exchange, streamer(tmp_path, exchange) as process:
        await_every_symbol(tmp_path, exchange)
        planned = exchange.fault("malformed", variant="all", stream="trade", symbol="BTCUSDT")
        exchange.happened(planned["number"])
        invalid = exchange.fault(
            "malformed", variant="invalid_utf8", stream="trade", symbol="BTCUSDT"
        )
        exchange.happened(invalid["number"])
        size = stored(tmp_path)
        eventually(lambda: stored(tmp_path) > size + 20_000, what="more records")
        assert process.stop() == 0
        kept = [
            json.loads(line)
            for path in sorted((tmp_path / "records" / "rejected").glob("*.jsonl"))
            for line in path.read_text().splitlines()
        ]
        assert {each["error_type"] for each in kept} == MALFORMED_ERROR_TYPES
        for symbol in exchange.symbols:
            audit = audit_files(exchange, tmp_path / "records", "trade", symbol)
            assert audit.clean, audit
        assert exchange.status()["attempts_total"] == 1, "a bad message costs no connection"


def test_a_broken_protocol_costs_the_connection_and_nothing_else(tmp_path):
    with Exchange(tmp_path, rate=100) as exchange, streamer(tmp_path, exchange) as process:
        for number, variant in enumerate(FATAL_VARIANTS, start=1):
            eventually(lambda: exchange.connections() and stored(tmp_path), what="a connection")
            planned = exchange.fault("malformed", variant=variant, stream="trade")
            exchange.happened(planned["number"])
            eventually(
                lambda wanted=number + 1: opened(exchange) >= wanted, what=f"reconnect {number}"
            )
        await_caught_up(exchange, tmp_path / "records", STREAMS)
        assert process.stop() == 0
        assert process.output.count("the server broke the protocol") == len(FATAL_VARIANTS)
        for symbol in exchange.symbols:
            assert audit_files(exchange, tmp_path / "records", "trade", symbol).intact


def test_a_client_setting_that_librdkafka_refuses_is_a_configuration_error(tmp_path):
    with Exchange(tmp_path, rate=50) as exchange:
        settings = {
            "sink.kind": "kafka",
            "kafka.bootstrap_servers": "127.0.0.1:1",
            "kafka.client": '{"receive.message.max.bytes" = 1}',
        }
        with streamer(tmp_path, exchange, **settings) as process:
            assert process.wait() == 2
            assert "kafka.client" in process.output
            assert "Traceback" not in process.output
