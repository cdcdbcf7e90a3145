"""A long supervised soak into a real broker, of all kinds of stream, with faults by schedule.

    python -m benchmarks.long_run --duration 2h --directory DIR     (docs/soaks.md, docs/evidence)

Starts a broker of `scripts/kafka`, the simulated exchange and `python -m supervisor soak`; the
faults of `SCHEDULE` happen at the same shares of every run, whatever its length. At the end the
topics are read again by an independent consumer and compared with the exchange's tape, event by
event, and `python -m streamer audit` is asked as well. DIR keeps the profile, `faults.json`,
`audit.json` and the logs. Exit code 0 only if the verdict is pass and both audits agree.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from streamer.units import parse_duration
from tests.audit import audit_records, kind_of
from tests.campaign_checks import REPAIRABLE, unexcused
from tests.campaign_sinks import KafkaSink
from tests.exchange import Exchange
from tests.kafka_cluster import KafkaCluster
from tests.waiting import eventually

SYMBOLS = ("BTCUSDT", "ETHUSDT", "BNBUSDT", "SOLUSDT", "XRPUSDT")
STREAMS = ("trade", "aggTrade", "bookTicker", "depth@100ms", "depth5@100ms", "kline_1s",
           "kline_1m", "miniTicker", "ticker", "avgPrice")  # fmt: skip
"""At least one stream of every kind that Vigil records."""
RATE = 100.0  # trades a second over all symbols: a normal day
BURSTS = ("--burst-factor", "5", "--burst-period", "600", "--burst-length", "10")
NORMAL_SECONDS = 7200.0  # the length for which the minutes of SCHEDULE are meant
WITHIN_SECONDS = 300.0  # for a start and for an end, on a busy machine


@dataclass(frozen=True, slots=True)
class Step:
    """What is done `minute` minutes after the start of a run of two hours."""

    minute: float
    action: str  # a kind of fault of the simulator, rotate, or broker
    arguments: dict[str, str | float] = field(default_factory=dict)


SCHEDULE = (
    Step(6, "reset", {"connection": "all"}),
    Step(10, "stall", {"symbol": "BTCUSDT", "duration": 20}),
    Step(14, "rest_error", {"status": 503, "duration": 30, "retry_after": 1}),
    Step(14.1, "withhold", {"stream": "trade", "symbol": "ETHUSDT", "count": 50}),
    Step(18, "rotate"),
    Step(22, "close", {"code": 1001}),
    Step(26, "broker", {"how": "stop", "seconds": 60}),
    Step(32, "burst", {"count": 2000}),
    Step(36, "half_open", {"connection": "all", "duration": 40}),
    Step(40, "duplicate", {"stream": "trade", "symbol": "BNBUSDT", "count": 200}),
    Step(42, "reorder", {"stream": "trade", "symbol": "SOLUSDT", "count": 50}),
    Step(44, "fragment", {"stream": "trade", "symbol": "XRPUSDT", "count": 200}),
    Step(46, "malformed", {"stream": "trade", "symbol": "BTCUSDT", "count": 3}),
    Step(50, "server_shutdown", {"grace": 5}),
    # The exchange away as a whole: nobody is connected, nobody can connect, REST answers nothing.
    Step(55, "refuse_connections", {"how": "tcp", "duration": 45}),
    Step(55, "rest_error", {"status": 503, "duration": 45, "retry_after": 1}),
    Step(55, "reset", {"connection": "all"}),
    Step(60, "rest_slow", {"delay": 2, "duration": 60}),
    Step(60.1, "withhold", {"stream": "aggTrade", "symbol": "XRPUSDT", "count": 100}),
    Step(64, "rotate"),
    Step(64.05, "reset", {"connection": "newest"}),
    Step(68, "no_pong", {"duration": 240}),
    Step(74, "broker", {"how": "kill", "seconds": 60}),
    Step(76, "rotate"),
    Step(80, "silent_connection", {"duration": 60}),
    Step(84, "rest_html", {"http_status": 502, "duration": 30}),
    Step(84.1, "withhold", {"stream": "trade", "symbol": "BTCUSDT", "count": 50}),
    Step(88, "stall", {"duration": 20}),
    Step(92, "rest_lag", {"lag": 5, "duration": 60}),
    Step(92.1, "reset", {"connection": "all"}),
    Step(96, "refuse_connections", {"how": "503", "duration": 30}),
    Step(96, "reset", {"connection": "all"}),
    Step(100, "rotate"),
    Step(103, "burst", {"count": 5000}),
)
"""The last quarter of an hour is quiet: where the memory has gone by then shows in the profile."""

PLAN = """\
base = "24h"
duration = "{duration}"
drops_limit = "none"   # the schedule breaks connections on purpose
leak_required = false  # a score needs 2 h 10 min
"""


def main() -> int:
    """Run, audit, and return 0 if nothing is wrong."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--duration", default="2h", help="of the soak (default: 2h)")
    parser.add_argument("--directory", type=Path, required=True, help="new; keeps everything")
    options = parser.parse_args()
    seconds = parse_duration(options.duration)
    directory: Path = options.directory.resolve()
    directory.mkdir(parents=True)
    with (
        KafkaCluster(directory / "kafka") as kafka,
        Exchange(directory, rate=RATE, symbols=SYMBOLS, extra=BURSTS) as exchange,
    ):
        sink = KafkaSink(kafka, "long", directory / "records", STREAMS)
        run = _Run(directory, exchange, sink)
        code = run.soak(options.duration, seconds)
        audit = audited(exchange, sink)
    _write(directory / "audit.json", audit)
    print(f"exit code of the soak {code}; problems: {audit['problems'] or 'none'}", flush=True)
    return 0 if code == 0 and not audit["problems"] else 1


