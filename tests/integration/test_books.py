"""Rebuilt books are right wherever the records say that they are known, whatever went wrong."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from decimal import Decimal
from functools import partial
from operator import itemgetter

import pytest

from tests import consumer_programs
from tests.book_states import BROKER_KINDS, KINDS, READERS, Tally, apply, compare, faults, table
from tests.book_stores import Files, Topics
from tests.exchange import Exchange
from tests.kafka_cluster import KafkaCluster
from tests.streaming import ROOT, Process, at_exchange, eventually
from tests.waiting import WITHIN_SECONDS

STREAM = "depth@100ms"
SYMBOLS = ("BTCUSDT", "PEPEUSDT")
RATE = 60  # events a second of all symbols
IDS_PER_UPDATE = 7  # of the simulator, on average


def streamer(tmp_path, exchange, store):
    settings = {
        "exchange.streams": f"{STREAM},bookTicker",
        "connection.gap_wait": "200ms",
        "connection.backoff_initial": "200ms",
        **store.settings,
    }
    return Process(tmp_path / "streamer.log", "streamer", *at_exchange(exchange, **settings))


def last_ids(store, kind):
    """Return the last update of each symbol that is stored."""
    return {each["symbol"]: each["last_update_id"] for each in store.so_far(kind)}


def await_changes(store, since, updates):
    """Wait until so many updates after these ids are stored of every symbol."""

    def stored():
        changes = last_ids(store, STREAM)
        return all(changes.get(symbol, 0) > since[symbol] + IDS_PER_UPDATE * updates
                   for symbol in SYMBOLS)  # fmt: skip

    eventually(stored, what="changes", every=store.look_every)


def await_books(store, since, updates):
    """Wait until a snapshot after these ids, and so many updates after it, are stored."""

    def snapshots():
        found = last_ids(store, "depthSnapshot")
        return found if all(found.get(one, 0) > since[one] for one in SYMBOLS) else None

    await_changes(store, eventually(snapshots, what="snapshots", every=store.look_every), updates)


def told_ids(exchange):
    """Return the last update of each symbol that the exchange has told."""
    told = exchange.status()["last_ids"]
    return {symbol: told[f"{symbol.lower()}@bookTicker"] for symbol in SYMBOLS}


def await_told(exchange, since, seconds):
    """Wait until the exchange has told so many seconds' updates more."""
    eventually(
        lambda: (
            told_ids(exchange)[SYMBOLS[0]] > since[SYMBOLS[0]] + RATE * IDS_PER_UPDATE * seconds / 2
        ),
        what="changes at the exchange",
    )


def killed(tmp_path, exchange, store, process):
    """Kill the streamer, and return its successor."""
    process.send(signal.SIGKILL)
    process.wait(WITHIN_SECONDS)
    return streamer(tmp_path, exchange, store).__enter__()


def run(tmp_path, store, seed, count, updates, kinds=KINDS, also=lambda exchange: None):
    """Play faults against a streamer; return what readers had, symbols together.

    After each one books are kept for so many updates, 30 a second. `also` is called at the end,
    while the exchange can still be asked.
    """
    extra = ["--seed", str(seed)]
    with Exchange(tmp_path, rate=RATE, symbols=SYMBOLS, extra=extra) as exchange:
        process = streamer(tmp_path, exchange, store).__enter__()
        try:
            await_books(store, dict.fromkeys(SYMBOLS, 0), updates)
            for seconds, kind in faults(seed, count, kinds):
                since = told_ids(exchange)
                if kind == "kill":
                    process = killed(tmp_path, exchange, store, process)
                elif kind == "withhold":
                    for symbol in SYMBOLS:
                        exchange.fault(kind, stream=STREAM, symbol=symbol, count=3)
                elif kind == "stall":
                    exchange.fault(kind, stream=STREAM, duration=seconds)
                elif kind == "reset":
                    exchange.fault(kind)
                else:
                    with store.away():
                        await_told(exchange, since, seconds)
                        if kind.endswith("reset"):
                            exchange.fault("reset")
                        elif kind.endswith("kill"):
                            process = killed(tmp_path, exchange, store, process)
                        await_told(exchange, told_ids(exchange), seconds)
                if kind == "kafka":  # nothing was lost, so that no snapshot is due
                    await_changes(store, told_ids(exchange), updates)
                else:
                    await_books(store, since, updates)
            assert process.stop() == 0, process.output[-4000:]
        finally:
            process.__exit__(None, None, None)
        sums = {name: Tally() for name in READERS}
        changes, snapshots, gaps = map(store.records, (STREAM, "depthSnapshot", "gap"))
        for symbol in SYMBOLS:
            compared = compare(
                exchange.tape(STREAM, symbol),
                of(symbol, changes),
                of(symbol, snapshots),
                [each for each in of(symbol, gaps) if each["stream"] == STREAM],
            )
            for name, tally in compared.items():
                sums[name].add(tally)
        also(exchange)
    audited = streamer_command("audit", "--json", *store.arguments)
    assert audited.returncode == 0, audited.stdout
    return sums, json.loads(audited.stdout)["books"]


