"""`judge`: the verdict again, from a saved profile, or what became worse since another one."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monitor import checkpoint
from monitor.compare import Comparison, compare
from monitor.evidence import foreign
from monitor.online import Online, judge_online
from monitor.report import ReportError, write_report
from monitor.verdict import DocumentError, Verdict, judge
from streamer.printable import printable_lines
from streamer.strict_json import encode_readable
from supervisor.comparison_table import comparison_table
from supervisor.errors import ExitCode, UsageError
from supervisor.report import BY_OUTCOME, change_line, exit_code_of, verdict_block

_TEXT_BYTES_MAX = 1 << 20  # more than the sentences of any real profile


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the profile's path and what is wanted of it."""
    parser.add_argument("profile", type=Path, metavar="PROFILE.json")
    asked = parser.add_mutually_exclusive_group()
    asked.add_argument(
        "--against",
        type=Path,
        metavar="OLD.json",
        help="what became worse since that run: 0 nothing, 3 something or the verdict fails, "
        "4 it cannot be decided",
    )
    asked.add_argument(
        "--online",
        action="store_true",
        help="first what could be said at each minute of the run: when an alarm would have come",
    )
    parser.add_argument(
        "--report", type=Path, metavar="FILE", help="also write the report for people (HTML)"
    )
    parser.add_argument("--json", action="store_true", help="for machines")


def run(options: argparse.Namespace) -> int:
    """Print the verdict, or the comparison, and return its exit code."""
    try:
        document = checkpoint.load(options.profile)
        old = checkpoint.load(options.against) if options.against else None
        with foreign():
            text, code = (
                _judged(document, options) if old is None else _compared(document, old, options)
            )
            if options.report is not None:
                write_report(document, options.report)
    except (checkpoint.CheckpointError, DocumentError, ReportError) as error:
        raise UsageError(str(error)) from None
    # A profile may come from anybody: what it says must not steer the terminal.
    sys.stdout.write(text if options.json else printable_lines(text, _TEXT_BYTES_MAX))
    return code


def _judged(document: Mapping[str, Any], options: argparse.Namespace) -> tuple[str, ExitCode]:
    """Return what is printed of the verdict, and its exit code."""
    lines = []
    found: Online | Verdict
    if options.online:
        found = judge_online(document)
        verdict = found.verdict
        lines = [change_line(change) for change in found.changes]
    else:
        found = verdict = judge(document)
    text = (
        as_json(found)
        if options.json
        else "\n".join([*lines, verdict_block(verdict, options.profile), ""])
    )
    return text, exit_code_of(verdict)


def _compared(
    document: Mapping[str, Any], old: Mapping[str, Any], options: argparse.Namespace
) -> tuple[str, ExitCode]:
    """Return what is printed of the comparison, and its exit code."""
    found = compare(document, old)
    text = (
        as_json(found)
        if options.json
        else comparison_table(found, options.against, options.profile)
    )
    return text, BY_OUTCOME[found.outcome]


def as_json(found: Online | Verdict | Comparison) -> str:
    """Return what is printed for machines."""
    return encode_readable(found).decode() + "\n"
