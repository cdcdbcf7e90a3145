"""Waiting for a condition: the only way in which a test may wait for what another process does."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

WITHIN_SECONDS = 120.0
"""Patience, no measure: what takes a second on a quiet machine takes twenty at a load of 15."""


def eventually(
    condition: Callable[[], Any],
    *,
    within: float = WITHIN_SECONDS,
    what: str = "it",
    every: float = 0.05,
    told: Callable[[], str] | None = None,
    also: tuple[type[AssertionError], ...] = (),
) -> Any:
    """Return the first true result of a condition that is asked again until the deadline.

    Whatever it raises means "not yet": a page that does not answer, a key or a file that is not
    there, a list of another length. The last of it is shown when the time is over. Only a failed
    assertion ends the waiting at once, since it says that something will never be as expected;
    those of a kind in `also` do not. `told` returns what helps to understand a failure.
    """
    deadline = time.monotonic() + within
    while True:
        problem: Exception | None = None
        result = None
        try:
            result = condition()
        except AssertionError as error:
            if not isinstance(error, also):
                raise
            problem = error
        except Exception as error:  # noqa: BLE001 - see above
            problem = error
        if result:
            return result
        if time.monotonic() > deadline:
            last = repr(result if problem is None else problem)
            more = f"\n{told()}" if told else ""
            raise AssertionError(
                f"{what} did not happen within {within:g} s; last: {last}{more}"
            ) from problem
        time.sleep(every)
