"""`history`: many saved profiles side by side, the newest last."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap
from typing import Final

from monitor import checkpoint
from monitor.evidence import DocumentError, foreign
from monitor.history import Past, in_order, past_of
from monitor.report import ReportError, write_page
from monitor.report.history import cells_of, render_history
from streamer.printable import printable_lines
from streamer.strict_json import encode_readable
from supervisor.errors import ExitCode, UsageError

_TEXT_BYTES_MAX: Final = 4 << 20  # some 10,000 runs
_HEAD_WIDTH: Final = 11  # what fits above a number


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file that is no profile, and why."""

    source: str
    reason: str


@dataclass(frozen=True, slots=True)
class History:
    """What was found in a directory."""

    runs: tuple[Past, ...]
    skipped: tuple[Skipped, ...]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the directory and what is made of it."""
    parser.add_argument(
        "directory",
        type=Path,
        metavar="DIRECTORY",
        help="with profiles (*.json), in it or in directories in it, as runs/ has them",
    )
    parser.add_argument(
        "--plot", type=Path, metavar="FILE", help="also write a page with charts (HTML)"
    )
    parser.add_argument("--json", action="store_true", help="for machines")


def run(options: argparse.Namespace) -> int:
    """Print the table. Raises UsageError where there is no profile at all."""
    found = _read(options.directory)
    if not found.runs:
        why = "".join(f"\n{one.source}: {one.reason}" for one in found.skipped)
        raise UsageError(f"{options.directory}: expected a directory with profiles (*.json){why}")
    if options.plot is not None:
        try:
            write_page(render_history(found.runs), options.plot)
        except ReportError as error:
            raise UsageError(str(error)) from None
    if options.json:
        sys.stdout.write(encode_readable(found).decode() + "\n")
    else:
        sys.stdout.write(printable_lines(history_table(found), _TEXT_BYTES_MAX))
    return ExitCode.PASS


def history_table(history: History) -> str:
    """Return a table with a line for each run, and the files that were skipped."""
    rows = [{"profile": one.source, **dict(cells_of(one))} for one in history.runs]
    heads = [wrap(name, _HEAD_WIDTH) for name in rows[0]]
    height = max(map(len, heads))
    titles = [[*[""] * (height - len(one)), *one] for one in heads]
    table = [*map(list, zip(*titles, strict=True)), *(list(one.values()) for one in rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = [
        "  ".join(
            text.ljust(width) if at == 0 else text.rjust(width)
            for at, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in table
    ]
    lines.insert(height, "─" * (sum(widths) + 2 * len(widths) - 2))
    lines += [f"skipped {one.source}: {one.reason}" for one in history.skipped]
    return "\n".join([*lines, ""])


def _read(directory: Path) -> History:
    runs, skipped = [], []
    for path in _files(directory):
        source = str(path.relative_to(directory))
        try:
            document = checkpoint.load(path)
            with foreign():
                runs.append(past_of(document, source))
        except (checkpoint.CheckpointError, DocumentError) as error:
            skipped.append(Skipped(source, str(error)))
    return History(in_order(runs), tuple(skipped))


def _files(directory: Path) -> Iterator[Path]:
    """Yield the files, but none twice: `runs/latest` is a link to another one of them."""
    try:
        for path in sorted(directory.iterdir()):
            if path.name.startswith("."):
                continue  # a checkpoint that is being written
            if path.is_dir() and not path.is_symlink():
                yield from sorted(path.glob("[!.]*.json"))
            elif path.suffix == ".json":
                yield path
    except OSError as error:
        raise UsageError(f"{directory}: cannot be read: {error.strerror}") from None
