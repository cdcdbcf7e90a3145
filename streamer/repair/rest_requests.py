"""What the exchange's REST interface answers, and how the past of streams is asked for. Pure.

Endpoints, weights and shapes are those of the exchange's rest-api.md (2026); those of a stream's
past are in the module of its kind.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from streamer.data.binance_spot import TIME_WEIGHT
from streamer.data.catalogue import BY_STREAM
from streamer.data.field_types import Whole
from streamer.data.rest_page import RestRequest, Unusable, decode
from streamer.data.stream_kind import Past

RestFailureKind = Literal[
    "throttled", "blocked", "refused", "unknown_symbol", "unavailable", "misfit"
]
"""429 or 418; 403; another 4xx, which no repetition will heal; the same about the symbol; 5xx,
network, time, no JSON; and what is not what the stream told."""


@dataclass(frozen=True, slots=True)
class RestResponse:
    """The body of a good answer; Unix times in seconds."""

    body: bytes
    asked_at: float
    answered_at: float
    used_weight: int | None = None  # by everybody at this IP in the exchange's minute


@dataclass(frozen=True, slots=True)
class RestFailure:
    """Why there is no answer; `wait_seconds` is what the exchange asks for, for all requests."""

    kind: RestFailureKind
    detail: str
    wait_seconds: float = 0.0
    used_weight: int | None = None


class _Error(msgspec.Struct):
    code: int
    msg: str = ""


class _ServerTime(msgspec.Struct):
    serverTime: Whole  # noqa: N815 - the exchange's name


EARLIEST_SECONDS, LATEST_SECONDS = 1_499_990_400, 4_102_444_800  # the exchange opened; 2100
UNKNOWN_SYMBOL = -1121  # errors.md: "Invalid symbol."
TIME_REQUEST = RestRequest("time", (), TIME_WEIGHT)
_time = msgspec.json.Decoder(_ServerTime)
_error = msgspec.json.Decoder(_Error)


def page_request(stream: str, symbol: str, first_id: int, limit: int) -> RestRequest:
    """Return the request for the events of a stream of a kind in REPAIRABLE from an id on.

    The ids of klines are open times in microseconds.
    """
    return _past_of(stream).request(stream, symbol, first_id, limit)


def kind_of_refusal(body: bytes) -> RestFailureKind:
    """Return what a 4xx is about that speaks of the question itself, by its body."""
    try:
        error = decode(_error, body)
    except ValueError:
        return "refused"
    # Of -1100, illegal characters, the message names the parameter.
    about_symbol = error.code == -1100 and "'symbol'" in error.msg
    return "unknown_symbol" if error.code == UNKNOWN_SYMBOL or about_symbol else "refused"


def read_page(
    stream: str,
    symbol: str,
    body: bytes,
    *,
    in_milliseconds: bool = False,
    unusable: list[Unusable] | None = None,
) -> list[Any]:
    """Return the events of an answer, in ascending order of ids, times in microseconds.

    REST does not tell when the exchange made the event: the trade's time, or when the candle was
    over, stands for it. A candle is closed for sure when there is another one after it.
    Raises ValueError for anything but the documented JSON; a trade of which the id alone can be
    read goes to `unusable` instead, if that is given.
    """
    factor = 1000 if in_milliseconds else 1
    return _past_of(stream).read(stream, symbol, body, factor, unusable)


def read_time(body: bytes, *, in_milliseconds: bool = False) -> float:
    """Return the exchange's Unix time in seconds. Raises ValueError.

    A time that cannot be, such as one in another unit, would make all that the streams tell look
    wrong: every event's time is judged by it.
    """
    told = decode(_time, body).serverTime
    seconds = told / (1e3 if in_milliseconds else 1e6)
    if not EARLIEST_SECONDS <= seconds < LATEST_SECONDS:
        unit = "milliseconds" if in_milliseconds else "microseconds"
        raise ValueError(f"serverTime {told} is no time of these days in {unit}")
    return seconds


def _past_of(stream: str) -> Past:
    past = BY_STREAM[stream].past
    assert past is not None  # noqa: S101 - for the type checker: only such streams are repaired
    return past
