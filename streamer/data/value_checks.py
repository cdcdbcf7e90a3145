"""What kinds share in checking their events' values; each raises FrameRejected. Pure.

`letter` is the field's name on the wire, for the message.
"""

from __future__ import annotations

from collections.abc import Callable

from streamer.avro.binary import ZERO, decimal
from streamer.errors import FrameRejected


def check_times(earliest_us: int, latest_us: int, **times: int) -> None:
    """Raise FrameRejected unless each Unix time in microseconds is within both, inclusive."""
    for letter, time_us in times.items():
        if not earliest_us <= time_us <= latest_us:
            raise FrameRejected(
                "bad_time",
                f"{letter} {time_us}: not within {earliest_us} to {latest_us} microseconds",
            )


def check_positive(error_type: str, letter: str, text: str) -> None:
    """Raise FrameRejected of `error_type` unless the text is a decimal number above zero."""
    if check_decimal(error_type, letter, text) == ZERO:
        raise FrameRejected(error_type, f"{letter}: expected above zero, not {text}")


def check_decimal(
    error_type: str, letter: str, text: str, read: Callable[[str], bytes] = decimal
) -> bytes:
    """Return a number encoded by `read`. Raises FrameRejected of `error_type` where it is none."""
    try:
        return read(text)
    except ValueError as error:
        raise FrameRejected(error_type, f"{letter}: {error}") from error
