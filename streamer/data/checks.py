"""Why frames are rejected, and which times are plausible. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec

from streamer.errors import FrameRejected

ERROR_TYPES = {
    "binary": "a binary message; the exchange sends text only",
    "invalid_utf8": "text that is not UTF-8",
    "not_json": "no JSON",
    "truncated": "JSON that ends too early",
    "too_deep": "JSON that is nested too deeply to be decoded",
    "missing_field": "a field is missing",
    "wrong_type": "a field has another type than documented, or the event is of another kind",
    "bad_id": "an id below 0, above 2⁶³ − 1, absurdly far ahead, or first above last",
    "bad_time": "a time that cannot be, as in another unit",
    "bad_price": "no positive plain decimal number",
    "bad_quantity": "no positive plain decimal number, or not even zero where that is allowed",
    "wrong_symbol": "the payload's symbol is not that of its stream",
    "wrong_interval": "the payload's interval is not that of its stream",
    "unknown_stream": "a supported kind, but a stream that was not subscribed",
    "not_combined": "an event without the envelope that names its stream",
    "differing_copy": "what came again under its ids says something else than at first",
    "unknown_shape": "JSON that is no event, answer or notice of the exchange",
    "internal": "a mistake of ours in decoding it, which is logged once in full",
}
"""Stable labels of FrameRejected, with their meaning."""


UNMEASURED_US = 398 * 24 * 3600 * 1_000_000
"""How far the exchange's clock may be ahead of ours while that was never measured: the longest
that a certificate is valid, since TLS ends with a clock that is further behind. A wrong unit is
further away still."""
MEASURED_US = 5 * 60 * 1_000_000
"""The same once the offset is known: what two measurements can miss, and more."""


@dataclass(slots=True)
class TimeWindow:
    """Which Unix times are plausible, so that no unit is taken for another.

    `earliest_us` is the exchange's first day; `ahead_us` is how far the exchange's clock may be
    ahead of ours, see `follow`.
    """

    earliest_us: int = int(datetime(2017, 7, 14, tzinfo=UTC).timestamp()) * 1_000_000
    ahead_us: int = UNMEASURED_US

    def follow(self, offset_seconds: float) -> None:
        """Judge by the measured offset from now on: the exchange's clock less ours."""
        self.ahead_us = round(offset_seconds * 1e6) + MEASURED_US


_TIME_FIELDS = {"E", "T", "k.t", "k.T", "O", "C"}


UNDECODABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What decoding foreign bytes raises: a frame of 10,000 brackets is the last one."""


def rejection(error: Exception) -> FrameRejected:
    """Return the rejection for one of UNDECODABLE: what was found wrong with a frame."""
    text = str(error)
    if isinstance(error, UnicodeDecodeError):
        return FrameRejected("invalid_utf8", text)
    if isinstance(error, RecursionError):
        return FrameRejected("too_deep", "nested too deeply")
    if not isinstance(error, msgspec.ValidationError):
        return FrameRejected("truncated" if "truncated" in text else "not_json", text)
    if "missing required field" in text:
        return FrameRejected("missing_field", text)
    field = text.rpartition("$.data.")[2].rstrip("`")
    if ">=" in text or "<=" in text:  # of the right type, but outside its range
        return FrameRejected("bad_time" if field in _TIME_FIELDS else "bad_id", text)
    return FrameRejected("wrong_type", text)
