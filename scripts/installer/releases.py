"""Releases beside each other: a virtual environment each, named by what is in it."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from .machine import check_compiler
from .places import ACCELERATED, PREVIOUS, PROGRAM, RELEASES, SOURCE, UNITS
from .shell import link, must

PACKAGES = ("streamer", "monitor", "supervisor", "simulator")
PINS = ("requirements.txt", "requirements-build.txt")
ACCELERATOR = ("accelerator/pyproject.toml", "accelerator/vigil_accelerator.pyx")
ACCELERATOR_PINS = "requirements-accelerator.txt"
KEPT_RELEASES = 3


def build(python: str, *, accelerated: bool = False) -> Path:
    """Return the release of this checkout, made unless it is there."""
    release = RELEASES / release_name(python, accelerated=accelerated)
    complete = release / "complete"
    if complete.exists():
        print(f"{release.name}: is installed already")
        return release
    print(f"{release.name}: installing into {release}", flush=True)
    if accelerated:
        check_compiler(python)
    RELEASES.mkdir(mode=0o755, exist_ok=True)
    shutil.rmtree(release, ignore_errors=True)
    try:
        must(python, "-m", "venv", str(release))
        pip = [str(release / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-deps"]
        pip += ["--disable-pip-version-check", "--no-cache-dir"]
        pins = [part for name in PINS for part in ("-r", str(SOURCE / name))]
        must(*pip, "--only-binary=:all:", "--require-hashes", *pins)
        with tempfile.TemporaryDirectory() as scratch:  # building writes beside the sources
            for name in PACKAGES:
                shutil.copytree(
                    SOURCE / name, Path(scratch, name), ignore=shutil.ignore_patterns("__pycache__")
                )
            for name in ("pyproject.toml", "README.md"):
                shutil.copy(SOURCE / name, scratch)
            must(*pip, "--no-build-isolation", scratch)
            if accelerated:
                add_accelerator(release, pip, Path(scratch, "accelerator"))
        shutil.copy(SOURCE / "deploy" / "systemd" / "vigil.service", release)
        must(str(release / "bin" / "vigil"), "--version")
        complete.touch()
    except BaseException:
        shutil.rmtree(release, ignore_errors=True)
        raise
    return release


def add_accelerator(release: Path, pip: list[str], scratch: Path) -> None:
    """Build the compiled encoder, with its own tools beside it, and see that it is taken."""
    tools = scratch.with_name("tools")
    pins = ["-r", str(SOURCE / ACCELERATOR_PINS)]
    must(*pip, "--target", str(tools), "--only-binary=:all:", "--require-hashes", *pins)
    scratch.mkdir()
    for name in ACCELERATOR:
        shutil.copy(SOURCE / name, scratch)
    must("env", f"PYTHONPATH={tools}", *pip, "--no-build-isolation", str(scratch))
    must(str(release / "bin" / "python"), "-m", "streamer.avro.accelerator")


def release_name(python: str, *, accelerated: bool = False) -> str:
    """Return a name that tells the version, and changes with whatever is installed."""
    digest = hashlib.sha256()
    told = subprocess.run([python, "--version"], stdout=subprocess.PIPE, check=True)
    digest.update(told.stdout)
    files = [SOURCE / name for name in ("pyproject.toml", *PINS, "deploy/systemd/vigil.service")]
    if accelerated:
        files += [SOURCE / name for name in (*ACCELERATOR, ACCELERATOR_PINS)]
    for name in PACKAGES:
        files += sorted(path for path in (SOURCE / name).rglob("*") if path.is_file())
    for path in files:
        if path.suffix != ".pyc":
            content = path.read_bytes()
            digest.update(f"{path.relative_to(SOURCE)} {len(content)}\n".encode() + content)
    project = (SOURCE / "pyproject.toml").read_text(encoding="utf-8")
    version = re.search(r'^version = "(.+)"$', project, re.MULTILINE)
    return f"{version[1] if version else 'unknown'}-{digest.hexdigest()[:12]}"


def is_accelerated(asked: bool | None) -> bool:
    """Return whether a release gets the compiled encoder: as asked for, else as the last one."""
    return ACCELERATED.exists() if asked is None else asked


def remember(*, accelerated: bool) -> None:
    """Have later releases get the compiled encoder, or no longer."""
    if accelerated:
        ACCELERATED.touch()
    else:
        ACCELERATED.unlink(missing_ok=True)


def current() -> Path | None:
    """Return the release in use."""
    return PROGRAM.resolve() if PROGRAM.is_symlink() and PROGRAM.exists() else None


def adopt_older_kind() -> None:
    """Make a release of an environment that was made at /opt/vigil itself."""
    if PROGRAM.is_dir() and not PROGRAM.is_symlink():
        release = RELEASES / "before-releases"
        RELEASES.mkdir(mode=0o755, exist_ok=True)
        unit = UNITS / "vigil.service"
        if unit.exists():
            shutil.copy(unit, PROGRAM / "vigil.service")
        PROGRAM.rename(release)
        link(PROGRAM, release)


def remove_old_releases() -> None:
    """Keep the one in use, the one before, and the newest of the rest."""
    kept = {current(), PREVIOUS.resolve() if PREVIOUS.is_symlink() else None}
    others = [path for path in RELEASES.iterdir() if path.is_dir() and not path.is_symlink()]
    others = sorted(set(others) - kept, key=lambda one: one.stat().st_mtime)
    for path in others[: max(0, len(others) + len(kept - {None}) - KEPT_RELEASES)]:
        shutil.rmtree(path, ignore_errors=True)
