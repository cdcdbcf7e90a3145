"""The programs of docs/consumers.md that read files, and what the page says of readers."""

from __future__ import annotations

import decimal
import json
import random
import re
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from io import BytesIO
from pathlib import Path

import avro.datafile
import avro.io
import duckdb
import fastavro
import polars
import pyarrow
import pyarrow.compute
import pytest
from fastavro.schema import fingerprint, to_parsing_canonical_form

from streamer.__main__ import main
from streamer.avro.container_schema import container_schema
from streamer.avro.files import block, header
from streamer.config import SinkConfig
from streamer.data.catalogue import BY_NAME
from streamer.data.events import GapRecord
from streamer.data.kinds.book_ticker import BookTicker
from streamer.data.kinds.trade import Trade
from streamer.data.records import load_schema
from streamer.routes import Routes
from streamer.sinks.files import FilesSink
from tests.consumer_programs import PAGE, PROGRAMS, query, run, with_avro
from tests.streaming import ROOT

NOW_US = 1_795_780_000_000_000  # 2026-11-27
SYMBOLS = ("BTCUSDT", "ETHUSDT")
SYNC = b"0123456789abcdef"


@dataclass
class Written:
    """What was put into a sink, and where."""

    directory: Path
    trades: dict[str, list[Trade]] = field(default_factory=lambda: defaultdict(list))

    def sums(self) -> list[tuple[str, int, Decimal, Decimal]]:
        """Return symbol, trades, volume and quote volume, exact."""
        with decimal.localcontext(prec=80):
            return [
                (
                    symbol,
                    len(trades),
                    sum((Decimal(one.quantity) for one in trades), Decimal()),
                    sum((Decimal(one.price) * Decimal(one.quantity) for one in trades), Decimal()),
                )
                for symbol, trades in sorted(self.trades.items())
            ]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    """Two symbols of which one lost trades: some declared, in parts that overlap, some not."""
    directory = tmp_path_factory.mktemp("consumers")
    made = Written(directory)
    routes = Routes(("trade", "bookTicker"), SYMBOLS)
    sink = FilesSink(
        SinkConfig(directory=directory / "data", rollover_bytes=64 << 10),
        (*routes, *routes.gaps.values()),
    )
    dice = random.Random(7)
    lost = {*range(101, 111), 300, *range(501, 504)}
    for number in range(1, 1001):
        for symbol in SYMBOLS:
            if symbol == "BTCUSDT" and number in lost:
                continue
            price, quantity = dice.randint(6_000_000, 7_000_000), dice.randint(1, 10**12)
            time_us = NOW_US + number * 100_000
            event = Trade(
                "trade", time_us, symbol, number, f"{price / 100:.8f}",
                f"{Decimal(quantity).scaleb(-8):f}", time_us, True,
            )  # fmt: skip
            made.trades[symbol].append(event)
            route = routes.by_name[f"{symbol.lower()}@trade"]
            for gap in gaps_before(number, symbol):
                sink.put(routes.gaps[symbol], gap, time_us)
            sink.put(route, event, time_us + 5)
            if number == 700:
                sink.put(route, event, time_us + 9)  # a copy
        quote = BookTicker(number * 7, "BTCUSDT", "1.5", "2", "3", "4")
        if not 400 < number < 420:
            sink.put(routes.by_name["btcusdt@bookTicker"], quote, time_us)
        sink.poll(number / 10)
    assert sink.flush(10.0) == 0
    sink.close()
    whole = next((directory / "data" / "trade").glob("*.avro")).read_bytes()
    (directory / "data" / "trade" / "20261127T235959Z-000999.avro.open").write_bytes(whole[:-9])
    assert len(list((directory / "data" / "trade").glob("*.avro"))) > 2
    return made


