"""A REST interface answered by hand, streams, and a backfiller between them."""

from __future__ import annotations

import json
from functools import partial

import msgspec

from streamer.availability import Availability
from streamer.config import DepthSnapshotConfig, RepairConfig
from streamer.data.rest_page import RestRequest
from streamer.feed_counters import FeedCounters
from streamer.order.sequence import Gap
from streamer.order.sequences import Waiting
from streamer.repair.backfiller import Backfiller
from streamer.repair.depth_snapshots import DepthSnapshots
from streamer.repair.rest_requests import RestFailure, RestResponse
from streamer.repair.staleness import StalenessProbe
from streamer.routes import Route, Routes
from tests.unit.streamer.payloads import KLINE, NOW_US, TRADE, frame, trade

UNIX = NOW_US / 1e6
SILENT_AFTER = 30.0


class Exchange:
    """Answers by hand: what was asked, and what the answer shall be."""

    def __init__(self) -> None:
        self.asked: list[RestRequest] = []
        self.outcome: RestResponse | RestFailure | None = None

    def start(self, request: RestRequest) -> None:
        self.asked.append(request)

    def take(self) -> RestResponse | RestFailure | None:
        outcome, self.outcome = self.outcome, None
        return outcome

    def close(self) -> None:
        pass


class World:
    """One symbol's trades, a REST interface, and a backfiller between them."""

    def __init__(
        self,
        directory,
        stream="trade",
        *,
        same_venue=True,
        snapshots: DepthSnapshotConfig | None = None,
        **config,
    ) -> None:
        self.routes = Routes(
            (stream,),
            ("BTCUSDT",),
            gap_wait_seconds=0.5,
            waiting=Waiting(100, directory),
            with_snapshots=snapshots is not None,
        )
        self.route = self.routes.by_name[f"btcusdt@{stream}"]
        self.counters = FeedCounters()
        self.availability = Availability(self.routes, self.counters)
        self.listed: list[str] = []
        self.availability.on_listed = lambda routes, _: self.listed.extend(
            route.name for route in routes
        )
        self.exchange = Exchange()
        self.stored: list[object] = []
        self.refused: list[tuple[str, str]] = []
        self.silent_seconds = 0.0
        self.heard: set[Route] = set()  # that are not silent
        self.now = self.set_by = 0.0
        self.clock_notes: list[tuple[float, float, float | None]] = []
        self.backfiller = Backfiller(
            RepairConfig(**config),
            self.routes,
            self.exchange,
            lambda route, released: self.keep(released),
            self.refuse,
            self.counters,
            StalenessProbe(SILENT_AFTER),
            self.availability,
            silent_seconds=lambda route, now: 0.0 if route in self.heard else self.silent_seconds,
            unix_time=lambda: UNIX + self.now + self.set_by,
            same_venue=same_venue,
            note_clock=lambda *told: self.clock_notes.append(told),
            make_snapshots=partial(
                DepthSnapshots,
                config=snapshots,
                weight_per_minute=6000,
                routes=self.routes,
                sink=self,
                counters=self.counters,
                unix_time=lambda: UNIX + self.now,
            )
            if snapshots is not None
            else None,
        )

    def put(self, route, event, received_us) -> None:
        """Take a snapshot, as a sink."""
        self.stored.append(event)

    def renew(self, route) -> None:
        """Take that a route has another epoch, as a sink."""
        self.stored.append(route.epoch)

    def hear(self, *ids: int) -> None:
        for event_id in ids:
            event = self.route.decode(trade(t=event_id), NOW_US)
            sequence = self.route.sequence
            if sequence.advance(event_id):
                self.stored.append(event_id)
                self.route.latest = event
            else:
                self.keep(sequence.take(event_id, (event, NOW_US), self.now))
                self.routes.hold(self.route)

    def keep(self, released) -> None:
        for item in released:
            self.stored.append(item if isinstance(item, Gap) else item[0].id)
            if not isinstance(item, Gap):
                self.route.latest = item[0]

    def refuse(self, route, content, error_type, error, now) -> None:
        self.refused.append((error_type, error))

    def turn(self, seconds: float = 0.0, *, accepting: bool = True) -> RestRequest | None:
        """Let time pass; return the question that was asked in this turn, if one was."""
        self.now += seconds
        before = len(self.exchange.asked)
        self.backfiller.turn(self.now, accepting=accepting)
        return self.exchange.asked[-1] if len(self.exchange.asked) > before else None

    def answer(self, *ids: int, **other: object) -> RestRequest | None:
        """Tell of trades with these ids, as the stream does; or something else."""
        return self.say([told(each, **other) for each in ids])

    def say(self, body: object, seconds: float = 0.0) -> RestRequest | None:
        self.exchange.outcome = RestResponse(
            json.dumps(body).encode(), UNIX + self.now - seconds, UNIX + self.now
        )
        return self.turn()

    def notices(self, kind: str) -> list[dict[str, object]]:
        return [dict(each.detail) for each in self.counters.notices if each.kind == kind]


