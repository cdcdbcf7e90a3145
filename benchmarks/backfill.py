"""A back-fill of all symbols after a stop, in virtual time: who is complete when, at what weight.

    python -m benchmarks.backfill        (docs/benchmarks.md has a result)

The streamer's own repair, with routes, sequences and the budget of weight, against a market that
is computed: an answer takes as long as it does over the internet, and the exchange counts weight by
the minute. Nothing is asserted.
"""

from __future__ import annotations

import argparse
import heapq
import logging
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.backfill_market import PRICE, QUANTITY, Market
from streamer.availability import Availability
from streamer.config import RepairConfig
from streamer.data.kinds.trade import Trade
from streamer.data.rest_page import RestRequest
from streamer.feed_counters import FeedCounters
from streamer.order.positions import Position
from streamer.order.sequence import Gap
from streamer.order.sequences import Arrival, Waiting
from streamer.repair.backfiller import Backfiller
from streamer.repair.rest_requests import RestFailure, RestResponse
from streamer.repair.staleness import StalenessProbe
from streamer.routes import Route, Routes

UNIX = 1_780_000_000.0 // 60 * 60  # of the market's beginning, which is that of a minute
ANSWER_SECONDS = 0.1  # from Europe to the exchange and back, and its own time
BEFORE_SECONDS = 300.0  # that the market has traded before the stop: quiet symbols have a past
TURN_SECONDS = 0.5  # of housekeeping; the streamer's is 0.1, which only costs more here
SILENT_AFTER_SECONDS = 30.0
GIVE_UP_SECONDS = 900.0  # of virtual time
BUSIEST = 10


