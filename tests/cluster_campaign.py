"""A campaign against a group on several machines: see docs/cluster.md.

    scripts/faults cluster --seeds 1..20 --seconds 60 [--supervised]

Machines are network namespaces. By seed, members are killed, frozen, cut off from Kafka or from the
exchange, added, and upgraded one by one, and Kafka is away for all, or none of them reaches it;
then all is mended, and what is stored is compared with the exchange's tape. With `--supervised`
each member is a supervisor with its streamers, and the machine is killed or frozen: all of its
processes at once.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

from tests.audit import Record, record_id
from tests.cluster import Cluster
from tests.exchange import Exchange
from tests.kafka_cluster import KafkaCluster
from tests.machines import EXCHANGE, KAFKA, Machine, open_hub
from tests.waiting import eventually

MEMBERS = ("a", "b", "c")
ADDED = "d"
ALL = "all"  # of them
KAFKA_AWAY, ALL_CUT = "kafka away", "cut all from kafka"
KINDS = ("kill", "kill for long", "freeze", "freeze shortly", "cut from kafka", "cut from exchange",
         "add", "upgrade", KAFKA_AWAY, ALL_CUT)  # fmt: skip
OF_ALL = (KAFKA_AWAY, ALL_CUT, "upgrade")
NODE = 1  # the only one
METRICS_PORT = 9091
CAUGHT_UP_SECONDS = 240.0
NEAR_SECONDS = 0.5  # between a record's time and a declared time: clocks are those of one machine


@dataclass
class Fault:
    """Something that was done to a member, and how long quotes were not recorded for it."""

    kind: str
    name: str
    began: datetime
    gaps_seconds: dict[str, float] = field(default_factory=dict)  # the longest, by symbol

    def __str__(self) -> str:
        longest = max(self.gaps_seconds.values(), default=0.0)
        return f"{self.kind} {self.name}: {longest:.1f} s ({len(self.gaps_seconds)} symbols)"


@dataclass
class Result:
    """What a seed did, and what was found."""

    seed: int
    faults: list[Fault] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    trades: int = 0
    copies: int = 0
    quotes: int = 0
    quotes_missing: int = 0
    quotes_late: int = 0  # after later ones: what librdkafka held of a frozen or cut off member
    gaps_seconds: list[float] = field(default_factory=list)

    def note_gap(self, symbol: str, began: datetime, seconds: float) -> None:
        """Count a time without quotes of a symbol for the fault that came before its middle.

        It begins with the last quote that was heard, which was a little before the fault.
        """
        self.gaps_seconds.append(seconds)
        middle = began + timedelta(seconds=seconds / 2)
        before = [one for one in self.faults if one.began <= middle]
        for fault in before[-1:] or self.faults[:1]:
            fault.gaps_seconds[symbol] = max(fault.gaps_seconds.get(symbol, 0.0), seconds)


class Seed:
    """One run: the members, each on its machine."""

    def __init__(self, cluster: Cluster, kafka: KafkaCluster, machines: Mapping[str, Machine],
                 result: Result) -> None:  # fmt: skip
        self._cluster = cluster
        self._kafka = kafka
        self._machines = machines
        self._result = result
        self._began = time.monotonic()

    def start(self, name: str) -> None:
        """Start a member on its machine."""
        machine = self._machines[name]
        # A machine has no loopback device: the services are reached where its addresses would be.
        address = {"monitor.metrics_address": f"{machine.address}:{METRICS_PORT}"}
        self._cluster.start(name, network=machine.network, **address)

    def say(self, text: str) -> None:
        """Note what is done, and when."""
        print(f"  {time.monotonic() - self._began:5.1f} s {text}", flush=True)

    def do(self, kind: str, name: str, random: Random) -> None:
        """Do something to a member; when this returns it is mended, or on its way to it."""
        seconds = round(random.uniform(8.0, 12.0), 1)  # longer than a session
        if kind in OF_ALL:
            name = ALL
        else:
            member, machine = self._cluster.members[name], self._machines[name]
        self.say(f"{kind}: {name}")
        self._result.faults.append(Fault(kind, name, datetime.now(UTC)))
        match kind:
            case "kill" | "kill for long":
                member.kill()
                time.sleep(seconds if kind == "kill for long" else 0.0)
                self.start(name)
            case "freeze" | "freeze shortly":
                member.signal(signal.SIGSTOP)
                time.sleep(seconds if kind == "freeze" else 2.0)
                member.signal(signal.SIGCONT)
            case "cut from kafka" | "cut from exchange":
                service = KAFKA if kind.endswith("kafka") else EXCHANGE
                machine.cut(service)
                time.sleep(seconds)
                machine.join(service)
            case "add":
                self.start(ADDED)
                time.sleep(seconds)
                self.stop(ADDED)
            case "upgrade":
                for each in MEMBERS:
                    self.stop(each)
                    before = len(self._cluster.members[each].output)
                    self.start(each)
                    self.await_ready(each, before)
                    time.sleep(4.0)
            case "cut all from kafka":  # their sessions end meanwhile, as the brokers live
                for each in MEMBERS:
                    self._machines[each].cut(KAFKA)
                time.sleep(seconds * 1.7)
                for each in MEMBERS:
                    self._machines[each].join(KAFKA)
            case "kafka away":
                self._kafka.stop_node(NODE)
                time.sleep(seconds * 1.7)  # with its start as well: two or three sessions
                self._kafka.start_node(NODE)
            case _:
                raise ValueError(kind)

    def await_ready(self, name: str, before: int) -> None:
        """Wait until a member is ready, as an upgrade does: alone, by its log from there on."""
        url = f"http://{self._machines[name].address}:{METRICS_PORT}/readyz"
        member = self._cluster.members[name]

        def is_ready() -> bool:
            if self._cluster.supervised:
                return _answers(url)
            return "symbols are recorded here" in member.output[before:]

        eventually(is_ready, within=CAUGHT_UP_SECONDS, what=f"{name} to be ready")

    def stop(self, name: str) -> None:
        """Stop a member as an operator would."""
        code = self._cluster.members[name].stop()
        if code != 0:
            self.say(f"{name} has ended with exit code {code}")


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5.0):
            return True
    except OSError:  # nobody is there yet, or a 503 says why it is not ready
        return False


def run_seed(seed: int, kinds: Sequence[str], seconds: float, symbols: int, rate: float,
             kafka: KafkaCluster, machines: Mapping[str, Machine], directory: Path, *,
             supervised: bool = False, streamers: int = 1) -> Result:  # fmt: skip
    """Run one seed and compare what is stored with the tape."""
    random, result = Random(seed), Result(seed)
    names = [f"S{number}USDT" for number in range(symbols)]
    extra = ("--plain", "--host", EXCHANGE)
    with (
        Exchange(directory, rate=rate, symbols=names, extra=extra) as exchange,
        Cluster(directory, exchange, kafka, supervised=supervised,
                settings={"streamers.count": streamers}) as cluster,
    ):  # fmt: skip
        run = Seed(cluster, kafka, machines, result)
        for name in MEMBERS:
            run.start(name)
        cluster.await_live(CAUGHT_UP_SECONDS)
        run.say("live")
        apart = [kind for kind in (KAFKA_AWAY, ALL_CUT) if kind in kinds]
        left = [kind for kind in kinds if kind not in apart]
        random.shuffle(left)
        own = {kind: Random(f"{seed} {kind}") for kind in apart}  # they change nothing else
        for kind, its in own.items():
            left.insert(its.randrange(len(left) + 1), kind)
        until = time.monotonic() + seconds
        while time.monotonic() < until and left:
            kind = left.pop()
            its = own.get(kind, random)
            run.do(kind, its.choice(MEMBERS), its)
            time.sleep(round(its.uniform(1.0, 6.0), 1))
        run.say("mended")
        time.sleep(8.0)  # a session: whoever is lost is known to be
        try:
            cluster.await_live(CAUGHT_UP_SECONDS)
        except AssertionError as error:
            result.problems.append(f"not live again: {error}")
        for name in MEMBERS:
            run.stop(name)
        compare(cluster, result)
    return result


def compare(cluster: Cluster, result: Result) -> None:
    """Compare what is stored with the tape: every trade, and quotes with what is declared."""
    gaps = cluster.stored("gap")
    for symbol, audit in cluster.audits("trade").items():
        result.trades += audit.count
        result.copies += len(audit.doubled)
        for what in ("missing", "disordered", "wrong", "foreign"):
            if found := getattr(audit, what):
                result.problems.append(f"{symbol}@trade: {len(found)} {what}: {found[:5]}")
    quotes = cluster.stored("bookTicker")
    for symbol, audit in cluster.audits("bookTicker").items():
        result.quotes += audit.count
        result.quotes_missing += len(audit.missing)
        result.quotes_late += len(audit.disordered)
        for what in ("disordered", "wrong", "foreign"):
            if found := getattr(audit, what):
                result.problems.append(f"{symbol}@bookTicker: {len(found)} {what}: {found[:5]}")
        mine = [each for each in quotes if each["symbol"] == symbol]
        declared = [
            each for each in gaps if each["symbol"] == symbol and each["stream"] == "bookTicker"
        ]
        for each in declared:
            seconds = (each["to_time"] - each["from_time"]).total_seconds()
            result.note_gap(symbol, each["from_time"], seconds)
        lost = [one for one in audit.missing if not _is_declared(one, mine, declared)]
        if lost:
            result.problems.append(f"{symbol}@bookTicker: {len(lost)} lost without a record: "
                                   f"{lost[:5]}")  # fmt: skip


def _is_declared(update_id: int, quotes: Sequence[Record], declared: Sequence[Record]) -> bool:
    """Return whether a quote that is missing lies in a time that is on record."""
    ids: Callable[[Record], Any] = lambda each: record_id("bookTicker", each)  # noqa: E731
    before = max((each for each in quotes if ids(each) < update_id), key=ids)["received_time"]
    after = min((each for each in quotes if ids(each) > update_id), key=ids)["received_time"]
    return any(
        (each["from_time"] - after).total_seconds() <= NEAR_SECONDS
        and (before - each["to_time"]).total_seconds() <= NEAR_SECONDS
        for each in declared
    )


def table(results: list[Result]) -> str:
    """Return the results as a table in Markdown."""
    headings = ("seed", "events", "trades", "copies", "quotes", "missing quotes", "late quotes",
                "longest time without, s", "result")  # fmt: skip
    lines = [f"| {' | '.join(headings)} |", "|" + "---|" * len(headings)]
    for one in results:
        outcome = "pass" if not one.problems else f"FAIL ({len(one.problems)})"
        lines.append(
            f"| {one.seed} | {len(one.faults)} | {one.trades} "
            f"| {one.copies} | {one.quotes} | {one.quotes_missing} | {one.quotes_late} "
            f"| {max(one.gaps_seconds, default=0.0):.1f} | {outcome} |"
        )
    return "\n".join(lines)


def main() -> int:
    """Run the campaign; 0 when every seed has passed."""
    parser = argparse.ArgumentParser(prog="scripts/faults cluster", description=__doc__)
    parser.add_argument("--seeds", default="1..3", help="such as 7 or 1..20 (default: 1..3)")
    parser.add_argument("--kinds", default=",".join(KINDS), help="of faults (default: all)")
    parser.add_argument("--seconds", type=float, default=60.0, help="of faults (default: 60)")
    parser.add_argument("--symbols", type=int, default=24)
    parser.add_argument("--rate", type=float, default=60.0, help="events a second, of each stream")
    parser.add_argument("--supervised", action="store_true",
                        help="each member is a supervisor with its streamers")  # fmt: skip
    parser.add_argument("--streamers", type=int, default=1,
                        help="of each supervised member (default: 1)")  # fmt: skip
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()),
                        help="where the logs of failed seeds are kept")  # fmt: skip
    options = parser.parse_args()
    if os.geteuid() != 0:
        parser.error("only root makes network namespaces")
    if "VIGIL_IN_NAMESPACE" not in os.environ:
        command = ["unshare", "--net", sys.executable, "-m", "tests.cluster_campaign"]
        environment = {**os.environ, "VIGIL_IN_NAMESPACE": "1"}
        os.execvpe(command[0], [*command, *sys.argv[1:]], environment)
    kinds = [kind for kind in options.kinds.split(",") if kind]
    if unknown := set(kinds) - set(KINDS):
        parser.error(f"--kinds: {', '.join(sorted(unknown))}: expected of {', '.join(KINDS)}")
    first, _, last = options.seeds.partition("..")
    results: list[Result] = []
    open_hub()
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="vigil-cluster-")))
        machines = {name: Machine(n) for n, name in enumerate((*MEMBERS, ADDED), 1)}
        for machine in machines.values():
            stack.callback(machine.close)
        kafka = stack.enter_context(KafkaCluster(directory / "kafka"))
        for seed in range(int(first), int(last or first) + 1):
            print(f"seed {seed}", flush=True)
            here = directory / f"seed{seed}"
            here.mkdir()
            result = run_seed(seed, kinds, options.seconds, options.symbols, options.rate,
                              kafka, machines, here, supervised=options.supervised,
                              streamers=options.streamers)  # fmt: skip
            results.append(result)
            for fault in result.faults:
                print(f"  without quotes: {fault}", flush=True)
            for problem in result.problems:
                print(f"  PROBLEM {problem}", flush=True)
            if result.problems:
                kept = options.keep / f"vigil-cluster-{seed}"
                shutil.rmtree(kept, ignore_errors=True)
                shutil.copytree(here, kept, ignore=shutil.ignore_patterns("exchange", "run"))
                print(f"  kept in {kept}", flush=True)
    print(f"\n{table(results)}", flush=True)
    return 1 if any(result.problems for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())
