"""The optional extension, built from its source as an installation builds it; for tests."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "accelerator"
FILES = ("pyproject.toml", "vigil_accelerator.pyx")


def missing_tools() -> str | None:
    """Return what is missing to build it, in words; None where nothing is."""
    if shutil.which("cc") and Path(sysconfig.get_path("include"), "Python.h").exists():
        return None
    return "no C compiler or no Python.h (Debian packages gcc, libc6-dev, python3-dev)"


def build_accelerator(directory: Path) -> Path:
    """Return the extension, built in a new directory: what has it on PYTHONPATH imports it."""
    directory.mkdir()
    for name in FILES:
        shutil.copy(SOURCE / name, directory)
    built = subprocess.run(
        [
            *[sys.executable, "-c", "import setuptools; setuptools.setup()"],
            *["-q", "build_ext", "--inplace"],
        ],
        cwd=directory,
        env=os.environ | {"CFLAGS": "-O1"},  # half of the time that the usual level takes
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    (path,) = directory.glob("vigil_accelerator*.so")
    return path
