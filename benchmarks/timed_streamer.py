"""A streamer whose sink is watched by the clock: `python -m benchmarks.timed_streamer --set …`.

The exchange stamps each event with the moment at which it sends it. The sink below notes what has
passed since then when `put` returns; a thread looks every millisecond how many records are
acknowledged. Ends at SIGTERM and prints the percentiles.
"""

from __future__ import annotations

import json
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Collection
from itertools import islice
from typing import Any

from streamer.config import StreamerConfig
from streamer.data.events import Event
from streamer.feed import Feed
from streamer.routes import Route, Routes
from streamer.settings import StreamerSettings, load
from streamer.sinks import Sink, open_sink

_LOOK_EVERY_SECONDS = 0.001
_WARM_UP_RECORDS = 10_000  # the first second: connections to the brokers, first batches


class TimedSink:
    """A sink around another one."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._open: deque[int] = deque()  # when each record left the exchange, µs
        self._acknowledged = 0
        self.to_produce: list[int] = []
        self.to_acknowledge: list[int] = []
        self.ended = threading.Event()

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever a sink has
        return getattr(self._sink, name)

    def put(self, route: Route, event: Event, received_us: int) -> None:
        """Put, and note the time that has passed since the event left the exchange."""
        sent_us: int = event.event_time  # type: ignore[union-attr] # trades only
        self._open.append(sent_us)
        self._sink.put(route, event, received_us)
        self.to_produce.append(time.time_ns() // 1000 - sent_us)

    def look(self) -> None:
        """Note what has been acknowledged, until the end."""
        while not self.ended.wait(_LOOK_EVERY_SECONDS):
            total = self._sink.counts().acknowledged_total
            now_us = time.time_ns() // 1000
            for _ in range(total - self._acknowledged):
                self.to_acknowledge.append(now_us - self._open.popleft())
            self._acknowledged = max(total, self._acknowledged)


def percentile(values: list[int], share: float) -> float:
    """Return a percentile in seconds, without the warm-up."""
    ordered = sorted(islice(values, _WARM_UP_RECORDS, None))
    return ordered[int(share * (len(ordered) - 1))] / 1e6


def main() -> None:
    """Stream until SIGTERM, then tell."""
    assignments = [argument.removeprefix("--set=") for argument in sys.argv[1:]]
    config: StreamerConfig = load(StreamerSettings, None, assignments).streamer_config()
    timed: TimedSink | None = None

    def sink_of(routes: Routes, earlier: Collection[str]) -> Sink:
        nonlocal timed
        timed = TimedSink(open_sink(config, routes, earlier))
        return timed

    feed = Feed(config, sink_of)
    assert timed is not None
    signal.signal(signal.SIGTERM, lambda number, frame: feed.stop("SIGTERM"))
    signal.set_wakeup_fd(feed.wake_descriptor, warn_on_full_buffer=False)
    looker = threading.Thread(target=timed.look)
    looker.start()
    try:
        feed.run()
    finally:
        timed.ended.set()
        looker.join()
    told = {
        f"{name}_p{share}": percentile(values, share / 100)
        for name, values in (("produce", timed.to_produce), ("acknowledge", timed.to_acknowledge))
        for share in (50, 99)
    }
    sys.stdout.write(json.dumps(told | {"records": len(timed.to_acknowledge)}) + "\n")


if __name__ == "__main__":
    main()
