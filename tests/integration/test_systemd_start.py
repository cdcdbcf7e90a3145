"""The unit under a systemd that runs: its own hardening, readiness, reload, journal, restart.

The machine is this one's file system, booted a second time with its changes in memory; what
`deploy/README.md` says to install is tested in `test_systemd_install.py`.
"""

from __future__ import annotations

import sys
import sysconfig
import time
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.exchange import Exchange
from tests.kafka_cluster import KafkaCluster
from tests.machine import Machine
from tests.streaming import ROOT, eventually

UNIT = ROOT / "deploy" / "systemd" / "vigil.service"
SETTINGS = """
[exchange]
websocket_url = "{websocket_url}"
rest_url = "{rest_url}"
ca_file = "/etc/vigil/ca.pem"
symbols = ["BTCUSDT"]
"""
KAFKA = """
[sink]
kind = "kafka"

[kafka]
bootstrap_servers = "{bootstrap_servers}"
create_topics = true
replication_factor = 1
"""


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    installed = tmp_path_factory.mktemp("opt") / "vigil"
    venv.create(installed, symlinks=False)
    site_packages = installed / "lib" / f"python3.{sys.version_info.minor}" / "site-packages"
    # This environment's packages and this checkout, at paths that the service may read.
    packages = Path(sysconfig.get_path("purelib"))
    (site_packages / "vigil.pth").write_text("/opt/packages\n/opt/source\n")
    binds = {installed: "/opt/vigil", packages: "/opt/packages", ROOT: "/opt/source"}
    with Machine(Path("/"), binds=binds) as booted:
        booted.run("useradd --system --home-dir /var/lib/vigil --shell /usr/sbin/nologin vigil")
        booted.run("install -d -m 0750 -o root -g vigil /etc/vigil")
        yield booted


