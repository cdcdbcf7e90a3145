"""All symbols, supervised, into a real broker: a soak and its verdict, then a kill, then an audit.

    scripts/kafka run --optimize -- sh -c 'python -m benchmarks.all_symbols --kafka ADDRESS'

ADDRESS is $VIGIL_KAFKA__BOOTSTRAP_SERVERS there. 1,500 symbols with trades, quotes and book changes
from a canned exchange on the same machine. A soak ends when its streamer does, so the kill comes in
a `run` that goes on in the same topics: it is looked at until every gap is closed. Nothing is
asserted; docs/capacity.md has a result.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.canned_market import KINDS
from benchmarks.costs import read_metrics, vigil, wait_until_streaming
from benchmarks.processes import ROOT, Child, cpu_seconds, rss_bytes
from benchmarks.real_backfill import follow, stop
from benchmarks.supervised import streamer_of
from tests.ports import free_port

_START_SECONDS = 60.0
_SETTLE_SECONDS = 30.0


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kafka", required=True, metavar="BOOTSTRAP")
    parser.add_argument("--symbols", type=int, default=1500)
    parser.add_argument("--rate", type=float, default=3000.0, help="messages a second, all streams")
    parser.add_argument("--minutes", type=float, default=10.0, help="of the soak; 0: none")
    options = parser.parse_args()
    kinds = ",".join(KINDS)
    settings = {
        "sink__kind": "kafka",
        "kafka__bootstrap_servers": options.kafka,
        "kafka__create_topics": "true",
        "kafka__replication_factor": "1",
        "kafka__partitions": "6",
    }
    with tempfile.TemporaryDirectory(prefix="all-symbols-") as scratch:
        directory = Path(scratch)
        arguments = [f"--symbols={options.symbols}", f"--kinds={kinds}", f"--rate={options.rate}"]
        log_file = directory / "exchange.log"
        with Child(log_file, "benchmarks.canned_exchange", directory, *arguments) as exchange:
            addresses, port = exchange.hear(_START_SECONDS), free_port()
            told = directory, addresses, options.symbols, kinds, port
            output = directory / "profile.json"
            if options.minutes:
                _soak(told, options.minutes * 60, output, settings)
            with vigil(*told, "run", **settings) as supervisor:
                wait_until_streaming(supervisor, port, len(KINDS) * options.symbols)
                if options.minutes:
                    after, gaps, _ = follow(supervisor, port, time.time())
                    print(
                        f"after the pause: {gaps:.0f} gaps, closed after {after:.0f} s", flush=True
                    )
                time.sleep(_SETTLE_SECONDS)
                killed = time.time()
                os.kill(streamer_of(supervisor), signal.SIGKILL)
                after, gaps, expected = follow(supervisor, port, killed)
                print(
                    f"kill -9, {killed % 60:.0f} s into a minute: {gaps:.0f} gaps at once, all "
                    f"closed after {after:.1f} s; at first expected after {expected:.0f} s"
                )
                time.sleep(_SETTLE_SECONDS / 2)
                stop(supervisor)
            exchange.ask(tell="what was asked")
            print("REST:", exchange.hear(_START_SECONDS), flush=True)
        assignments = [f"--set={key.replace('__', '.')}={value}" for key, value in settings.items()]
        audit = [sys.executable, "-m", "streamer", "audit", "--kafka", *assignments]
        ran = subprocess.run(audit, cwd=ROOT, capture_output=True, text=True, check=False)
        print("audit:", ran.stdout[-1200:], ran.stderr[-600:], f"(exit code {ran.returncode})")
    return 0


def _soak(
    told: tuple[Path, dict[str, str], int, str, int],
    seconds: float,
    output: Path,
    settings: dict[str, str],
) -> None:
    """Run a soak, and tell what it cost and how it was judged."""
    _, _, symbols, _, port = told
    ending = ["soak", "--profile", "smoke", "--output", str(output)]
    with vigil(*told, *ending, "--duration", f"{seconds:.0f}s", **settings) as supervisor:
        streamer = streamer_of(supervisor)
        wait_until_streaming(supervisor, port, len(KINDS) * symbols)
        time.sleep(seconds - _SETTLE_SECONDS)
        _tell_costs(supervisor.pid, streamer, seconds)
        page, took = read_metrics(port)
        print(f"/metrics: {len(page) / 1e6:.2f} MB in {took:.3f} s")
        code = supervisor.wait(_START_SECONDS + seconds)
    _tell_verdict(output, code)


def _tell_costs(supervisor: int, streamer: int, seconds: float) -> None:
    for name, pid in (("streamer", streamer), ("supervisor", supervisor)):
        share = 100 * cpu_seconds(pid) / seconds
        print(f"{name}: {share:.1f} % of a core, {rss_bytes(pid) / 1e6:.0f} MB", flush=True)


def _tell_verdict(output: Path, code: int) -> None:
    profile = json.loads(output.read_text())
    print(f"soak: exit code {code}, verdict {profile['verdict']}, {output.stat().st_size} bytes")
    for criterion in profile["criteria"]:
        if criterion["required"] or criterion["outcome"] != "pass":
            observed = f"{criterion['observed']}, limit {criterion['limit']}"
            print(f"  {criterion['name']}: {criterion['outcome']} ({observed})", flush=True)
    print("summary:", json.dumps(profile["summary_statistics"])[:1500], flush=True)


if __name__ == "__main__":
    sys.exit(main())
