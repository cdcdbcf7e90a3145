"""A day that nobody streamed is filled, from the exchange's archives and over REST; audited.

Prints what it cost: seconds, CPU, records a second, the highest RSS, the weight of each minute.
"""

from __future__ import annotations

import json
import resource
import shutil
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import fastavro
import pytest

from streamer.backfill.rest_past import SHARE_OF_REPAIRS
from streamer.config import RepairConfig, SinkConfig
from streamer.data.kinds.trade import Trade
from streamer.routes import Routes
from streamer.sinks.files import FilesSink
from tests.audit import compare
from tests.exchange import Exchange
from tests.streaming import ROOT, Process, at_exchange, eventually
from tests.waiting import WITHIN_SECONDS

pytestmark = [pytest.mark.full, pytest.mark.timeout(3600)]

SYMBOL = "BTCUSDT"
DAY_SECONDS = 86_400
SINCE_SECONDS = DAY_SECONDS + 600  # how long ago the tape began
BEFORE = 500  # trades that were stored before the day
AT_ONCE = 20_000  # rows of the tape
REPAIR = RepairConfig()
SHARE = REPAIR.weight_per_minute * REPAIR.weight_share * SHARE_OF_REPAIRS
"""The weight a minute that a back-fill may use."""


def store_before(exchange: Exchange, directory: Path) -> int:
    """Store the tape's first trades as a streamer did a day ago; return the last id."""
    first = exchange.tape("trade", SYMBOL, to_id=FIRST_ID + BEFORE - 1)
    routes = Routes(("trade",), (SYMBOL,))
    sink = FilesSink(SinkConfig(directory=directory), (*routes, *routes.gaps.values()))
    for one in first:
        event = Trade("trade", one["E"], SYMBOL, one["t"], one["p"], one["q"], one["T"], one["m"])
        sink.put(routes.by_name["btcusdt@trade"], event, one["E"])
    assert sink.flush(WITHIN_SECONDS) == 0
    sink.close()
    shutil.rmtree(directory / "positions")  # it followed no sequence: the file tells where it ended
    return int(first[-1]["t"])


FIRST_ID = 5_000_000_000  # of the simulator


def gaps(directory: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for path in (directory / "gap").glob("*.avro*"):
        with path.open("rb") as file:
            found += fastavro.reader(file)
    return found


def leave_a_day_out(tmp_path: Path, exchange: Exchange, data: Path) -> int:
    """Stream again after a day; return how many trades are declared missing."""
    last_id = store_before(exchange, data)
    settings = {"exchange.streams": "trade", "sink.directory": data, "repair.max_age": "1m"}
    settings["sink.rollover_after"] = "2s"
    arguments = at_exchange(exchange, **settings)
    with Process(tmp_path / "streamer.log", "streamer", *arguments) as process:
        eventually(lambda: gaps(data), what="a gap record")
        eventually(lambda: exchange.events_sent() > 50, what="trades")
        assert process.stop() == 0
    missing = sum(one["missing"] for one in gaps(data))
    assert min(one["first_id"] for one in gaps(data)) == last_id + 1
    return missing


def filled(arguments: list[str], also: Callable[[], None] = lambda: None) -> dict[str, float]:
    """Run a back-fill to its end; return what it cost."""
    command = [sys.executable, "-m", "streamer", "backfill", *arguments]
    began, highest, cpu_before = time.monotonic(), 0, children_cpu()
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        status = Path(f"/proc/{process.pid}/status")
        while process.poll() is None:
            for line in status.read_text().splitlines():
                if line.startswith("VmHWM:"):  # the most of this program, not of its parent
                    highest = int(line.split()[1])
            also()
            time.sleep(0.05)
        assert process.stderr is not None
        told = process.stderr.read()
    assert process.returncode == 0, told[-3000:]
    seconds, cpu = time.monotonic() - began, children_cpu() - cpu_before
    return {"seconds": seconds, "cpu_seconds": cpu, "rss_mib": highest / 1024}


def children_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)  # of those that have ended
    return used.ru_utime + used.ru_stime