def gaps_before(number: int, symbol: str) -> list[GapRecord]:
    if symbol != "BTCUSDT":
        return []
    if number == 111:
        parts = ((101, 106, "lagging"), (104, 110, "too_old"), (104, 110, "too_old"))
        return [GapRecord(a, symbol, "trade", why, a, b, b - a + 1) for a, b, why in parts]
    if number == 504:
        return [GapRecord(502, symbol, "trade", "unavailable", 502, 503, 2)]
    if number == 420:
        begin, end = NOW_US + 400 * 100_000, NOW_US + 420 * 100_000
        more = {"from_time": begin, "to_time": end}
        return [GapRecord(begin, symbol, "bookTicker", "not_repaired", **more)]
    return []


@pytest.fixture
def here(written: Written, monkeypatch: pytest.MonkeyPatch) -> Written:
    monkeypatch.chdir(written.directory)
    return written


def test_copies_are_dropped_and_holes_are_explained(written):
    lines = run("files", written.directory / "data", "BTCUSDT").splitlines()
    assert lines == [
        f"{len(written.trades['BTCUSDT'])} trades",
        "missing: 101 to 106, lagging",
        "missing: 107 to 110, too_old",
        "missing without a reason: from 300",
        "missing without a reason: from 501",
    ]
    assert run("files", written.directory / "data", "ETHUSDT") == "1000 trades\n"


def test_polars(written):
    rows = eval(run("polars", written.directory / "data"), {"Decimal": Decimal})
    assert rows == written.sums()


def test_pandas(written):
    precision = decimal.getcontext().prec
    try:
        found = run("pandas", written.directory / "data")
    finally:
        decimal.getcontext().prec = precision
    for symbol, trades, volume, quote_volume in written.sums():
        (line,) = (line.split() for line in found.splitlines() if line.startswith(symbol))
        assert [int(line[1]), Decimal(line[2]), Decimal(line[3])] == [trades, volume, quote_volume]


def test_duckdb_reads_avro(here):
    assert query("duckdb") == here.sums()


def test_duckdb_reads_parquet(here):
    assert main(["export", "data", "--output", "parquet"]) == 0
    assert query("parquet") == here.sums()
    ((symbol, begin, end, reason, last_update_id),) = query("quotes")
    assert (symbol, reason, last_update_id) == ("BTCUSDT", "not_repaired", 400 * 7)
    assert [round(time.timestamp() * 1e6) for time in (begin, end)] == [
        NOW_US + 400 * 100_000, NOW_US + 420 * 100_000
    ]  # fmt: skip


def avro_files(written: Written) -> list[Path]:
    return sorted((written.directory / "data" / "trade").glob("*.avro"))


def test_what_sums_refuse_is_as_the_page_says(written):
    """If one of these passes one day, the page may promise more."""
    arrow = polars.concat([polars.read_avro(path) for path in avro_files(written)]).to_arrow()
    price, quantity = arrow["price"], arrow["quantity"]
    with pytest.raises(pyarrow.ArrowInvalid, match="77"):
        pyarrow.compute.multiply(price, quantity)
    narrow = pyarrow.compute.multiply(
        price.cast(pyarrow.decimal128(19, 8)), quantity.cast(pyarrow.decimal128(18, 8))
    )
    wide = pyarrow.compute.multiply(
        price.cast(pyarrow.decimal256(38, 18)), quantity.cast(pyarrow.decimal256(37, 18))
    )
    assert narrow.to_pylist() == wide.to_pylist()
    with pytest.raises(duckdb.OutOfRangeException, match="Overflow"):
        duckdb.sql("SELECT sum(price * quantity) FROM arrow").fetchall()


def test_apache_s_reader_tells_the_same_as_fastavro(written):
    for path in avro_files(written)[:1]:
        with (
            path.open("rb") as file,
            avro.datafile.DataFileReader(file, avro.io.DatumReader()) as a,
        ):
            theirs = list(a)
        with path.open("rb") as file:
            assert theirs == list(fastavro.reader(file))
        assert len(theirs) > 100


