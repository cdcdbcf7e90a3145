"""A small gap of trades, asked for by a cheaper question: the aggregate trades of its time."""

from __future__ import annotations

from streamer.data.kinds.agg_trade import AggTrade, between_request
from streamer.data.kinds.trade import Trade
from streamer.data.rest_page import RestRequest
from streamer.errors import FrameRejected
from streamer.repair import neighbours
from streamer.repair.rest_requests import RestResponse, read_page
from streamer.repair.single_trades import SingleShare, single_trades
from streamer.routes import Route

SPAN_US = 3600 * 1_000_000  # the exchange has refused longer ones at times
EARLIER_US = 10 * 1_000_000
"""How much earlier than its receipt the last trade of an earlier run may have been: seconds of
delay and of clocks that differ. A time too late costs a question, nothing else."""


class AggregateLook:
    """Which gaps are asked for like that, and what trades the answers tell."""

    def __init__(self, *, in_milliseconds: bool) -> None:
        self._in_milliseconds = in_milliseconds
        self._singles = SingleShare()

    def request(
        self, route: Route, first_id: int, last_id: int, exchange_time: float
    ) -> RestRequest | None:
        """Return the question where it is worth its weight; `exchange_time` is in Unix seconds."""
        if route.kind != "trade" or not self._singles.is_worth_asking(last_id - first_id + 1):
            return None
        below, above = neighbours.below(route, first_id), neighbours.above(route)
        if isinstance(below, Trade):
            from_us = below.trade_time
        elif route.latest is None and route.resumed_us is not None:  # as after a start
            from_us = route.resumed_us - EARLIER_US
        else:
            return None
        to_us = above.trade_time if isinstance(above, Trade) else int(exchange_time * 1e6)
        if not 0 <= to_us - from_us < SPAN_US:
            return None
        return between_request(route.symbol, from_us, to_us)

    def read(
        self, route: Route, first_id: int, last_id: int, answer: RestResponse
    ) -> list[Trade] | None:
        """Return the gap's trades and, as far as they are told, their neighbours.

        None where not all of the gap is told, or one of them cannot be. Raises ValueError.
        """
        aggregates = read_page(
            "aggTrade", route.symbol, answer.body, in_milliseconds=self._in_milliseconds
        )
        self._singles.observe([each for each in aggregates if isinstance(each, AggTrade)])
        trades = single_trades(aggregates, first_id - 1, last_id + 1)
        told = {each.id for each in trades}
        if not all(each in told for each in range(first_id, last_id + 1)):
            return None
        received_us = int(answer.answered_at * 1e6)
        try:
            for each in trades:
                route.check(each, received_us)
        except FrameRejected:
            return None  # the question for trades tells what it is
        return trades
