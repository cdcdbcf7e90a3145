"""What `deploy/README.md` says, word for word, on a Debian that is booted for it; then the faults.

One machine, one story: each step leaves the service streaming. `docs/systemd.md` shows the table
that VIGIL_SYSTEMD_TABLE=FILE has it write.
"""

from __future__ import annotations

import itertools
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import fastavro
import pytest

from tests.debian_root import debian_root, wheels
from tests.exchange import Exchange
from tests.machine import Machine
from tests.streaming import ROOT, eventually

PAGE = ROOT / "deploy" / "README.md"
CHECKOUT = "/root/vigil"
COPIED = ("streamer", "monitor", "supervisor", "simulator", "scripts", "deploy", "pyproject.toml")
COPIED += ("README.md", "requirements.txt", "requirements-build.txt")
CA_FILE = "/etc/exchange-ca.pem"
SETTLE_SECONDS = 3.0

pytestmark = [pytest.mark.full, pytest.mark.timeout(1200)]


def page_commands() -> dict[str, list[str]]:
    """Return the commands of each section of the page."""
    sections: dict[str, list[str]] = {}
    for section in PAGE.read_text(encoding="utf-8").split("\n## ")[1:]:
        blocks = re.findall(r"```sh\n(.*?)```", section, flags=re.DOTALL)
        lines = [line for block in blocks for line in block.splitlines()]
        sections[section.split("\n", 1)[0]] = lines
    return sections


@dataclass
class Step:
    """One row of the table."""

    name: str
    began: float  # Unix times
    ended: float = 0.0
    told: str = ""


@dataclass
class Story:
    """A machine with the service, and what was done to it."""

    machine: Machine
    exchange: Exchange
    source: Path
    steps: list[Step] = field(default_factory=list)
    received: set[float] = field(default_factory=set)  # when records came, Unix times

    def run(self, command: str, *, check: bool = True) -> str:
        done = self.machine.run(command, check=check, directory=CHECKOUT, within=300.0)
        return done.stdout + done.stderr

    @contextmanager
    def step(self, name: str) -> Iterator[Step]:
        """Note a step, until it streams again."""
        time.sleep(SETTLE_SECONDS)  # what the step before has caused is no fault of this one
        step = Step(name, time.time())
        yield step
        self.streaming()
        step.ended = time.time()
        self.steps.append(step)

    def streaming(self, port: int = 9091, within: float = 90.0) -> None:
        def ready() -> bool:
            url = f"127.0.0.1:{port}/readyz"
            done = self.machine.run(["curl", "--silent", url], check=False)
            return done.stdout.strip() == "streaming"

        eventually(ready, within=within, what=f"streaming:\n{self.machine.journal(40)}", every=0.1)

    def edit(self, path: str, **replaced: str) -> None:
        """Point a file of settings at the exchange of the test, as its comments invite to."""
        lines = {
            '# websocket_url = "wss://stream.binance.com:9443"': (
                f'websocket_url = "{self.exchange.websocket_url}"\nca_file = "{CA_FILE}"'
            ),
            '# rest_url = "https://api.binance.com"': f'rest_url = "{self.exchange.rest_url}"',
            **replaced,
        }
        file = self.source / path
        text = file.read_text(encoding="utf-8")
        for before, after in lines.items():
            assert before in text, before
            text = text.replace(before, after)
        file.write_text(text, encoding="utf-8")

    def processes(self, unit: str = "vigil") -> dict[str, int]:
        """Return the processes of a unit by what they are, as the machine numbers them."""
        main = self.machine.properties(unit, "MainPID")["MainPID"]
        listed = self.run(f"ps -o pid=,args= --ppid {main}").splitlines()
        found = {"supervisor": int(main)}
        for line in listed:
            pid, _, arguments = line.strip().partition(" ")
            tracker = "resource_tracker" in arguments
            found["resource tracker" if tracker else "streamer"] = int(pid)
        return found

    def generation(self) -> str:
        lines = self.run("curl --silent 127.0.0.1:9091/metrics | grep ^vigil_streamer_generation")
        return lines.split()[-1] if lines else ""

    def collect(self, directory: str = "/var/lib/vigil/data/trade") -> None:
        """Read when records were received, live or over REST, before their files go."""
        for path in self.machine.path(directory).glob("*.avro*"):
            with suppress(EOFError, ValueError), path.open("rb") as file:
                for record in fastavro.reader(file):
                    self.received.add(record["received_time"].timestamp())

    def without_quotes(self, step: Step) -> float:
        """Return the longest time without a record that falls into a step, in seconds."""
        gaps = itertools.pairwise(sorted(self.received))
        overlapping = (b - a for a, b in gaps if b > step.began and a < step.ended)
        return max(overlapping, default=0.0)


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    root, packages = debian_root(), wheels()
    source = tmp_path_factory.mktemp("checkout")
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(
                ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__")
            )
        else:
            shutil.copy(ROOT / name, source / name)
    with (
        Machine(
            root,
            binds={packages: "/srv/wheels"},
            writable={source: CHECKOUT},
            target="multi-user.target",
        ) as machine,
        Exchange(
            tmp_path_factory.mktemp("exchange"), symbols=["BTCUSDT"], network=machine.network
        ) as exchange,
    ):
        assert exchange.ca_file
        machine.write(CA_FILE, exchange.ca_file.read_text())
        # The machine has no network; pip finds the pinned packages, and their hashes, here.
        machine.write("/etc/pip.conf", "[global]\nno-index = true\nfind-links = /srv/wheels\n")
        yield Story(machine, exchange, source)


