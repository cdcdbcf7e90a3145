"""Runbooks: every command is executed on a Vigil that runs, and says what the page says."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from tests.alert_rules import alerts
from tests.drill_rig import Rig
from tests.drills import DRILLS
from tests.kafka_cluster import KafkaCluster
from tests.runbook_pages import PAGES, Command, commands, differs
from tests.streaming import ROOT
from tests.tools import required

SECONDS = 90.0
# What a test on loopback cannot have: the command's program and words are looked at instead.
ELSEWHERE = {
    "https://api.binance.com": "the exchange's own address",
    "stream.binance.com": "the exchange's own address",
    "--alertmanager.url": "an Alertmanager that runs",
    "timedatectl": "a machine that systemd has booted",
    "kafka-topics.sh": "a part of Kafka that its Maven artifacts lack",
}
VIGIL = """#!/bin/sh
exec {python} -m supervisor --set supervisor.runtime_directory={run} "$@"
"""
SYSTEMCTL = """#!/bin/sh
# Stands in for systemd: acts on the Vigil of the test.
case "$1" in
    status) echo "● vigil.service" ;;
    show) echo {pid} ;;
    reload) exec {bin}/vigil reload >&2 ;;
    *) echo "no such command here: $*" >&2; exit 1 ;;
esac
"""
KAFKA_CONFIGS = """#!/bin/sh
exec java -cp "{jars}/*" kafka.admin.ConfigCommand "$@"
"""
PYTHON = """#!/bin/sh
exec {python} "$@"
"""


class Shell:
    """Executes commands as if on the machine that a runbook speaks of."""

    def __init__(self, rig: Rig, brokers: str = "") -> None:
        self.rig = rig
        self.brokers = brokers
        self.bin = rig.directory / "bin"
        self.bin.mkdir()
        self.elsewhere = rig.directory / "elsewhere"  # a directory that has nothing to do with it
        self.elsewhere.mkdir()
        (self.elsewhere / "deploy").symlink_to(ROOT / "deploy")  # a checkout, as promtool wants it
        self.provide("vigil", VIGIL.format(python=sys.executable, run=rig.directory / "run"))
        self.provide("python", PYTHON.format(python=sys.executable))
        self.provide("fastavro", f'#!/bin/sh\nexec {sys.executable} -m fastavro "$@"\n')

    def run(self, command: Command) -> subprocess.CompletedProcess[str]:
        rig, text = self.rig, command.text
        if text == "systemctl restart vigil":
            rig.stop()
            rig.start()
            rig.until_ready()
            return subprocess.CompletedProcess(text, 0, "", "")
        assert rig.vigil_process
        self.provide("systemctl", SYSTEMCTL.format(bin=self.bin, pid=rig.vigil_process.pid))
        self.provide("journalctl", f"#!/bin/sh\nexec tail -n 100 {rig.log}\n")
        text = self.here(text)
        return subprocess.run(
            ["bash", "-o", "pipefail", "-c", text],
            capture_output=True,
            text=True,
            cwd=self.elsewhere,
            env={**rig.environment, "PATH": f"{self.bin}:{os.environ['PATH']}"},
            timeout=SECONDS,
            check=False,
        )

    def here(self, text: str) -> str:
        """Return a text of a page with the places of this machine."""
        rig = self.rig
        places = {
            "/opt/vigil/bin/": f"{self.bin}/",
            "/var/lib/vigil/runs": str(rig.state / "runs"),
            "/var/lib/vigil": str(rig.data.parent),
            "/etc/vigil/vigil.toml": str(rig.config),
            "/etc/vigil/ca.pem": str(rig.exchange.ca_file),
            "127.0.0.1:9091": f"127.0.0.1:{rig.metrics_port}",
            "127.0.0.1:9090": f"127.0.0.1:{rig.prometheus_port}",
            "/tmp/": f"{rig.directory}/",
            "BROKERS": self.brokers,
        }
        pattern = "|".join(map(re.escape, places))
        return re.sub(pattern, lambda match: places[match.group()], text)

    def executes(self, command: Command) -> str | None:
        """Return what is wrong with a command of a page; None: it does what the page says."""
        if any(place in command.text for place in ELSEWHERE):
            program = command.text.split()[0]
            known = shutil.which(program) or program == "kafka-topics.sh"
            return None if known else f"{program} does not exist"
        self.rig.until_ready()
        if asked := re.search(r"promtool query instant \S+ '(.+)'", command.text):
            # A rate has no value before the second scrape of a series that is new.
            self.rig.until(f"a value of {asked[1]}", lambda: self.rig.query(asked[1]))
        before = self.rig.generation()
        done = self.run(command)
        if "vigil restart" in command.text:
            self.rig.until("another streamer", lambda: self.rig.generation() != before)
        where = f"{command.page.name}:{command.line}: {command.text}\n"
        if done.returncode:
            return f"{where}exit code {done.returncode}\n{done.stdout}{done.stderr}"
        missing = differs(done.stdout, tuple(map(self.here, command.says or ())))
        if missing is not None:
            return f"{where}does not say {missing!r} but\n{done.stdout}{done.stderr}"
        return None

    def provide(self, name: str, text: str) -> None:
        file = self.bin / name
        file.write_text(text)
        file.chmod(0o755)


def jars_of_kafka() -> str:
    """Return where `scripts/kafka` has put the parts of Kafka."""
    program = (
        "from kafka_tool.artifacts import cache_directory, install, locked; "
        "print(install('kafka', locked('kafka'), cache_directory()))"
    )
    asked = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT / "scripts",
    )
    return asked.stdout.strip()


def needs_kafka(command: Command) -> bool:
    return "BROKERS" in command.text or "--kafka" in command.text


@pytest.fixture(scope="module")
def shell():
    for tool, package in (
        ("promtool", "prometheus"),
        ("amtool", "prometheus-alertmanager"),
        ("openssl", "openssl"),
        ("curl", "curl"),
    ):
        required(tool, package)
    with Rig() as rig:
        rig.until_ready()
        rig.until("the records of the rules", lambda: rig.query("vigil:symbol_stale:ratio1h"))
        yield Shell(rig)


@pytest.mark.timeout(400)
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_command_of_a_page_does_what_it_says(page, shell):
    wrong = [shell.executes(one) for one in commands(page) if not needs_kafka(one)]
    assert not [one for one in wrong if one], "\n\n".join(one for one in wrong if one)


@pytest.mark.full
@pytest.mark.timeout(900)
def test_every_command_about_kafka_does_what_it_says(tmp_path):
    required("kcat", "kcat")
    with KafkaCluster(tmp_path / "kafka") as cluster:
        settings = {
            "sink.kind": "kafka",
            "kafka.bootstrap_servers": cluster.bootstrap_servers,
            "kafka.create_topics": True,
            "kafka.replication_factor": 1,
            "kafka.partitions": 2,
        }
        with Rig(settings=settings) as rig:
            rig.until_ready()
            shell = Shell(rig, cluster.bootstrap_servers)
            shell.provide("kafka-configs.sh", KAFKA_CONFIGS.format(jars=jars_of_kafka()))
            found = [one for page in PAGES for one in commands(page) if needs_kafka(one)]
            assert len(found) >= 6
            wrong = [shell.executes(one) for one in found]
            assert not [one for one in wrong if one], "\n\n".join(one for one in wrong if one)

            # What waits on disk can be read while Kafka is away.
            cluster.kill_node(1)
            reading = next(
                one for page in PAGES for one in commands(page) if "bin/fastavro" in one.text
            )
            record = rig.until("a record that waits", lambda: shell.run(reading).stdout)
            assert json.loads(record.splitlines()[-1]), record
            cluster.start_node(1)
            rig.until_ready()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page):
    text = page.read_text()
    for target in re.findall(r"\]\(([^)#\s]*)(?:#[^)]*)?\)", text):
        assert (page.parent / target).exists(), target
    for file, anchor in re.findall(r"\]\(([^)#\s]*)#([^)]+)\)", text):
        other = (page.parent / file if file else page).read_text()
        headings = re.findall(r"^#+ (.+)$", other, re.MULTILINE)
        assert anchor in [re.sub(r"[^\w -]", "", one.lower()).replace(" ", "-") for one in headings]


def test_every_drill_that_a_page_names_exists_and_every_alert_is_in_the_index():
    index = (ROOT / "docs" / "runbooks" / "README.md").read_text()
    for alert in alerts():
        page = Path(alert.runbook_file).name
        row = f"| {alert.name} | {alert.severity} |"
        assert row in index, row
        assert f"({page}#{alert.runbook_anchor})" in index
    for page in PAGES:
        for name in re.findall(r"scripts/drill ([a-z][a-z-]+)", page.read_text()):
            assert name in DRILLS, f"{page.name}: {name}"
        assert page.name == "README.md" or f"({page.name}" in index, page.name


def test_a_command_that_fails_or_says_something_else_is_found(shell):
    page = PAGES[0]
    assert shell.executes(Command(page, 1, "vigil nonsense", None))
    assert shell.executes(Command(page, 1, "echo 3 apples", ("4 pears",)))
    assert shell.executes(Command(page, 1, "echo 3 apples", ("44 apples",))) is None


LIBRDKAFKA = ("brokers are down",)  # whose words are passed on as they are
LOG_LINE = re.compile(r"^\d{4}-\S+Z (?:info|warning|error) +([\w.]+): (.+)$", re.MULTILINE)


OTHER_PAGES = [ROOT / "README.md", ROOT / "deploy" / "README.md", *(ROOT / "docs").glob("*.md")]
PAGES_WITH_LOGS = [*PAGES, *sorted(OTHER_PAGES)]


@pytest.mark.parametrize(
    "page", PAGES_WITH_LOGS, ids=lambda page: f"{page.parent.name}-{page.stem}"
)
def test_log_lines_are_those_that_the_program_writes(page):
    for logger, message in LOG_LINE.findall(page.read_text()):
        assert (ROOT / logger.replace(".", "/")).with_suffix(".py").is_file(), logger
        assert is_written(message), message


def test_a_log_line_that_nobody_writes_is_found():
    assert not is_written("the flux capacitor is empty")
    assert not is_written("sink: 1/1 brokers have a holiday; connecting goes on")


def is_written(message: str) -> bool:
    """Return whether each phrase of a message is, for the most part, a text of the program."""
    phrases = [one for one in re.split(r"[:;] ", message) if len(one.split()) > 1]
    phrases = [one for one in phrases if not any(words in one for words in LIBRDKAFKA)]
    return all(
        any(
            len(match.group()) >= 0.6 * len(phrase)
            for one in messages()
            if (match := one.search(phrase))
        )
        for phrase in phrases
    )


@cache
def messages() -> list[re.Pattern[str]]:
    """Return a pattern for each text with a placeholder, or long enough, in the program."""
    found = []
    for package in ("streamer", "supervisor", "monitor"):
        for file in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.JoinedStr):
                    parts = [
                        one.value if isinstance(one, ast.Constant) else "%s" for one in node.values
                    ]
                    text = "".join(map(str, parts))
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    text = node.value
                else:
                    continue
                words = re.split(r"%[-+.\d]*[sdgf]", text)
                if max(len(one.strip()) for one in words) >= 4:
                    # Texts are put together of others: each phrase of one counts.
                    parts = re.split(r"[:;] ", "%s".join(words))
                    found += [
                        re.compile(".*".join(map(re.escape, part.split("%s"))))
                        for part in parts
                        if len(part.replace("%s", "").strip()) >= 4
                    ]
    return found
