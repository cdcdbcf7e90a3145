"""Who reads complete files alone sees no hole without its record, also after a kill."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import fastavro
import pytest

from tests.exchange import Exchange
from tests.streaming import Process, at_exchange, eventually

LOOKS = 20


def complete(directory: Path, kind: str) -> list[dict[str, object]]:
    """Return the records of the files that `*.avro` matches, in the order of their numbers."""
    records: list[dict[str, object]] = []
    for path in sorted((directory / kind).glob("*.avro"), key=lambda path: path.name[-11:]):
        with path.open("rb") as file:
            records += fastavro.reader(file)
    return records


def holes(directory: Path) -> tuple[int, list[tuple[str, int, int]]]:
    """Return how many holes of `depth` there are, and those that no complete gap file explains.

    The data first and the gaps after them, as docs/consumers.md says.
    """
    found, ends = [], {}
    for record in complete(directory, "depth"):
        symbol, first = record["symbol"], record["first_update_id"]
        if symbol in ends and first > ends[symbol] + 1:
            found.append((symbol, ends[symbol] + 1, first - 1))
        ends[symbol] = record["last_update_id"]
    declared = {
        (gap["symbol"], gap["first_id"], gap["last_id"]) for gap in complete(directory, "gap")
    }
    return len(found), [hole for hole in found if hole not in declared]


@pytest.mark.full
def test_complete_files_explain_their_holes_at_any_moment(tmp_path):
    records = tmp_path / "records"
    settings = {
        "exchange.streams": "depth@100ms",
        "sink.directory": records,
        "sink.rollover_after": "700ms",
        "connection.gap_wait": "50ms",
    }
    with (
        Exchange(tmp_path, rate=100) as exchange,
        Process(
            tmp_path / "streamer.log", "streamer", *at_exchange(exchange, **settings)
        ) as process,
    ):
        eventually(lambda: len(complete(records, "depth")) > 10, what="a complete file")
        for look in range(LOOKS):
            if look % 3 == 0:
                exchange.fault("withhold", stream="depth@100ms", symbol="BTCUSDT", count=1)
            time.sleep(0.1)  # the moments are any
            assert holes(records)[1] == []
        process.stop(signal.SIGKILL)
        count, unexplained = holes(records)
        assert unexplained == []
        assert count >= 2