def test_the_page_and_the_faults(story: Story) -> None:
    commands = page_commands()
    install(story, commands)
    look(story, commands)
    reload(story, commands)
    stop_and_start(story, commands)
    kill_each(story)
    stop_each(story)
    out_of_memory(story)
    disk_full(story)
    port_taken(story)
    two_instances(story, commands)
    upgrade(story, commands)
    nothing_is_missing(story)
    table = as_table(story)
    print(table)
    remove(story, commands)
    if path := os.environ.get("VIGIL_SYSTEMD_TABLE"):
        Path(path).write_text(table, encoding="utf-8")


def install(story: Story, commands: dict[str, list[str]]) -> None:
    first, second = commands["Install"]
    story.run(first)
    symbols = {'symbols = ["BTCUSDT", "ETHUSDT", "BNBUSDT"]': 'symbols = ["BTCUSDT"]'}
    story.edit("my-settings.toml", **symbols)
    with story.step("install and start"):
        told = story.run(second)
    assert "vigil runs" in told, told
    again = story.run(second)
    assert "is installed already" in again
    assert "restarting" not in again
    assert story.machine.properties("vigil", "NRestarts")["NRestarts"] == "0"


def look(story: Story, commands: dict[str, list[str]]) -> None:
    told = {command: story.run(command) for command in commands["Look"]}
    status, readiness, report, journal, warnings, evidence = told.values()
    assert re.search(r"Status: .*1 of 1 streaming", status), status
    assert readiness.strip() == "streaming"
    assert "streamer-1 (generation 1" in report
    assert "streamer-1: generation 1 reports" in journal
    assert "-- No entries --" in warnings, warnings
    assert "streamer-1.1.stacks" in evidence
    user = "setpriv --reuid vigil --regid vigil --clear-groups"
    assert story.run(f"cd / && {user} vigil status") != ""


def reload(story: Story, commands: dict[str, list[str]]) -> None:
    show, take_over = commands["Change settings"]
    assert '"symbols"' in story.run(show)
    path = story.machine.path("/etc/vigil/vigil.toml")
    text = path.read_text(encoding="utf-8")
    with story.step("reload, refused") as step:
        path.write_text(text.replace('streams = ["trade"]', 'streams = ["trades"]'))
        done = story.machine.run(take_over, check=False)
        assert done.returncode != 0
    step.told = f"exit {done.returncode}"
    with story.step("reload, accepted") as step:
        path.write_text(text.replace('streams = ["trade"]', 'streams = ["trade", "aggTrade"]'))
        story.run(take_over)
    told = story.run("journalctl --unit vigil --output cat --lines 20")
    assert "changed: exchange.streams" in told, told
    path.write_text(text)
    story.run(take_over)


