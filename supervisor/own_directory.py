"""A directory that belongs to this process's user alone, whoever made it before."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

from supervisor.errors import UsageError

_MODE = 0o700


def make_private(path: Path, key: str) -> Path:
    """Return the resolved directory, made if need be, with mode 0700.

    A symbolic link in its place is refused: planted where others may write, it would have us
    change the mode of its target and replace files there. Parents may be links. Raises UsageError,
    which begins with `key`, and OSError.
    """
    path.parent.mkdir(mode=_MODE, parents=True, exist_ok=True)
    try:
        path.mkdir(mode=_MODE)
    except FileExistsError:
        if path.is_symlink():
            raise UsageError(
                f"{key} = {path}: is a symbolic link to {path.readlink()}; the directory itself "
                "is expected"
            ) from None
    # What is checked and changed is what was opened, whatever the name means a moment later.
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        found = os.fstat(descriptor)
        if found.st_uid != os.geteuid():
            raise UsageError(
                f"{key} = {path}: belongs to user {found.st_uid}; "
                f"a directory of user {os.geteuid()}, who runs this, is expected"
            )
        if stat.S_IMODE(found.st_mode) != _MODE:
            os.fchmod(descriptor, _MODE)
    finally:
        os.close(descriptor)
    return path.resolve()


def write_private(path: Path, text: str) -> None:
    """Replace a file as a whole, with mode 0600; a link in its place is replaced, not followed.

    Raises OSError.
    """
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        Path(temporary).replace(path)
    except OSError:
        Path(temporary).unlink(missing_ok=True)
        raise
