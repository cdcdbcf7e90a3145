"""Which supervisors run on this machine, by the sockets that they listen at."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from monitor.telemetry import SOCKET_NAME as TELEMETRY_NAME
from supervisor.control_socket import SOCKET_NAME as CONTROL_NAME
from supervisor.errors import UsageError

_TABLE: Final = Path("/proc/net/unix")  # all bound Unix sockets of this network namespace
_LISTENS: Final = 1 << 16  # SO_ACCEPTCON among the flags of unix_seq_show in the kernel


def only_one() -> Path:
    """Return the runtime directory of the supervisor that this user may ask.

    Raises UsageError where there is none, or more than one.
    """
    theirs, ours = [], []
    for directory in listening(_TABLE.read_text(encoding="utf-8", errors="replace")):
        try:
            owner = directory.stat().st_uid
        except PermissionError:
            theirs.append(str(directory))
        except OSError:
            continue  # of another mount namespace: a container's, a private /tmp
        else:
            if os.geteuid() in (0, owner):
                ours.append((directory, owner))
            else:
                theirs.append(f"{directory} (user {_name(owner)})")
    if len(ours) == 1:
        return ours[0][0]
    if ours:
        lines = [f"  --runtime-directory {where} (user {_name(user)})" for where, user in ours]
        raise UsageError("\n".join(["several supervisors run; which one is meant?", *lines]))
    if theirs:
        raise UsageError(
            f"of another user: {', '.join(theirs)}; that user and root may ask a supervisor "
            "(such as: sudo vigil status)"
        )
    raise UsageError(
        "no supervisor runs here, as far as can be seen; --runtime-directory names that of one "
        "which is in another namespace (a container's)"
    )


def listening(table: str) -> list[Path]:
    """Return where both sockets of a supervisor listen, by the text of /proc/net/unix."""
    paths = set(_listening_paths(table))
    return sorted(
        path.parent
        for path in paths
        if path.name == CONTROL_NAME and path.with_name(TELEMETRY_NAME) in paths
    )


def _listening_paths(table: str) -> Iterator[Path]:
    for line in table.splitlines()[1:]:
        columns = line.split(maxsplit=7)  # Num RefCount Protocol Flags Type St Inode Path
        if len(columns) == 8 and columns[7].startswith("/") and int(columns[3], 16) & _LISTENS:
            yield Path(columns[7])


def _name(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return str(user)
