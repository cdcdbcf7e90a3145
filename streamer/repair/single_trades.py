"""Trades out of aggregate trades, where each aggregate is a single one. Pure.

An aggregate trade of one trade (`f` equals `l`) says all that there is to say about it: id, price,
quantity, time and side. A question for them weighs 4, one for trades 25; but a gap with an
aggregate of several trades needs the trades all the same, since their quantities are not told.
"""

from __future__ import annotations

from collections.abc import Sequence

from streamer.data.binance_spot import AGG_TRADES_WEIGHT, TRADES_WEIGHT
from streamer.data.kinds.agg_trade import AggTrade
from streamer.data.kinds.trade import Trade

SHARE_AT_FIRST = 0.7
"""Of the aggregates that are single trades, before any was seen: 13 of 13 of the exchange's spot
markets in our recordings, 64 of 91 of its busier futures markets."""
_WORTH_AT_FIRST = 20.0  # as many observations
_FORGET_ABOVE = 1_000.0  # observations: markets change within a day


class SingleShare:
    """How likely a gap holds single trades alone, by the aggregates that were seen."""

    def __init__(self) -> None:
        self._seen = _WORTH_AT_FIRST
        self._singles = SHARE_AT_FIRST * _WORTH_AT_FIRST

    @property
    def share(self) -> float:
        """Of the aggregates, how many are single trades."""
        return self._singles / self._seen

    def observe(self, aggregates: Sequence[AggTrade]) -> None:
        """Take aggregates that REST told."""
        self._seen += len(aggregates)
        self._singles += sum(each.first_trade_id == each.last_trade_id for each in aggregates)
        if self._seen > _FORGET_ABOVE:
            self._singles *= _FORGET_ABOVE / 2 / self._seen
            self._seen = _FORGET_ABOVE / 2

    def is_worth_asking(self, missing: int) -> bool:
        """Return whether aggregates are the cheaper question for a gap of so many trades.

        Where they do not help, the trades are asked for after them, at the weight of both.
        """
        return self.share**missing * TRADES_WEIGHT > AGG_TRADES_WEIGHT


def single_trades(aggregates: Sequence[AggTrade], first_id: int, last_id: int) -> list[Trade]:
    """Return the trades of these ids that aggregates tell completely, ascending."""
    return [
        Trade("trade", each.trade_time, each.symbol, each.first_trade_id, each.price, each.quantity,
              each.trade_time, each.buyer_is_maker, "backfill")
        for each in aggregates
        if each.first_trade_id == each.last_trade_id and first_id <= each.first_trade_id <= last_id
    ]  # fmt: skip
