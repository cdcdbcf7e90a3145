"""`judge`: the verdict again, from a saved profile."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import msgspec

from monitor import checkpoint
from monitor.online import judge_online
from monitor.report import ReportError, write_report
from monitor.verdict import DocumentError, judge
from supervisor.errors import UsageError
from supervisor.report import change_line, exit_code_of, verdict_block


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
        online = judge_online(document) if options.online else None
        verdict = online.verdict if online else judge(document)
        if options.report is not None:
            write_report(document, options.report)
    except (checkpoint.CheckpointError, DocumentError, ReportError) as error:
        raise UsageError(str(error)) from None
    if options.json:
        encoded = msgspec.json.encode(online or verdict)
        sys.stdout.write(msgspec.json.format(encoded).decode() + "\n")
    else:
        for change in online.changes if online else ():
            sys.stdout.write(change_line(change) + "\n")
        sys.stdout.write(verdict_block(verdict, options.profile) + "\n")
    return exit_code_of(verdict)
