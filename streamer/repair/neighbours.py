"""What the stream brought next to a gap, and how many ids are in one. Pure."""

from __future__ import annotations

from streamer.data.intervals import candles_between, interval_of
from streamer.data.kinds.agg_trade import AggTrade
from streamer.data.kinds.kline import Kline
from streamer.data.kinds.trade import Trade
from streamer.repair.fit import Repaired
from streamer.routes import Route


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