def audited(data: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "streamer", "audit", str(data), "--json", "--no-copies"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
    (found,) = json.loads(done.stdout)["streams"]
    assert isinstance(found, dict)
    return found


def check(exchange: Exchange, data: Path, missing: int, source: str) -> None:
    """All of it is there now, once, and every value is the tape's."""
    found = audited(data)
    assert (found["missing"], found["declared_missing"], found["copies"]) == (0, 0, 0)
    assert found["filled"] == missing
    records = sorted(every(data), key=lambda one: one["trade_id"])
    assert sum(one["source"] == source for one in records) >= missing
    ids = [one["trade_id"] for one in records]
    assert ids == list(range(FIRST_ID, FIRST_ID + len(ids)))
    for begin in range(0, len(records), AT_ONCE):
        part = records[begin : begin + AT_ONCE]
        for one in part:  # an archive tells what REST does
            one["source"] = one["source"].replace("archive", "backfill")
        tape = exchange.tape("trade", SYMBOL, part[0]["trade_id"], part[-1]["trade_id"])
        assert compare("trade", SYMBOL, part, tape).clean


def every(data: Path) -> Iterator[dict[str, Any]]:
    for directory in (data / "trade", data / "backfill" / "trade"):
        for path in directory.glob("*.avro"):
            with path.open("rb") as file:
                for record in fastavro.reader(file):
                    assert isinstance(record, dict)
                    yield record


def report(what: str, missing: int, cost: dict[str, float], **more: Any) -> None:
    rate = missing / cost["seconds"]
    print(f"\n{what}: {missing:,} trades, {cost['seconds']:.1f} s, {rate:,.0f} a second, "
          f"{cost['cpu_seconds']:.1f} s of CPU, {cost['rss_mib']:.1f} MiB", more)  # fmt: skip


def a_day(tmp_path: Path, rate: float) -> Exchange:
    """An exchange that began a day ago."""
    extra = ["--start-time", str(time.time() - SINCE_SECONDS)]
    return Exchange(tmp_path, rate=rate, symbols=(SYMBOL,), extra=extra)


def test_a_day_is_filled_from_archives(tmp_path):
    data, archives = tmp_path / "data", tmp_path / "archives"
    archives.mkdir()
    with a_day(tmp_path, rate=8) as exchange:
        missing = leave_a_day_out(tmp_path, exchange, data)
        assert missing > 8 * DAY_SECONDS
        lengths, day = 0, datetime.now(UTC) - timedelta(seconds=SINCE_SECONDS)
        while day.date() <= datetime.now(UTC).date():
            name = f"{SYMBOL}-trades-{day:%Y-%m-%d}.zip"
            day += timedelta(days=1)
            for each in (name, f"{name}.CHECKSUM"):
                url = f"{exchange.control_url}/data/spot/daily/trades/{SYMBOL}/{each}"
                with urllib.request.urlopen(url, timeout=600) as answer:
                    (archives / each).write_bytes(answer.read())
            lengths += (archives / name).stat().st_size
        cost = filled(["--gaps", "--from-archive", str(archives), "--stream", "trade",
                       "--symbol", SYMBOL, "--set", f"sink.directory={data}"])  # fmt: skip
        report("archives", missing, cost, zip_bytes=lengths)
        check(exchange, data, missing, "archive")


def test_a_day_is_filled_over_rest(tmp_path):
    data = tmp_path / "data"
    weights: dict[int, int] = {}  # by minute
    with a_day(tmp_path, rate=1.6) as exchange:
        missing = leave_a_day_out(tmp_path, exchange, data)
        assert missing > 1.5 * DAY_SECONDS
        context = ssl.create_default_context(cafile=str(exchange.ca_file))

        def look() -> None:
            url = f"{exchange.rest_url}/api/v3/time"
            if time.time() % 2 < 0.1:  # a look costs weight, too
                with urllib.request.urlopen(url, context=context, timeout=60) as answer:
                    used = int(answer.headers["X-MBX-USED-WEIGHT-1M"])
                minute = int(time.time() // 60)
                weights[minute] = max(used, weights.get(minute, 0))

        arguments = at_exchange(exchange, **{"sink.directory": data})
        cost = filled(["--gaps", "--stream", "trade", "--symbol", SYMBOL, *arguments], look)
        report("REST", missing, cost, weights=list(weights.values()))
        assert max(weights.values()) <= SHARE + 60, "60: the looks of this test"
        check(exchange, data, missing, "backfill")