class _Run:
    """One soak, and what is done to it."""

    def __init__(self, directory: Path, exchange: Exchange, sink: KafkaSink) -> None:
        self._directory = directory
        self._exchange = exchange
        self._sink = sink
        self._done: list[dict[str, Any]] = []
        self._problems: list[str] = []

    def soak(self, duration: str, seconds: float) -> int:
        """Return the exit code of the soak; `faults.json` says what was done to it, and when."""
        plan = self._directory / "plan.toml"
        plan.write_text(PLAN.format(duration=duration))
        profile = self._directory / "profile.json"
        soak = ("soak", "--profile", str(plan), "--output", str(profile))
        with (self._directory / "supervisor.log").open("w") as log:
            process = subprocess.Popen(self._command(*soak), stdout=log, stderr=log)
            try:
                eventually(self._streaming, within=WITHIN_SECONDS, what="the first report")
                self._carry_out(process, seconds)
                return process.wait(seconds + WITHIN_SECONDS)
            finally:
                if process.poll() is None:
                    process.terminate()
                    process.wait(WITHIN_SECONDS)
                _write(
                    self._directory / "faults.json",
                    {
                        "done": self._done,
                        "exchange": self._exchange.faults(),
                        "problems": self._problems,
                    },
                )

    def _command(self, *command: str) -> list[str]:
        exchange, directory = self._exchange, self._directory
        settings: dict[str, object] = {
            "exchange.websocket_url": exchange.websocket_url,
            "exchange.rest_url": exchange.rest_url,
            "exchange.ca_file": exchange.ca_file,
            "exchange.symbols": ",".join(SYMBOLS),
            "exchange.streams": ",".join(STREAMS),
            "connection.max_age": "40m",  # rotations by age as well
            "monitor.metrics_address": "127.0.0.1:0",
            "supervisor.runtime_directory": directory / "run",
            "supervisor.state_directory": directory / "state",
            **self._sink.settings(),
        }
        assignments = [f"--set={key}={value}" for key, value in settings.items()]
        return [sys.executable, "-m", "supervisor", *assignments, *command]

    def _streaming(self) -> bool:
        return "generation 1 reports" in (self._directory / "supervisor.log").read_text()

    def _carry_out(self, process: subprocess.Popen[bytes], seconds: float) -> None:
        """Do each step at its time, as long as the soak goes on."""
        began = time.monotonic()
        for step in SCHEDULE:
            at = began + step.minute * 60.0 * seconds / NORMAL_SECONDS
            while (left := at - time.monotonic()) > 0 and process.poll() is None:
                time.sleep(min(left, 1.0))
            if process.poll() is not None:
                return
            self._done.append({
                "time": datetime.now(UTC).isoformat(timespec="seconds"),
                "elapsed_seconds": round(time.monotonic() - began, 1),
                "action": step.action, **step.arguments,
            })  # fmt: skip
            print(self._done[-1], flush=True)
            self._do(step)

    def _do(self, step: Step) -> None:
        match step.action:
            case "rotate":
                self._beside(self._rotate)
            case "broker":
                away = float(step.arguments["seconds"])
                how = str(step.arguments["how"])
                self._beside(lambda: self._sink.outage(how, lambda: time.sleep(away)))
            case kind:
                self._exchange.fault(kind, **step.arguments)

    def _beside(self, action: Callable[[], object]) -> None:
        """Do what takes time in a thread: the next step does not wait for it."""

        def guarded() -> None:
            try:
                action()
            except (RuntimeError, OSError, subprocess.SubprocessError) as error:
                self._problems.append(str(error))

        threading.Thread(target=guarded).start()

    def _rotate(self) -> None:
        subprocess.run(self._command("rotate"), check=True, capture_output=True, timeout=60)


