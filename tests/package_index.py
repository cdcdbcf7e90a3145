"""A package index on this machine: the pinned wheels, and of each package something newer."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

NEWER = "9999.0"
"""The version that the index has of everything, beside the pinned one."""


def download(requirements: list[Path], directory: Path) -> None:
    """Fetch what the files pin, as it stands, from wherever pip is set up to fetch from."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--disable-pip-version-check", "--require-hashes", "--only-binary=:all:"]
    command += ["--dest", str(directory)]
    for file in requirements:
        command += ["-r", str(file)]
    subprocess.run(command, check=True, timeout=600)


def add_newer_releases(directory: Path) -> None:
    """Put a release above every pinned one beside it, with the same requirements."""
    for wheel in sorted(directory.glob("*.whl")):
        with zipfile.ZipFile(wheel) as archive:
            name = next(n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
            metadata = archive.read(name).decode()
        newer = re.sub(r"(?m)^Version: .*$", f"Version: {NEWER}", metadata, count=1)
        project = wheel.name.split("-")[0]
        information = f"{project}-{NEWER}.dist-info"
        with zipfile.ZipFile(directory / f"{project}-{NEWER}-py3-none-any.whl", "w") as archive:
            archive.writestr(f"{information}/METADATA", newer)
            archive.writestr(
                f"{information}/WHEEL",
                "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            )
            archive.writestr(f"{information}/RECORD", "")


def lay_out(directory: Path) -> None:
    """Give each project a folder of its normalised name, as an index serves it."""
    for wheel in sorted(directory.glob("*.whl")):
        project = re.sub(r"[-_.]+", "-", wheel.name.split("-")[0]).lower()
        (directory / project).mkdir(exist_ok=True)
        wheel.rename(directory / project / wheel.name)


@contextmanager
def serving(directory: Path) -> Iterator[str]:
    """Serve the folders on loopback; yield the index's URL."""
    handler = partial(_Quiet, directory=str(directory))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing of requests."""
