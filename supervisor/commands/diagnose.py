"""`diagnose`: what somebody needs who was not there, in one archive.

Stacks and what /proc tells of each streamer, the state, the settings with secrets masked.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
import tarfile
import time
from pathlib import Path

from streamer.settings import masked
from supervisor.asking import Asking, directory_of
from supervisor.errors import ExitCode, UsageError
from supervisor.settings import load

_ASKING = Asking("diagnose", one_streamer=True)
_STATUS = Asking("status")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add where the archive goes."""
    _ASKING.add_arguments(parser)
    parser.add_argument("--output", type=Path, metavar="FILE", help="default: here, by the time")


def run(options: argparse.Namespace) -> int:
    """Ask, and write the archive (0600). Raises UsageError where that cannot be."""
    settings = load(options.config, options.assignments)
    directory = directory_of(options)
    answer = _ASKING.ask(directory, options)
    if not answer["ok"]:
        sys.stdout.write(f"{answer['detail']}\n")
        return ExitCode.USAGE
    status = _STATUS.ask(directory, options)
    path = options.output or Path(
        time.strftime("vigil-diagnosis-%Y%m%dT%H%M%SZ.tar.gz", time.gmtime())
    )
    files = [Path(one) for one in (*answer["result"]["files"], status["result"]["file"])]
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as raw, tarfile.open(fileobj=raw, mode="w:gz") as archive:
            _add(archive, "settings.json", json.dumps(masked(settings), indent=2).encode())
            for file in files:
                _add(archive, file.name, file.read_bytes() if file.exists() else b"")
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror}") from None
    told = {"archive": str(path), "files": ["settings.json", *(file.name for file in files)]}
    lines = [f"{path}: {', '.join(told['files'])}"]
    sys.stdout.write(f"{json.dumps(told, indent=2) if options.json else lines[0]}\n")
    return ExitCode.PASS


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mtime, member.mode = len(content), int(time.time()), 0o600
    archive.addfile(member, io.BytesIO(content))
