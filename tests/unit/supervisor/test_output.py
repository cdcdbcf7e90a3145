"""The exit code is the verdict's, whatever becomes of what is printed."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from monitor import checkpoint
from tests import profiles

CODES = {"pass": 0, "inconclusive": 4}
JUDGE = '"$0" -m supervisor judge "$1"'
KEEP_CODE = f"{{ {JUDGE}; echo $? >&3; }}"


def code_of(script: str, profile: Path, stdout: int = subprocess.DEVNULL) -> tuple[int, str]:
    """Run a shell line that writes the code to descriptor 3; return it, and what stderr got."""
    reading, writing = os.pipe()
    script = f"exec 3>&{writing}; {script}"
    command = ["bash", "-c", script, sys.executable, str(profile)]
    done = subprocess.run(
        command, stdout=stdout, stderr=subprocess.PIPE, pass_fds=[writing], timeout=180, check=False
    )
    os.close(writing)
    with os.fdopen(reading) as codes:
        return int(codes.read()), done.stderr.decode()


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    directory = tmp_path_factory.mktemp("profiles")
    documents = (profiles.smoke(), profiles.stopped_hour())
    for document in documents:
        checkpoint.write(directory / f"{document['verdict']}.json", document)
    return {outcome: directory / f"{outcome}.json" for outcome in CODES}


@pytest.mark.parametrize("outcome", list(CODES))
@pytest.mark.parametrize(
    "script",
    [
        f"{JUDGE} >&-; echo $? >&3",
        f"{JUDGE} >&- 2>&- <&-; echo $? >&3",
        f"{JUDGE} > /dev/full; echo $? >&3",
        f"{JUDGE} > /dev/full 2> /dev/full; echo $? >&3",
        f"{KEEP_CODE} | true",
        f"{KEEP_CODE} | head -1",
        f"export PYTHONIOENCODING=latin-1; {JUDGE}; echo $? >&3",
        f"export PYTHONIOENCODING=ascii; {JUDGE}; echo $? >&3",
        f"{JUDGE} < /dev/null > /proc/self/fd/0; echo $? >&3",
    ],
)
def test_printing_changes_no_verdict(script: str, outcome: str, judged: dict[str, Path]) -> None:
    code, complaints = code_of(script, judged[outcome])
    assert code == CODES[outcome]
    assert "Traceback" not in complaints


@pytest.mark.parametrize("outcome", list(CODES))
def test_a_terminal_that_is_gone_changes_no_verdict(outcome: str, judged: dict[str, Path]) -> None:
    master, terminal = pty.openpty()
    os.close(master)
    code, complaints = code_of(f"{JUDGE}; echo $? >&3", judged[outcome], stdout=terminal)
    os.close(terminal)
    assert code == CODES[outcome]
    assert "Traceback" not in complaints


def test_what_only_prints_fails_when_it_cannot(judged: dict[str, Path]) -> None:
    show = '"$0" -m supervisor config'
    code, complaints = code_of(f"{show} > /dev/full; echo $? >&3", judged["pass"])
    assert code == 1
    assert "stdout could not be written: No space left on device" in complaints
    code, _ = code_of(f"{{ {show}; echo $? >&3; }} | head -1", judged["pass"])
    assert code == 0