def audited(exchange: Exchange, sink: KafkaSink) -> dict[str, Any]:
    """Return what both audits say: per stream and symbol what is missing, doubled, out of order.

    `missing_unexcused` is what REST could have told, or what is missing without a gap record.
    """
    gaps = sink.records("gap")
    streams: list[dict[str, Any]] = []
    problems: list[str] = []
    for stream in STREAMS:
        records = sink.records(stream)
        for symbol in SYMBOLS:
            mine = [gap for gap in gaps if (gap["stream"], gap["symbol"]) == (stream, symbol)]
            audit = audit_records(exchange, records, stream, symbol)
            kind = kind_of(stream)
            excused_by = [] if kind in REPAIRABLE else mine
            missing = (
                unexcused(kind, list(audit.missing), excused_by)
                if kind in ("kline", "depth")
                else list(audit.missing)
                if kind in REPAIRABLE
                else []
            )
            found = {
                "stream": stream, "symbol": symbol, "records": audit.count,
                "backfilled": len(audit.backfilled), "missing": len(audit.missing),
                "missing_unexcused": len(missing), "gap_records": len(mine),
                "doubled": len(audit.doubled), "out_of_order": len(audit.disordered),
                "wrong": len(audit.wrong), "not_on_the_tape": len(audit.foreign),
            }  # fmt: skip
            streams.append(found)
            print(found, flush=True)
            wrong = ("missing_unexcused", "doubled", "out_of_order", "wrong", "not_on_the_tape")
            problems += [f"{stream} {symbol}: {key} {found[key]}" for key in wrong if found[key]]
            if audit.missing and kind not in (*REPAIRABLE, "kline") and not mine:
                problems.append(f"{stream} {symbol}: missing without a gap record")
    command = [sys.executable, "-m", "streamer", "audit", "--json", *sink.audit_arguments()]
    own = subprocess.run(command, capture_output=True, text=True, check=False)
    if own.returncode:
        problems.append(f"streamer audit: exit code {own.returncode}: {own.stderr.strip()[-500:]}")
    return {
        "problems": problems,
        "streams": streams,
        "gaps": [
            {"stream": gap["stream"], "symbol": gap["symbol"], "reason": gap["reason"],
             "from": str(gap["from_time"]), "to": str(gap["to_time"])}
            for gap in gaps
        ],
        "streamer_audit_exit_code": own.returncode,
        "streamer_audit": json.loads(own.stdout) if own.stdout else None,
    }  # fmt: skip


def _write(path: Path, document: object) -> None:
    path.write_text(json.dumps(document, indent=1, default=str) + "\n")


if __name__ == "__main__":
    sys.exit(main())
