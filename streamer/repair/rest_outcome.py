"""What an answer over HTTP means to who asked: the documented JSON, or why there is none. Pure."""

from __future__ import annotations

from streamer.data.binance_spot import REST_USED_WEIGHT
from streamer.dialing.http_connection import HttpAnswer
from streamer.printable import printable
from streamer.repair.rest_requests import (
    RestFailure,
    RestFailureKind,
    RestResponse,
    kind_of_refusal,
)
from streamer.retry_after import read_retry_after

THROTTLED_SECONDS = 60.0  # where a 429 or 418 tells no time: the budget's minute
BLOCKED_SECONDS = 60.0  # 403, the firewall, tells none either
DETAIL_BYTES_MAX = 500  # of a failure's text: the exchange's own are under 200
_DIGITS_MAX = 9  # of the used weight: a minute's budget is 6000; Python refuses to read 5,000


def outcome_of(endpoint: str, answer: HttpAnswer) -> RestResponse | RestFailure:
    """Return what was answered to a question for `endpoint`. Never raises."""
    used = _used_weight(answer.headers.get(REST_USED_WEIGHT))
    beginning = answer.body[:200].decode("utf-8", "replace")
    if answer.status == 200:
        if answer.body[:1] in (b"[", b"{"):
            return RestResponse(answer.body, answer.asked_at, answer.answered_at, used)
        return _failure("unavailable", f"{endpoint}: no JSON but {beginning[:60]!r}", 0.0, used)
    text = f"{endpoint}: HTTP {answer.status}"
    retry_after = read_retry_after(answer.headers.get("retry-after"), answer.status)
    if retry_after.note:
        text += f", {retry_after.note}"
    text += f": {beginning}"
    wait_seconds = retry_after.seconds or 0.0
    if answer.status in (429, 418):
        return _failure("throttled", text, wait_seconds or THROTTLED_SECONDS, used)
    if answer.status == 403:
        return _failure("blocked", text, wait_seconds or BLOCKED_SECONDS, used)
    if 400 <= answer.status < 500:
        return _failure(kind_of_refusal(answer.body), text, wait_seconds, used)
    return _failure("unavailable", text, wait_seconds, used)  # 5xx; redirects to pages for people


def failure_of(endpoint: str, error: Exception) -> RestFailure:
    """Return what it means that there was no answer. Never raises."""
    text = f"{endpoint}: {error}" if str(error) else f"{endpoint}: {type(error).__name__}"
    return _failure("unavailable", text, 0.0, None)


def _failure(
    kind: RestFailureKind, text: str, wait_seconds: float, used: int | None
) -> RestFailure:
    return RestFailure(kind, printable(text, DETAIL_BYTES_MAX), wait_seconds, used)


def _used_weight(text: str | None) -> int | None:
    """Return the number in the header; None, so that our own count stands, for anything else."""
    if text is None or not (text.isascii() and text.isdecimal()) or len(text) > _DIGITS_MAX:
        return None
    return int(text)
