"""`diagnose`: what somebody needs who was not there, in one archive for each streamer.

The supervisor makes and keeps it (docs/commands.md has what is in it); `--output` copies it.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from pathlib import Path

from streamer.strict_json import encode_readable
from supervisor.control_client import ControlClient, directory_of
from supervisor.errors import ExitCode, UsageError

_ASKING = ControlClient("diagnose", one_streamer=True)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add where a copy goes."""
    _ASKING.add_arguments(parser)
    parser.add_argument("--output", type=Path, metavar="FILE", help="also copy the archive there")


def run(options: argparse.Namespace) -> int:
    """Ask, and tell where the archives are. Raises UsageError where a copy cannot be."""
    if options.output is not None and options.output.exists():
        raise UsageError(f"{options.output}: is there already; another name is expected")
    answer = _ASKING.ask(directory_of(options), options)
    told = [Path(one["archive"]) for one in answer["result"].values() if one["archive"]]
    if options.output is not None and told:
        if len(told) > 1:
            raise UsageError("--output: there are several streamers; name one")
        _copy(told[0], options.output)
    text = encode_readable(answer).decode() if options.json else answer["detail"]
    sys.stdout.write(f"{text}\n")
    return ExitCode.PASS if answer["ok"] else ExitCode.USAGE


def _copy(source: Path, target: Path) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        with (
            os.fdopen(os.open(source, os.O_RDONLY | os.O_NOFOLLOW), "rb") as kept,
            os.fdopen(os.open(target, flags, 0o600), "wb") as copy,
        ):
            shutil.copyfileobj(kept, copy)
    except OSError as error:
        raise UsageError(
            f"{target}: cannot be written: {error.strerror}; the archive is {source}"
        ) from None
