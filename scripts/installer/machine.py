"""What the machine must have: systemd, a Python with environments, a user."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from .places import SETTINGS, STATE, USER
from .shell import must, run

LEAST_SYSTEMD = 247
LEAST_PYTHON = (3, 11)


def check_systemd() -> None:
    """Exit with a sentence unless this machine runs a systemd that will do."""
    if not Path("/run/systemd/system").is_dir():
        sys.exit("No systemd runs here; for containers see docs/containers.md.")
    told = subprocess.run(["systemctl", "--version"], stdout=subprocess.PIPE, check=True)
    found = re.match(rb"systemd (\d+)", told.stdout)
    if not found or int(found[1]) < LEAST_SYSTEMD:
        sys.exit(f"systemd {LEAST_SYSTEMD} or newer is needed.")


def find_python() -> str:
    """Return an interpreter that can make environments; install what is missing on Debian."""
    newer = [f"python3.{minor}" for minor in range(20, LEAST_PYTHON[1] - 1, -1)]
    for name in ("python3", *newer):
        path = shutil.which(name)
        if path is None:
            continue
        if run(path, "-c", f"import sys; sys.exit(sys.version_info < {LEAST_PYTHON})"):
            continue
        if run(path, "-c", "import ensurepip, venv", quiet=True) == 0:
            return path
        if shutil.which("apt-get"):
            package = f"{Path(path).resolve().name}-venv"
            print(f"installing {package}", flush=True)
            os.environ["DEBIAN_FRONTEND"] = "noninteractive"
            run("apt-get", "update", "-qq")
            if run("apt-get", "install", "-y", "-qq", "--no-install-recommends", package) == 0:
                return path
        sys.exit(f"{path} has no module venv: install it (on Debian: {Path(path).name}-venv).")
    sys.exit("Python 3.11 or newer is needed (on Ubuntu 22.04: apt-get install python3.11-venv).")


def check_compiler(python: str) -> None:
    """Exit with a sentence unless C extensions can be built; install what is missing on Debian."""
    if can_compile(python):
        return
    packages = ["gcc", "libc6-dev"]
    if not has_headers(python):  # who built it has them, and Debian no package for it
        packages.append(f"{Path(python).resolve().name}-dev")
    if shutil.which("apt-get"):
        print(f"installing {', '.join(packages)}", flush=True)
        os.environ["DEBIAN_FRONTEND"] = "noninteractive"
        run("apt-get", "update", "-qq")
        run("apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages)
        if can_compile(python):
            return
    sys.exit(
        f"The compiled encoder needs a C compiler and the headers of {python} (on Debian: "
        f"apt-get install {' '.join(packages)}). No release was made and none was changed; install "
        "them, or go on without it: scripts/install --no-accelerated"
    )


_EXTENSION = """
import os, shlex, subprocess, sys, sysconfig, tempfile
compiler = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")
include = "-I" + sysconfig.get_path("include")
with tempfile.TemporaryDirectory() as scratch:
    options = [include, "-shared", "-fPIC", "-x", "c", "-", "-o", scratch + "/probe.so"]
    source = b"#include <Python.h>"
    sys.exit(subprocess.run([*compiler, *options], input=source).returncode)
"""


def can_compile(python: str) -> bool:
    """Say whether C extensions can be built, by building an empty one as setuptools would."""
    return run(python, "-c", _EXTENSION, quiet=True) == 0


def has_headers(python: str) -> bool:
    """Say whether the interpreter's headers are here."""
    header = "sysconfig.get_path('include') + '/Python.h'"
    code = f"import os, sys, sysconfig; sys.exit(not os.path.exists({header}))"
    return run(python, "-c", code) == 0


def make_user() -> None:
    """Make the user and the directory of settings, unless they are there."""
    if run("getent", "passwd", USER, quiet=True):
        home = ["--home-dir", f"{STATE}/vigil", "--shell", "/usr/sbin/nologin"]
        must("useradd", "--system", *home, USER)
    must("install", "-d", "-m", "0750", "-o", "root", "-g", USER, str(SETTINGS))