def stop_and_start(story: Story, commands: dict[str, list[str]]) -> None:
    stop, start = commands["Stop and start"]
    with story.step("stop and start"):
        story.run(stop)
        shown = story.machine.properties("vigil", "ActiveState", "ExecMainStatus")
        assert shown == {"ActiveState": "inactive", "ExecMainStatus": "0"}
        story.run(start)
    with story.step("eight restarts by hand in a row"):
        for _ in range(8):  # more than a limit of systemd's would allow
            story.run("systemctl restart vigil")


def kill_each(story: Story) -> None:
    for name in ("streamer", "resource tracker", "supervisor"):
        story.streaming()
        before = story.machine.properties("vigil", "NRestarts")["NRestarts"]
        generation = story.generation()
        with story.step(f"kill -9: {name}"):
            story.run(f"kill -KILL {story.processes()[name]}")
            if name == "supervisor":
                eventually(
                    lambda: story.machine.properties("vigil", "NRestarts")["NRestarts"] != before,  # noqa: B023
                    every=0.1,
                )
            elif name == "streamer":
                eventually(lambda: story.generation() != generation)  # noqa: B023
    runs = story.run("ls -d /var/lib/vigil/runs/*Z*/profile.json").split()
    assert len(runs) >= 2  # of the one that was killed as well


def stop_each(story: Story) -> None:
    for name in ("streamer", "supervisor"):
        story.streaming()
        before = story.machine.properties("vigil", "NRestarts")["NRestarts"]
        generation = story.generation()
        with story.step(f"SIGSTOP: {name}"):
            story.run(f"kill -STOP {story.processes()[name]}")
            if name == "supervisor":  # systemd's watchdog
                eventually(
                    lambda: story.machine.properties("vigil", "NRestarts")["NRestarts"] != before,  # noqa: B023
                    within=120,
                    every=0.2,
                )
            else:  # our own heartbeat
                eventually(lambda: story.generation() != generation)  # noqa: B023


def out_of_memory(story: Story) -> None:
    """Have the kernel end a streamer that may take no more memory."""
    hierarchy = Path("/sys/fs/cgroup/memory")  # the old one has a controller for one process
    if not (hierarchy / "memory.limit_in_bytes").exists():
        told = "not tried: no memory controller in a hierarchy of its own here"
        story.steps.append(Step("out of memory", time.time(), time.time(), told))
        return
    group = hierarchy / f"vigil-test-{os.getpid()}"
    group.mkdir()
    try:
        (group / "memory.limit_in_bytes").write_text(str(256 << 10))
        generation = story.generation()
        with story.step("out of memory: streamer"):
            pid = story.machine.pid_outside(story.processes()["streamer"])
            (group / "cgroup.procs").write_text(str(pid))
            eventually(lambda: story.generation() != generation)
        kills = (group / "memory.oom_control").read_text()
        assert "oom_kill 0" not in kills, kills
    finally:
        eventually(lambda: not (group / "cgroup.procs").read_text())
        group.rmdir()


def disk_full(story: Story) -> None:
    story.collect()
    data = "/var/lib/vigil/data"
    story.run(f"systemctl stop vigil && mv {data} {data}-before && mkdir {data}")
    story.run(f"mount -t tmpfs -o size=16m,mode=0750,uid=vigil,gid=vigil tmpfs {data}")
    story.run("systemctl start vigil")
    with story.step("disk full"):
        story.streaming()
        story.run(f"dd if=/dev/zero of={data}/filler bs=64k", check=False)
        began = time.time()
        eventually(
            lambda: "No space left" in story.run("journalctl --unit vigil --output cat -n 200"),
            what="a word about the disk",
            every=0.2,
        )
        told = f"told after {time.time() - began:.1f} s"
        story.run(f"rm {data}/filler")
    story.steps[-1].told = told
    story.collect()
    story.run(f"systemctl stop vigil && umount {data} && rmdir {data} && mv {data}-before {data}")
    story.run("systemctl start vigil")
    story.streaming()


