from __future__ import annotations

import json
import platform
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from streamer.version import version
from supervisor.command_line import run
from supervisor.commands import COMMANDS
from tests.strict_json import parsed


def test_options_are_taken_before_and_after_the_command(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["--set", "connection.max_age=2h", "config", "--set", "sink.kind=null"]) == 0
    settings = json.loads(capsys.readouterr().out)
    assert settings["connection"]["max_age"] == 7200
    assert settings["sink"]["kind"] == "null"


def test_secrets_are_masked(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIGIL_KAFKA__CLIENT__sasl_password", "open sesame")
    assert run(["config"]) == 0
    printed = capsys.readouterr().out
    assert "sasl.password" in printed
    assert "open sesame" not in printed


def test_wrong_settings_are_named_and_exit_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--set", "connection.max_aeg=2h", "config"]) == 2
    assert "max_aeg" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["judge", "nowhere.json"], "nowhere.json"),
        (["soak", "--profile", "25h"], "neither a built-in profile"),
        (["soak", "--profile", "smoke", "--output", "nowhere/p.json"], "no directory"),
        (["soak", "--profile", "24h", "--output", "/proc/p.json"], "cannot be written to"),
        (["soak", "--profile", "24h", "--output", "/etc/ssl"], "/etc/ssl: Is a directory"),
        (["soak", "--profile", "1h", "--reference", "nowhere.json"], "--reference nowhere.json"),
        (
            ["soak", "--profile", "1h", "--output", "p.json", "--reference", "p.json"],
            "--output would overwrite it",
        ),
    ],
)
def test_what_cannot_be_is_said_in_a_sentence(
    arguments: list[str],
    complaint: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(arguments) == 2
    assert complaint in capsys.readouterr().err


@pytest.mark.parametrize("text", ["0s", "soon", "-1h"])
def test_a_duration_must_be_one(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        run(["soak", "--profile", "smoke", f"--duration={text}"])
    assert "duration" in capsys.readouterr().err


def test_a_profile_of_ones_own_is_checked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.toml").write_text('base = "smoke"\nmemory_sealing = "1MiB"\n')
    assert run(["soak", "--profile", str(tmp_path / "mine.toml")]) == 2
    assert "memory_sealing" in capsys.readouterr().err


def test_an_unknown_command_names_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        run(["dance"])
    error = capsys.readouterr().err
    assert all(name in error for name in COMMANDS)


def test_the_other_supervisor_is_pointed_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "supervisor").mkdir()
    (tmp_path / "supervisor" / "supervisord.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    assert run(["config"]) == 0
    assert "PyPI project 'supervisor'" in capsys.readouterr().err


def test_the_main_module_imports_nothing_that_a_child_would_carry() -> None:
    names = "import sys, supervisor.__main__; print('\\n'.join(sys.modules))"
    modules = subprocess.run(
        [sys.executable, "-c", names], capture_output=True, text=True, check=True
    ).stdout.split()
    heavy = {"argparse", "psutil", "zmq", "pydantic", "rich", "aiohttp", "monitor"}
    assert heavy & set(modules) == set()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["status", "--json", "--dance"], "--dance"),
        (["dance", "--json"], "invalid choice: 'dance'"),
        (["status", "--js", "--runtime-directory=/nowhere"], "no supervisor answers at"),
        (["rotate", "--json", "--set", "connection.max_aeg=2h"], "max_aeg"),
        (["diagnose", "--json", "--config", "/nowhere/vigil.toml"], "/nowhere/vigil.toml"),
        (["judge", "--json", "nowhere.json"], "nowhere.json"),
        (["judge", "--json", "nowhere\udcff.json"], "nowhere\\udcff.json"),  # no UTF-8
        (["judge", "--json"], "PROFILE.json"),
        (["config", "--json", "--set", "sink.kind=tape"], "sink.kind"),
        (["soak", "--json"], "--profile"),
    ],
)
def test_with_json_an_error_is_json_too(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == 2
    printed = capsys.readouterr()
    told = parsed(printed.out)
    assert (told["ok"], told["exit_code"]) == (False, 2)
    assert complaint in told["detail"]
    assert printed.err == ""


def test_with_json_a_mistake_of_ours_is_json_too(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("supervisor.commands.config.load", lambda *_: 1 // 0)
    assert run(["config", "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["detail"] == "internal error: ZeroDivisionError: integer division or modulo by zero"


def test_who_reads_only_the_beginning_gets_no_traceback() -> None:
    done = subprocess.run(
        f"{sys.executable} -m supervisor config | true", shell=True, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    assert done.stderr == ""


def test_a_directory_that_may_not_be_looked_into_ends_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(path: Path) -> bool:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "is_file", refuse)
    assert run(["status", "--runtime-directory=/nowhere"]) == 2  # not 1, and no traceback
    assert "no supervisor answers at /nowhere/control" in capsys.readouterr().err


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"vigil {version()} (Python {platform.python_version()})\n"


EARLY = """
import os, signal, sys, supervisor.__main__

class Signalled:
    def find_spec(self, name, path=None, target=None):
        if name == "supervisor.command_line":  # the first thing that takes time
            os.kill(os.getpid(), signal.SIGHUP)
            os.kill(os.getpid(), signal.SIGTERM)

sys.meta_path.insert(0, Signalled())
sys.exit(supervisor.__main__.main())
"""


@pytest.mark.parametrize("command", ["run", "config"])
def test_a_signal_while_modules_are_imported_ends_no_service(command: str, tmp_path: Path) -> None:
    settings = [
        f"--set=supervisor.runtime_directory={tmp_path}/run",
        f"--set=supervisor.state_directory={tmp_path}/state",
        f"--set=sink.directory={tmp_path}/data",
        "--set=monitor.metrics_address=127.0.0.1:0",
    ]
    done = subprocess.run(
        [sys.executable, "-c", EARLY, *settings, command], capture_output=True, text=True
    )
    if command == "run":
        assert done.returncode == 0, done.stderr
        assert "SIGTERM: streamers are drained" in done.stderr
        assert list((tmp_path / "state").glob("runs/*/profile.json"))
    else:
        assert done.returncode in (-signal.SIGHUP, -signal.SIGTERM)
