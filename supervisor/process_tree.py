"""The processes that a child leaves or may leave behind, and their end.

Three ways lead to them: descent (while the parent links hold), the session (which outlives
parents), and adoption: as a subreaper we become the parent of every orphan below us.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Container, Iterator
from contextlib import suppress
from typing import Final

import psutil

_PR_SET_CHILD_SUBREAPER: Final = 36
_GONE = (psutil.NoSuchProcess, ProcessLookupError, FileNotFoundError)


class ProcessTree:
    """Everything that came from one child, which leads a session of its own."""

    def __init__(self, root_pid: int) -> None:
        self.root_pid = root_pid
        self._descendants: set[psutil.Process] = set()  # equal by PID and creation time

    def look(self) -> None:
        """Remember who descends from the child now: later the links may be cut."""
        with suppress(*_GONE):
            self._descendants |= set(psutil.Process(self.root_pid).children(recursive=True))

    def rest(self) -> list[psutil.Process]:
        """Return the living processes of the tree without the child itself."""
        found = self._descendants | set(session_members(self.root_pid))
        return [process for process in found if process.pid != self.root_pid and lives(process)]

    def kill_rest(self) -> int:
        """Send SIGKILL to all of them and return how many there were."""
        self.look()
        rest = self.rest()
        for process in rest:
            with suppress(*_GONE):
                process.kill()  # psutil compares the creation time first
        return len(rest)


def session_members(session_id: int) -> Iterator[psutil.Process]:
    """Yield the processes of a session, zombies included."""
    for pid in psutil.pids():
        with suppress(*_GONE):
            if os.getsid(pid) == session_id:
                yield psutil.Process(pid)


def become_subreaper() -> None:
    """Let orphans among our descendants become our children, not those of init."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER) failed")


def end_strays(known: Container[int]) -> int:
    """Kill and reap adopted processes, and return how many could not be reaped yet.

    A stray is a child of ours in another session that we did not launch (`known` PIDs): our own
    helpers, such as multiprocess's resource tracker, stay in our session.
    """
    waiting = 0
    for process in psutil.Process().children():
        with suppress(*_GONE, ChildProcessError):
            if process.pid in known or os.getsid(process.pid) == os.getsid(0):
                continue
            if lives(process):
                process.kill()
            # This one only: -1 would steal the exit codes of our own children.
            waiting += os.waitpid(process.pid, os.WNOHANG) == (0, 0)
    return waiting


def lives(process: psutil.Process) -> bool:
    """Say whether a process is more than an entry that waits to be reaped."""
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except _GONE:
        return False
