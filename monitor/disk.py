"""How much room the disk of the sink has; looked at in a thread, as a dead mount never answers."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Final

LOOK_EVERY_SECONDS: Final = 5.0  # at 100 MB/s a disk loses half a gigabyte meanwhile


@dataclass(frozen=True, slots=True)
class DiskSpace:
    """Bytes of a filesystem."""

    free_bytes: int  # for users without privileges
    size_bytes: int


class DiskWatch:
    """Looks at the filesystem of a directory again and again; `latest` never blocks."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="disk", daemon=True)
        self.latest: DiskSpace | None = None  # None: not known, since the directory cannot be read

    def start(self) -> None:
        """Look from now on, until `close`."""
        self._thread.start()

    def close(self) -> None:
        """Look no more; a look that hangs is left alone."""
        self._ended.set()

    def _run(self) -> None:
        while True:
            self.latest = space_of(self._directory)
            if self._ended.wait(LOOK_EVERY_SECONDS):
                return


def space_of(directory: Path) -> DiskSpace | None:
    """Return the space of the filesystem that a directory lies on, or will lie on."""
    for place in (directory, *directory.absolute().parents):
        try:
            found = os.statvfs(place)
        except FileNotFoundError:
            continue  # it is made with the first record
        except OSError:
            return None
        return DiskSpace(found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize)
    return None
