"""One seed: everything is started as a user would, goes wrong by plan, is repaired and stopped."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from random import Random

import psutil

from tests.campaign_checks import Checked, check
from tests.campaign_plan import Step, clock_ahead
from tests.campaign_sinks import CampaignSink
from tests.exchange import Exchange
from tests.streaming import eventually
from tests.supervising import Supervised

SYMBOLS = ("BTCUSDT", "ETHUSDT", "BNBUSDT", "SOLUSDT", "PEPEUSDT")
EXTRA_SYMBOL = "XRPUSDT"  # is added and removed
UNKNOWN_SYMBOL = "GONEUSDT"  # is wanted all the time, and the exchange does not know it
STREAMS = ("trade", "aggTrade")
TRADES_PER_SECOND = 240  # over 6 symbols; with half as many aggregates 300 messages of 5 of them
REPAIRED_WITHIN_SECONDS = 60.0  # after the last fault, nasty as REST is
LAUNCHER = ("-m", "tests.campaign_vigil")
_FAULTS_END_WITHIN_SECONDS = 30.0
_LOOK_SECONDS = 1.0
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SLOW_STREAMS_SECONDS = 3.0  # for the closing of a candle, and its repair

Say = Callable[[str], None]

SETTINGS: dict[str, object] = {
    "connection.gap_wait": "500ms",
    "connection.backoff_initial": "200ms",
    "connection.backoff_max": "2s",
    "connection.stale_after": "3s",
    "connection.ping_every": "5s",
    "connection.pong_within": "2s",
    "connection.max_age": "15s",
    "connection.handshake_timeout": "3s",
    "connection.rotation_overlap": "500ms",
    "repair.request_timeout": "4s",
    "repair.weight_per_minute": 60_000,
    "repair.held_in_memory": 200,  # so that the disk is used
    "supervisor.restart_limit": 50,
    "supervisor.drain_grace": 20,
    "supervisor.log_format": "console",
    "telemetry.report_every": 0.2,
}
"""Everything a day has in a minute."""
NO_TRADE_EVERY = 997
EXCHANGE = (
    "--rest-nasty", "0.2", "--weight-limit", "60000", "--ping-interval", "4",
    "--no-trade-every", str(NO_TRADE_EVERY),
)  # fmt: skip


@dataclass(frozen=True)
class Result:
    """What became of a seed."""

    seed: int
    sink: str
    steps: int
    kills: int
    connections: int
    checked: Checked
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether all is as promised."""
        return not self.checked.problems


def run_seed(
    seed: int,
    steps: list[Step],
    vigil: Supervised,
    sink: CampaignSink,
    say: Say,
    *,
    hook: str = "none",
    streams: tuple[str, ...] = STREAMS,
    extra: tuple[str, ...] = EXCHANGE,
    nothing_lost: bool = False,
    streamers: int = 1,
) -> Result:
    """Carry out the steps and judge what is in the sink. `vigil` is the caller's to clean up.

    `hook` names what is disabled in the streamer (`tests.campaign_hooks`).
    """
    began = time.monotonic()
    extra = (*extra, "--seed", str(seed), f"--clock-ahead={clock_ahead(seed)}")
    symbols = (*SYMBOLS, EXTRA_SYMBOL)
    with Exchange(
        vigil.directory, rate=TRADES_PER_SECOND, symbols=symbols, extra=extra
    ) as exchange:
        driver = _Driver(exchange, vigil, sink, say, streams, streamers, Random(seed))
        driver.start(hook)
        driver.carry_out(steps)
        problems = driver.finish()
        checked = check(
            exchange,
            sink,
            streams,
            copies_excused=sink.kind == "kafka" and driver.kills > 0,
            nothing_lost=nothing_lost,
            sometimes=EXTRA_SYMBOL,
        )
        for book in checked.missing_quotes:
            say(f"          (withheld quotes are found missing by {book})")
        return Result(
            seed,
            sink.kind,
            steps=len(steps),
            kills=driver.kills,
            connections=exchange.status()["attempts_total"],
            checked=replace(checked, problems=problems + checked.problems),
            seconds=time.monotonic() - began,
        )


