"""Commands of people to a running supervisor, as they type them."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile

import pytest

from tests.exchange import Exchange
from tests.streaming import ROOT


@pytest.fixture
def exchange(vigil):
    with Exchange(vigil.directory, rate=100) as exchange:
        yield exchange


@pytest.fixture
def vigil_runs(vigil, exchange):
    settings = {
        "exchange.websocket_url": exchange.websocket_url,
        "exchange.rest_url": exchange.rest_url,
        "exchange.ca_file": exchange.ca_file,
        "connection.rotation_overlap": "300ms",
        "supervisor.drain_grace": 10,
        "sink.directory": vigil.directory / "records",
        "telemetry.report_every": 0.2,
    }
    vigil.start("", "run", settings=settings, launcher=("-m", "supervisor"))
    vigil.until_logged("generation 1 reports")
    vigil.until(lambda: exchange.connections())
    yield vigil
    if vigil.process.poll() is None:
        vigil.process.terminate()
        assert vigil.exit_code() == 0


def asks(vigil, *command, code=0, cwd=ROOT):
    """Return what a command prints."""
    shared = [f"--set=supervisor.runtime_directory={vigil.directory}/run"]
    done = subprocess.run(
        [sys.executable, "-m", "supervisor", *shared, *command],
        cwd=cwd, check=False, capture_output=True, text=True, timeout=60,
        env={"PYTHONPATH": str(ROOT), "VIGIL_KAFKA__CLIENT__sasl_password": "open sesame"},
    )  # fmt: skip
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    return done.stdout


def test_status_tells_how_it_goes(vigil_runs):
    def streams():
        return json.loads(asks(vigil_runs, "status", "--json"))["ready"]

    vigil_runs.until(streams)
    text = asks(vigil_runs, "status")
    assert "streamer-1 (generation 1, pid " in text
    assert "BTCUSDT" in text
    assert "1 of 1 connections live" in text


def test_rotate_replaces_the_connection_without_a_hole(vigil_runs, exchange):
    [before] = [one["number"] for one in exchange.connections()]
    assert asks(vigil_runs, "rotate") == "streamer-1: rotating slot-1\n"
    vigil_runs.until(
        lambda: (
            [one["number"] for one in exchange.connections() if one["number"] > before]
            == [one["number"] for one in exchange.connections()]
        )
    )
    answer = json.loads(asks(vigil_runs, "rotate", "--json", "streamer-1"))
    assert answer == {
        "ok": True,
        "detail": "streamer-1: rotating slot-1",
        "result": {"streamer-1": {}},
    }
    assert "there are streamer-1" in asks(vigil_runs, "rotate", "streamer-7", code=2)


def test_collect_tells_the_figures(vigil_runs):
    assert "collected_objects=" in asks(vigil_runs, "collect")
    result = json.loads(asks(vigil_runs, "collect", "--json"))["result"]["streamer-1"]
    assert isinstance(result["collected_objects"], int)


def test_restart_drains_and_launches_again(vigil_runs):
    before = vigil_runs.streamer().pid
    assert asks(vigil_runs, "restart") == "streamer-1: is drained and launched again\n"
    vigil_runs.until_logged("generation 1 exited with 0")
    vigil_runs.until_logged("generation 2 reports")
    assert vigil_runs.streamer().pid != before


def test_diagnose_keeps_an_archive_without_secrets(vigil_runs, tmp_path):
    told = json.loads(asks(vigil_runs, "diagnose", "--json", cwd=tmp_path))
    [path] = tmp_path.iterdir()
    assert told["archive"] == path.name
    assert path.stat().st_mode & 0o777 == 0o600
    with tarfile.open(path) as archive:
        kept = {one.name: archive.extractfile(one).read().decode() for one in archive}
    assert list(kept) == told["files"]
    assert "Current thread" in kept["streamer-1.1.stacks"]
    assert "VmRSS" in kept["streamer-1.1.diagnosis"]
    assert json.loads(kept["status.json"])["streamers"][0]["name"] == "streamer-1"
    assert json.loads(kept["settings.json"])["supervisor"]
    assert "open sesame" not in "".join(kept.values())
    assert "File exists" in subprocess_error(vigil_runs, tmp_path, path)


def subprocess_error(vigil, directory, path):
    shared = f"--set=supervisor.runtime_directory={vigil.directory}/run"
    done = subprocess.run(
        [sys.executable, "-m", "supervisor", shared, "diagnose", f"--output={path}"],
        cwd=directory, check=False, capture_output=True, text=True, env={"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 2
    return done.stderr


def test_drain_ends_everything_and_tells_how_it_was(vigil_runs):
    answer = json.loads(asks(vigil_runs, "drain", "--json"))
    assert answer == {"ok": True, "detail": "ended", "result": {"exit_code": 0}}
    assert vigil_runs.exit_code() == 0


def test_stop_does_not_wait(vigil_runs):
    assert asks(vigil_runs, "stop") == "streamers are drained, then all of it ends\n"
    assert vigil_runs.exit_code() == 0