def port_taken(story: Story) -> None:
    with story.step("port of the metrics taken") as step:
        story.run("systemctl stop vigil")
        taken = story.machine.popen(["python3", "-m", "http.server", "9091"])
        try:
            eventually(
                lambda: (
                    story.machine.run("curl --silent 127.0.0.1:9091", check=False).returncode == 0
                )
            )
            assert story.machine.run("systemctl start vigil", check=False).returncode == 1
        finally:
            taken.kill()
            taken.wait()
        shown = story.machine.properties("vigil", "ExecMainStatus", "NRestarts")
        assert shown == {"ExecMainStatus": "2", "NRestarts": "0"}
        step.told = "exit 2, not started again"
        story.run("systemctl start vigil")


def two_instances(story: Story, commands: dict[str, list[str]]) -> None:
    copy, add, status, ask = commands["Several on one machine"]
    story.run(copy)
    story.edit(
        "btc.toml",
        **{
            'symbols = ["BTCUSDT", "ETHUSDT", "BNBUSDT"]': 'symbols = ["BTCUSDT"]',
            "127.0.0.1:9091": "127.0.0.1:9092",
        },
    )
    with story.step("a second instance"):
        story.run(add)
        story.streaming(9092)
    assert "1 of 1 streaming" in story.run(status)
    assert "streamer-1 (generation 1" in story.run(ask)
    assert "several supervisors run" in story.run("vigil status", check=False)
    story.run("systemctl reload vigil@btc")
    with story.step("the other instance is killed"):
        story.run("systemctl kill --signal=KILL vigil@btc")
        story.streaming(9092)


def upgrade(story: Story, commands: dict[str, list[str]]) -> None:
    pull, again, back = commands["Upgrade and go back"]
    assert pull == "git pull"  # which needs a network; the next lines are what it would bring
    old = story.run("readlink /opt/vigil").strip()
    project = story.source / "pyproject.toml"
    project.write_text(re.sub(r'(?m)^version = ".*"$', 'version = "9.9.9"', project.read_text()))
    with story.step("upgrade"):
        told = story.run(again)
    assert "restarting" in told
    assert story.run("vigil --version").startswith("vigil 9.9.9 ")
    assert 'version="9.9.9"' in story.run("curl --silent 127.0.0.1:9091/metrics")
    story.streaming(9092)
    broken = story.source / "supervisor" / "commands" / "run.py"
    text = broken.read_text()
    broken.write_text(
        text.replace("    return carry_out", "    raise SystemExit(1)\n    return carry_out")
    )
    with story.step("upgrade to a release that does not start"):
        done = story.machine.run(again, check=False, directory=CHECKOUT, within=300)
    assert done.returncode == 1
    assert "back to 9.9.9-" in done.stdout
    broken.write_text(text)
    assert story.run("vigil --version").startswith("vigil 9.9.9 ")
    with story.step("rollback"):
        story.run(back)
    assert story.run("readlink /opt/vigil").strip() == old


def nothing_is_missing(story: Story) -> None:
    """Have the files audited by the program itself: repaired or declared, but nothing unknown."""
    story.run("systemctl stop vigil vigil@btc")
    story.collect()
    python = "/opt/vigil/bin/python -m streamer audit --config /etc/vigil/vigil.toml"
    done = story.machine.run(python, check=False, directory="/var/lib/vigil")
    assert done.returncode == 0, done.stdout + done.stderr


def remove(story: Story, commands: dict[str, list[str]]) -> None:
    without, purge = commands["Remove"]
    assert "/var/lib/vigil" in story.run(without)
    story.run("test ! -e /opt/vigil && test ! -e /etc/systemd/system/vigil.service")
    story.run("test -s /etc/vigil/vigil.toml && test -d /var/lib/vigil/data/trade")
    story.run(purge)
    story.run("test ! -e /etc/vigil && test ! -e /var/lib/vigil && ! getent passwd vigil")
    assert story.run("systemctl list-units --all --plain --no-legend 'vigil*'").strip() == ""


def as_table(story: Story) -> str:
    lines = ["| what was done | seconds until it streamed again | seconds without quotes | |"]
    lines.append("|---|---|---|---|")
    for step in story.steps:
        took = step.ended - step.began
        quiet = story.without_quotes(step)
        shown = f"{took:.1f} | {quiet:.1f}" if took > 0.1 else "– | –"
        lines.append(f"| {step.name} | {shown} | {step.told} |")
    return "\n".join(lines) + "\n"
