"""What is wrong stays out: another venue's trades, a trade without a quantity, a clock far off."""

from __future__ import annotations

import json

import pytest

from tests.audit import audit_files, await_caught_up, read_files
from tests.exchange import Exchange
from tests.integration.test_repair import (
    STREAMS,
    audits,
    await_every_symbol,
    await_growth,
    stored,
    streamer,
)
from tests.streaming import eventually


def letters(tmp_path):
    """What is kept as evidence."""
    path = tmp_path / "records" / "rejected" / "first.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_nothing_of_another_venue_is_stored_and_what_is_missing_comes_when_rest_is_right(tmp_path):
    with (
        Exchange(tmp_path, rate=300) as exchange,
        streamer(tmp_path, exchange) as process,
    ):
        for stream in STREAMS:
            await_every_symbol(tmp_path, exchange, stream)
        other = exchange.fault("rest_other_venue", duration=3600.0)
        for stream in STREAMS:
            lost = exchange.fault("withhold", stream=stream, symbol="ETHUSDT", count=7)
            exchange.happened(lost["number"])
        eventually(lambda: "misfit" in str(letters(tmp_path)), what="a refusal")
        eventually(lambda: "and REST" in process.output, what="its reason in the log")
        for stream in STREAMS:
            so_far = read_files(tmp_path / "records", stream, "*.avro*")
            assert {record["source"] for record in so_far} == {"live"}
        exchange.end(other["number"])
        eventually(
            lambda: process.output.count("REST agrees with the streams again") >= 1, what="repairs"
        )
        await_growth(tmp_path)
        await_caught_up(exchange, tmp_path / "records", STREAMS)
        assert process.stop() == 0, process.output
        found = audits(tmp_path, exchange)
        assert all(audit.clean for audit in found.values()), found
        assert len(found["trade", "ETHUSDT"].backfilled) == 7
        assert not read_files(tmp_path / "records", "gap")


def test_a_trade_without_a_quantity_is_declared_at_once(tmp_path):
    with (
        Exchange(tmp_path, rate=300, extra=("--no-trade-every", "499")) as exchange,
        streamer(tmp_path, exchange) as process,
    ):
        eventually(
            lambda: process.output.count("which is no valid record") >= 3, what="such trades"
        )
        await_growth(tmp_path)
        await_caught_up(exchange, tmp_path / "records", STREAMS)
        assert process.stop() == 0, process.output
        gaps = [gap for gap in read_files(tmp_path / "records", "gap") if gap["stream"] == "trade"]
        assert gaps
        for gap in gaps:
            assert (gap["reason"], gap["missing"], gap["first_id"] % 499) == ("unusable", 1, 0)
        for symbol in exchange.symbols:
            declared = {gap["first_id"] for gap in gaps if gap["symbol"] == symbol}
            audit = audit_files(exchange, tmp_path / "records", "trade", symbol)
            assert set(audit.missing) == declared
            assert not audit.wrong
            assert not audit.disordered


@pytest.mark.parametrize("ahead", ["600s", "-600s"])
def test_a_clock_that_is_far_off_costs_nothing_and_is_told(tmp_path, ahead):
    with (
        Exchange(tmp_path, rate=300, extra=(f"--clock-ahead={ahead}",)) as exchange,
        streamer(tmp_path, exchange) as process,
    ):
        eventually(lambda: "600.0 s" in process.output, what="a warning")
        await_every_symbol(tmp_path, exchange)
        lost = exchange.fault("withhold", stream="trade", symbol="ETHUSDT", count=7)
        exchange.happened(lost["number"])
        await_growth(tmp_path)
        await_caught_up(exchange, tmp_path / "records", STREAMS)
        assert process.stop() == 0, process.output
        found = audits(tmp_path, exchange)
        assert all(audit.clean for audit in found.values()), found
        assert len(found["trade", "ETHUSDT"].backfilled) == 7
        assert not letters(tmp_path)


IDS = {"trade": "trade_id", "aggTrade": "aggregate_trade_id", "bookTicker": "update_id"}


def runs(numbers):
    """Ascending numbers, split where they fall."""
    found = [[]]
    for number in numbers:
        if found[-1] and number < found[-1][-1]:
            found.append([])
        found[-1].append(number)
    return found


def in_epochs(tmp_path, stream, symbol):
    """The ids of a stream in the order in which they are stored, by the epoch in the record id."""
    epochs = {}
    for record in read_files(tmp_path / "records", stream):
        if record["symbol"] == symbol:
            parts = record["record_id"].split(":")
            number = record[IDS[stream]]
            assert int(parts[-1]) == number
            epochs.setdefault(":".join(parts[4:-1]), []).append(number)
    return epochs


@pytest.mark.parametrize("stopped", [False, True])
def test_ids_that_start_anew_are_an_epoch_of_their_own_on_record(tmp_path, stopped):
    """Also when it happens while nobody listens: the streamer stops before, and starts after."""
    settings = {"exchange.streams": ",".join(IDS)}
    with Exchange(tmp_path, rate=300) as exchange:
        with streamer(tmp_path, exchange, **settings) as process:
            eventually(lambda: stored(tmp_path), what="records")
            await_growth(tmp_path)
            if stopped:
                assert process.stop() == 0, process.output
            exchange.happened(exchange.fault("ids_anew")["number"])
            if not stopped:
                eventually(lambda: process.output.count("began anew") == 9, what="new epochs")
                await_growth(tmp_path)
                lost = exchange.fault("withhold", stream="trade", symbol="ETHUSDT", count=7)
                exchange.happened(lost["number"])
                await_growth(tmp_path)
                await_caught_up(exchange, tmp_path / "records", IDS)
                assert process.stop() == 0, process.output
        if stopped:
            with streamer(tmp_path, exchange, **settings) as process:
                eventually(lambda: process.output.count("began anew") == 9, what="new epochs")
                await_growth(tmp_path)
                await_caught_up(exchange, tmp_path / "records", IDS)
                assert process.stop() == 0, process.output
        with streamer(tmp_path, exchange, **settings) as process:  # goes on in the new epoch
            await_growth(tmp_path)
            await_caught_up(exchange, tmp_path / "records", IDS)
            assert process.stop() == 0, process.output
            assert (
                "began anew"
                not in process.output.rpartition("stopping")[0].rpartition("stopping")[2]
            )
        gaps = [g for g in read_files(tmp_path / "records", "gap") if g["reason"] == "new_epoch"]
        assert {(gap["stream"], gap["symbol"]) for gap in gaps} == {
            (stream, symbol) for stream in IDS for symbol in exchange.symbols
        }
        assert len(gaps) == 9
        assert all(gap["from_time"] <= gap["to_time"] for gap in gaps)
        for stream in IDS:
            for symbol in exchange.symbols:
                before, after = in_epochs(tmp_path, stream, symbol).values()
                on_tape = [each[IDS_ON_TAPE[stream]] for each in exchange.tape(stream, symbol)]
                old, new = runs(on_tape)
                assert before == [each for each in old if before[0] <= each <= before[-1]]
                if stream == "bookTicker":  # between two runs some are lost, and declared
                    assert after == sorted(set(after) & set(new))
                else:
                    assert after == [each for each in new if after[0] <= each <= after[-1]]
                if not stopped:  # what the connection brought is there from the first one on
                    assert (before[-1], after[0]) == (old[-1], new[0])


IDS_ON_TAPE = {"trade": "t", "aggTrade": "a", "bookTicker": "u"}
