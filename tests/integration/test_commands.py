"""Commands of people to a running supervisor, as they type them."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
import urllib.request
from pathlib import Path

import pytest

from tests.exchange import Exchange
from tests.ports import free_port
from tests.streaming import ROOT


@pytest.fixture
def exchange(vigil):
    with Exchange(vigil.directory, rate=100) as exchange:
        yield exchange


@pytest.fixture
def vigil_runs(vigil, exchange):
    address = f"127.0.0.1:{free_port()}"

    def page(name):
        with urllib.request.urlopen(f"http://{address}/{name}", timeout=10) as answer:
            return answer.read()

    settings = {
        "monitor.metrics_address": address,
        "exchange.websocket_url": exchange.websocket_url,
        "exchange.rest_url": exchange.rest_url,
        "exchange.ca_file": exchange.ca_file,
        "connection.rotation_overlap": "300ms",
        "supervisor.drain_grace": 10,
        "sink.directory": vigil.directory / "records",
        "telemetry.report_every": 0.2,
    }
    secret = {"VIGIL_KAFKA__CLIENT__sasl_password": "open sesame"}  # the running one's
    vigil.start("", "run", settings=settings, launcher=("-m", "supervisor"), environment=secret)
    vigil.until_logged("generation 1 reports")
    vigil.until(lambda: page("readyz"))  # raises until it is
    yield vigil
    if vigil.process.poll() is None:
        vigil.process.terminate()
        assert vigil.exit_code() == 0


def asks(vigil, *command, code=0, cwd=ROOT):
    """Return what a command prints."""
    shared = [f"--set=supervisor.runtime_directory={vigil.directory}/run"]
    done = subprocess.run(
        [sys.executable, "-m", "supervisor", *shared, *command],
        cwd=cwd, check=False, capture_output=True, text=True, timeout=180,
        env={"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    return done.stdout


def test_status_tells_how_it_goes(vigil_runs):
    assert json.loads(asks(vigil_runs, "status", "--json"))["ready"]
    text = asks(vigil_runs, "status")
    assert "streamer-1 (generation 1, pid " in text
    assert "streams    3, longest silence " in text
    head, *rows = text.split("\n\n")[1].splitlines()
    assert head.split() == ["stream", "symbol", "events", "rate", "silent"]
    assert sorted(row.split()[1] for row in rows) == ["BNBUSDT", "BTCUSDT", "ETHUSDT"]
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


def diagnosed(vigil_runs, directory) -> Path | None:
    """Return the archive of a diagnosis; None where a busy machine left a look incomplete."""
    told = json.loads(asks(vigil_runs, "diagnose", "--json", cwd=directory))
    archive = Path(told["result"]["streamer-1"]["archive"])
    kept = unpacked(archive)
    looks = [json.loads(text) for name, text in kept.items() if name.startswith("objects-")]
    return archive if len(looks) == 2 and all(look["complete"] for look in looks) else None


def test_diagnose_keeps_an_archive_without_secrets(vigil_runs, tmp_path):
    archive = vigil_runs.until(lambda: diagnosed(vigil_runs, tmp_path))
    assert archive.parent == vigil_runs.evidence.resolve()
    assert archive.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == []
    kept = unpacked(archive)
    assert "Current thread" in kept["stacks.txt"]
    assert "VmRSS" in kept["status.txt"]
    assert "anonymous" in kept["mappings.txt"]
    assert "ESTABLISHED" in kept["sockets.json"]
    assert "<malloc" in kept["allocator.xml"]
    assert json.loads(kept["allocator.json"])["mallinfo2"]["uordblks"] > 0
    assert json.loads(kept["status.json"])["streamers"][0]["name"] == "streamer-1"
    # As it runs, not as whoever asks would run it.
    assert json.loads(kept["settings.json"])["connection"]["rotation_overlap"] == 0.3
    assert "generation 1 reports" in kept["supervisor.log"]
    names = sorted(
        (name for name in kept if name.startswith("objects-")),
        key=lambda name: int(name.removeprefix("objects-").removesuffix(".json")),
    )
    looks = [json.loads(kept[name]) for name in names]
    assert all(look["objects"] > 5000 for look in looks)
    assert looks[1]["growth_since_previous_look"]["seconds"] >= 2.9
    assert "open sesame" not in "".join(kept.values())


def unpacked(archive):
    with tarfile.open(archive) as tar:
        return {Path(one.name).name: tar.extractfile(one).read().decode() for one in tar}


def test_a_copy_of_a_diagnosis_overwrites_nothing(vigil_runs, tmp_path):
    path = tmp_path / "copy.tar.gz"
    asks(vigil_runs, "diagnose", f"--output={path}")
    assert path.stat().st_mode & 0o777 == 0o600
    assert "stacks.txt" in unpacked(path)
    told = asks(vigil_runs, "diagnose", "--json", f"--output={path}", code=2)
    assert "is there already" in json.loads(told)["detail"]


def test_drain_ends_everything_and_tells_how_it_was(vigil_runs):
    answer = json.loads(asks(vigil_runs, "drain", "--json"))
    assert answer == {"ok": True, "detail": "ended", "result": {"exit_code": 0}}
    assert vigil_runs.exit_code() == 0


def test_stop_does_not_wait(vigil_runs):
    assert asks(vigil_runs, "stop") == "streamers are drained, then all of it ends\n"
    assert vigil_runs.exit_code() == 0
