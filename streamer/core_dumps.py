"""Core dumps are refused: they hold secrets, and at 450 MiB they delay a restart."""

from __future__ import annotations

import resource
from contextlib import suppress


def forbid() -> None:
    """Have the kernel write no core of this process and of those that it starts.

    1 byte where that is allowed: 0 is not asked when `core_pattern` names a program, 1 is (the
    kernel's own mark of a dump within a dump). No other means is used: a process that is not
    dumpable could not be diagnosed by its own user either.
    """
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    limit = min(1, hard) if hard != resource.RLIM_INFINITY else 1
    with suppress(OSError, ValueError):  # a system call filter may forbid it; the unit does it
        resource.setrlimit(resource.RLIMIT_CORE, (limit, limit))
