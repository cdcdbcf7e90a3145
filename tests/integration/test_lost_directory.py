"""The sink's directory is removed, or renamed and made again, while a streamer writes there."""

from __future__ import annotations

import shutil

import pytest

from tests.audit import audit_files, await_caught_up, read_files
from tests.exchange import Exchange
from tests.streaming import Process, at_exchange, eventually
from tests.waiting import WITHIN_SECONDS

NOTICED_SECONDS = WITHIN_SECONDS  # it looks each second; the rest is for a busy machine


@pytest.fixture
def exchange(tmp_path):
    with Exchange(tmp_path, rate=300) as exchange:
        yield exchange


def streamer(tmp_path, exchange, log="streamer.log", **settings):
    settings = {
        "exchange.streams": "trade,bookTicker",
        "sink.directory": tmp_path / "records",
        "connection.gap_wait": "200ms",
        **settings,
    }
    return Process(tmp_path / log, "streamer", *at_exchange(exchange, **settings))


def stored(tmp_path, kind="trade"):
    return len(read_files(tmp_path / "records", kind, "*.avro*"))


def await_records(tmp_path, more=300):
    before = stored(tmp_path)
    eventually(lambda: stored(tmp_path) > before + more, what="records", every=0.2)


def assert_complete(tmp_path, exchange, *, first_ids):
    for symbol in exchange.symbols:
        audit = audit_files(exchange, tmp_path / "records", "trade", symbol)
        assert audit.clean, (symbol, audit)
        found = read_files(tmp_path / "records", "trade")
        ids = [record["trade_id"] for record in found if record["symbol"] == symbol]
        assert min(ids) <= first_ids[symbol]


def first_ids(tmp_path):
    found = {}
    for record in read_files(tmp_path / "records", "trade", "*.avro*"):
        found.setdefault(record["symbol"], record["trade_id"])
    return found


def remove(directory):
    """Remove what somebody writes to: a file that appears meanwhile is removed, too."""

    def gone():
        shutil.rmtree(directory, ignore_errors=True)
        return not directory.exists()

    eventually(gone, what=f"{directory} to be gone", every=0.01)


def test_a_removed_directory_is_an_error_and_loses_nothing_that_was_in_progress(tmp_path, exchange):
    with streamer(tmp_path, exchange) as process:
        await_records(tmp_path)
        first = first_ids(tmp_path)
        tickers = stored(tmp_path, "bookTicker")
        remove(tmp_path / "records")
        assert process.wait(NOTICED_SECONDS) == 1
        assert "something in it was removed or renamed while it was written to" in process.output
        assert "Traceback" not in process.output
    with streamer(tmp_path, exchange) as process:
        await_records(tmp_path)
        await_caught_up(exchange, tmp_path / "records")
        assert process.stop() == 0, process.output
    assert_complete(tmp_path, exchange, first_ids=first)
    assert stored(tmp_path, "bookTicker") > tickers  # which nobody can ask for


def test_complete_files_that_are_removed_too_are_fetched_again(tmp_path, exchange):
    small = {"sink.rollover_bytes": "64KiB", "exchange.streams": "trade"}
    with streamer(tmp_path, exchange, **small) as process:
        await_records(tmp_path)
        assert process.stop() == 0, process.output
    first = first_ids(tmp_path)
    shutil.copytree(tmp_path / "records", tmp_path / "before")
    with streamer(tmp_path, exchange, **small) as process:
        await_records(tmp_path, 3_000)
        complete = tmp_path / "records" / "trade"
        eventually(lambda: len(list(complete.glob("*.avro"))) >= 2, what="complete files")
        remove(tmp_path / "records")
        assert process.wait(NOTICED_SECONDS) == 1
        assert "trade: fetched again from where this streamer began" in process.output
    with streamer(tmp_path, exchange, **small) as process:
        await_records(tmp_path, 3_500)
        await_caught_up(exchange, tmp_path / "records")
        assert process.stop() == 0, process.output
    shutil.copytree(
        tmp_path / "before" / "trade", tmp_path / "records" / "trade", dirs_exist_ok=True
    )
    assert_complete(tmp_path, exchange, first_ids=first)


def test_a_renamed_directory_ends_the_first_of_two_streamers(tmp_path, exchange):
    with streamer(tmp_path, exchange) as first:
        await_records(tmp_path)
        (tmp_path / "records").rename(tmp_path / "moved")
        (tmp_path / "records").mkdir()
        with streamer(tmp_path, exchange, "second.log") as second:
            assert first.wait(NOTICED_SECONDS) == 1
            assert "sink.directory" in first.output
            assert "Traceback" not in first.output
            await_records(tmp_path)
            await_caught_up(exchange, tmp_path / "records")
            assert second.stop() == 0, second.output
    for symbol in exchange.symbols:
        audit = audit_files(exchange, tmp_path / "records", "trade", symbol)
        assert audit.clean, (symbol, audit)
