"""Streams that sum up the tape: books, klines, tickers, averages, as pure functions of it.

They tick on a grid of Unix time: the event with a given index belongs to the tick that many after
the tape's beginning, and tells of what happened before it. Where nothing did, it is not sent
(`changed`), but for a candle's closing.
"""

from __future__ import annotations

from itertools import islice
from typing import NamedTuple

from simulator.book import Level, OrderBook
from simulator.spans import INTERVALS, Span, Spans, candle_end, candle_start
from simulator.tape import EVENT_DELAY_MICROSECONDS, STREAMS, BookTicker, SymbolTape

_PARTIAL = {f"depth{levels}": levels for levels in (5, 10, 20)}
_BOOKS = ("depth", *_PARTIAL)
_MILLISECONDS = {
    **dict.fromkeys((*_BOOKS, "miniTicker", "ticker", "avgPrice", "kline_1s"), 1000),
    **dict.fromkeys((f"{book}@100ms" for book in _BOOKS), 100),
}
_KLINE_MILLISECONDS = 2000  # of the other intervals
SUMMARIES = (*_MILLISECONDS, *(f"kline_{interval}" for interval in INTERVALS if interval != "1s"))
"""The names of the streams here."""
EVERY_STREAM = (*STREAMS, *SUMMARIES)
_DAY_SECONDS = 86_400
_AVERAGED_SECONDS = 300


class Depth(NamedTuple):
    """What changed in the book by the updates from `first` to `id`."""

    id: int
    time: int
    changed: bool
    first: int
    bids: list[Level]
    asks: list[Level]


class PartialDepth(NamedTuple):
    """The best prices of each side of the book after the update `id`."""

    id: int
    time: int
    changed: bool
    bids: list[Level]
    asks: list[Level]


class Average(NamedTuple):
    """The average price of the minutes before `time`; `id` is its event time."""

    id: int
    time: int
    changed: bool
    price: int
    last_trade_time: int


class Kline(NamedTuple):
    """A candle as of `time`; `id` is its event time. Seconds of the Unix epoch for its bounds."""

    id: int
    time: int
    changed: bool
    interval: str
    start: int
    end: int
    is_closed: bool
    span: Span | None
    price_before: int


class Ticker(NamedTuple):
    """The 24 hours before `time`; `id` is its event time."""

    id: int
    time: int
    changed: bool
    is_brief: bool
    span: Span | None
    price_before: int
    book: BookTicker


Summary = Depth | PartialDepth | Average | Kline | Ticker


class Summaries:
    """The streams of SUMMARIES of one symbol."""

    def __init__(self, tape: SymbolTape) -> None:
        self.symbol = tape.symbol
        self._tape = tape
        self._spans = Spans(tape)
        self.book = OrderBook(tape)

    def event(self, stream: str, index: int) -> Summary:
        """Return the event of the tick `index` (0 is the first ever)."""
        if index < 0:
            raise IndexError(f"{stream} {index} of {self._tape.symbol} is before the tape began")
        step = _step(stream)
        time = (self._tape.start // step + index + 1) * step
        book = stream.partition("@")[0]
        if book == "depth":
            return self._depth(time, step)
        if book in _PARTIAL:
            return self._partial(time, step, _PARTIAL[book])
        if stream == "avgPrice":
            return self._average(time)
        if stream.startswith("kline_"):
            return self._kline(stream.partition("_")[2], time, step)
        return self._ticker(time, is_brief=stream == "miniTicker")

    def index_after(self, stream: str, microseconds: int) -> int:
        """Return the index of the first tick later than a time."""
        step = _step(stream)
        return max(0, microseconds // step - self._tape.start // step)

    def index_of(self, stream: str, event_id: int) -> int:
        """Return the index of the first event with an id of at least `event_id`, from 0."""
        if not stream.startswith("depth"):
            return self.index_after(stream, event_id - EVENT_DELAY_MICROSECONDS - 1)
        update = self._tape.update(self._tape.index_of_update(event_id))
        return self.index_after(stream, update.time)

    def candle(self, interval: str, start: int, until: int) -> Kline:
        """Return a candle as it is known at a whole second, for REST."""
        end = candle_end(interval, start)
        span = self._spans.between(start, min(end, until))
        before = self._spans.price_before(start)
        time = end * 1_000_000
        return Kline(0, time, True, interval, start, end, end <= until, span, before)

    def _depth(self, time: int, step: int) -> Depth:
        begin, end = self.book.index_before(time - step), self.book.index_before(time)
        last_id, changed = self.book.id_at(end), end > begin
        if not changed:
            return Depth(last_id, time, changed, last_id + 1, [], [])
        first_id = self.book.id_at(begin) + 1
        return Depth(last_id, time, changed, first_id, *self.book.changes(begin, end))

    def _partial(self, time: int, step: int, levels: int) -> PartialDepth:
        begin, end = self.book.index_before(time - step), self.book.index_before(time)
        bids, asks = (list(islice(side.items(), levels)) for side in self.book.state(end))
        return PartialDepth(self.book.id_at(end), time, end > begin, bids, asks)

    def _average(self, time: int) -> Average:
        second = time // 1_000_000
        span = self._spans.between(second - _AVERAGED_SECONDS, second)
        return Average(
            time + EVENT_DELAY_MICROSECONDS,
            time,
            self._spans.between(second - 1, second) is not None,
            span.value // span.volume if span else self._spans.price_before(second),
            span.last.time if span else self._spans.last_before(second).time,
        )

    def _kline(self, interval: str, time: int, step: int) -> Kline:
        second, since = time // 1_000_000, (time - step) // 1_000_000
        start = candle_start(interval, second - 1)
        end = candle_end(interval, start)
        changed = end == second or self._spans.between(since, second) is not None
        return Kline(
            time + EVENT_DELAY_MICROSECONDS,
            time,
            changed,
            interval,
            start,
            end,
            end == second,
            self._spans.between(start, second) if changed else None,
            self._spans.price_before(start) if changed else 0,
        )

    def _ticker(self, time: int, *, is_brief: bool) -> Ticker:
        second = time // 1_000_000
        begin = second - _DAY_SECONDS
        index = max(0, self.book.index_before(time))
        book = self._tape.event("bookTicker", index)
        assert isinstance(book, BookTicker)  # noqa: S101 - for the type checker
        return Ticker(
            time + EVENT_DELAY_MICROSECONDS,
            time,
            self._spans.between(second - 1, second) is not None,
            is_brief,
            self._spans.between(begin, second),
            self._spans.price_before(begin),
            book,
        )


Source = SymbolTape | Summaries


def sources(tape: SymbolTape) -> dict[str, Source]:
    """Return where the events of each stream of a symbol come from, by the stream's name."""
    summaries = Summaries(tape)
    return {**dict.fromkeys(STREAMS, tape), **dict.fromkeys(SUMMARIES, summaries)}


def _step(stream: str) -> int:
    """Return the microseconds between two ticks of a stream."""
    return _MILLISECONDS.get(stream, _KLINE_MILLISECONDS) * 1000
