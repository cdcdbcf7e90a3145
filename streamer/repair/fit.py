"""Does what REST tells fit what the stream told? Pure.

A page is asked for together with its neighbours, as far as the stream brought them: under the same
ids REST must tell the same. Otherwise it is that of another venue, or wrong, and nothing of it is
taken. Between its neighbours nothing may be older than the one below or younger than the one above.
Prices are not judged beyond that: they may jump, and a neighbour that is the same says more.
"""

from __future__ import annotations

from collections.abc import Sequence

from streamer.data.kinds.agg_trade import AggTrade
from streamer.data.kinds.kline import Kline
from streamer.data.kinds.trade import Trade
from streamer.data.same import is_same

TOLERANCE_US = 1_000_000
"""How much older or younger than its neighbours a trade may be: the exchange's own servers differ
by milliseconds, another venue's trades of the same ids by days."""

Repaired = Trade | AggTrade | Kline
"""What REST can tell again."""


class Misfit(ValueError):  # noqa: N818 - named for what it is
    """What REST tells is not what the stream told."""


def compare(page: Sequence[Repaired], below: Repaired | None, above: Repaired | None) -> bool:
    """Compare a page, ascending, with the events that the stream brought next to it.

    Return whether one of these is in it, and is the same there: the page is of the same venue.
    Raises Misfit.
    """
    known = {event.id: event for event in (below, above) if event is not None}
    found = False
    for event in page:
        streamed = known.get(event.id)
        if streamed is None:
            _check_time(event, below, above)
        elif is_same(streamed, event):
            found = found or _says_something(streamed, event)
        else:
            raise Misfit(f"the stream told {streamed}, and REST {event}")
    return found


def _says_something(streamed: Repaired, told: Repaired) -> bool:
    """Return whether another venue would have told something else.

    An empty candle has the price of the one before, which is compared where both are closed.
    """
    if not isinstance(streamed, Kline) or not isinstance(told, Kline):
        return True
    are_closed = streamed.candle.is_closed and told.candle.is_closed
    return are_closed or streamed.candle.trade_count > 0


def can_tell(streamed: Repaired) -> bool:
    """Return whether the same from REST shows that it is of the stream's venue.

    A candle without trades has nothing of its own but its time.
    """
    return not isinstance(streamed, Kline) or streamed.candle.trade_count > 0


def _check_time(event: Repaired, below: Repaired | None, above: Repaired | None) -> None:
    """Raise Misfit for a trade whose time is not between those of its neighbours.

    The times of candles are their ids.
    """
    if isinstance(event, Kline):
        return
    for other in (below, above):
        if other is None or isinstance(other, Kline):
            continue
        later_us = event.trade_time - other.trade_time
        if event.id > other.id and later_us < -TOLERANCE_US:
            raise Misfit(f"{event} is older than what came before it, {other}")
        if event.id < other.id and later_us > TOLERANCE_US:
            raise Misfit(f"{event} is younger than what came after it, {other}")
