"""The private directory of one supervisor that runs: its sockets, its lock, its last status."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from monitor.telemetry import SOCKET_NAME
from supervisor.errors import UsageError
from supervisor.own_directory import make_private

_TEMPORARY = Path(tempfile.gettempdir())
_FRESH_PREFIX = "vigil-"
_KEY = "supervisor.runtime_directory"
RECENT_LOG: Final = ".recent.log"
"""How names of files end that hold the last log lines of a process; before them: which one."""
_WORTHLESS = (SOCKET_NAME, f"{SOCKET_NAME}.lock", "control")


@contextmanager
def private(configured: Path | None) -> Iterator[Path]:
    """Yield the directory; a fresh one goes again unless something worth reading is in it."""
    directory = prepare(configured)
    try:
        yield directory
    finally:
        if directory.name.startswith(_FRESH_PREFIX) and directory.parent == _TEMPORARY:
            for path in directory.iterdir():
                recent = RECENT_LOG in path.name  # the log itself has these lines
                if path.name in _WORTHLESS or recent or path.stat().st_size == 0:
                    path.unlink()
            with suppress(OSError):  # not empty: a stack dump, a diagnosis or the profile
                directory.rmdir()


def prepare(configured: Path | None, environment: Mapping[str, str] | None = None) -> Path:
    """Return the directory, made if need be, with mode 0700.

    The configured one, else systemd's $RUNTIME_DIRECTORY, else $XDG_RUNTIME_DIR/vigil, else a
    fresh one below the system's temporary directory. Raises UsageError.
    """
    environment = os.environ if environment is None else environment
    if configured is None and environment.get("RUNTIME_DIRECTORY"):
        # systemd lists several with colons; the unit file asks for one.
        configured = Path(environment["RUNTIME_DIRECTORY"].split(":")[0])
    if configured is None and environment.get("XDG_RUNTIME_DIR"):
        configured = Path(environment["XDG_RUNTIME_DIR"]) / "vigil"
    if configured is None:
        return Path(tempfile.mkdtemp(prefix=_FRESH_PREFIX, dir=_TEMPORARY))
    try:
        return make_private(configured, _KEY)  # private: the sockets inside come out 0755
    except OSError as error:
        raise UsageError(
            f"{_KEY} = {configured}: cannot be used: {error.strerror}; "
            "a directory that the user may write is expected"
        ) from None