@dataclass(slots=True)
class Exchange:
    """Asks a market; answers after a time."""

    market: Market
    weight_limit: int
    now: float = 0.0
    ready_at: float = 0.0
    asked: Counter[str] = field(default_factory=Counter)
    weight: int = 0
    refused: int = 0
    _minute: int = -1
    _used: int = 0
    _request: RestRequest | None = None

    def start(self, request: RestRequest) -> None:
        """As in Ask."""
        self._request, self.ready_at = request, self.now + ANSWER_SECONDS
        self.asked[request.endpoint] += 1
        self.weight += request.weight
        minute = int(self.now // 60)
        if minute != self._minute:
            self._minute, self._used = minute, 0
        self._used += request.weight

    def take(self) -> RestResponse | RestFailure | None:
        """As in Ask."""
        if self._request is None or self.now < self.ready_at:
            return None
        request, self._request = self._request, None
        if self._used > self.weight_limit:
            self.refused += 1
            return RestFailure("throttled", "429", 60.0 - self.now % 60, self._used)
        body = self.market.answer(request, self.now)
        unix = self.market.unix + self.now
        return RestResponse(body, unix - ANSWER_SECONDS, unix, self._used)

    def close(self) -> None:
        """As in Ask."""

    def next_turn(self, now: float) -> float:
        """Return when the streamer looks again: at an answer, or at its next housekeeping."""
        answered = self._request is not None and self.ready_at > now
        return min(now + TURN_SECONDS, self.ready_at) if answered else now + TURN_SECONDS


@dataclass(frozen=True, slots=True)
class Result:
    """When how many were complete, in seconds from the start of the streamer."""

    complete_seconds: float | None
    busiest_seconds: float | None
    half_seconds: float | None
    symbols_with_gap: int
    weight: int
    asked: Counter[str]
    declared: int


class Rehearsal:
    """One stop and what follows; `stopped` seconds without a streamer."""

    def __init__(
        self, market: Market, config: RepairConfig, begin: float, stopped: float, scratch: Path
    ) -> None:
        self._market = market
        self._begin = begin  # of the streamer, in the market's seconds
        self._exchange = Exchange(market, config.weight_per_minute, begin)
        self.routes = Routes(
            ("trade",), market.symbols, waiting=Waiting(config.held_in_memory, scratch)
        )
        self._heard: dict[Route, float] = {}
        self.declared = 0
        self._last_ids: dict[Route, int] = {}  # that the stop has cost
        for route in self.routes:
            symbol = market.symbols[route.symbol]
            stored = symbol.count_until(begin - stopped)
            if stored:
                received_us = round((UNIX + symbol.times[stored - 1]) * 1e6)
                route.resume(Position(stored, received_us))
                if (last_id := symbol.count_until(begin)) > stored:
                    self._last_ids[route] = last_id
        counters = FeedCounters()
        self._backfiller = Backfiller(
            config,
            self.routes,
            self._exchange,
            self._forward,
            lambda *_: None,
            counters,
            StalenessProbe(SILENT_AFTER_SECONDS),
            Availability(self.routes, counters),
            silent_seconds=lambda route, now: now - self._heard.get(route, begin),
            unix_time=lambda: UNIX + self._exchange.now,
            same_venue=True,
        )

    def run(self) -> Result:
        """Let time pass until all is complete."""
        missing = dict(self._last_ids)
        busiest = set(list(missing)[:BUSIEST])
        complete_at: list[float] = []
        busiest_seconds = None
        live = self._live()
        arrival = next(live)
        now = self._begin
        while missing and now < self._begin + GIVE_UP_SECONDS:
            now = self._exchange.next_turn(now)
            while arrival[0] <= now:
                self._hear(*arrival)
                arrival = next(live)
            self._exchange.now = now
            self._backfiller.turn(now)
            for route in [
                one for one, last in missing.items() if (one.sequence.last_id or 0) >= last
            ]:
                del missing[route]
                complete_at.append(now - self._begin)
            if busiest_seconds is None and not busiest & missing.keys():
                busiest_seconds = now - self._begin
        return Result(
            None if missing else complete_at[-1],
            busiest_seconds,
            next(iter(complete_at[len(self._last_ids) // 2 :]), None),
            len(self._last_ids),
            self._exchange.weight,
            self._exchange.asked,
            self.declared,
        )

    def _live(self) -> Iterator[tuple[float, str, int]]:
        """Yield what comes on the stream: when, of which symbol, and the id."""
        return heapq.merge(*map(self._live_of, self._market.symbols))

    def _live_of(self, name: str) -> Iterator[tuple[float, str, int]]:
        symbol = self._market.symbols[name]
        for index in range(symbol.count_until(self._begin), len(symbol.times)):
            yield symbol.times[index], name, index + 1

    def _hear(self, at: float, name: str, event_id: int) -> None:
        route = self.routes.by_name[f"{name.lower()}@trade"]
        self._heard[route] = at
        route.received_us = time_us = round((UNIX + at) * 1e6)
        sequence = route.sequence
        if sequence.advance(event_id):
            return
        event = Trade("trade", time_us, name, event_id, PRICE, QUANTITY, time_us, True)
        self._forward(route, sequence.take(event_id, (event, time_us), at))
        if sequence.pending:
            self.routes.hold(route)

    def _forward(self, route: Route, released: list[Arrival | Gap]) -> None:
        for one in released:
            if isinstance(one, Gap):
                self.declared += one.missing
            else:
                route.latest = one[0]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--symbols", type=int, default=1500)
    parser.add_argument("--rate", type=float, default=1000.0, help="trades a second, all symbols")
    parser.add_argument("--stopped", type=float, default=60.0, help="seconds without a streamer")
    parser.add_argument("--share", type=float, default=RepairConfig().weight_share)
    parser.add_argument("--begins", type=float, default=30.0, help="seconds into a minute")
    parser.add_argument("--steepness", type=float, nargs="*", default=[0.0, 1.0, 1.2])
    parser.add_argument("--singles", type=float, nargs="*", default=[0.4, 0.7, 0.85])
    options = parser.parse_args()
    logging.disable(logging.ERROR)
    begin = BEFORE_SECONDS + options.stopped // 60 * 60 + options.begins
    seconds = begin + GIVE_UP_SECONDS
    print("steepness singles | gaps weight trades aggs | busiest half all | declared", flush=True)
    for steepness in options.steepness:
        for singles in options.singles:
            market = Market(options.symbols, options.rate, seconds, steepness, singles, UNIX)
            with tempfile.TemporaryDirectory() as scratch:
                config = RepairConfig(weight_share=options.share)
                rehearsal = Rehearsal(market, config, begin, options.stopped, Path(scratch))
                result = rehearsal.run()
            asked = result.asked
            print(
                f"{steepness:9} {singles:7} | {result.symbols_with_gap:4} {result.weight:6} "
                f"{asked['historicalTrades']:6} {asked['aggTrades']:4} | "
                f"{_shown(result.busiest_seconds)} {_shown(result.half_seconds)} "
                f"{_shown(result.complete_seconds)} | {result.declared}",
                flush=True,
            )


def _shown(seconds: float | None) -> str:
    return "not in time" if seconds is None else f"{seconds:.0f} s"


if __name__ == "__main__":
    main()
