"""`scripts/bench`: messages per CPU second, cost at rest, latency, reaction time.

Everything is a ratio within this run or in CPU time, since wall time says more about the machine
than about the code. Nothing is asserted: over budget is for people to judge.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks import latency, reaction, several, steady, streams, throughput
from benchmarks.processes import Child, NotMeasured
from benchmarks.table import Table

PARTS = ("throughput", "several", "steady", "latency", "reaction", "streams")


def main() -> int:
    """Run the parts that were asked for and return 1 when one could not be measured."""
    options = _parse()
    tables: list[Table] = []
    failures: dict[str, str] = {}
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as scratch,
        _kafka(options.kafka, Path(scratch)) as kafka,
    ):
        for part in options.part or PARTS:
            directory = Path(scratch) / part
            directory.mkdir()
            started = time.monotonic()
            try:
                tables.append(_measures(options, directory, kafka)[part]())
            except Exception as error:  # noqa: BLE001 - whatever it was, the other parts go on
                if not isinstance(error, NotMeasured):
                    traceback.print_exc()
                failures[part] = str(error)
                print(f"\n{part}: not measured: {error}", flush=True)
            else:
                print(f"\n{tables[-1].text()}", flush=True)
            print(f"  ({time.monotonic() - started:.0f} s)", flush=True)
    if options.json:
        document = {
            "python": platform.python_version(),
            "machine": platform.machine(),
            "processors": _processors(),
            "tables": [table.json() for table in tables],
            "not_measured": failures,
        }
        options.json.write_text(json.dumps(document, indent=2) + "\n")
    return 1 if failures else 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="about a minute, less exact")
    parser.add_argument("--part", action="append", choices=PARTS, help="only this one (repeatable)")
    parser.add_argument(
        "--kafka",
        metavar="BOOTSTRAP",
        help="a broker of your own, such as that of scripts/kafka; without, a mock in a process",
    )
    parser.add_argument("--rounds", type=int, help="of the throughput part (default: 3, quick: 1)")
    parser.add_argument(
        "--only", default="", metavar="TEXT", help="of it, only contestants whose name holds TEXT"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the tables there too")
    return parser.parse_args()


def _measures(
    options: argparse.Namespace, directory: Path, kafka: str
) -> dict[str, Callable[[], Table]]:
    quick: bool = options.quick
    messages, rounds = (60_000, 1) if quick else (200_000, 3)
    return {
        "throughput": lambda: throughput.measure(
            directory, messages, options.rounds or rounds, kafka, options.only
        ),
        "several": lambda: several.measure(directory, messages, options.rounds or rounds, kafka),
        "steady": lambda: steady.measure(directory, 12.0 if quick else 60.0),
        "latency": lambda: latency.measure(directory, 3.0 if quick else 20.0, kafka),
        "reaction": lambda: reaction.measure(directory, 1 if quick else 3),
        "streams": lambda: streams.measure(directory, 3 if quick else 10),
    }


@contextmanager
def _kafka(bootstrap_servers: str | None, directory: Path) -> Iterator[str]:
    """Yield a cluster's address: the one given, or a mock's."""
    if bootstrap_servers:
        yield bootstrap_servers
        return
    with Child(directory / "kafka.log", "benchmarks.mock_kafka") as cluster:
        yield cluster.hear(30.0)["bootstrap_servers"]


def _processors() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()


if __name__ == "__main__":
    sys.exit(main())
