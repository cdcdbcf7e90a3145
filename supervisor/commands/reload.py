"""`reload`: a running supervisor reads its settings again, as on SIGHUP, and tells the outcome."""

from __future__ import annotations

import argparse
import sys

from supervisor.control_socket import ask
from supervisor.desk import ANSWER_WITHIN_SECONDS
from supervisor.errors import ExitCode
from supervisor.runtime_directory import running
from supervisor.settings import load

_MARGIN_SECONDS = 5.0  # beyond the time that the supervisor takes for its own answer


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add nothing: the shared options say whose runtime directory is meant."""


def run(options: argparse.Namespace) -> int:
    """Ask, print the answer, and return 0, or 2 when something stays as it was."""
    settings = load(options.config, options.assignments)
    directory = running(settings.supervisor.runtime_directory)
    answer = ask(directory, "reload", ANSWER_WITHIN_SECONDS + _MARGIN_SECONDS)
    sys.stdout.write(f"{answer['detail']}\n")
    return ExitCode.PASS if answer["ok"] else ExitCode.USAGE
