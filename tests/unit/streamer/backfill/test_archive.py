from __future__ import annotations

import importlib.util
import zipfile
from pathlib import Path

import pytest

from streamer.backfill.errors import BackfillError

_spec = importlib.util.spec_from_file_location("archives", Path(__file__).with_name("archives.py"))
archives = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(archives)
DAY_US, NAME = archives.DAY_US, archives.NAME
checksum, opened, trade_row, write = (
    archives.checksum, archives.opened, archives.trade_row, archives.write
)  # fmt: skip


def refused(path: Path) -> str:
    """Return why an archive is refused; the text must name it."""
    with pytest.raises(BackfillError) as caught:
        list(opened(path).checked())
    assert path.name in str(caught.value)
    return str(caught.value)


def test_trades_come_as_they_are_written(tmp_path):
    first, second = opened(write(tmp_path, [trade_row(5), trade_row(6)])).checked()
    assert (first.id, second.id, first.price, first.quantity) == (5, 6, "1.50", "2.00000000")
    assert first.trade_time == first.event_time == DAY_US + 5000
    assert (first.symbol, first.source, first.buyer_is_maker) == ("BTCUSDT", "archive", True)


def test_aggregates_and_candles(tmp_path):
    row = f"7,1.5,2,70,72,{DAY_US},False,True"
    (one,) = opened(write(tmp_path, [row], "BTCUSDT-aggTrades-2026-11-27.zip")).checked()
    assert (one.id, one.first_trade_id, one.last_trade_id, one.buyer_is_maker) == (7, 70, 72, False)
    row = f"{DAY_US},4,5,3,4.5,10,{DAY_US + 59_999_999},45,8,6,27,0"
    (one,) = opened(write(tmp_path, [row], "BTCUSDT-1m-2026-11-27.zip")).checked()
    candle = one.candle
    assert (candle.open, candle.high, candle.low, candle.close) == ("4", "5", "3", "4.5")
    assert (candle.volume, candle.trade_count, candle.taker_buy_volume) == ("10", 8, "6")
    assert (candle.is_closed, candle.interval, one.event_time) == (True, "1m", DAY_US + 60_000_000)


def test_times_before_2025_are_milliseconds(tmp_path):
    row = "5,1,1,1,1735689599999,True,True"
    (one,) = opened(write(tmp_path, [row], "BTCUSDT-trades-2024-12-31.zip")).checked()
    assert one.trade_time == 1_735_689_599_999_000


def test_no_trades_are_counted_and_passed_over(tmp_path):
    rows = [trade_row(5), trade_row(6, quantity="0.00000000"), trade_row(7)]
    archive = opened(write(tmp_path, rows))
    assert [one.id for one in archive.checked()] == [5, 7]
    assert archive.unusable == 1


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([trade_row(5), trade_row(5)], "line 2: id 5 after 5"),
        ([trade_row(5)[:-5]], "6 columns; expected 7: id, price, quantity"),
        (["id,price,qty,quoteQty,time,isBuyerMaker,isBestMatch"], "line 1: time: 'time' is no"),
        ([trade_row(5, price="dear")], "line 1: p: expected a plain decimal number, not 'dear'"),
        ([trade_row(5, price="-1")], "line 1: p: expected a plain decimal number, not '-1'"),
        (["5,1,1,1,1795737600000,True,True"], "is not within BTCUSDT-trades-2026-11-27"),
        ([f"5,1,1,1,{DAY_US + 86_400_000_000},True,True"], "is not within"),
        ([f"5,1,1,1,{DAY_US},yes,True"], "buyer is maker: 'yes'"),
        ([f"99999999999999999999,1,1,1,{DAY_US},True,True"], "id: '9999"),
        ([f"9999999999999999999,1,1,1,{DAY_US},True,True"], "id: '9999"),
        (["1" * 2000], "a line of more than 1000 bytes"),
        ([], "no lines"),
    ],
)
def test_wrong_lines_are_named(tmp_path, rows, expected):
    assert expected in refused(write(tmp_path, rows))


def test_the_symbol_inside_must_be_the_name_s(tmp_path):
    path = write(tmp_path, [trade_row(5)], member="ETHUSDT-trades-2026-11-27.csv")
    assert "contains ETHUSDT-trades-2026-11-27.csv; expected BTCUSDT" in refused(path)


def test_a_wrong_checksum_and_one_of_another_file(tmp_path):
    path = write(tmp_path, [trade_row(5)])
    beside = path.with_name(path.name + ".CHECKSUM")
    right = beside.read_text()
    beside.write_text("0" * 64 + f"  {path.name}\n")
    assert "its SHA-256 is" in refused(path)
    beside.write_text(right.replace("BTC", "ETH"))
    assert "expected a SHA-256" in refused(path)
    beside.unlink()
    assert "expected the checksum" in refused(path)


def test_archives_that_are_cut_off_changed_or_none(tmp_path):
    path = write(tmp_path, [trade_row(number) for number in range(1000)])
    whole = path.read_bytes()
    for broken in (whole[:-30], whole[: len(whole) // 2], b"", b"PK\3\4 nonsense"):
        path.write_bytes(broken)
        checksum(path)
        assert "no readable zip archive" in refused(path)
    middle = len(whole) // 2
    path.write_bytes(whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :])
    checksum(path)
    assert path.name in refused(path)


def test_a_bomb_is_not_inflated(tmp_path):
    path = tmp_path / NAME
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(NAME.replace("zip", "csv"), "0" * (8 << 20))
    checksum(path)
    assert "announces 8,388,608 bytes" in refused(path)


def test_several_files_and_none(tmp_path):
    path = tmp_path / NAME
    for members in (["a.csv", NAME.replace("zip", "csv")], []):
        with zipfile.ZipFile(path, "w") as archive:
            for member in members:
                archive.writestr(member, trade_row(5))
        checksum(path)
        assert "expected BTCUSDT-trades-2026-11-27.csv alone" in refused(path)


def test_other_compressions_are_not_tried(tmp_path):
    path = tmp_path / NAME
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr(NAME.replace("zip", "csv"), trade_row(5))
    checksum(path)
    assert "is compressed by method 14; expected deflate" in refused(path)
