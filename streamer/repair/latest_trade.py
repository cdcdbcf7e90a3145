"""What the exchange's latest trade of a symbol says about the ids of its streams. Pure.

REST tells it as the latest aggregate trade (weight 4), which names the latest trade too.
"""

from __future__ import annotations

from streamer.data.kinds.agg_trade import AggTrade
from streamer.repair.rest_requests import RestResponse, read_page
from streamer.routes import Route


def read_latest(route: Route, answer: RestResponse, *, in_milliseconds: bool) -> AggTrade | None:
    """Return the latest aggregate trade of a route's symbol, None where there is none.

    Raises ValueError for anything but the documented JSON.
    """
    page = read_page("aggTrade", route.symbol, answer.body, in_milliseconds=in_milliseconds)
    latest = page[-1] if page else None
    return latest if isinstance(latest, AggTrade) else None


def latest_id(route: Route, latest: AggTrade) -> int:
    """Return the id that the latest trade has on a stream of trades or of aggregate trades."""
    return latest.id if route.kind == "aggTrade" else latest.last_trade_id
