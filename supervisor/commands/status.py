"""`status`: how it goes, with the streams that were silent longest; `--json`: all of `/status`."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from streamer.strict_json import encode_readable
from supervisor.control_client import ControlClient, directory_of
from supervisor.control_server import STATUS_FILE
from supervisor.errors import ExitCode, UsageError
from supervisor.report import stream_table

STATES = ("fresh", "stale", "unavailable")
SHOWN = 10  # streams; a thousand fit no screen
_ASKING = ControlClient("status")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add how much is shown."""
    _ASKING.add_arguments(parser)
    parser.add_argument("--all", action="store_true", help="every stream, not the worst ten")
    parser.add_argument(
        "--symbol", metavar="PATTERN", help="only streams of these symbols, such as 'BTC*'"
    )
    parser.add_argument("--stream", metavar="PATTERN", help="only these streams, such as 'depth*'")
    parser.add_argument("--state", choices=STATES, help="only streams in this state")


def run(options: argparse.Namespace) -> int:
    """Ask and print. Raises UsageError where nobody answers."""
    directory = directory_of(options)
    answer = _ASKING.ask(directory, options)
    text = _read(directory / STATUS_FILE)
    if not options.json or any((options.symbol, options.stream, options.state)):
        status = json.loads(text)
        for streamer in status["streamers"]:
            streamer["streams"] = [row for row in streamer["streams"] if _is_meant(row, options)]
        text = encode_readable(status).decode() if options.json else _shown(status, answer, options)
    sys.stdout.write(f"{text}\n")
    return ExitCode.PASS


def _is_meant(row: Mapping[str, Any], options: argparse.Namespace) -> bool:
    return (
        (options.state is None or row["state"] == options.state)
        and (options.symbol is None or fnmatchcase(row["symbol"], options.symbol.upper()))
        and (options.stream is None or fnmatchcase(row["stream"], options.stream))
    )


def _shown(
    status: Mapping[str, Any], answer: Mapping[str, Any], options: argparse.Namespace
) -> str:
    through = [
        f"exchange.{name} through {proxy}"
        for name, proxy in status.get("proxies", {}).items()
        if proxy is not None
    ]
    repairs = [
        f"{one['name']}: back-fill of {back['gaps']:,} gaps, {back['ids_left']:,} ids left"
        + (f", asked for within {back['seconds_left']:,.0f} s" if back.get("seconds_left") else "")
        for one in status["streamers"]
        if (back := one.get("backfill")) and back["gaps"]
    ]
    head = "\n".join((answer["detail"], *through, *repairs, *status.get("warnings", ())))
    rows = [row for streamer in status["streamers"] for row in streamer["streams"]]
    return f"{head}\n\n{stream_table(rows, None if options.all else SHOWN)}"


def _read(path: Path) -> str:
    """Return what the supervisor has put there; root follows no link of another user's."""
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), encoding="utf-8") as status:
            return status.read()
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from None
