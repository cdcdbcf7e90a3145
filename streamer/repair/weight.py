"""The exchange's budget of request weight, which all processes of an IP share. Pure."""

from __future__ import annotations

WINDOW_SECONDS = 60.0
RESERVED_SHARE, RESERVED_MAX = 0.1, 180
"""Of our share, for the small questions, and the weight that is enough for them: 45 looks at silent
streams a minute, which with a thousand silent ones looks at each within 22 minutes."""
_MARGIN_SECONDS = 1.0  # our clock and the exchange's, which begins the minute


class WeightBudget:
    """How much may be asked in this minute of the clock.

    `limit` is what the exchange allows per minute and IP, `share` the part of it that may be used
    when a request of ours begins, everybody's requests counted: the exchange tells with each
    answer what is used. Where an answer does not, as through some gateways, each of the `processes`
    that share it keeps to an equal part. Times are Unix times in seconds.
    """

    def __init__(self, limit: int, share: float, processes: int = 1) -> None:
        self._limits = _limits(limit * share)
        self._limits_alone = _limits(limit * share / processes)
        self._is_told = True  # by the exchange, with its latest answer
        self._minute = -1
        self._used = 0
        self._small = 0  # of it, by small questions of ours
        self._asked_in: int | None = None  # the minute in which the latest request began
        self.bulk_waits = False
        """Whether more bulk waits than this minute has weight for: then the small questions keep
        to what is reserved for them, since each weight beyond it makes the bulk wait."""

    def delay(self, weight: int, time: float, *, bulk: bool = False) -> float:
        """Return the seconds until a request of this weight may begin; 0 when it may now.

        What is `bulk` leaves `RESERVED_SHARE` to the rest. A request above the whole share may
        begin when nothing else was asked in its minute.
        """
        self._turn(time)
        limit, limit_of_bulk = self._now
        if bulk:
            fits = self._used_of_bulk + weight <= limit_of_bulk
        else:
            is_beyond = self._small > 0 and self._small + weight > limit - limit_of_bulk
            fits = self._used + weight <= limit and not (self.bulk_waits and is_beyond)
        if fits or not self._used:
            return 0.0
        return (self._minute + 1) * WINDOW_SECONDS + _MARGIN_SECONDS - time

    def left_for_bulk(self, time: float) -> int:
        """Return how much weight this minute still has for a back-fill."""
        self._turn(time)
        return max(self._now[True] - self._used_of_bulk, 0)

    def seconds_for(self, weight: int, time: float) -> float:
        """Return in how many seconds a back-fill of this weight can all have been asked.

        What others use in later minutes is not known, nor how long the answers take.
        """
        beyond = weight - self.left_for_bulk(time)
        if beyond <= 0:
            return 0.0
        minutes = -(-beyond // max(self._now[True], 1))
        return (self._minute + minutes) * WINDOW_SECONDS + _MARGIN_SECONDS - time

    def spend(self, weight: int, time: float, *, bulk: bool = False) -> None:
        """Count a request that begins now."""
        self._turn(time)
        self._asked_in = self._minute
        self._used += weight
        if not bulk:
            self._small += weight

    def observe(self, used: int | None, time: float) -> None:
        """Take what an answer says is used in its minute, by everybody; None: it does not say.

        An answer to a request of the minute before tells of that one, which is over.
        """
        self._turn(time)
        self._is_told = used is not None
        if self._asked_in in (None, self._minute):
            self._used = max(self._used, used or 0)

    @property
    def _now(self) -> tuple[int, int]:
        """The limits of any request and of bulk."""
        return self._limits if self._is_told else self._limits_alone

    @property
    def _used_of_bulk(self) -> int:
        """What is used, but for what was reserved: it is not left to the rest a second time."""
        limit, limit_of_bulk = self._now
        return self._used - min(self._small, limit - limit_of_bulk)

    def _turn(self, time: float) -> None:
        # The exchange's minute may begin later than ours: until then the old one counts on.
        minute = int((time - _MARGIN_SECONDS) // WINDOW_SECONDS)
        if minute != self._minute:
            self._minute, self._used, self._small = minute, 0, 0


def _limits(weight: float) -> tuple[int, int]:
    return int(weight), int(weight - min(weight * RESERVED_SHARE, RESERVED_MAX))
