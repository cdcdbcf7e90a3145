"""What the stream brought next to a gap, how many ids are in one, and what it takes. Pure."""

from __future__ import annotations

from streamer.data.binance_spot import (
    AGG_TRADES_WEIGHT,
    KLINES_WEIGHT,
    PAGE_LIMIT,
    TRADES_WEIGHT,
)
from streamer.data.intervals import candles_between, interval_of
from streamer.data.kinds.agg_trade import AggTrade
from streamer.data.kinds.kline import Kline
from streamer.data.kinds.trade import Trade
from streamer.repair.fit import Repaired
from streamer.routes import Route

_PAGE_WEIGHTS = {"trade": TRADES_WEIGHT, "aggTrade": AGG_TRADES_WEIGHT, "kline": KLINES_WEIGHT}
"""Of a page of each kind that can be asked for."""


def below(route: Route, first_id: int) -> Repaired | None:
    """Return the event right below an id, as the stream told it; of a candle also one within it."""
    latest = route.latest
    if isinstance(latest, (Trade, AggTrade)):
        return latest if latest.id == first_id - 1 else None
    if isinstance(latest, Kline) and first_id in (latest.id, latest.candle.next_open_time):
        return latest
    return None


def above(route: Route) -> Repaired | None:
    """Return an event above the lowest gap, as the stream told it: right above it if possible."""
    pending = route.repaired.held_above() if route.repaired is not None else None
    if pending is not None and isinstance(pending[0], (Trade, AggTrade, Kline)):
        return pending[0]
    return None


def count_ids(route: Route, first_id: int, below_id: int) -> int:
    """Return how many ids there are; those of candles are times."""
    if route.kind == "kline":
        return candles_between(interval_of(route.stream), first_id, below_id)
    return below_id - first_id


def pages_weight(route: Route, first_id: int, below_id: int) -> int:
    """Return the request weight of all pages with these ids."""
    return -(-count_ids(route, first_id, below_id) // PAGE_LIMIT) * _PAGE_WEIGHTS[route.kind]
