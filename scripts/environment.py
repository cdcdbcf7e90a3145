"""A virtual environment for the scripts beside this file, made from pinned requirements.

Needs Python 3.11 and its package index, nothing else. It is made once and kept until the
requirements change, or until its interpreter works no longer.
"""

import fcntl
import hashlib
import importlib.util
import os
import subprocess
import sys
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Ends here where this Python is too old. Found beside this file: the scripts are no package.
import require_python  # type: ignore[import-not-found] # noqa: F401

ROOT = Path(__file__).resolve().parent.parent
DIRECTORY = ROOT / ".venv"
INTERRUPTED = 130  # what shells tell of SIGINT


def python(requirements: str) -> Path:
    """Return the environment's interpreter, with the pinned `requirements` file installed.

    Ends the script with a sentence where that cannot be; the next start goes on.
    """
    pinned = ROOT / requirements
    interpreter = DIRECTORY / "bin" / "python"
    try:
        if not is_ready(interpreter, pinned):
            with one_at_a_time():
                if not is_ready(interpreter, pinned):  # another script may have made it meanwhile
                    make(interpreter, pinned)
    except OSError as error:
        sys.exit(
            f"{DIRECTORY} cannot be made: {error.strerror}: {error.filename}. Expected a checkout "
            "that this user may write to, on a disk with room (600 MB for scripts/test)."
        )
    except KeyboardInterrupt:
        say("interrupted")
        sys.exit(INTERRUPTED)
    return interpreter


def is_ready(interpreter: Path, pinned: Path) -> bool:
    """Return whether just these requirements are installed, for an interpreter that works."""
    stamp = stamp_of(pinned)
    return stamp.exists() and stamp.read_text() == digest(pinned) and has_pip(interpreter)


def has_pip(interpreter: Path) -> bool:
    """Return whether the interpreter starts and has pip.

    One that was interrupted while it was made has none, and after an upgrade of the system's
    Python it may not start.
    """
    if not interpreter.exists():
        return False
    return not subprocess.run(
        [interpreter, "-c", "import pip"], stderr=subprocess.DEVNULL, check=False
    ).returncode


def make(interpreter: Path, pinned: Path) -> None:
    """Make the environment unless it is there, and install what is pinned."""
    say(f"Setting up {DIRECTORY.name} from {pinned.name} …")
    if not has_pip(interpreter):
        make_environment(interpreter)
    # Not compiled: most modules of a large package are never imported by what runs here, and
    # compiling all of them is a third of the time that this takes.
    command = [*install_command(interpreter, pinned), "--no-compile"]
    if subprocess.run(command, check=False).returncode:
        sys.exit(
            "The requirements could not be installed: the lines above say why. Is the package "
            "index reachable from here (pip config list)?"
        )
    stamp_of(pinned).write_text(digest(pinned))


def make_environment(interpreter: Path) -> None:
    """Make an environment with pip, also over what an earlier attempt left."""
    if importlib.util.find_spec("ensurepip") is None:
        minor = sys.version_info.minor
        sys.exit(
            f"{sys.executable} makes no environments: it lacks the module ensurepip. On Debian and "
            f"Ubuntu: apt install python3.{minor}-venv"
        )
    # Links to an interpreter that is gone would be followed, and what installed them lost.
    for stale in (*interpreter.parent.glob("python*"), *DIRECTORY.glob("installed-*")):
        stale.unlink()
    try:
        venv.create(DIRECTORY, with_pip=True, symlinks=True)
    except subprocess.CalledProcessError as error:
        sys.exit(f"{sys.executable} makes no environments: {error}")


def stamp_of(pinned: Path) -> Path:
    """Return the file that says which requirements of this name are installed."""
    return DIRECTORY / f"installed-{pinned.stem}"


def digest(pinned: Path) -> str:
    """Return what changes with the requirements."""
    return hashlib.sha256(pinned.read_bytes()).hexdigest()


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Wait until no other script makes the environment of this checkout."""
    descriptor = os.open(ROOT, os.O_RDONLY)  # a directory can be locked, and leaves no file
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"Another script sets up {DIRECTORY.name}: waiting for it …")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


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


def say(text: str) -> None:
    """Print at once. An encoding without a character, or a reader that has gone, ends nothing."""
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr] # always text here
    try:
        print(text, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
