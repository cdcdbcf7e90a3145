"""Rebuilt books are right wherever the records say that they are known, whatever went wrong."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from decimal import Decimal

import pytest

from tests import consumer_programs
from tests.audit import read_files
from tests.book_states import READERS, Tally, compare, faults, table
from tests.exchange import Exchange
from tests.streaming import ROOT, Process, at_exchange, eventually
from tests.waiting import WITHIN_SECONDS

STREAM = "depth@100ms"
SYMBOLS = ("BTCUSDT", "PEPEUSDT")
IDS_PER_UPDATE = 7  # of the simulator, on average


def streamer(tmp_path, exchange):
    settings = {
        "exchange.streams": f"{STREAM},bookTicker",
        "sink.directory": tmp_path / "records",
        "connection.gap_wait": "200ms",
        "connection.backoff_initial": "200ms",
    }
    return Process(tmp_path / "streamer.log", "streamer", *at_exchange(exchange, **settings))


def last_ids(tmp_path, kind, least=0):
    """Return the last update of each symbol that is in the files."""
    ids = {
        each["symbol"]: each["last_update_id"]
        for each in read_files(tmp_path / "records", kind, "*.avro*")
    }
    return {symbol: last for symbol, last in ids.items() if last > least}


def await_books(tmp_path, since, updates):
    """Wait until a snapshot and so many updates above it are stored of every symbol, since then."""

    def stored():
        snapshots = last_ids(tmp_path, "depthSnapshot", since)
        changes = last_ids(tmp_path, STREAM)
        return len(snapshots) == len(SYMBOLS) and all(
            changes.get(symbol, 0) > snapshots[symbol] + IDS_PER_UPDATE * updates
            for symbol in SYMBOLS
        )

    eventually(stored, what="a book of each symbol", every=0.1)


def run(tmp_path, seed, count, updates):
    """Play faults against a streamer; return what readers had, symbols together.

    After each one books are kept for so many updates, 30 a second.
    """
    with Exchange(tmp_path, rate=60, symbols=SYMBOLS, extra=["--seed", str(seed)]) as exchange:
        process = streamer(tmp_path, exchange).__enter__()
        try:
            await_books(tmp_path, 0, updates)
            for seconds, kind in faults(seed, count):
                told = exchange.status()["last_ids"]
                since = min(told[f"{symbol.lower()}@bookTicker"] for symbol in SYMBOLS)
                if kind == "kill":
                    process.send(signal.SIGKILL)
                    process.wait(WITHIN_SECONDS)
                    process = streamer(tmp_path, exchange).__enter__()
                elif kind == "withhold":
                    for symbol in SYMBOLS:
                        exchange.fault(kind, stream=STREAM, symbol=symbol, count=3)
                elif kind == "stall":
                    exchange.fault(kind, stream=STREAM, duration=seconds)
                else:
                    exchange.fault(kind)
                await_books(tmp_path, since, updates)
            assert process.stop() == 0
        finally:
            process.__exit__(None, None, None)
        check_program(tmp_path / "records")
        sums = {name: Tally() for name in READERS}
        for symbol in SYMBOLS:
            for name, tally in compare(exchange, tmp_path / "records", STREAM, symbol).items():
                sums[name].add(tally)
    audited = subprocess.run(
        [sys.executable, "-m", "streamer", "audit", tmp_path / "records", "--json"],
        capture_output=True, text=True, cwd=ROOT, check=False,
    )  # fmt: skip
    assert audited.returncode == 0, audited.stdout
    return sums, json.loads(audited.stdout)["books"]


def check_program(records):
    """The program of docs/consumers.md knows as much, and ends with the same book."""
    told = consumer_programs.run("book", records, "BTCUSDT", STREAM)
    found = re.fullmatch(
        r"known after (\d+) of (\d+) changes\nafter (\d+): best bid (\S+), best ask (\S+)\n", told
    )
    assert found is not None, told
    assert 10 < int(found[1]) < int(found[2])
    command = [sys.executable, "-m", "streamer", "book", records, "--symbol", "BTCUSDT", "--json"]
    shown = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    book = json.loads(shown.stdout)
    assert int(found[3]) == book["last_update_id"]
    assert Decimal(found[4]) == Decimal(book["bids"][0][0])
    assert Decimal(found[5]) == Decimal(book["asks"][0][0])


def check(sums, books):
    print(table(sums))
    whole, start, gaps = (sums[name] for name in READERS)
    # In a long run every level has changed some time, and a book of changes alone comes right.
    assert whole.wrong > 0
    assert start.wrong > 0, "else nothing was lost that matters"
    assert gaps.wrong == 0
    assert gaps.right > start.right
    assert len(books) == len(SYMBOLS)
    for book in books:
        assert book["crossed"] == book["differing_snapshots"] == book["differing_tops"] == 0
        assert book["compared_tops"] > 10
        assert 0 < book["covered_share"] < 1


def test_books_are_right_wherever_they_are_known(tmp_path):
    check(*run(tmp_path, seed=1, count=4, updates=15))


@pytest.mark.full
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", range(2, 12))
def test_books_are_right_wherever_they_are_known_for_long(tmp_path, seed):
    check(*run(tmp_path, seed=seed, count=24, updates=120))
