"""Judge the corpus with every detector; write the table and the plots.

    python -m benchmarks.leaks [--healthy N] [--leaking N] [--hours H] [--reference] [--write]

Outcomes are kept line by line in `.cache/leaks/`, by a digest of the code, so that an interrupted
run goes on where it was; `--report` only writes what is there already.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from benchmarks.leaks.corpus import HEALTHY, LEAKING, RATES_MB_PER_HOUR, make
from benchmarks.leaks.mutations import MUTATIONS
from benchmarks.leaks.outcome import Outcome, judge, judge_by
from benchmarks.leaks.rivals import RIVALS

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs" / "leaks.md"
TEST_SEED = 1_000_000  # seeds below were for tuning
RIVAL_SHARE = 4  # rivals judge each fourth seed: they are far slower or far worse

Key = tuple[str, int, float]


def main() -> int:
    """Run the command."""
    options = _arguments()
    if options.mutations:
        return _mutations(options)
    if options.without:
        MUTATIONS[options.without]()
    keys = list(_keys(options))
    store = _store(options)
    outcomes = _read(store)
    if not options.report:
        done = {(o.family, o.seed, o.rate) for o in outcomes}
        with store.open("a", encoding="utf-8") as lines:
            for number, key in enumerate(keys):
                if key in done:
                    continue
                for outcome in _judge_all(key, options):
                    outcomes.append(outcome)
                    lines.write(json.dumps(asdict(outcome)) + "\n")
                lines.flush()
                sys.stderr.write(f"\r{number + 1} of {len(keys)} runs")
        sys.stderr.write("\n")
    wanted = set(keys)
    outcomes = [o for o in outcomes if (o.family, o.seed, o.rate) in wanted]

    from benchmarks.leaks.plots import draw  # matplotlib is slow to import
    from benchmarks.leaks.table import table

    text = table(outcomes, options.hours)
    sys.stdout.write(text + "\n")
    if options.write:
        write(text, _name(options))
    if options.plots:
        draw(outcomes, options.plots, options.hours)
    return 0


def _mutations(options: argparse.Namespace) -> int:
    """Judge with the whole detector and without each of its parts; compare."""
    from benchmarks.leaks.table import mutation_table

    arguments = [one for one in sys.argv[1:] if one not in ("--mutations", "--write")]
    wanted = set(_keys(options))
    outcomes = {}
    for name in ("", *MUTATIONS):
        without = ["--without", name] if name else []
        # A process each: a part that was removed stays removed.
        subprocess.run(
            [sys.executable, "-m", "benchmarks.leaks", *arguments, *without],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        options.without = name
        outcomes[name] = [
            o
            for o in _read(_store(options))
            if o.detector == "vigil" and (o.family, o.seed, o.rate) in wanted
        ]
    text = mutation_table(outcomes, options.hours)
    sys.stdout.write(text + "\n")
    if options.write:
        write(text, "mutations")
    return 0


def _store(options: argparse.Namespace) -> Path:
    store = ROOT / ".cache" / "leaks" / f"{_digest()}-{_name(options)}.jsonl"
    store.parent.mkdir(parents=True, exist_ok=True)
    return store


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.leaks", description=__doc__)
    parser.add_argument("--healthy", type=int, default=72, help="seeds per healthy family")
    parser.add_argument("--leaking", type=int, default=10, help="seeds per leaking family and rate")
    parser.add_argument("--hours", type=float, default=24.0, help="length of a run")
    parser.add_argument("--reference", action="store_true", help="tell a known-good curve")
    parser.add_argument("--explained", action="store_true", help="tell what is accounted for")
    parser.add_argument("--tuning", action="store_true", help="seeds of the tuning set")
    parser.add_argument("--report", action="store_true", help="only report what was judged before")
    parser.add_argument("--without", choices=sorted(MUTATIONS), help="remove a part first")
    parser.add_argument("--mutations", action="store_true", help="compare without each part")
    parser.add_argument("--write", action="store_true", help="put the table into docs/leaks.md")
    parser.add_argument("--plots", type=Path, help="folder for the plots")
    return parser.parse_args()


def _keys(options: argparse.Namespace) -> Iterator[Key]:
    """Seeds outermost, so that an unfinished run is a fair sample of all families."""
    first = 0 if options.tuning else TEST_SEED
    for number in range(max(options.healthy, options.leaking)):
        if number < options.healthy:
            for family in HEALTHY:
                yield family, first + number, 0.0
        if number < options.leaking:
            for family in LEAKING:
                if family == "per_rotation" and options.hours <= 1:
                    continue  # an hour holds no rotation, hence no leak
                for rate in RATES_MB_PER_HOUR:
                    yield family, first + number, rate


def _judge_all(key: Key, options: argparse.Namespace) -> Iterator[Outcome]:
    family, seed, rate = key
    hours: float = options.hours
    run = make(family, seed, rate, hours, reference=options.reference)
    yield judge(run, hours * 3600, explained=options.explained)
    if seed % RIVAL_SHARE == 0 and hours > 1 and not (options.without or options.explained):
        for name, rival in RIVALS.items():
            yield judge_by(run, name, rival)


def _read(store: Path) -> list[Outcome]:
    if not store.exists():
        return []
    return [Outcome(**json.loads(line)) for line in store.read_text(encoding="utf-8").splitlines()]


def _name(options: argparse.Namespace) -> str:
    name = f"{options.hours:g}h" + ("-reference" if options.reference else "")
    name += "-explained" if options.explained else ""
    return name + (f"-without-{options.without}" if options.without else "")


def write(text: str, name: str) -> None:
    """Replace the table between its two marks."""
    before, begin, rest = DOCUMENT.read_text(encoding="utf-8").partition(f"<!-- {name} -->\n")
    _, end, after = rest.partition(f"<!-- end of {name} -->\n")
    if not end:
        raise SystemExit(f"{DOCUMENT} has no place for a table of {name}")
    DOCUMENT.write_text(before + begin + "\n" + text + "\n\n" + end + after, encoding="utf-8")


def _digest() -> str:
    """Of all code that an outcome depends on."""
    digest = hashlib.sha256()
    for path in (
        *sorted((ROOT / "monitor/leak").glob("*.py")),
        ROOT / "benchmarks/leaks/corpus.py",
    ):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


if __name__ == "__main__":
    sys.exit(main())
