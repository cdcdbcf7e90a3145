"""Whatever a server answers is an answer, or a failure with a bounded pause and a short text."""

from __future__ import annotations

import http.client

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.dialing.http_connection import HttpAnswer
from streamer.repair.rest_outcome import (
    BLOCKED_SECONDS,
    DETAIL_BYTES_MAX,
    THROTTLED_SECONDS,
    failure_of,
    outcome_of,
)
from streamer.repair.rest_requests import RestFailure, RestResponse
from streamer.retry_after import BAN_SECONDS_MAX, OTHER_SECONDS_MAX

NUMBERS = st.integers().map(str) | st.text(max_size=30) | st.integers(1, 6000).map("9".__mul__)


def answer(status: int, body: bytes = b"{}", **headers: str) -> HttpAnswer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return HttpAnswer(status, named, body, 1.0, 2.0)


@given(
    status=st.sampled_from([200, 204, 302, 400, 403, 404, 418, 429, 500, 503]) | st.integers(),
    body=st.binary(max_size=300) | st.just(b"["),
    retry_after=NUMBERS,
    used=NUMBERS,
)
def test_every_answer_has_an_outcome(status: int, body: bytes, retry_after: str, used: str) -> None:
    headers = {"retry_after": retry_after, "x_mbx_used_weight_1m": used}
    outcome = outcome_of("aggTrades", answer(status, body, **headers))

    assert outcome.used_weight is None or 0 <= outcome.used_weight < 1e9
    if isinstance(outcome, RestResponse):
        assert status == 200
        assert outcome == RestResponse(body, 1.0, 2.0, outcome.used_weight)
        return
    banned = status in (418, 429)
    assert 0 <= outcome.wait_seconds <= (BAN_SECONDS_MAX if banned else OTHER_SECONDS_MAX)
    assert outcome.wait_seconds > 0 or not (banned or status == 403)
    assert outcome.detail.startswith("aggTrades: ")
    assert outcome.detail.isprintable()
    assert len(outcome.detail.encode()) < DETAIL_BYTES_MAX + 100


@pytest.mark.parametrize(
    ("given", "outcome"),
    [
        (
            answer(429, b'{"code":-1003}', retry_after="7", x_mbx_used_weight_1m="6001"),
            RestFailure(
                "throttled",
                'time: HTTP 429, to be tried again after 7 s: {"code":-1003}', 7.0, 6001,
            ),
        ),
        (
            answer(418, retry_after="-5"),
            RestFailure(
                "throttled",
                "time: HTTP 418, its Retry-After '-5' is no number of seconds: not followed: {}",
                THROTTLED_SECONDS,
            ),
        ),
        (
            answer(503, retry_after="315360000"),
            RestFailure(
                "unavailable",
                "time: HTTP 503, to be tried again after 300 s (it asks for 315360000, too long "
                "with HTTP 503): {}",
                300.0,
            ),
        ),
        (answer(403, b"<html>"), RestFailure("blocked", "time: HTTP 403: <html>", BLOCKED_SECONDS)),
        (answer(400, b"\x1b[2J\n"), RestFailure("refused", r"time: HTTP 400: \x1b[2J\n")),
        (answer(200, b"<b>"), RestFailure("unavailable", "time: no JSON but '<b>'")),
    ],
)  # fmt: skip
def test_a_failure_says_what_was_answered_and_what_is_made_of_it(
    given: HttpAnswer, outcome: RestFailure
) -> None:
    assert outcome_of("time", given) == outcome


def test_an_error_without_a_text_has_its_name() -> None:
    assert failure_of("time", MemoryError()).detail == "time: MemoryError"
    assert failure_of("time", http.client.BadStatusLine("\x07")).detail == r"time: \x07"
