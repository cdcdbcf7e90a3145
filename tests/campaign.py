"""The command line of `scripts/faults`: seeds one after the other, then a table."""

from __future__ import annotations

import argparse
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.accelerator_build import build_accelerator
from tests.campaign_plan import plan
from tests.campaign_run import STREAMS, SYMBOLS, Result, run_seed
from tests.campaign_sinks import CampaignSink, FilesSink, KafkaSink
from tests.kafka_cluster import KafkaCluster
from tests.leftovers import kill_after_this_process
from tests.streaming import ROOT
from tests.supervising import Supervised

AROUND_SECONDS = 25.0  # what start, repair, stop and audits take beside the faults
_HEADINGS = ("seed", "sink", "steps", "kills", "connections", "records", "back-filled", "copies",
             "seconds", "result")  # fmt: skip


def main() -> int:
    """Run the seeds that are asked for; 0 only if all pass."""
    parser = argparse.ArgumentParser(
        prog="scripts/faults",
        description="Random faults by seed against the whole, under `run`; then both audits.",
    )
    add = parser.add_argument
    add("--seeds", type=_seeds, default=range(1, 51), metavar="A..B", help="default: 1..50")
    add("--seed", type=int, help="one seed only")
    add("--seconds", type=float, default=75.0, help="of a seed, all in all (default: 75)")
    add("--sink", choices=("files", "kafka"), default="files")
    add("--streamers", type=int, default=1, help="that share the symbols (default: 1)")
    add("--streams", type=lambda text: tuple(text.split(",")), default=STREAMS,
        help="default: trade,aggTrade; of others losses must be recorded")  # fmt: skip
    add("--no-kill", action="store_true", help="without SIGKILL of the streamer")
    add("--accelerated", action="store_true", help="with the compiled encoder, built here")
    add("--keep", type=Path, default=Path(tempfile.gettempdir()), metavar="DIRECTORY",
        help="where the logs and records of failed seeds go")  # fmt: skip
    options = parser.parse_args()
    kill_after_this_process()  # nobody cleans up after a campaign that was killed
    seeds = [options.seed] if options.seed is not None else options.seeds
    results = []
    with ExitStack() as stack:
        cluster = None
        if options.sink == "kafka":
            directory = Path(tempfile.mkdtemp(prefix="vigil-faults-kafka-"))
            stack.callback(shutil.rmtree, directory, ignore_errors=True)
            cluster = stack.enter_context(KafkaCluster(directory))
        accelerator = None
        if options.accelerated:
            scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            accelerator = build_accelerator(scratch / "accelerator").parent
        for seed in seeds:
            results.append(_run(seed, options, cluster, accelerator))
    print(f"\n{table(results)}")
    failed = [result for result in results if not result.passed]
    print(f"\n{len(results) - len(failed)} of {len(results)} seeds passed")
    return 1 if failed else 0


def _run(
    seed: int,
    options: argparse.Namespace,
    cluster: KafkaCluster | None,
    accelerator: Path | None,
) -> Result:
    steps = plan(
        seed,
        options.seconds - AROUND_SECONDS,
        SYMBOLS,
        options.streams,
        kill=not options.no_kill,
        broker=cluster is not None,
    )
    print(f"\nseed {seed} into {options.sink}", flush=True)
    with supervised() as vigil:
        if accelerator is not None:
            vigil.environment["PYTHONPATH"] = os.pathsep.join(map(str, (ROOT, accelerator)))
        sink: CampaignSink = FilesSink(vigil.directory / "records")
        if cluster is not None:
            name = f"seed{seed}.{vigil.token[:6]}"
            sink = KafkaSink(cluster, name, vigil.directory / "records", options.streams)
        result = run_seed(
            seed, steps, vigil, sink, _say, streams=options.streams, streamers=options.streamers
        )
        result.checked.problems.extend(
            _other_encoders(vigil, "compiled" if accelerator else "python")
        )
        for problem in result.checked.problems:
            print(f"  PROBLEM {problem}")
        if not result.passed:
            kept = options.keep / f"vigil-faults-{options.sink}-{seed}"
            shutil.rmtree(kept, ignore_errors=True)
            shutil.copytree(vigil.directory, kept, ignore=_not_files)
            print(f"  kept in {kept}")
        print(f"seed {seed}: {_outcome(result)} in {result.seconds:.0f} s", flush=True)
    return result


def _other_encoders(vigil: Supervised, expected: str) -> list[str]:
    """Return what is wrong where a streamer has not told that it encodes as expected."""
    told = set(re.findall(r"encoder=(\w+)", vigil.log.read_text()))
    return [] if told == {expected} else [f"encoders {sorted(told)}, expected {expected}"]


def _say(line: str) -> None:
    print(line, flush=True)


def _not_files(directory: str, names: list[str]) -> list[str]:
    """Return what cannot be copied: sockets and pipes."""
    return [name for name in names if not (path := Path(directory, name)).is_file()
            and not path.is_dir()]  # fmt: skip


@contextmanager
def supervised() -> Iterator[Supervised]:
    """A supervisor to be started, of which nothing is left afterwards."""
    vigil = Supervised()
    try:
        yield vigil
    finally:
        vigil.remove()


def table(results: list[Result]) -> str:
    """Return the results as a table in Markdown."""
    lines = [f"| {' | '.join(_HEADINGS)} |", "|" + "---|" * len(_HEADINGS)]
    for result in results:
        checked = result.checked
        cells = (result.seed, result.sink, result.steps, result.kills, result.connections,
                 checked.records, checked.backfilled, checked.copies, f"{result.seconds:.0f}",
                 _outcome(result))  # fmt: skip
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def _outcome(result: Result) -> str:
    return "pass" if result.passed else f"FAIL ({len(result.checked.problems)})"


def _seeds(text: str) -> range:
    first, dots, last = text.partition("..")
    try:
        return range(int(first), int(last if dots else first) + 1)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}: 1..50 is meant, or one number") from None


if __name__ == "__main__":
    sys.exit(main())
