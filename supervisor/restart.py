"""When a failed streamer may be launched again: backoff, jitter and a budget, without a clock."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartPolicy:
    """At most `limit` restarts in `window_seconds`, with growing delays between them."""

    limit: int
    window_seconds: float
    backoff_initial_seconds: float
    backoff_max_seconds: float
    healthy_after_seconds: float  # a life this long makes the next delay the first one again


@dataclass(frozen=True, slots=True)
class RestartHistory:
    """What one streamer has used of its budget."""

    restarts: tuple[float, ...] = ()  # when the ones inside the window were granted
    in_a_row: int = 0  # without a healthy life in between


def delay_of_start(policy: RestartPolicy, failed_in_a_row: int) -> float:
    """Return the seconds from a start to its first launch, after so many runs that failed.

    0 after a single failure: whoever was killed is back at once.
    """
    if failed_in_a_row < 2:
        return 0.0
    exponent = min(failed_in_a_row - 2, 60)  # 2.0 ** 1024 would overflow
    return min(policy.backoff_max_seconds, policy.backoff_initial_seconds * 2.0**exponent)


def remaining(policy: RestartPolicy, history: RestartHistory, now: float) -> int:
    """Return how many restarts would be granted at this moment."""
    recent = sum(now - at < policy.window_seconds for at in history.restarts)
    return max(0, policy.limit - recent)


def grant_later(
    policy: RestartPolicy, history: RestartHistory, now: float
) -> tuple[RestartHistory, float | None]:
    """Return the new history and the delay until the budget allows a restart; None: it never does.

    For a spent budget: the delay ends when the oldest of its restarts leaves the window.
    """
    if not policy.limit or not history.restarts:
        return history, None
    oldest, *others = sorted(history.restarts)[-policy.limit :]
    at = max(now, oldest + policy.window_seconds)
    return RestartHistory((*others, at), history.in_a_row + 1), at - now


def grant(
    policy: RestartPolicy,
    history: RestartHistory,
    now: float,
    *,
    lived_seconds: float,
    jitter: float,
) -> tuple[RestartHistory, float | None]:
    """Return the new history and the delay in seconds, or None: the budget is spent.

    `jitter` in [0, 1) takes up to half of the delay, so that streamers which fell together do not
    come back together.
    """
    recent = tuple(at for at in history.restarts if now - at < policy.window_seconds)
    if len(recent) >= policy.limit:
        return RestartHistory(recent, history.in_a_row), None
    in_a_row = 0 if lived_seconds >= policy.healthy_after_seconds else history.in_a_row
    # The exponent is bounded before the power is taken, as above.
    longest = min(
        policy.backoff_max_seconds, policy.backoff_initial_seconds * 2.0 ** min(in_a_row, 60)
    )
    return RestartHistory((*recent, now), in_a_row + 1), longest * (1.0 - 0.5 * jitter)
