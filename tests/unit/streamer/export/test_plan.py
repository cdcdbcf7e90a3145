from __future__ import annotations

import pytest

from streamer.export.plan import Exported, Job, Output, Source, by_date, date_of, job_of, path_of

ONE = Source("20261127T000000Z-000001.avro", 10)
TWO = Source("20261127T010000Z-000002.avro", 20)
TEN = Source("20261127T020000Z-000010.avro", 30)
NEXT = Source("20261128T000000Z-000011.avro", 40)
PARTITION = ("date", "symbol")


def output(number: int) -> Output:
    return Output(f"trade/date=2026-11-27/symbol=A/2026-11-27-{number}.parquet", 1, 1)


@pytest.mark.parametrize(
    ("name", "date"),
    [
        ("20261127T010203Z-000001.avro", "2026-11-27"),
        ("2026112xT010203Z-000001.avro", None),
        ("20261127-000001.avro", None),
        ("1-000001.avro", None),
        ("٢٠٢٦١١٢٧T010203Z-1.avro", None),
    ],
)
def test_the_day_is_in_the_name(name, date):
    assert date_of(name) == date


def test_files_are_grouped_by_day_in_the_order_of_their_numbers():
    other = Source("mine.avro", 1)
    assert by_date([NEXT, TEN, other, TWO, ONE]) == {
        "2026-11-27": [ONE, TWO, TEN],
        "2026-11-28": [NEXT],
    }
    no_number = Source("20261127T000000Z.avro", 1)
    assert by_date([ONE, no_number]) == {"2026-11-27": [no_number, ONE]}


def test_what_is_exported_is_not_exported_again():
    assert job_of("trade", "2026-11-27", [ONE], Exported(PARTITION, (ONE,), (output(0),))) is None
    assert job_of("trade", "2026-11-27", [], Exported(PARTITION, (ONE,), (output(0),))) is None


def test_a_day_is_written_again_as_a_whole():
    before = Exported(PARTITION, (ONE,), (output(0),))
    assert job_of("trade", "2026-11-27", [ONE, TWO], before) == Job(
        "trade", "2026-11-27", (ONE, TWO), Exported(PARTITION), 0
    )


def test_files_that_were_moved_away_stay_exported():
    before = Exported(PARTITION, (ONE,), (output(0), output(3)))
    assert job_of("trade", "2026-11-27", [TWO], before) == Job(
        "trade", "2026-11-27", (TWO,), before, 4
    )
    odd = Exported(PARTITION, (ONE,), (Output("trade/x.parquet", 1, 1),))
    assert job_of("trade", "2026-11-27", [TWO], odd) == Job("trade", "2026-11-27", (TWO,), odd, 1)


@pytest.mark.parametrize(
    ("partition", "path"),
    [
        (("date", "symbol"), "trade/date=2026-11-27/symbol=BTCUSDT/2026-11-27-4.parquet"),
        (("symbol", "date"), "trade/symbol=BTCUSDT/date=2026-11-27/2026-11-27-4.parquet"),
        (("date",), "trade/date=2026-11-27/2026-11-27-4.parquet"),
        ((), "trade/2026-11-27-4.parquet"),
    ],
)
def test_the_path_is_by_partition(partition, path):
    job = Job("trade", "2026-11-27", (TWO,), Exported(partition), 4)
    assert path_of(job, partition, "BTCUSDT" if "symbol" in partition else None) == path
