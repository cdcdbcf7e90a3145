"""What a kline's records say: every candle closed, once, its updates before that. Pure."""

from __future__ import annotations

from streamer.audit.order import Contiguous, Increasing, Times
from streamer.audit.ranges import IdRanges


class Candles:
    """Closed candles are ranges of time that touch; updates grow by the time they were made.

    An update of a candle that is closed already comes late, or is a copy, as one that does not
    grow. The candle that is still open is not missed.
    """

    __slots__ = ("_begun", "_closed", "_first", "_floor", "_updates", "again")

    def __init__(self) -> None:
        self.again = IdRanges()  # by event_time
        self._closed = Contiguous()
        self._updates = Increasing()
        self._first: int | None = None
        self._begun = 0  # the open time of the highest candle that is told of
        self._floor = 0  # when the highest closed candle ends

    @property
    def records(self) -> int:
        """How many there were."""
        return self._closed.records + self._updates.records

    @property
    def ids(self) -> IdRanges:
        """The times of closed candles, in microseconds."""
        return self._closed.ids

    @property
    def first_id(self) -> int:
        """The lowest open time."""
        assert self._first is not None  # noqa: S101 - for the type checker: something was taken
        return self._first

    @property
    def last_id(self) -> int:
        """The highest open time."""
        return self._begun

    def take(self, open_time: int, close_time: int, event_time: int, is_closed: int) -> None:
        """Take an update, or with `is_closed` the end of a candle; times in microseconds."""
        self._first = open_time if self._first is None else min(self._first, open_time)
        self._begun = max(self._begun, open_time)
        if is_closed:
            # Close times may be cut to a millisecond; candles begin at whole ones.
            end = (close_time // 1000 + 1) * 1000
            before = self._closed.copies({})
            self._closed.take(open_time, end - 1)
            if self._closed.copies({}) > before:
                self.again.add(event_time, event_time)
            self._floor = max(self._floor, end)
            return
        if open_time < self._floor:
            self._updates.backwards(event_time)
            self._updates.records += 1
        else:
            self._updates.take(event_time)
        for first, last in self._updates.again:
            self.again.add(first, last)

    def holes(self) -> IdRanges:
        """Return the times of candles that were passed over."""
        told = IdRanges()
        for first, last in self._closed.ids:
            told.add(first, last)
        told.add(self.first_id, self.first_id)
        told.add(self._begun, self._begun)
        return told.between()

    def copies(self, times: Times) -> int:
        """Return how many closed candles and updates were there before."""
        return self._closed.copies(times) + self._updates.copies(times)

    def disorder(self, times: Times) -> int:
        """Return how many came after a later candle, or after their candle was closed."""
        return self._closed.disorder(times) + self._updates.disorder(times)
