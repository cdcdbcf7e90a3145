"""What is kept of a process that is about to be ended for its memory or its silence.

The stacks come from the process itself (`bootstrap.DIAGNOSE_SIGNAL`); here is what the kernel
knows. Reading it takes a lock in the subject, so a thread of its own does it, and nobody waits.
"""

from __future__ import annotations

import logging
import os
import threading
from pathlib import Path

log = logging.getLogger(__name__)

_FILES = ("status", "smaps_rollup", "wchan", "io", "limits", "smaps")  # the cheap ones first


def keep_in_background(pid: int, path: Path) -> threading.Thread:
    """Copy what /proc tells of a process into `path` (0600) while it lives."""
    thread = threading.Thread(target=keep, args=(pid, path), name="diagnosis", daemon=True)
    thread.start()
    return thread


def keep(pid: int, path: Path) -> None:
    """Copy what /proc tells of a process into `path` (0600), as far as it can be read."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as diagnosis:
        for name in _FILES:
            try:
                text = Path(f"/proc/{pid}/{name}").read_text(encoding="utf-8", errors="replace")
            except OSError as error:  # it ended meanwhile, or the kernel hides this one
                text = f"not readable: {error.strerror}\n"
            diagnosis.write(f"== {name}\n{text}\n")
            diagnosis.flush()  # what is read stays, whatever comes next
    log.info("diagnosis of process %d kept in %s", pid, path)
