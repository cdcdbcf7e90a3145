"""A back-fill of all symbols for real: a supervised streamer, stopped and started again.

    python -m benchmarks.real_backfill        (docs/capacity.md has a result; up to ten minutes)

A canned exchange with the weights and the limit of the real one, 6,000 a minute; into files, which
are audited at the end. For changes of the order there is the computed market of
`benchmarks.backfill`. Nothing is asserted.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fastavro

from benchmarks.costs import read_metrics, soak, wait_until_streaming
from benchmarks.processes import ROOT, Child, NotMeasured
from tests.ports import free_port

BUSIEST = 10
GIVE_UP_SECONDS = 900.0
QUIET_SECONDS = 15.0
_START_SECONDS = 60.0
_STOP_SECONDS = 60.0
_RECORDED_SECONDS = 20.0
_LOOK_SECONDS = 0.5


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--symbols", type=int, default=1500)
    parser.add_argument("--rate", type=float, default=1000.0, help="trades a second, all symbols")
    parser.add_argument("--stopped", type=float, default=60.0, help="seconds without a streamer")
    parser.add_argument("--steepness", type=float, default=1.0)
    parser.add_argument("--singles", type=int, default=7, help="of ten aggregates, single trades")
    parser.add_argument("--begins", type=float, help="seconds into a minute (default: whenever)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="backfill-") as scratch:
        directory = Path(scratch)
        arguments = [f"--symbols={options.symbols}", "--kinds=trade", f"--rate={options.rate}"]
        arguments += [f"--steepness={options.steepness}", f"--singles={options.singles}"]
        log_file = directory / "exchange.log"
        with Child(log_file, "benchmarks.canned_exchange", directory, *arguments) as exchange:
            addresses = exchange.hear(_START_SECONDS)
            port = free_port()
            with soak(directory, addresses, options.symbols, "trade", port) as supervisor:
                wait_until_streaming(supervisor, port, options.symbols)
                time.sleep(_RECORDED_SECONDS)
                stop(supervisor)
            time.sleep(options.stopped)
            if options.begins is not None:
                time.sleep((options.begins - time.time()) % 60)
            started = time.time()
            begins = started % 60
            with soak(directory, addresses, options.symbols, "trade", port) as supervisor:
                seconds, most_gaps, first_expected = follow(supervisor, port, started)
                print(f"started {begins:.0f} s into a minute; {most_gaps:.0f} gaps at once")
                print(
                    f"all complete after {seconds:.0f} s; at first expected after "
                    f"{first_expected:.0f} s",
                    flush=True,
                )
                stop(supervisor)
            exchange.ask(tell="what was asked")
            asked = exchange.hear(_START_SECONDS)
        records = directory / "records"
        profile = json.loads((directory / "profile.json").read_text())
        print(f"busiest {BUSIEST} complete after {busiest_complete(records, started):.0f} s")
        print(f"REST: {asked}")
        print(f"rotations: {len(list(_events(profile, 'rotation')))}")
        audit = [sys.executable, "-m", "streamer", "audit", str(records)]
        ran = subprocess.run(audit, cwd=ROOT, capture_output=True, text=True, check=False)
        print("audit:", ran.stdout.strip()[-600:], f"(exit code {ran.returncode})")
    return 0


def follow(supervisor: Child, port: int, started: float) -> tuple[float, float, float]:
    """Return when all gaps were closed, how many there were, and what was expected at first.

    All are closed when none has been seen for `QUIET_SECONDS`: gaps come up as streams speak.
    """
    most = expected = closed = 0.0
    while time.time() < started + GIVE_UP_SECONDS:
        if supervisor.ended:
            raise supervisor.failed("ended")
        time.sleep(_LOOK_SECONDS)
        try:
            page, _ = read_metrics(port)
        except OSError:
            continue
        lines = page.decode().splitlines()
        told = dict(line.split() for line in lines if line.startswith("vigil_backfill_"))
        gaps = float(told.get("vigil_backfill_gaps", 0))
        if gaps > most:
            most, expected = gaps, float(told["vigil_backfill_expected_seconds"])
            expected += time.time() - started
        if not most or gaps:
            closed = 0.0
        elif not closed:
            closed = time.time()
        elif time.time() - closed > QUIET_SECONDS:
            return closed - started, most, expected
    raise NotMeasured(f"not complete after {GIVE_UP_SECONDS:.0f} s")


def stop(supervisor: Child) -> None:
    """End a soak in an orderly way."""
    supervisor.signal(signal.SIGTERM)
    supervisor.wait(_STOP_SECONDS)


def _events(profile: dict[str, Any], kind: str) -> Iterator[dict[str, Any]]:
    return (one for one in profile["events"] if one["kind"].startswith(kind))


def busiest_complete(records: Path, started: float) -> float:
    """Return when the last missing trade of the busiest symbols was stored, from the start on."""
    names = {f"S{number:04}USDT" for number in range(BUSIEST)}
    latest = started
    for path in sorted(records.glob("trade/**/*.avro")):
        with path.open("rb") as file:
            for record in fastavro.reader(file):
                if record["symbol"] in names and record["source"] == "backfill":
                    latest = max(record["received_time"].timestamp(), latest)
    return latest - started


if __name__ == "__main__":
    sys.exit(main())