@pytest.fixture(scope="module")
def exchange(machine: Machine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    directory = tmp_path_factory.mktemp("exchange")
    with Exchange(directory, symbols=["BTCUSDT"], network=machine.network) as simulated:
        assert simulated.ca_file
        machine.write("/etc/vigil/ca.pem", simulated.ca_file.read_text())
        yield simulated


@pytest.fixture
def service(machine: Machine, exchange: Exchange) -> Iterator[Machine]:
    install(machine, exchange, UNIT.read_text())
    yield machine
    machine.run("systemctl stop vigil; systemctl reset-failed vigil", check=False)


def install(machine: Machine, exchange: Exchange, unit: str) -> None:
    text = SETTINGS.format(websocket_url=exchange.websocket_url, rest_url=exchange.rest_url)
    machine.write("/etc/vigil/vigil.toml", text, "0640", "root:vigil")
    machine.write("/etc/systemd/system/vigil.service", unit)
    machine.run("systemctl daemon-reload")


def start(service: Machine) -> None:
    service.run("systemctl start vigil")
    readiness = ["curl", "--silent", "127.0.0.1:9091/readyz"]
    eventually(
        lambda: service.run(readiness, check=False).stdout == "streaming\n", what="streaming"
    )


def state(service: Machine) -> tuple[str, str]:
    shown = service.properties("vigil", "ActiveState", "NRestarts")
    return shown["ActiveState"], shown["NRestarts"]


def test_it_starts_under_its_own_hardening(service: Machine) -> None:
    start(service)
    assert state(service) == ("active", "0")
    entries = service.entries("vigil")
    assert [one["MESSAGE"] for one in entries if one["PRIORITY"] < "5"] == []
    service.run("systemctl stop vigil")
    assert service.properties("vigil", "Result", "ExecMainStatus") == {
        "Result": "success",
        "ExecMainStatus": "0",
    }


def test_it_does_not_without_the_call_that_libzmq_makes(
    service: Machine, exchange: Exchange
) -> None:
    """The fault that the test above is for: it must see it."""
    without = UNIT.read_text().replace("SystemCallFilter=sched_setscheduler\n", "")
    assert without != UNIT.read_text()
    install(service, exchange, without.replace("Restart=on-failure", "Restart=no"))
    assert service.run("systemctl start vigil", check=False).returncode == 1
    assert service.properties("vigil", "Result")["Result"] == "signal"


def test_a_reload_tells_its_outcome(service: Machine) -> None:
    start(service)
    settings = service.run("cat /etc/vigil/vigil.toml").stdout
    refused = settings.replace('["BTCUSDT"]', '["BTC USDT"]')
    service.write("/etc/vigil/vigil.toml", refused, "0640", "root:vigil")
    assert service.run("systemctl reload vigil", check=False).returncode == 1
    assert state(service) == ("active", "0")
    service.write("/etc/vigil/vigil.toml", settings, "0640", "root:vigil")
    service.run("systemctl reload vigil")
    assert state(service) == ("active", "0")
    refusal = [one for one in service.entries("vigil") if "BTC USDT" in one["MESSAGE"]]
    assert "3" in {one["PRIORITY"] for one in refusal}


def test_one_that_is_killed_is_back_soon_and_its_evidence_stays(service: Machine) -> None:
    start(service)
    service.run("systemctl kill --kill-whom=main --signal=KILL vigil")
    killed_at = time.monotonic()
    eventually(lambda: state(service) == ("active", "1"), what="the restart")
    print(f"back after {time.monotonic() - killed_at:.1f} s")
    service.run("systemctl stop vigil")
    runs = service.run("ls -d /var/lib/vigil/runs/*Z*").stdout.split()
    assert len(runs) >= 2
    for run in runs[-2:]:
        service.run(f"test -s {run}/profile.json")


@pytest.mark.full
@pytest.mark.timeout(600)
def test_started_again_while_kafka_is_away_it_goes_on_until_kafka_is_back(
    service: Machine, tmp_path: Path
) -> None:
    readiness = ["curl", "--silent", "127.0.0.1:9091/readyz"]
    with KafkaCluster(tmp_path / "kafka", network=service.network) as kafka:
        settings = service.run("cat /etc/vigil/vigil.toml").stdout + KAFKA.format(
            bootstrap_servers=kafka.bootstrap_servers
        )
        service.write("/etc/vigil/vigil.toml", settings, "0640", "root:vigil")
        start(service)
        eventually(
            lambda: service.run("test -s /var/lib/vigil/data/kafka-notes.json", check=False)
            .returncode == 0,
            what="notes of where streams end",

        )  # fmt: skip
        kafka.stop_node(1)
        service.run("systemctl restart vigil", within=200)
        eventually(
            lambda: "nothing is stored for good" in service.run(readiness, check=False).stdout,
            what="the reason why it is not ready",
        )
        assert state(service) == ("active", "0"), "it neither fails nor gives up"
        kafka.start_node(1)
        back_at = time.monotonic()
        eventually(
            lambda: service.run(readiness, check=False).stdout == "streaming\n",
            what="streaming again",
            within=120,
        )
        print(f"ready {time.monotonic() - back_at:.1f} s after Kafka")
        assert state(service) == ("active", "0")
        log = service.journal(400)
        assert "records wait in" in log
        service.run("systemctl stop vigil")


@pytest.mark.parametrize(
    ("setting", "cure"),
    [
        ("monitor.metrics_address = '127.0.0.1:9191'", "expected a free HOST:PORT"),
        ("exchange.ca_file = '/etc/shadow'", "expected a file of PEM certificates"),
    ],
)
def test_what_only_a_person_can_mend_ends_it_with_the_cure(
    service: Machine, setting: str, cure: str
) -> None:
    taken = service.popen(["python3", "-m", "http.server", "--bind", "127.0.0.1", "9191"])
    listening = "ss --listening --tcp --numeric | grep --quiet :9191"
    eventually(lambda: service.run(listening, check=False).returncode == 0)
    section, _, assignment = setting.partition(".")
    text = service.run("cat /etc/vigil/vigil.toml").stdout
    key = assignment.split()[0]
    kept = [line for line in text.splitlines() if not line.startswith(key)]
    if f"[{section}]" not in kept:
        kept.append(f"[{section}]")
    kept.insert(kept.index(f"[{section}]") + 1, assignment)
    service.write("/etc/vigil/vigil.toml", "\n".join(kept), "0640", "root:vigil")
    try:
        assert service.run("systemctl start vigil", check=False).returncode == 1
    finally:
        taken.kill()
        taken.wait()
    shown = service.properties("vigil", "ActiveState", "ExecMainStatus", "NRestarts")
    assert shown == {"ActiveState": "failed", "ExecMainStatus": "2", "NRestarts": "0"}
    (said,) = [one for one in service.entries("vigil")[-20:] if cure in one["MESSAGE"]]
    assert said["PRIORITY"] == "3"


def test_the_last_lines_are_in_the_journal(service: Machine) -> None:
    for _ in range(3):
        service.run("systemctl start vigil; systemctl stop vigil")
        lines = [one["MESSAGE"] for one in service.entries("vigil")]
        began = max(at for at, line in enumerate(lines) if line.startswith("Starting vigil"))
        closing = "\n".join(lines[began:])
        assert "SIGTERM: streamers are drained" in closing
        assert "streamer-1: generation 1 exited with 0" in closing
        assert "profile: /var/lib/vigil/runs/" in closing
