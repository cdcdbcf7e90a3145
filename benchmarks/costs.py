"""What streams and messages cost: both processes, from outside, as a user starts them.

    python -m benchmarks.costs                    the whole table, some ten minutes
    python -m benchmarks.costs --streams 300 --rates 1000 --seconds 20

Each cell is a supervised soak into Avro files from a canned exchange (`canned_exchange`) on the
same machine, looked at after it has settled. Shares of a core are CPU time by wall time; what a
busy machine cannot do in time is not in them: `taken` says how many messages came a second.
docs/capacity.md has a result. Nothing is asserted.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import urllib.request
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmarks.canned_market import KINDS
from benchmarks.processes import Child, NotMeasured, cpu_seconds, rss_bytes
from benchmarks.supervised import streamer_of
from tests.ports import free_port

STREAMS = (3, 30, 300, 1500, 4500)
RATES = (1000, 5000, 20_000)
_MEGABYTE = 1_000_000
_START_SECONDS = 60.0
_POLL_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Cell:
    """What was seen of one number of streams at one rate."""

    streams: int
    rate: int
    events: float  # taken per second
    streamer_share: float  # of a core, in percent
    supervisor_share: float
    streamer_rss: int
    supervisor_rss: int
    metrics_bytes: int
    metrics_seconds: float
    live_streams: int

    def text(self) -> str:
        """Return it as a row of the table."""
        return (
            f"| {self.streams:,} | {self.rate:,} | {self.events:,.0f} | {self.live_streams:,} | "
            f"{self.streamer_share:.1f} | {self.supervisor_share:.2f} | "
            f"{self.streamer_rss / _MEGABYTE:.0f} | {self.supervisor_rss / _MEGABYTE:.0f} | "
            f"{self.metrics_bytes / 1e3:.0f} kB, {self.metrics_seconds:.3f} s |"
        )


HEAD = (
    "| streams | messages/s | taken/s | fresh | streamer, % of a core | supervisor, % | "
    "streamer, MB | supervisor, MB | `/metrics` |\n|---|---|---|---|---|---|---|---|---|"
)


def vigil(
    directory: Path,
    exchange: dict[str, str],
    symbols: int,
    kinds: str,
    port: int,
    *command: str,
    **settings: str,
) -> Child:
    """Return a supervisor with a canned exchange; `settings` are written with __ for the dot."""
    all_settings = {
        "exchange.websocket_url": exchange["websocket_url"],
        "exchange.rest_url": exchange["rest_url"],
        "exchange.ca_file": exchange["ca_file"],
        "exchange.symbols": ",".join(f"S{number:04}USDT" for number in range(symbols)),
        "exchange.streams": kinds,
        "sink.directory": str(directory / "records"),
        "monitor.metrics_address": f"127.0.0.1:{port}",
        "supervisor.runtime_directory": str(directory / "run"),
        **{key.replace("__", "."): value for key, value in settings.items()},
    }
    assignments = [f"--set={key}={value}" for key, value in all_settings.items()]
    return Child(directory / "supervisor.log", "supervisor", *assignments, *command)


def soak(directory: Path, exchange: dict[str, str], symbols: int, kinds: str, port: int) -> Child:
    """Return the supervisor of a soak from a canned exchange into files."""
    output = str(directory / "profile.json")
    ending = ("soak", "--profile", "smoke", "--output", output, "--duration", "15m")
    return vigil(directory, exchange, symbols, kinds, port, *ending)


def measure(streams: int, rate: int, seconds: float, settle: float) -> Cell:
    """Return one cell. Raises NotMeasured."""
    kinds = KINDS if streams % len(KINDS) == 0 and streams > len(KINDS) else KINDS[:1]
    symbols = streams // len(kinds)
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="costs-")))
        arguments = ["--symbols", symbols, "--kinds", ",".join(kinds), "--rate", rate]
        exchange = stack.enter_context(
            Child(directory / "exchange.log", "benchmarks.canned_exchange", directory, *arguments)
        )
        port = free_port()
        addresses = exchange.hear(_START_SECONDS)
        soaked = soak(directory, addresses, symbols, ",".join(kinds), port)
        supervisor = stack.enter_context(soaked)
        streamer = streamer_of(supervisor)
        wait_until_streaming(supervisor, port, streams)
        time.sleep(settle)
        begun, before = time.monotonic(), _events(port)
        pids = streamer, supervisor.pid
        spent = [cpu_seconds(pid) for pid in pids]
        time.sleep(seconds)
        elapsed = time.monotonic() - begun
        shares = [
            100 * (cpu_seconds(pid) - was) / elapsed for pid, was in zip(pids, spent, strict=True)
        ]
        events = (_events(port) - before) / elapsed
        page, took = read_metrics(port)
        fresh = sum(
            line.endswith(" 1.0")
            for line in page.decode().splitlines()
            if line.startswith("vigil_stream_fresh{")
        )
        rss = [rss_bytes(pid) for pid in pids]
        return Cell(streams, rate, events, *shares, *rss, len(page), took, fresh)


def wait_until_streaming(supervisor: Child, port: int, streams: int) -> None:
    """Wait until every stream has told something. Raises NotMeasured."""
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and not supervisor.ended:
        try:
            page, _ = read_metrics(port)
        except OSError:
            page = b""
        if page.count(b"\nvigil_stream_fresh{") >= streams:
            return
        time.sleep(_POLL_SECONDS)
    raise supervisor.failed("did not stream")


def read_metrics(port: int) -> tuple[bytes, float]:
    """Return the page of metrics, and the seconds that it took. Raises OSError."""
    begun = time.monotonic()
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30.0) as answer:
        page: bytes = answer.read()
    return page, time.monotonic() - begun


def _events(port: int) -> float:
    page, _ = read_metrics(port)
    lines = [line for line in page.decode().splitlines() if line.startswith(EVENTS)]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


EVENTS = "binance_messages_received_total{"


def main() -> int:
    """Measure and print; return 1 when a cell could not be measured."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--streams", type=int, nargs="*", default=STREAMS)
    parser.add_argument("--rates", type=int, nargs="*", default=RATES)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--settle", type=float, default=8.0)
    options = parser.parse_args()
    failed = 0
    print(HEAD, flush=True)
    for streams in options.streams:
        for rate in options.rates:
            try:
                print(measure(streams, rate, options.seconds, options.settle).text(), flush=True)
            except (NotMeasured, OSError) as error:
                failed = 1
                print(f"| {streams:,} | {rate:,} | not measured: {error}", flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main())
