"""The file system of a small Debian with systemd, and what pip needs there without a network."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.streaming import ROOT
from tests.tools import required

SUITE = "bookworm"
PACKAGES = ("systemd", "systemd-sysv", "dbus", "python3", "python3-venv", "curl", "procps")
PINS = ("requirements.txt", "requirements-build.txt")
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vigil"


def debian_root() -> Path:
    """Return the directory; the first time it takes about a minute and needs a Debian mirror."""
    debootstrap = required("debootstrap", "debootstrap")

    def make(path: Path) -> None:
        include = f"--include={','.join(PACKAGES)}"
        run([debootstrap, "--variant=minbase", include, SUITE, str(path)])

    return _cached(f"{SUITE}-{_digest(SUITE, *PACKAGES)}", make)


def wheels() -> Path:
    """Return a directory with the pinned packages, by their hashes, for Python 3.11."""
    pins = [ROOT / name for name in PINS]

    def make(path: Path) -> None:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--only-binary=:all:", "--python-version", "3.11", "--require-hashes"]
        run([*command, *(part for pin in pins for part in ("-r", str(pin))), "-d", str(path)])

    return _cached(f"wheels-{_digest(*(pin.read_text() for pin in pins))}", make)


def run(command: list[str]) -> None:
    """Run a command that prepares a test; fail with what it said."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}:\n{(done.stdout + done.stderr)[-4000:]}"


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def _cached(name: str, make: Callable[[Path], None]) -> Path:
    """Return the directory of a name, made once for all who ask, whole or not at all."""
    CACHE.mkdir(parents=True, exist_ok=True)
    path = CACHE / name
    with (CACHE / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            unfinished = CACHE / f".{name}"
            shutil.rmtree(unfinished, ignore_errors=True)
            make(unfinished)
            unfinished.rename(path)
    return path
