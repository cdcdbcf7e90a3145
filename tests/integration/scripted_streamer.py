"""Streamers with manners of their own: each function is what a child runs, given a config.

Imported by the child by name, so it stays as lean as the real one.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from streamer.config import StreamerConfig
from streamer.messages import CommandResult, Report, SinkCounts, SlotState, StreamCounts
from streamer.telemetry import Telemetry

EVENTS_PER_SECOND = 200
MIB = 1 << 20
_leak: list[bytearray] = []


class Speaker:
    """Reports like a healthy streamer, and answers."""

    def __init__(self, config: StreamerConfig) -> None:
        assert config.telemetry.endpoint
        self.config = config
        self.telemetry = Telemetry(
            config.telemetry.endpoint, config.name, config.generation, config.telemetry_keys
        )
        self.began = time.monotonic()
        self.sequence = 0
        self.stopping = False
        self.silent_since: dict[str, float] = {}  # by symbol: uptime at the last event

    def turn(self) -> None:
        """Answer, report, sleep until the next report."""
        for command in self.telemetry.commands():
            result: dict[str, Any] = {}
            if command.name == "collect":
                _leak.clear()
                result = {"collected_objects": 3, "trimmed": True}
            self.telemetry.send(CommandResult(command.id, ok=True, result=result))
            self.stopping |= command.name in ("drain", "stop")
        self.report()
        time.sleep(self.config.telemetry.report_every)

    def report(self, *, final: bool = False) -> None:
        self.sequence += 1
        uptime = time.monotonic() - self.began
        events = 1 + int(uptime * EVENTS_PER_SECOND)
        streams = tuple(
            self._counts(symbol, events, uptime) for symbol in self.config.exchange.symbols
        )
        slot = SlotState("slot-1", not final, 1, uptime, 0, time.time())
        self.telemetry.send(
            Report(
                streamer=self.config.name,
                generation=self.config.generation,
                sequence=self.sequence,
                pid=os.getpid(),
                time=time.time(),
                uptime_seconds=uptime,
                state="stopped" if final else "streaming",
                streams=streams,
                slots=(slot,),
                sink=SinkCounts("null", events * len(streams), events * len(streams)),
                final=final,
            )
        )

    def _counts(self, symbol: str, events: int, uptime: float) -> StreamCounts:
        if symbol not in self.silent_since:
            return StreamCounts("trade", symbol, events, 0, 0, 0, events, uptime, time.time())
        since = self.silent_since[symbol]
        return StreamCounts("trade", symbol, 1, 0, 0, 0, 1, since, time.time(), silence="news")

    def speak(self, on_turn: Callable[[float], None] = lambda uptime: None) -> int:
        """Report until told to stop."""
        while not self.stopping:
            self.turn()
            on_turn(time.monotonic() - self.began)
        self.report(final=True)
        self.telemetry.close()
        return 0


def _used(size_bytes: int) -> bytearray:
    """Return memory that is in use, and not only promised."""
    return bytearray(os.urandom(1 << 12)) * (size_bytes >> 12)


def _stop_at_term(speaker: Speaker) -> None:
    def stop(number: int, frame: object) -> None:
        speaker.stopping = True
        Path(speaker.config.sink.directory, "flushed").touch()

    signal.signal(signal.SIGTERM, stop)


def healthy(config: StreamerConfig) -> int:
    """Behave."""
    speaker = Speaker(config)
    _stop_at_term(speaker)
    return speaker.speak()


def ignores_term(config: StreamerConfig) -> int:
    """Refuse to end: no drain, no TERM."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    speaker = Speaker(config)
    while True:
        speaker.turn()


def ignores_all(config: StreamerConfig) -> int:
    """Ignore even SIGABRT, so that SIGKILL must do it."""
    signal.signal(signal.SIGABRT, signal.SIG_IGN)
    return ignores_term(config)


def stops_itself(config: StreamerConfig) -> int:
    """Be stopped after half a second of reports."""

    def stop(uptime: float) -> None:
        if uptime > 0.5:
            os.kill(os.getpid(), signal.SIGSTOP)

    speaker = Speaker(config)
    _stop_at_term(speaker)
    return speaker.speak(stop)


def holds_gil(config: StreamerConfig) -> int:
    """Have a thread keep the GIL inside C after half a second of reports."""
    hold = threading.Timer(0.5, ctypes.PyDLL(None).sleep, (3600,))
    hold.daemon = True
    speaker = Speaker(config)
    _stop_at_term(speaker)  # a handler in Python, which will never get its turn
    hold.start()
    return speaker.speak()


def has_family(config: StreamerConfig) -> int:
    """Leave a grandchild in the session and one in a session of its own."""
    for own_session in (False, True):
        subprocess.Popen(
            [sys.executable, "-c", "import time; time.sleep(300)"],
            start_new_session=own_session,
        )
    return healthy(config)


def leaks(config: StreamerConfig) -> int:
    """Hold 110 MiB, and 3 MiB more each second."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    _leak.append(_used(110 * MIB - pages * resource.getpagesize()))

    def grow(uptime: float) -> None:
        _leak.append(_used(round(3 * MIB * config.telemetry.report_every)))

    speaker = Speaker(config)
    _stop_at_term(speaker)
    return speaker.speak(grow)


def falls_silent(config: StreamerConfig) -> int:
    """Bring nothing of ETHUSDT from when there is a file `silence` beside the records."""
    wanted = Path(config.sink.directory, "silence")
    speaker = Speaker(config)
    _stop_at_term(speaker)

    def look(uptime: float) -> None:
        if wanted.exists():
            speaker.silent_since.setdefault("ETHUSDT", uptime)

    return speaker.speak(look)


def hoards(config: StreamerConfig) -> int:
    """Hold 40 MiB until asked to collect."""
    _leak.append(bytearray(os.urandom(1 << 20)) * 40)
    return healthy(config)


def never_reports(config: StreamerConfig) -> int:
    """Live without a word."""
    time.sleep(300)
    return 0


def fails_at_once(config: StreamerConfig) -> int:
    """Be unable to start."""
    return 7


def refuses_settings(config: StreamerConfig) -> int:
    """Exit as a streamer does whose file of certificates cannot be read."""
    return 2


def dies_young(config: StreamerConfig) -> int:
    """Report for a moment, then crash."""

    def die(uptime: float) -> None:
        if uptime > 0.3:
            speaker.telemetry.close()  # what was said has left then
            os._exit(9)

    speaker = Speaker(config)
    return speaker.speak(die)


def leaves_unacknowledged(config: StreamerConfig) -> int:
    """Drain, but not completely."""
    Speaker(config).speak()
    return 1


def lists_modules(config: StreamerConfig) -> int:
    """Write down what a real streamer has imported before it streams."""
    import streamer.run  # noqa: F401 - for its imports

    Path(config.sink.directory, "modules.json").write_text(json.dumps(sorted(sys.modules)))
    Path(config.sink.directory, "environment.json").write_text(json.dumps(dict(os.environ)))
    return healthy(config)
