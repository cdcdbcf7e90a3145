"""`judge`: the verdict again, from a saved profile."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import msgspec

from monitor import checkpoint
from monitor.evidence import foreign
from monitor.online import Online, judge_online
from monitor.report import ReportError, write_report
from monitor.verdict import DocumentError, Verdict, judge
from streamer.printable import printable_lines
from supervisor.errors import UsageError
from supervisor.report import change_line, exit_code_of, verdict_block

_TEXT_BYTES_MAX = 1 << 20  # more than the sentences of any real profile


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the profile's path and what is wanted of it."""
    parser.add_argument("profile", type=Path, metavar="PROFILE.json")
    parser.add_argument(
        "--online",
        action="store_true",
        help="first what could be said at each minute of the run: when an alarm would have come",
    )
    parser.add_argument(
        "--report", type=Path, metavar="FILE", help="also write the report for people (HTML)"
    )
    parser.add_argument("--json", action="store_true", help="for machines")


def run(options: argparse.Namespace) -> int:
    """Print the verdict and return its exit code."""
    try:
        document = checkpoint.load(options.profile)
        with foreign():
            online = judge_online(document) if options.online else None
            verdict = online.verdict if online else judge(document)
            if options.report is not None:
                write_report(document, options.report)
            text = _text(online or verdict, options)
    except (checkpoint.CheckpointError, DocumentError, ReportError) as error:
        raise UsageError(str(error)) from None
    # A profile may come from anybody: what it says must not steer the terminal.
    sys.stdout.write(text if options.json else printable_lines(text, _TEXT_BYTES_MAX))
    return exit_code_of(verdict)


def _text(found: Online | Verdict, options: argparse.Namespace) -> str:
    """Return what is printed."""
    if options.json:
        return msgspec.json.format(msgspec.json.encode(found)).decode() + "\n"
    if isinstance(found, Online):
        lines = [change_line(change) for change in found.changes]
        verdict = found.verdict
    else:
        lines, verdict = [], found
    return "\n".join([*lines, verdict_block(verdict, options.profile), ""])