def value_of(kind: object) -> object:
    """Return some value of an Avro type."""
    if isinstance(kind, list):
        return value_of(kind[1])
    if isinstance(kind, str):
        return {"string": "BTCUSDT", "long": 7, "boolean": True}[kind]
    assert isinstance(kind, dict)
    match kind.get("logicalType", kind["type"]):
        case "decimal":
            return Decimal("12345678901234567890.123456789012345678")
        case "timestamp-micros":
            return datetime(2026, 11, 27, 12, 0, 0, 5, UTC)
        case "enum":
            return kind["symbols"][-1]
        case "array":
            return [value_of(kind["items"])] * 2
        case "record":
            return {field["name"]: value_of(field["type"]) for field in kind["fields"]}
    raise AssertionError(kind)


@pytest.mark.parametrize("kind", [*BY_NAME, "gap"])
def test_every_reader_tells_the_same_of_every_kind(tmp_path, kind):
    """fastavro writes a record by the schema that readers know; the others read our file of it."""
    schema = container_schema(load_schema(kind))
    record = value_of(schema)
    encoded = BytesIO()
    fastavro.schemaless_writer(encoded, fastavro.parse_schema(schema), record)
    path = tmp_path / "20261127T120000Z-000001.avro"
    path.write_bytes(header(schema, "null", SYNC) + block([encoded.getvalue()] * 2, "null", SYNC))
    with path.open("rb") as file:
        assert list(fastavro.reader(file)) == [record] * 2
    with (
        path.open("rb") as file,
        avro.datafile.DataFileReader(file, avro.io.DatumReader()) as found,
    ):
        assert list(found) == [record] * 2
    assert polars.read_avro(path).to_dicts() == [record] * 2
    with with_avro() as connection:
        relation = connection.sql(f"SELECT * FROM read_avro('{path}')")
        rows = relation.fetchall()
    assert relation.columns == list(record)
    for name, found, expected in zip(record, rows[1], record.values(), strict=True):
        if not isinstance(expected, (Decimal, datetime, list)):
            assert found == expected, name
        if isinstance(expected, datetime):
            assert found == expected.replace(tzinfo=None), name  # UTC, which it does not say
        if isinstance(expected, Decimal):
            scaled = int.from_bytes(found, "big", signed=True)
            assert Decimal(scaled).scaleb(-18, decimal.Context(prec=40)) == expected, name


def test_every_program_of_the_page_is_run():
    files = ("test_consumers.py", "test_kafka_real.py", "test_backfill.py", "test_books.py")
    here = "".join((Path(__file__).parent / file).read_text() for file in files)
    run_here = set(re.findall(r'(?:run|query|run_in_shell)\("(\w+)"', here))
    assert set(PROGRAMS) == run_here | {"spark"}  # which test_readers.py has, with the marker full
    compile(PROGRAMS["spark"][1], "docs/consumers.md: spark", "exec")
    assert len(re.findall(r"^```(?:python|sql|sh)$", PAGE, re.MULTILINE)) == len(PROGRAMS)


def test_the_fingerprints_are_those_of_the_schemas():
    """Of every released version; the overflow's is in files of ours alone."""
    page = (ROOT / "docs" / "data.md").read_text()
    table = re.findall(r"^\| `(\w+)` \| (\d+) \| `([0-9a-f]{16})` \|$", page, re.MULTILINE)
    expected = []
    for path in (ROOT / "streamer" / "schemas" / "history").glob("*.avsc"):
        kind, version, _ = path.name.split(".")
        canonical = to_parsing_canonical_form(json.loads(path.read_text()))
        if kind != "overflow":
            expected.append((kind, version, fingerprint(canonical, "CRC-64-AVRO")))
    assert sorted(table) == sorted(expected)


def test_a_new_value_of_an_enum_is_an_old_reader_s_default():
    """And what it is, by the writer's schema."""
    schemas = ROOT / "streamer" / "schemas"
    first, second = (
        fastavro.parse_schema(
            json.loads((schemas / "history" / f"trade.{number}.avsc").read_text())
        )
        for number in (1, 2)
    )
    record = value_of(json.loads((schemas / "trade.avsc").read_text()))
    assert record["source"] == "archive"
    encoded = BytesIO()
    fastavro.schemaless_writer(encoded, second, record)
    for reader, source in ((first, "live"), (None, "archive")):
        encoded.seek(0)
        assert fastavro.schemaless_reader(encoded, second, reader)["source"] == source
