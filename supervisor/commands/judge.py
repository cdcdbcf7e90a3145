"""`judge`: the verdict again, from a saved profile."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import msgspec

from monitor import checkpoint
from monitor.verdict import DocumentError, judge
from supervisor.errors import UsageError
from supervisor.report import exit_code_of, verdict_block


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the profile's path."""
    parser.add_argument("profile", type=Path, metavar="PROFILE.json")
    parser.add_argument("--json", action="store_true", help="for machines")


def run(options: argparse.Namespace) -> int:
    """Print the verdict and return its exit code."""
    try:
        verdict = judge(checkpoint.load(options.profile))
    except (checkpoint.CheckpointError, DocumentError) as error:
        raise UsageError(str(error)) from None
    if options.json:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(verdict)).decode() + "\n")
    else:
        sys.stdout.write(verdict_block(verdict, options.profile) + "\n")
    return exit_code_of(verdict)
