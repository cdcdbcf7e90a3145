"""Whether a page of REST is believed: it is read, checked, compared with what the stream told."""

from __future__ import annotations

import logging

from streamer.data.binance_spot import PAGE_LIMIT
from streamer.data.kinds.agg_trade import AggTrade
from streamer.data.kinds.trade import Trade
from streamer.data.rest_page import Unusable
from streamer.errors import FrameRejected
from streamer.repair import neighbours
from streamer.repair.fit import Repaired, can_tell, compare
from streamer.repair.rest_requests import RestResponse, read_page
from streamer.routes import Route

log = logging.getLogger(__name__)


class PageCheck:
    """Whether REST is believed, and what of its pages.

    With `same_venue`, the addresses of REST and stream belong together for sure; otherwise nothing
    is taken from REST before it has told something that the stream has told too, and the same.
    """

    def __init__(self, *, in_milliseconds: bool, same_venue: bool) -> None:
        self.in_milliseconds = in_milliseconds
        self.same_venue = same_venue
        self.trusted = same_venue  # that REST is of the stream's venue
        self.doubted = False  # since it told something else than the stream

    def doubt(self) -> None:
        """Believe nothing more until REST tells the same as the stream."""
        self.doubted, self.trusted = True, False

    def read(self, route: Route, answer: RestResponse, unusable: list[Unusable]) -> list[Repaired]:
        """Return the events of a page; add to `unusable` what no record can be made of.

        Raises ValueError and FrameRejected for what is wrong as a whole.
        """
        page = read_page(
            route.stream,
            route.symbol,
            answer.body,
            in_milliseconds=self.in_milliseconds,
            unusable=unusable,
        )
        received_us = int(answer.answered_at * 1e6)
        events: list[Repaired] = []
        for event in page:
            try:
                route.check(event, received_us)
            except FrameRejected as error:
                if error.error_type == "bad_time":
                    raise  # in another unit, all of it
                unusable.append(Unusable(event.id, repr(event).encode(), str(error)))
            else:
                events.append(event)
        return events

    def agrees(
        self, events: list[Repaired], below: Repaired | None, above: Repaired | None = None
    ) -> bool:
        """Return whether a page holds what the stream told, and the same: REST is believed then.

        Raises Misfit.
        """
        if not compare(events, below, above):
            return False
        if self.doubted:
            log.warning("REST agrees with the streams again")
        self.trusted, self.doubted = True, False
        return True

    def fits(
        self,
        route: Route,
        first_id: int,
        limit: int,
        events: list[Repaired],
        *,
        searched: bool,
        compared: bool,
    ) -> bool:
        """Return whether a page from `first_id` on is to be believed. Raises Misfit.

        `searched` tells that the first id that is not too old is searched for: its neighbours are
        not asked for. `compared` tells that the answer before this one was right about an event
        above the gap: of an unknown host a page that holds nothing of what the stream told is
        believed for that alone, since REST may turn to another venue at any time.
        """
        if self.agrees(events, neighbours.below(route, first_id), neighbours.above(route)):
            return True
        if not self.trusted or self.same_venue or searched:
            return self.trusted
        nearby = (neighbours.below(route, first_id), neighbours.above(route))
        told = [event for event in nearby if event is not None]
        if told and not any(map(can_tell, told)):
            return True  # candles without trades: there is nothing to compare
        return compared and not _misses_what_was_told(route, first_id, limit)


def in_page(first_id: int, limit: int, above: Repaired | None) -> bool:
    """Return whether a page of what is missing, `limit` ids from `first_id` on, holds `above`."""
    reached = first_id + min(limit + 1, PAGE_LIMIT)  # the event above is asked for with the rest
    return isinstance(above, (Trade, AggTrade)) and above.id < reached


def _misses_what_was_told(route: Route, first_id: int, limit: int) -> bool:
    """Return whether a whole page would have shown the event above the gap, the only one known.

    One that is cut short could be of another venue: REST was believed a moment ago, and may
    have turned since. It is asked for again.
    """
    reaches = in_page(first_id, limit, neighbours.above(route))
    return reaches and neighbours.below(route, first_id) is None
