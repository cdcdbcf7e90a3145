"""A virtual environment for the scripts beside this file, made from pinned requirements.

Needs Python 3.11 and its package index, nothing else. It is made once and kept until the
requirements change.
"""

import hashlib
import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DIRECTORY = ROOT / ".venv"


def python(requirements: str) -> Path:
    """Return the environment's interpreter, with the pinned `requirements` file installed."""
    if sys.version_info < (3, 11):  # noqa: UP036 - the one place where an older one may arrive
        sys.exit(f"Python 3.11 or newer is needed; this is {sys.version.split()[0]}.")
    pinned = ROOT / requirements
    interpreter = DIRECTORY / "bin" / "python"
    stamp = DIRECTORY / f"installed-{pinned.stem}"
    wanted = hashlib.sha256(pinned.read_bytes()).hexdigest()
    if interpreter.exists() and stamp.exists() and stamp.read_text() == wanted:
        return interpreter
    print(f"Setting up {DIRECTORY.name} from {requirements} …", flush=True)
    if not interpreter.exists():
        venv.create(DIRECTORY, with_pip=True)
    # Not compiled: most modules of a large package are never imported by what runs here, and
    # compiling all of them is a third of the time that this takes.
    command = [*install_command(interpreter, pinned), "--no-compile"]
    if subprocess.run(command, check=False).returncode:
        sys.exit(
            "The requirements could not be installed: the lines above say why. Is the package "
            "index reachable from here (pip config list)?"
        )
    stamp.write_text(wanted)
    return interpreter


def install_command(interpreter: Path, pinned: Path) -> list[str]:
    """Return the command that installs a file of `scripts/lock` as it stands.

    Without resolution: the file is complete, and a resolver would look at the index again, where
    a release newer than the pins has no hash.
    """
    command = [str(interpreter), "-m", "pip", "install", "--quiet", "--only-binary=:all:"]
    command += ["--disable-pip-version-check", "--no-deps", "--require-hashes", "-r", str(pinned)]
    return command


def variables() -> dict[str, str]:
    """Return the environment for what the scripts start: the checkout is importable."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
