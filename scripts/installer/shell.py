"""Commands of the machine."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def run(*command: str, quiet: bool = False, quiet_output: bool = False) -> int:
    """Run a command and return its exit code."""
    silence = subprocess.DEVNULL
    return subprocess.run(
        command,
        stdout=silence if quiet or quiet_output else None,
        stderr=silence if quiet else None,
        check=False,
    ).returncode


def must(*command: str) -> None:
    """Run a command, and exit when it fails; it has said why."""
    if run(*command):
        sys.exit(f"failed: {' '.join(command)}")


def link(path: Path, target: Path) -> None:
    """Point a symbolic link at a target, at once."""
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    new.symlink_to(target)
    new.replace(path)
