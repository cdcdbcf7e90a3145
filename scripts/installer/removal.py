"""The way out."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from .places import COMMAND, PROGRAM, RELEASES, SETTINGS, STATE, UNIT_FILES, UNITS, USER
from .services import enabled, instances
from .shell import run


def uninstall_instance(name: str, *, purge: bool) -> int:
    """Remove one instance, and with `purge` its settings and data; program and user stay."""
    unit = f"vigil@{name}"
    owned = [SETTINGS / f"{unit}.toml", SETTINGS / f"{unit}.environment", STATE / unit]
    there = [path for path in owned if path.exists()]
    if not there and f"{unit}.service" not in {*instances(), *enabled()}:
        sys.exit(f"There is no instance {name}; expected one of: {', '.join(named()) or 'none'}")
    run("systemctl", "disable", "--quiet", "--now", unit)
    run("systemctl", "reset-failed", unit, quiet=True)
    if purge:
        for path in there:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        print(f"{unit}: removed, with settings and data")
    else:
        kept = ", ".join(map(str, there))
        print(f"{unit}: removed; kept: {kept} (--uninstall --instance {name} --purge removes them)")
    return 0


def named() -> list[str]:
    """Return the names of the instances that have settings."""
    return sorted(path.stem.removeprefix("vigil@") for path in SETTINGS.glob("vigil@*.toml"))


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
