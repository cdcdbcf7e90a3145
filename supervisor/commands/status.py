"""`status`: how it goes, with the streams that were silent longest; `--json`: all of `/status`."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from supervisor.control_client import ControlClient, directory_of
from supervisor.control_server import STATUS_FILE
from supervisor.errors import ExitCode, UsageError
from supervisor.report import stream_table

SHOWN = 10  # streams; a thousand fit no screen
_ASKING = ControlClient("status")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add how much is shown."""
    _ASKING.add_arguments(parser)
    parser.add_argument("--all", action="store_true", help="every stream, not the worst ten")


def run(options: argparse.Namespace) -> int:
    """Ask and print. Raises UsageError where nobody answers."""
    directory = directory_of(options)
    answer = _ASKING.ask(directory, options)
    text = _read(directory / STATUS_FILE)
    if not options.json:
        shown = None if options.all else SHOWN
        status = json.loads(text)
        through = [
            f"exchange.{name} through {proxy}"
            for name, proxy in status.get("proxies", {}).items()
            if proxy is not None
        ]
        head = "\n".join((answer["detail"], *through, *status.get("warnings", ())))
        text = f"{head}\n\n{stream_table(status['streamers'], shown)}"
    sys.stdout.write(f"{text}\n")
    return ExitCode.PASS


def _read(path: Path) -> str:
    """Return what the supervisor has put there; root follows no link of another user's."""
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), encoding="utf-8") as status:
            return status.read()
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from None