def of(symbol, records):
    return [each for each in records if each["symbol"] == symbol]


def streamer_command(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "streamer", *arguments],
        capture_output=True, text=True, cwd=ROOT, check=False,
    )  # fmt: skip


def check_command(store, exchange):
    """`book` shows the exchange's book, the last one and that of a time in the middle."""
    for symbol in SYMBOLS:
        arguments = ["book", "--symbol", symbol, "--json", *store.arguments]
        last = streamer_command(*arguments)
        assert last.returncode == 0, last.stderr
        is_told(exchange, symbol, json.loads(last.stdout))
        (latest,) = (
            max(of(symbol, store.records("depthSnapshot")), key=itemgetter("last_update_id")),
        )
        after = next(
            each for each in of(symbol, store.records(STREAM))
            if each["first_update_id"] > latest["last_update_id"]
        )  # fmt: skip
        at = after["event_time"].isoformat().replace("+00:00", "Z")
        then = streamer_command(*arguments, "--at", at)
        assert then.returncode == 0, then.stderr
        book = json.loads(then.stdout)
        assert (
            after["last_update_id"]
            <= book["last_update_id"]
            < json.loads(last.stdout)["last_update_id"]
        )
        is_told(exchange, symbol, book)


def is_told(exchange, symbol, book):
    """A book that is shown is that of the exchange after the same update."""
    sides = {}, {}
    for state in exchange.tape(STREAM, symbol):
        for side, key in zip(sides, "ba", strict=True):
            apply(side, ((Decimal(price), Decimal(each)) for price, each in state[key]))
        if state["u"] == book["last_update_id"]:
            break
    shown = [
        {Decimal(price): Decimal(quantity) for price, quantity in book[name]}
        for name in ("bids", "asks")
    ]
    assert shown == list(sides)


def check_program(records):
    """The program of docs/consumers.md knows as much, and ends with the same book."""
    told = consumer_programs.run("book", records, "BTCUSDT", STREAM)
    found = re.fullmatch(
        r"known after (\d+) of (\d+) changes\nafter (\d+): best bid (\S+), best ask (\S+)\n", told
    )
    assert found is not None, told
    assert 10 < int(found[1]) < int(found[2])
    shown = streamer_command("book", records, "--symbol", "BTCUSDT", "--json")
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
    assert (gaps.wrong, gaps.undeclared) == (0, 0)
    assert gaps.right > start.right
    assert len(books) == len(SYMBOLS)
    for book in books:
        assert book["crossed"] == book["differing_snapshots"] == book["differing_tops"] == 0
        assert book["compared_tops"] > 10
        assert 0 < book["covered_share"] < 1


def test_books_are_right_wherever_they_are_known(tmp_path):
    store = Files(tmp_path / "records")
    check(*run(tmp_path, store, seed=1, count=4, updates=15))
    check_program(tmp_path / "records")


@pytest.mark.full
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", range(2, 12))
def test_books_are_right_wherever_they_are_known_for_long(tmp_path, seed):
    store = Files(tmp_path / "records")
    check(*run(tmp_path, store, seed, 24, 120, also=partial(check_command, store)))
    check_program(tmp_path / "records")


@pytest.mark.full
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", range(2, 12))
def test_books_of_topics_are_right_wherever_they_are_known(tmp_path, seed):
    """A real broker, which is killed and comes back as well, alone or with another fault."""
    with KafkaCluster(tmp_path / "kafka") as kafka:
        store = Topics(kafka, tmp_path / "state")
        every = (*KINDS, *BROKER_KINDS)
        check(*run(tmp_path, store, seed, 24, 120, every, also=partial(check_command, store)))
