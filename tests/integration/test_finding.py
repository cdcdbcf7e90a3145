"""Commands find the supervisor that runs, from any directory, as root and as its own user.

Each test has a network namespace of its own: what else runs on the machine is not found there.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.streaming import ROOT
from tests.supervising import Supervised
from tests.tools import required

NOBODY = 65534
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root makes network namespaces")


@pytest.fixture
def namespace() -> Iterator[list[str]]:
    """Yield what a command begins with to run in a network namespace of its own."""
    unshare, nsenter = required("unshare", "util-linux"), required("nsenter", "util-linux")
    required("ip", "iproute2")
    holder = subprocess.Popen(
        [unshare, "--net", "sh", "-c", "ip link set lo up && echo up && exec sleep 300"],
        stdout=subprocess.PIPE,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"up\n"
    yield [nsenter, f"--net=/proc/{holder.pid}/ns/net"]
    holder.kill()
    holder.wait()


def as_nobody() -> list[str]:
    return ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]


def may_start_others(begin: list[str]) -> bool:
    code = "import subprocess, sys; sys.exit(subprocess.call([sys.executable, '-c', '']))"
    command = [*begin, sys.executable, "-c", code, ROOT]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def start(vigil: Supervised, begin: list[str]) -> None:
    vigil.start("healthy", "run", begin=tuple(begin))
    vigil.until_logged("generation 1 reports")


def asks(begin: list[str], *command: str, cwd: Path, code: int = 0) -> str:
    done = subprocess.run(
        [*begin, sys.executable, "-m", "supervisor", *command],
        cwd=cwd, env={"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]}, timeout=180,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def two(vigil: Supervised, namespace: list[str]) -> Iterator[Supervised]:
    """Yield a second supervisor in the same namespace, which is ended first."""
    other = Supervised()
    try:
        start(vigil, namespace)
        start(other, namespace)
        yield other
        assert other.process is not None
        other.process.terminate()
        assert other.exit_code() == 0
        other.until(lambda: not other.left())
    finally:
        other.remove()


def test_the_one_that_runs_is_found_from_any_directory(
    vigil: Supervised, namespace: list[str], tmp_path: Path
) -> None:
    start(vigil, namespace)
    assert "streamer-1 (generation 1" in asks(namespace, "status", cwd=Path("/"))
    assert json.loads(asks(namespace, "status", "--json", cwd=tmp_path))["streamers"]
    assert asks(namespace, "drain", cwd=tmp_path) == "ended\n"
    assert vigil.exit_code() == 0


def test_of_two_one_is_asked_for(vigil: Supervised, two: Supervised, namespace: list[str]) -> None:
    told = asks(namespace, "status", cwd=Path("/"), code=2)
    for one in (vigil, two):
        assert f"--runtime-directory {one.directory}/run (user root)" in told
    options = ("--runtime-directory", f"{two.directory}/run")
    assert "streamer-1 (generation 1" in asks(namespace, "status", *options, cwd=Path("/"))
    assert vigil.process is not None
    vigil.process.terminate()
    assert vigil.exit_code() == 0
    assert "streamer-1 (generation 1" in asks(namespace, "status", cwd=Path("/"))


def test_root_and_its_own_user_may_ask_and_nobody_else(
    vigil: Supervised, namespace: list[str], tmp_path: Path
) -> None:
    searching = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
    # An interpreter in root's home needs it: its processes start others.
    ways = ([*as_nobody(), *more] for more in ([], searching))
    as_user = next((way for way in ways if may_start_others(way)), None)
    if as_user is None:
        pytest.skip("the interpreter of this checkout is not for other users")
    tmp_path.chmod(0o700)  # of root: where its own user may not even look, as in root's home
    os.chown(vigil.directory, NOBODY, NOBODY)
    vigil.log.touch()
    start(vigil, [*namespace, *as_user])
    assert "streamer-1 (generation 1" in asks(namespace, "status", cwd=tmp_path)
    own = [*namespace, *as_nobody()]
    assert "streamer-1 (generation 1" in asks(own, "status", cwd=tmp_path)
    told = json.loads(asks(own, "diagnose", "--json", cwd=tmp_path))
    assert Path(told["result"]["streamer-1"]["archive"]).stat().st_uid == NOBODY
    stranger = [*namespace, "setpriv", "--reuid=4242", "--regid=4242", "--clear-groups"]
    told = asks(stranger, "status", cwd=tmp_path, code=2)
    assert f"of another user: {vigil.directory}/run" in told
    assert asks(own, "drain", cwd=tmp_path) == "ended\n"
    assert vigil.exit_code() == 0