class _Driver:
    def __init__(
        self,
        exchange: Exchange,
        vigil: Supervised,
        sink: CampaignSink,
        say: Say,
        streams: tuple[str, ...],
        streamers: int,
        random: Random,
    ) -> None:
        self.kills = 0
        self._streamers = streamers
        self._random = random
        self._exchange = exchange
        self._vigil = vigil
        self._sink = sink
        self._say = say
        self._streams = streams
        self._followed = tuple(stream for stream in streams if stream in STREAMS)
        self._config = vigil.directory / "vigil.toml"
        self._extra_wanted = False
        self._outages: list[threading.Thread] = []
        self._problems: list[str] = []

    def start(self, hook: str) -> None:
        """Start the supervisor; return when every stream has records."""
        vigil, exchange = self._vigil, self._exchange
        self._want(SYMBOLS)
        vigil.start(
            "",
            "run",
            settings={
                **SETTINGS,
                "streamers.count": self._streamers,
                "exchange.websocket_url": exchange.websocket_url,
                "exchange.rest_url": exchange.rest_url,
                "exchange.ca_file": exchange.ca_file,
                "exchange.streams": ",".join(self._streams),
                **self._sink.settings(),
            },
            launcher=(*LAUNCHER, hook, f"--config={self._config}"),
        )
        eventually(
            lambda: "generation 1 reports" in vigil.log.read_text(),
            what="the first report",
        )  # fmt: skip
        eventually(
            lambda: self._stored_times().keys() >= self._names(),
            what="the first records", every=_LOOK_SECONDS,
        )  # fmt: skip

    def carry_out(self, steps: list[Step]) -> None:
        """Do each step at its time."""
        began = time.monotonic()
        for step in steps:
            time.sleep(max(0.0, began + step.at - time.monotonic()))
            self._say(str(step))
            match step.action:
                case "rotate":
                    self._rotate()
                case "symbols":
                    self._change_symbols()
                case "kill":
                    self._kill()
                case "broker":
                    outage = threading.Thread(target=self._outage, args=(step,))
                    outage.start()
                    self._outages.append(outage)
                case kind:
                    self._exchange.fault(kind, **step.arguments)

    def finish(self) -> list[str]:
        """End the faults, give time to repair, stop; return what went wrong on the way."""
        for outage in self._outages:
            outage.join()
        began = time.monotonic()
        if not self._within(self._faults_are_over, _FAULTS_END_WITHIN_SECONDS):
            self._problems.append("a fault of the simulator did not end")
        over = time.monotonic()
        self._say(f"          (the faults are over after {over - began:.0f} s)")
        wanted = self._latest_times()
        if not self._within(lambda: not self._behind(wanted), REPAIRED_WITHIN_SECONDS):
            behind = self._behind(wanted)
            self._problems.append(f"not caught up {REPAIRED_WITHIN_SECONDS:g} s later: {behind}")
        self._say(f"          (all is repaired after {time.monotonic() - over:.0f} s)")
        if self._followed != self._streams:
            time.sleep(_SLOW_STREAMS_SECONDS)
        self._within(
            lambda: self._no_trade_is_far() and self._nothing_is_held(), REPAIRED_WITHIN_SECONDS
        )
        process = self._vigil.process
        assert process is not None
        if (code := process.poll()) is not None:
            self._problems.append(f"the supervisor has ended with {code}")
        else:
            process.send_signal(signal.SIGTERM)
            if code := self._vigil.exit_code():
                self._problems.append(f"the supervisor ended with {code}")
        return self._problems

    def _rotate(self) -> None:
        """Ask for it, and do not wait for the answer: the streamer may be about to be killed."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(self._vigil.directory / "run" / "control"))
            connection.sendall(b'{"command": "rotate"}\n')

    def _change_symbols(self) -> None:
        """Want the extra symbol, or no longer."""
        self._extra_wanted = not self._extra_wanted
        self._want((*SYMBOLS, EXTRA_SYMBOL) if self._extra_wanted else SYMBOLS)
        assert self._vigil.process is not None
        self._vigil.process.send_signal(signal.SIGHUP)

    def _want(self, symbols: tuple[str, ...]) -> None:
        beside = self._config.with_suffix(".new")
        wanted = [*symbols, UNKNOWN_SYMBOL]
        beside.write_text(f"[exchange]\nsymbols = {json.dumps(wanted)}\n")
        beside.rename(self._config)

    def _kill(self) -> None:
        """SIGKILL a streamer, if there is one at this moment."""
        assert self._vigil.process is not None
        children = psutil.Process(self._vigil.process.pid).children()
        for child in self._random.sample(children, len(children)):
            try:
                if os.getsid(child.pid) == child.pid:
                    child.kill()
                    self.kills += 1
                    return
            except (ProcessLookupError, psutil.NoSuchProcess):
                continue
        self._say("          (no streamer to kill: it is being launched)")

    def _outage(self, step: Step) -> None:
        try:
            self._sink.outage(
                str(step.arguments["how"]), lambda: time.sleep(float(step.arguments["seconds"]))
            )
        except (RuntimeError, OSError) as error:  # told where the others are, in the end
            self._problems.append(f"the broker: {error}")
        self._say("          (the broker is back)")

    def _no_trade_is_far(self) -> bool:
        """Return whether no symbol is seconds from a trade without a quantity.

        Its gap would be open at the stop, which is then not complete: no loss, and no exit code 0.
        """
        seconds = [
            (last_id % NO_TRADE_EVERY) * len(SYMBOLS) / TRADES_PER_SECOND
            for name, last_id in self._exchange.status()["last_ids"].items()
            if name.endswith("@trade")
        ]
        period = NO_TRADE_EVERY * len(SYMBOLS) / TRADES_PER_SECOND
        return all(period / 4 < each < period * 3 / 4 for each in seconds)

    def _nothing_is_held(self) -> bool:
        """Return whether no event waits above an open gap: REST may be slow to close one."""
        assert self._vigil.process is not None
        for one in psutil.Process(self._vigil.process.pid).net_connections("tcp"):
            if one.status == psutil.CONN_LISTEN:
                url = f"http://127.0.0.1:{one.laddr.port}/metrics"
                with urllib.request.urlopen(url, timeout=10) as answer:
                    return b"\nvigil_held_events 0.0\n" in answer.read()
        return False

    def _faults_are_over(self) -> bool:
        now = self._exchange.status()["time"]
        return all(
            fault["ended_at"] is not None and fault["ended_at"] <= now
            for fault in self._exchange.faults()
        )

    def _latest_times(self) -> dict[str, datetime]:
        """Return when the latest event of each stream was made. Ids may have begun anew."""
        latest = {}
        for name in self._names():
            symbol, _, stream = name.partition("@")
            last_id = self._exchange.status()["last_ids"][name]
            event = self._exchange.tape(stream, symbol.upper(), last_id)[0]
            latest[name] = _EPOCH + timedelta(microseconds=event["T"])
        return latest

    def _behind(self, wanted: dict[str, datetime]) -> dict[str, str]:
        stored = self._stored_times()
        return {
            name: f"{stored.get(name)} of {latest}"
            for name, latest in wanted.items()
            if stored.get(name, _EPOCH) < latest
        }

    def _names(self) -> set[str]:
        """Return the streams that are always wanted, and come often."""
        return {f"{symbol.lower()}@{stream}" for symbol in SYMBOLS for stream in self._followed}

    def _stored_times(self) -> dict[str, datetime]:
        """Return when the latest event of each stream in the sink was made."""
        found: dict[str, datetime] = {}
        for stream in self._followed:
            try:
                records = self._sink.records(stream)
            except KeyError:
                return {}  # the topic is not there yet
            for record in records:
                name = f"{record['symbol'].lower()}@{stream}"
                found[name] = max(found.get(name, _EPOCH), record["trade_time"])
        return found

    @staticmethod
    def _within(condition: Callable[[], bool], seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                return False
            time.sleep(_LOOK_SECONDS)
        return True
