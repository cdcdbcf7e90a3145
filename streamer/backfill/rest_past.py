"""The past over REST: asked for within the shared budget, again after troubles, compared."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from streamer.audit.ranges import Range
from streamer.backfill.errors import BackfillError
from streamer.backfill.plan import Step, take_page
from streamer.backfill.stored import Content, check_same, content_of
from streamer.data.binance_spot import PAGE_LIMIT
from streamer.data.catalogue import BY_STREAM, NUMBERED, kind_of
from streamer.data.checks import TimeWindow
from streamer.data.kinds.agg_trade import latest_request, since_request
from streamer.data.kinds.kline import Kline
from streamer.data.rest_page import RestRequest, Unusable
from streamer.errors import FrameRejected
from streamer.repair.gap_tracker import CONFIRM_SECONDS
from streamer.repair.rest_requests import RestFailure, RestResponse, page_request, read_page
from streamer.repair.weight import WeightBudget

SHARE_OF_REPAIRS = 0.5
"""Of the weight that repairs may use: a streamer at the same IP goes on to repair meanwhile."""
CONFIRMATIONS = 5
"""Answers after the first one, of which two in a row must agree that ids do not exist."""
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 60.0  # after troubles that heal by waiting


class Clock(Protocol):
    """Times in seconds; the module `time` is one."""

    def time(self) -> float:
        """Return the Unix time."""

    def monotonic(self) -> float:
        """Return a time that is never set."""

    def sleep(self, seconds: float, /) -> None:
        """Wait."""


@dataclass(slots=True)
class RestPast:
    """Asks the exchange, and waits for it. Raises BackfillError when that is of no use."""

    ask: Callable[[RestRequest], RestResponse | RestFailure]
    budget: WeightBudget
    in_milliseconds: bool
    give_up_after_seconds: float
    say: Callable[[str], None]
    clock: Clock
    same_venue: bool = True  # the addresses of REST and stream are known to belong together

    def steps(
        self, stream: str, symbol: str, ids: Range, stored: Mapping[int, Content]
    ) -> Iterator[Step]:
        """Yield what the exchange tells of a range of ids, in ascending order.

        `stored` is what is known of its neighbours: under the same ids it must tell the same.
        """
        position, last_id = ids
        is_numbered = kind_of(stream) in NUMBERED
        content = content_of(stream, symbol)

        def asked(first_id: int, limit: int) -> tuple[list[Any], list[int]]:
            page, unusable = self._page(stream, symbol, first_id, limit)
            for event in page:
                if event.id in stored and _is_final(event):
                    where = f"{stream} {symbol} {event.id}, as REST tells it"
                    factor = 1000 if self.in_milliseconds else 1
                    check_same(content(event), stored[event.id], factor, where)
            return page, unusable

        if not self.same_venue and stored.keys().isdisjoint((position - 1, last_id + 1)):
            raise BackfillError(
                "nothing that is stored lies next to it to compare with, and exchange.rest_url is "
                "not known to belong to exchange.websocket_url: not taken without --uncompared"
            )
        if position - 1 not in stored and last_id + 1 in stored:
            # Before anything is stored: the first page need not reach up to it. Of a candle the
            # one after it as well, without which nobody knows that it is closed.
            asked(last_id + 1, 1 if is_numbered else 2)
        while position <= last_id:
            asked_from = position - 1 if is_numbered and position else position
            wanted = min(last_id + 1 - asked_from + 1, PAGE_LIMIT) if is_numbered else PAGE_LIMIT
            page, unusable = asked(asked_from, wanted)
            step = take_page(page, position, last_id, unusable)
            for _ in range(CONFIRMATIONS if step.empty else 0):  # a replica may lag
                self.clock.sleep(CONFIRM_SECONDS)
                before = step
                page, unusable = asked(asked_from, wanted)
                step = take_page(page, position, last_id, unusable)
                if step.empty == before.empty:
                    break
            else:
                step = replace(step, empty=[], untold=sorted([*step.untold, *step.empty]))
            yield step
            position = step.next_id

    def ids_between(self, symbol: str, stream: str, from_us: int, to_us: int) -> Range | None:
        """Return the ids of what took place in a time, the end not included; None: nothing did."""
        if kind_of(stream) not in NUMBERED:
            return from_us, to_us - 1
        first, end = (self._first_since(symbol, stream, time_us) for time_us in (from_us, to_us))
        if first is None:
            return None
        if end is None:  # up to now: all that there is
            end = self._latest(symbol, stream) + 1
        return (first, end - 1) if first < end else None

    def _first_since(self, symbol: str, stream: str, time_us: int) -> int | None:
        """Return the first id at or after a time, by the aggregate trade that is; None: none."""
        request = since_request(symbol, -(-time_us // 1000))
        page = self._read("aggTrade", symbol, request)[0]
        if not page:
            return None
        return int(page[0].first_trade_id if stream == "trade" else page[0].id)

    def _latest(self, symbol: str, stream: str) -> int:
        page = self._read("aggTrade", symbol, latest_request(symbol))[0]
        if not page:
            raise BackfillError(f"{symbol}: the exchange tells of no trade")
        return int(page[-1].last_trade_id if stream == "trade" else page[-1].id)

    def _page(
        self, stream: str, symbol: str, first_id: int, limit: int
    ) -> tuple[list[Any], list[int]]:
        request = page_request(stream, symbol, first_id, limit)
        page, unusable = self._read(stream, symbol, request)
        window = TimeWindow()
        latest_us = int(self.clock.time() * 1e6) + window.ahead_us
        check = BY_STREAM[stream].check_of(stream)
        events, refused = [], [one.id for one in unusable]
        for event in page:
            try:
                check(event, window.earliest_us, latest_us)
            except FrameRejected as error:
                self.say(f"{stream} {symbol} {event.id}: not stored: {error}")
                refused.append(event.id)
            else:
                events.append(event)
        return events, refused

    def _read(
        self, stream: str, symbol: str, request: RestRequest
    ) -> tuple[list[Any], list[Unusable]]:
        """Return an answer's events and what is no event of it; ask again until there is one."""
        began, pause = self.clock.monotonic(), FIRST_PAUSE_SECONDS
        while True:
            self._await_budget(request)
            outcome = self.ask(request)
            unusable: list[Unusable] = []
            if isinstance(outcome, RestResponse):
                self.budget.observe(outcome.used_weight, self.clock.time())
                try:
                    return read_page(
                        stream, symbol, outcome.body,
                        in_milliseconds=self.in_milliseconds, unusable=unusable,
                    ), unusable  # fmt: skip
                except ValueError as error:
                    outcome = RestFailure("unavailable", f"{request.endpoint}: {error}")
            if outcome.used_weight is not None:
                self.budget.observe(outcome.used_weight, self.clock.time())
            if outcome.kind in ("refused", "unknown_symbol", "misfit"):
                raise BackfillError(f"{stream} {symbol}: the exchange refuses: {outcome.detail}")
            waited = self.clock.monotonic() - began
            if waited >= self.give_up_after_seconds:
                raise BackfillError(
                    f"{stream} {symbol}: no answer for {waited:.0f} s (repair.give_up_after): "
                    f"{outcome.detail}"
                )
            wait = max(outcome.wait_seconds, pause)
            self.say(f"{outcome.detail}; asked again in {wait:.0f} s")
            self.clock.sleep(wait)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    def _await_budget(self, request: RestRequest) -> None:
        while (delay := self.budget.delay(request.weight, self.clock.time(), bulk=True)) > 0:
            self.clock.sleep(delay)
        self.budget.spend(request.weight, self.clock.time(), bulk=True)


def _is_final(event: Any) -> bool:  # noqa: ANN401 - an event of any kind
    return not isinstance(event, Kline) or event.candle.is_closed
