"""What the commands have in common that ask a running supervisor: options, answer, exit code."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from streamer.strict_json import encode_readable
from supervisor import discovery
from supervisor.control_server import ANSWER_WITHIN_SECONDS
from supervisor.control_socket import ask
from supervisor.errors import ExitCode
from supervisor.settings import load

MARGIN_SECONDS: Final = 5.0  # beyond the time that the supervisor takes for its own answer


@dataclass(frozen=True, slots=True)
class ControlClient:
    """A command of the command line; `refused` is its exit code where something stays as it was.

    `one_streamer` lets people name one; `within` tells how long an answer of the supervisor in a
    runtime directory takes, in seconds.
    """

    command: str
    one_streamer: bool = False
    refused: ExitCode = ExitCode.USAGE
    within: Callable[[Path], float] = lambda _: ANSWER_WITHIN_SECONDS

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add which supervisor is meant, how it answers, and which of its streamers."""
        parser.add_argument("--json", action="store_true", help="the answer as JSON")
        parser.add_argument(
            "--runtime-directory",
            type=Path,
            metavar="DIR",
            help="which supervisor is meant, where several run",
        )
        if self.one_streamer:
            parser.add_argument("streamer", nargs="?", help="such as streamer-1; default: all")

    def run(self, options: argparse.Namespace) -> int:
        """Ask, print the answer, return the exit code. Raises UsageError where nobody answers."""
        answer = self.ask(directory_of(options), options)
        text = encode_readable(answer).decode() if options.json else answer["detail"]
        sys.stdout.write(f"{text}\n")
        return ExitCode.PASS if answer["ok"] else self.refused

    def ask(self, directory: Path, options: argparse.Namespace) -> dict[str, Any]:
        """Return the answer of the supervisor in a runtime directory. Raises UsageError."""
        return ask(
            directory,
            self.command,
            self.within(directory) + MARGIN_SECONDS,
            options.streamer if self.one_streamer else None,
        )


def directory_of(options: argparse.Namespace) -> Path:
    """Return the runtime directory of the supervisor that is meant.

    As named, else as set, else of the only one that runs. Raises UsageError and SettingsError.
    """
    named: Path | None = options.runtime_directory
    if named is not None:
        return named
    settings = load(options.config, options.assignments, dials=False)
    return settings.supervisor.runtime_directory or discovery.only_one()
