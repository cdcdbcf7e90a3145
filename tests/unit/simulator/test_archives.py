from __future__ import annotations

import hashlib
import io
import itertools
import zipfile

import pytest

from simulator.archives import Archives
from simulator.summaries import Summaries, sources
from simulator.tape import Rhythm, SymbolTape, Trade

DAY = 1_795_737_600_000_000  # 2026-11-27
START = DAY - 10_000_000
NAME = "BTCUSDT-trades-2026-11-27.zip"


@pytest.fixture
def tape() -> SymbolTape:
    return SymbolTape(1, "BTCUSDT", Rhythm(20.0), START)


@pytest.fixture
def archives(tape: SymbolTape) -> Archives:
    summaries = sources(tape)["ticker"]
    assert isinstance(summaries, Summaries)
    return Archives({"BTCUSDT": tape}, {"BTCUSDT": summaries})


def rows(archive: bytes) -> list[list[str]]:
    with zipfile.ZipFile(io.BytesIO(archive)) as found:
        (name,) = found.namelist()
        return [line.split(",") for line in found.read(name).decode().splitlines()]


def test_a_day_s_trades_are_those_of_the_tape(archives, tape):
    found = rows(archives.get(NAME, DAY + 5_000_000))
    begin, end = (tape.index_after("trade", time - 1) for time in (DAY, DAY + 5_000_000))
    events = [tape.event("trade", index) for index in range(begin, end)]
    assert len(found) == len(events) > 50
    for row, event in zip(found, events, strict=True):
        assert isinstance(event, Trade)
        assert (int(row[0]), int(row[4]), row[5]) == (
            event.id, event.time, str(event.buyer_is_maker)
        )  # fmt: skip
        assert (float(row[1]), float(row[2])) == (event.price / 1e8, event.quantity / 1e8)
        assert len(row) == 7
    assert len(rows(archives.get("BTCUSDT-trades-2026-11-26.zip", DAY))) > 100  # the day before


def test_aggregates_and_candles_follow_each_other(archives):
    aggregates = rows(archives.get("BTCUSDT-aggTrades-2026-11-27.zip", DAY + 5_000_000))
    for before, after in itertools.pairwise(aggregates):
        assert int(after[0]) == int(before[0]) + 1
        assert int(after[3]) == int(before[4]) + 1
    candles = rows(archives.get("BTCUSDT-1s-2026-11-27.zip", DAY + 5_500_000))
    assert [int(row[0]) for row in candles] == [DAY + second * 1_000_000 for second in range(5)]
    assert all(int(row[6]) == int(row[0]) + 999_999 and len(row) == 12 for row in candles)


def test_an_archive_stays_as_it_was_and_has_its_checksum(archives):
    first = archives.get(NAME, DAY + 5_000_000)
    assert archives.get(NAME, DAY + 9_000_000) == first
    expected = f"{hashlib.sha256(first).hexdigest()}  {NAME}\n".encode()
    assert archives.get(f"{NAME}.CHECKSUM", DAY + 9_000_000) == expected


@pytest.mark.parametrize(
    "name", ["x", "ETHUSDT-trades-2026-11-27.zip", "BTCUSDT-book-2026-11-27.zip"]
)
def test_other_names_are_refused(archives, name):
    with pytest.raises(ValueError, match="no such archive; expected SYMBOL-trades"):
        archives.get(name, DAY)
