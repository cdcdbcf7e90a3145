"""The way out."""

from __future__ import annotations

import shutil
from pathlib import Path

from .places import COMMAND, PROGRAM, RELEASES, SETTINGS, STATE, UNIT_FILES, UNITS, USER
from .services import enabled, instances
from .shell import run


def uninstall(*, purge: bool) -> int:
    """Remove the program, and with `purge` all that it left."""
    names = [*instances(), *enabled()]
    if names:
        run("systemctl", "disable", "--quiet", "--now", *sorted(set(names)))
    for name in UNIT_FILES:
        (UNITS / name).unlink(missing_ok=True)
    run("systemctl", "daemon-reload")
    run("systemctl", "reset-failed", "vigil.service", "vigil@*.service", quiet=True)
    for path in (COMMAND, PROGRAM):
        if path.is_symlink():
            path.unlink()
    for path in (PROGRAM, RELEASES, *Path("/run").glob("vigil"), *Path("/run").glob("vigil@*")):
        shutil.rmtree(path, ignore_errors=True)
    kept = [SETTINGS, *STATE.glob("vigil"), *STATE.glob("vigil@*")]
    if purge:
        for path in kept:
            shutil.rmtree(path, ignore_errors=True)
        run("userdel", USER, quiet=True)
        print("removed, with settings, data and user")
    else:
        there = [str(path) for path in kept if path.exists()]
        print(f"removed; kept: {', '.join(there)} (--uninstall --purge removes them)")
    return 0
