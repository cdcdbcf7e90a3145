"""What many open gaps cost the feed's thread: a turn of the repair, and the choice of a question.

    python -m benchmarks.gaps        (docs/benchmarks.md has a result)

The streamer's own repair with routes in which events wait above gaps, and a REST interface that
never answers. CPU time of this thread, the least of some repetitions. Nothing is asserted.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.backfill_market import PRICE, QUANTITY
from streamer.availability import Availability
from streamer.config import RepairConfig
from streamer.data.kinds.trade import Trade
from streamer.data.rest_page import RestRequest
from streamer.feed_counters import FeedCounters
from streamer.order.positions import Position
from streamer.order.sequences import Waiting
from streamer.repair.backfiller import Backfiller
from streamer.repair.rest_requests import RestFailure, RestResponse
from streamer.repair.staleness import StalenessProbe
from streamer.routes import Routes

COUNTS = (10, 350, 1500)
UNIX = 1_780_000_000.0
WAITING = 5  # events above each gap
TURN_SECONDS = 0.1
TURNS = 100  # 10 s: what is looked at in rounds comes to its end
REPETITIONS = 5
AGAIN_SECONDS = 11.0  # by then a question that was answered by nothing may be asked again


class Silent:
    """A REST interface that tells the time, and nothing else unless it is told to."""

    def __init__(self) -> None:
        self.outcome: RestResponse | RestFailure | None = None
        self.asked = 0  # about gaps

    def start(self, request: RestRequest) -> None:
        """As in Ask."""
        if request.endpoint == "time":
            body = json.dumps({"serverTime": round(UNIX * 1e6)}).encode()
            self.outcome = RestResponse(body, UNIX, UNIX)
        else:
            self.asked += 1

    def take(self) -> RestResponse | RestFailure | None:
        """As in Ask."""
        outcome, self.outcome = self.outcome, None
        return outcome

    def close(self) -> None:
        """As in Ask."""


class Repair:
    """So many gaps, found and open."""

    def __init__(self, gaps: int, scratch: Path) -> None:
        self.now = 0.0
        self.exchange = Silent()
        symbols = [f"S{number:04}USDT" for number in range(gaps)]
        self._routes = Routes(("trade",), symbols, waiting=Waiting(1000, scratch))
        counters = FeedCounters()
        # A limit without an end: what is asked is what is measured.
        config = RepairConfig(weight_per_minute=10**9, give_up_after=10**6, clock_every=10**6)
        self.backfiller = Backfiller(
            config,
            self._routes,
            self.exchange,
            lambda *_: None,
            lambda *_: None,
            counters,
            StalenessProbe(0.0),
            Availability(self._routes, counters),
            silent_seconds=lambda *_: 0.0,
            unix_time=lambda: UNIX + self.now,
            same_venue=True,
        )
        time_us = round(UNIX * 1e6)
        for route in self._routes:
            route.resume(Position(1000, time_us))
            for event_id in range(2000, 2000 + WAITING):
                event = Trade(
                    "trade", time_us, route.symbol, event_id, PRICE, QUANTITY, time_us, True
                )
                route.sequence.take(event_id, (event, time_us), 0.0)
            self._routes.hold(route)
        self.turns(2 * TURNS)

    def turns(self, count: int) -> None:
        """Let time pass with a question under way."""
        for _ in range(count):
            self.now += TURN_SECONDS
            self.backfiller.turn(self.now)

    def questions(self, count: int) -> None:
        """Have one question after another answered by nothing, and the next one asked."""
        self.now += AGAIN_SECONDS
        asked = self.exchange.asked
        for _ in range(count):
            self.exchange.outcome = RestResponse(b"[]", UNIX, UNIX)
            self.backfiller.turn(self.now)
        assert self.exchange.asked == asked + count


def main() -> None:
    """Measure and print."""
    print("open gaps | a turn | a turn with an answer and the next question", flush=True)
    for count in COUNTS:
        with tempfile.TemporaryDirectory() as scratch:
            repair = Repair(count, Path(scratch))
            opened = repair.backfiller.open_gaps
            turn = _least(lambda repair=repair: repair.turns(TURNS)) / TURNS
            asks = min(count - 1, TURNS)  # no gap twice
            question = _least(lambda repair=repair, asks=asks: repair.questions(asks)) / asks
        print(f"{opened:9} | {turn * 1e3:5.2f} ms | {question * 1e3:5.2f} ms", flush=True)


def _least(act: Callable[[], None]) -> float:
    """Return the CPU seconds of the quickest repetition."""
    spent = []
    for _ in range(REPETITIONS):
        begun = time.thread_time()
        act()
        spent.append(time.thread_time() - begun)
    return min(spent)


if __name__ == "__main__":
    main()
