"""Which release the units use, and the instances that run."""

from __future__ import annotations

import subprocess
from pathlib import Path

from .places import COMMAND, PREVIOUS, PROGRAM, UNIT_FILES, UNITS
from .releases import adopt_older_kind, current
from .shell import link, must, run


def switch(release: Path) -> bool:
    """Use this release: units, link, running instances; back to the one before when they fail."""
    adopt_older_kind()
    before = current()
    if before == release and units_are_of(release):
        return True
    running = instances()
    if running:
        # Stopped while the files change: a process must not import from two releases.
        print(f"restarting {', '.join(running)}", flush=True)
        must("systemctl", "stop", *running)
    use(release)
    failed = [name for name in running if run("systemctl", "start", name)]
    if not failed:
        if before is not None and before != release:
            link(PREVIOUS, before)
        return True
    print(f"{', '.join(failed)}: does not start with {release.name}:", flush=True)
    for name in failed:
        run("journalctl", "--unit", name, "--lines", "20", "--no-pager", "--output", "cat")
    if before is not None and before != release:
        print(f"back to {before.name}", flush=True)
        run("systemctl", "stop", *running)
        use(before)
        for name in running:
            run("systemctl", "start", name)
    return False


def use(release: Path) -> None:
    """Make the links and units those of a release."""
    link(PROGRAM, release)
    link(COMMAND, PROGRAM / "bin" / "vigil")
    for name in UNIT_FILES:
        must("install", "-m", "0644", str(release / "vigil.service"), str(UNITS / name))
    must("systemctl", "daemon-reload")


def units_are_of(release: Path) -> bool:
    """Say whether the installed units are those of a release."""
    wanted = (release / "vigil.service").read_bytes()
    return all(
        (UNITS / name).exists() and (UNITS / name).read_bytes() == wanted for name in UNIT_FILES
    )


def instances() -> list[str]:
    """Return the units of ours that run or try to."""
    told = subprocess.run(
        ["systemctl", "list-units", "--plain", "--no-legend", "vigil.service", "vigil@*.service"],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    units = [line.split(maxsplit=3) for line in told.stdout.splitlines()]
    return [unit[0] for unit in units if unit[2] in {"active", "activating", "reloading"}]


def enabled() -> list[str]:
    """Return the units of ours that start with the machine."""
    wants = UNITS / "multi-user.target.wants"
    return [path.name for path in [*wants.glob("vigil.service"), *wants.glob("vigil@*.service")]]


def failed_to_start(name: str) -> int:
    """Show why, and say what to do."""
    run("journalctl", "--unit", name, "--lines", "20", "--no-pager", "--output", "cat")
    print(f"{name} does not start; when the cause is mended: systemctl start {name}")
    return 1