def many(world: World, count: int) -> list[Route]:
    """Add symbols, each of which has a gap from 11 to 13."""
    routes = []
    for number in range(count):
        route = world.routes.make("trade", f"S{number:04}USDT")
        world.routes.add(route)
        for event_id in (10, 14):
            event = msgspec.structs.replace(
                world.route.decode(trade(t=event_id), NOW_US), symbol=route.symbol
            )
            if not route.sequence.advance(event_id):
                for item, _ in route.sequence.take(event_id, (event, NOW_US), world.now):
                    route.latest = item
        world.routes.hold(route)
        routes.append(route)
    return routes


def parameters(request: RestRequest | None) -> dict[str, str]:
    assert request is not None
    return dict(request.parameters)


def told(trade_id: int, **other: object) -> dict[str, object]:
    """A trade as REST tells it, the same as the stream does."""
    trade = {
        "id": trade_id,
        "price": TRADE["p"],
        "qty": TRADE["q"],
        "time": TRADE["T"],
        "isBuyerMaker": TRADE["m"],
    }
    return {**trade, **other}


def latest(*, trade_id: int, age_seconds: float) -> dict[str, object]:
    """The latest aggregate trade, which ends with `trade_id`."""
    time_us = round((UNIX + 1.0 - age_seconds) * 1e6)
    return {
        "a": 7,
        "p": "1.5",
        "q": "2",
        "f": trade_id,
        "l": trade_id,
        "T": time_us,
        "m": True,
    }


MINUTE = 60_000_000
"""In microseconds; candle n opens n minutes after the first, the 20th before now."""
FIRST_OPEN = KLINE["k"]["t"] - 20 * MINUTE


class Candles(World):
    """One symbol's candles of a minute."""

    def __init__(self, directory, **config) -> None:
        super().__init__(directory, "kline_1m", **config)
        assert self.turn() == RestRequest("time", (), 1)
        self.say({"serverTime": round(UNIX * 1e6)})

    def hear(self, *numbers: int, closed: bool = True, **other: object) -> None:
        for number in numbers:
            begin = FIRST_OPEN + number * MINUTE
            bounds = {"t": begin, "T": begin + MINUTE - 1, "x": closed}
            candle = {**KLINE["k"], **bounds, **other}
            payload = frame({**KLINE, "E": begin + MINUTE + 5, "k": candle}, self.route.name)
            arrival = self.route.decode(payload, NOW_US), NOW_US
            self.keep(self.route.sequence.take(arrival[0].id, arrival, self.now))
            self.routes.hold(self.route)

    def keep(self, released) -> None:
        for item in released:
            if isinstance(item, Gap):
                self.stored.append(item)
            else:
                self.stored.append((item[0].id - FIRST_OPEN) // MINUTE)
                self.route.latest = item[0]

    def answer(self, *numbers: int) -> RestRequest | None:
        rows = []
        for number in numbers:
            begin = FIRST_OPEN + number * MINUTE
            numbers_ = [KLINE["k"][key] for key in "ohlcv"]
            rows.append([begin, *numbers_, begin + MINUTE - 1, "15", 90, "4", "6", "0"])
        return self.say(rows)
