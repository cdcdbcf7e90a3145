"""The environment of the scripts: made once, anew where it does not work; errors are sentences."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
sys.path.append(str(ROOT / "scripts"))

import environment  # noqa: E402 - the scripts are no package

REQUIREMENTS = "requirements.txt"
WORKS = "#!/bin/sh\nexit 0\n"
LACKS_PIP = "#!/bin/sh\nexit 1\n"
SCRIPTS = sorted(
    path
    for path in (ROOT / "scripts").iterdir()
    # scripts/install has other needs: it looks for a newer Python itself
    if path.is_file() and not path.suffix and path.name != "install"
)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty checkout, where an environment is a script in the place of an interpreter."""
    made = tmp_path / ".venv"

    def create(directory: Path, **_: object) -> None:
        write_interpreter(directory / "bin" / "python", WORKS)

    monkeypatch.setattr(environment, "ROOT", tmp_path)
    monkeypatch.setattr(environment, "DIRECTORY", made)
    monkeypatch.setattr(environment.venv, "create", create)
    (tmp_path / REQUIREMENTS).write_text("one==1")
    return tmp_path


def write_interpreter(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def test_it_is_made_once_and_installed_again_when_the_requirements_change(checkout, capsys) -> None:
    environment.python(REQUIREMENTS)
    assert "Setting up" in capsys.readouterr().out
    environment.python(REQUIREMENTS)
    assert capsys.readouterr().out == ""
    (checkout / REQUIREMENTS).write_text("one==2")
    environment.python(REQUIREMENTS)
    assert "Setting up" in capsys.readouterr().out


def test_one_without_pip_is_made_anew(checkout) -> None:
    """As an attempt leaves it that was interrupted, or made without python3-venv."""
    interpreter = checkout / ".venv" / "bin" / "python"
    write_interpreter(interpreter, LACKS_PIP)
    environment.python(REQUIREMENTS)
    assert interpreter.read_text() == WORKS


def test_one_whose_python_is_gone_is_made_anew_and_what_it_pointed_to_is_not_written(
    checkout,
) -> None:
    environment.python(REQUIREMENTS)
    interpreter = checkout / ".venv" / "bin" / "python"
    gone = checkout / "python3.10"
    interpreter.unlink()
    interpreter.symlink_to(gone)
    environment.python(REQUIREMENTS)
    assert interpreter.read_text() == WORKS
    assert not gone.exists()


def test_a_python_without_ensurepip_says_which_package_brings_it(checkout, monkeypatch) -> None:
    monkeypatch.setattr(environment.importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(SystemExit, match=r"apt install python3\.\d+-venv"):
        environment.python(REQUIREMENTS)
    assert not (checkout / ".venv").exists()


def test_a_checkout_that_cannot_be_written_to_is_a_sentence(checkout) -> None:
    (checkout / ".venv").write_text("no directory")
    with pytest.raises(SystemExit, match=r"cannot be made: .*Expected a checkout that this user"):
        environment.python(REQUIREMENTS)


def test_an_interruption_is_no_traceback(checkout, monkeypatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(environment.venv, "create", interrupted)
    with pytest.raises(SystemExit) as ended:
        environment.python(REQUIREMENTS)
    assert ended.value.code == environment.INTERRUPTED


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_an_older_python_gets_a_sentence(script: Path) -> None:
    """It can read the script up to there, and nothing runs before."""
    for path in (script, ROOT / "scripts/environment.py", ROOT / "scripts/require_python.py"):
        ast.parse(path.read_text(), feature_version=(3, 7))  # no older grammar is known here
    older = "import sys, runpy; sys.version_info = (3, 9, 2); sys.argv = sys.argv[1:]; "
    older += f"sys.path.insert(0, {str(script.parent)!r}); "
    older += "runpy.run_path(sys.argv[0], run_name='__main__')"
    command = [sys.executable, "-c", older, script, "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("Python 3.11 or newer is needed; this is ")
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_an_encoding_without_the_character_ends_nothing(encoding: str) -> None:
    done = say(["…"], PYTHONIOENCODING=encoding)
    assert done.stdout == b"\\u2026\n"
    assert done.returncode == 0


def test_a_reader_that_has_gone_ends_nothing() -> None:
    read, write = os.pipe()
    os.close(read)
    done = say(["one", "two"], stdout=write)
    os.close(write)
    assert (done.returncode, done.stderr) == (0, b"")


def say(
    lines: list[str], stdout: int = subprocess.PIPE, **variables: str
) -> subprocess.CompletedProcess[bytes]:
    program = "import sys, environment\nfor line in sys.argv[1:]: environment.say(line)"
    return subprocess.run(
        [sys.executable, "-c", program, *lines],
        env={**os.environ, "PYTHONPATH": str(ROOT / "scripts"), **variables},
        stdout=stdout,
        stderr=subprocess.PIPE,
        check=False,
    )
