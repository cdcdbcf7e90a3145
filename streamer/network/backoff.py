"""When to try again: full jitter between attempts, and a budget for all of them. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

_DOUBLINGS_MAX = 63  # beyond any maximum, and before the power overflows a float


class FullJitter:
    """Delays drawn evenly from 0 to a bound that doubles from `initial` to `maximum` seconds.

    Full jitter spreads the clients of a server that came back over the whole interval, where a
    fixed delay would have them return together. `random` yields floats in [0, 1).
    """

    def __init__(self, initial: float, maximum: float, random: Callable[[], float]) -> None:
        self._initial = initial
        self._maximum = maximum
        self._random = random
        self._attempts = 0

    def next_delay(self) -> float:
        """Return the seconds to wait before the next attempt."""
        bound = min(self._maximum, self._initial * 2.0**self._attempts)
        self._attempts = min(self._attempts + 1, _DOUBLINGS_MAX)
        return bound * self._random()

    def reset(self) -> None:
        """Begin anew: an attempt has lasted."""
        self._attempts = 0


class AttemptBudget:
    """At most `limit` attempts in any `window_seconds`, as the exchange counts them per IP.

    None before the time that the exchange has told with a limit or a ban, which is of the IP too.
    """

    def __init__(self, limit: int, window_seconds: float) -> None:
        self._window_seconds = window_seconds
        self._spent: deque[float] = deque(maxlen=limit)
        self._held_until = 0.0

    def delay(self, now: float) -> float:
        """Return the seconds until another attempt is allowed; 0 when it is allowed now."""
        allowed_at = self._held_until
        if len(self._spent) == self._spent.maxlen:
            allowed_at = max(allowed_at, self._spent[0] + self._window_seconds)
        return max(0.0, allowed_at - now)

    def hold(self, until: float) -> None:
        """Allow no attempt before a time, or before a later one that was told already."""
        self._held_until = max(self._held_until, until)

    def spend(self, now: float) -> None:
        """Count an attempt that begins now."""
        self._spent.append(now)
