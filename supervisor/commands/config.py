"""`config`: the effective settings, secrets masked."""

from __future__ import annotations

import argparse
import sys

from streamer.settings import masked
from streamer.strict_json import encode_readable
from supervisor.errors import ExitCode
from supervisor.settings import load


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what others have; the shared options say which settings are meant."""
    parser.add_argument("--json", action="store_true", help="errors as JSON, too")


def run(options: argparse.Namespace) -> int:
    """Print the settings as JSON."""
    settings = masked(load(options.config, options.assignments))
    sys.stdout.write(encode_readable(settings).decode() + "\n")
    return ExitCode.PASS
