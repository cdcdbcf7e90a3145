"""The settings of an instance: written once, checked before they are used."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from .places import SETTINGS, SOURCE, USER
from .shell import must, run

FIRST_PORT = 9091


_SYNTAX = """
import sys, tomllib
try:
    with open(sys.argv[1], "rb") as file:
        tomllib.load(file)
except (OSError, ValueError) as error:
    sys.exit(f"{sys.argv[1]}: {error}")
"""


def check_syntax(path: Path, wanted: Path | None, python: str) -> None:
    """Exit with a sentence unless the settings are TOML: known at once, values by a release only.

    `python` reads them: who runs the installer may be older than 3.11, and have no tomllib.
    """
    file = wanted or path
    if (wanted is not None or path.exists()) and run(python, "-c", _SYNTAX, str(file)):
        sys.exit(f"The settings of {file} are refused: nothing is changed.")


def write_settings(path: Path, wanted: Path | None, release: Path) -> bool:
    """Have settings at `path`, checked by the new release; True: a service must take them over."""
    if wanted is None and not path.exists():
        example = (SOURCE / "deploy" / "vigil.example.toml").read_text(encoding="utf-8")
        port = free_port()
        text = example.replace(f"127.0.0.1:{FIRST_PORT}", f"127.0.0.1:{port}")
        print(f"{path}: written from deploy/vigil.example.toml (metrics on port {port})")
    else:
        text = (wanted or path).read_text(encoding="utf-8")
    descriptor, new = tempfile.mkstemp(dir=path.parent, prefix=".new-")
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    try:
        vigil = str(release / "bin" / "vigil")
        if run(vigil, "--config", new, "config", quiet_output=True):
            sys.exit(f"The settings of {wanted or path} are refused: nothing is changed.")
        changed = not path.exists() or path.read_text(encoding="utf-8") != text
        if changed:
            must("install", "-m", "0640", "-o", "root", "-g", USER, new, str(path))
        return changed
    finally:
        Path(new).unlink()


def free_port() -> int:
    """Return the first port that no instance's settings name."""
    named = "".join(path.read_text(encoding="utf-8") for path in SETTINGS.glob("*.toml"))
    port = FIRST_PORT
    while f":{port}" in named:
        port += 1
    return port
