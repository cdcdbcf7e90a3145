"""What the commands have in common that ask a running supervisor: options, answer, exit code."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from supervisor.control_socket import ask
from supervisor.desk import ANSWER_WITHIN_SECONDS
from supervisor.errors import ExitCode
from supervisor.runtime_directory import running
from supervisor.settings import Settings, load

MARGIN_SECONDS: Final = 5.0  # beyond the time that the supervisor takes for its own answer


@dataclass(frozen=True, slots=True)
class Asking:
    """A command of the command line; `refused` is its exit code where something stays as it was.

    `one_streamer` lets people name one; `within` tells from the settings how long an answer takes.
    """

    command: str
    one_streamer: bool = False
    refused: ExitCode = ExitCode.USAGE
    within: Callable[[Settings], float] = lambda _: ANSWER_WITHIN_SECONDS

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add what is its own; the shared options say whose runtime directory is meant."""
        parser.add_argument("--json", action="store_true", help="the answer as JSON")
        if self.one_streamer:
            parser.add_argument("streamer", nargs="?", help="such as streamer-1; default: all")

    def run(self, options: argparse.Namespace) -> int:
        """Ask, print the answer, return the exit code. Raises UsageError where nobody answers."""
        answer = self.ask(load(options.config, options.assignments), options)
        text = json.dumps(answer, indent=2) if options.json else answer["detail"]
        sys.stdout.write(f"{text}\n")
        return ExitCode.PASS if answer["ok"] else self.refused

    def ask(self, settings: Settings, options: argparse.Namespace) -> dict[str, Any]:
        """Return the answer."""
        return ask(
            running(settings.supervisor.runtime_directory),
            self.command,
            self.within(settings) + MARGIN_SECONDS,
            options.streamer if self.one_streamer else None,
        )
