"""Sizes and durations with suffixes, parsed once, at the edge.

`450MiB` is 450 × 2²⁰ bytes, `450MB` is 450 × 10⁶; `4h`, `90s`, `500ms`, `1h30m` are durations.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any

_DURATION_SECONDS = {"ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZE_BYTES = {"": 1, "B": 1, "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_SIZE_BYTES |= {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
DURATION_MAX_SECONDS = 36_500 * 86400.0
"""A hundred years: more than any wait can be, and little enough for the clocks of the system."""
SIZE_MAX_BYTES = (1 << 63) - 1
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)")


def parse_duration(value: object) -> float:
    """Return seconds from a number of seconds or a text such as `4h`, `1h30m`, `500ms`.

    Raises ValueError, saying what would be right, on anything else, negative or longer than
    `DURATION_MAX_SECONDS`.
    """
    seconds = _seconds(value)
    if seconds is None or not seconds >= 0:
        raise ValueError("expected a duration, such as 30s, 500ms, 4h or 1h30m")
    if seconds > DURATION_MAX_SECONDS:
        raise ValueError("expected at most 36500d, which is a hundred years")
    return seconds


def _seconds(value: object) -> float | None:
    if isinstance(value, int) and not isinstance(value, bool):
        # Compared as a whole number: one of 400 digits is no float.
        return float(value) if value <= DURATION_MAX_SECONDS else float("inf")
    if isinstance(value, float):
        return value
    if isinstance(value, str):
        text = value.strip()
        parts = _DURATION.findall(text)
        if parts and not _DURATION.sub("", text).strip():
            return float(sum(float(number) * _DURATION_SECONDS[unit] for number, unit in parts))
        if re.fullmatch(r"\d+(\.\d+)?", text):
            return float(text)
    return None


def parse_size(value: object) -> int:
    """Return bytes from a number of bytes or a text such as `450MiB` (2²⁰) or `450MB` (10⁶).

    Raises ValueError, saying what would be right, on anything else.
    """
    size: float | None = None
    if isinstance(value, int) and not isinstance(value, bool):
        size = value
    elif isinstance(value, str) and (match := _SIZE.fullmatch(value.strip())):
        number, unit = match.groups()
        if unit in _SIZE_BYTES:
            size = float(number) * _SIZE_BYTES[unit]
    if size is not None and size > SIZE_MAX_BYTES:
        raise ValueError("expected less than 8 EiB, which no disk holds")
    if size is not None and size >= 0:
        return round(size)
    raise ValueError("expected a size, such as 450MiB (2^20 bytes) or 450MB (10^6 bytes)")


class Parsed:
    """Marks an annotated type: run this function on the raw value before the type's own checks."""

    def __init__(self, parse: Callable[[Any], Any]) -> None:
        self.parse = parse

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:  # noqa: ANN401
        from pydantic_core import core_schema  # here only: children never validate

        return core_schema.no_info_before_validator_function(self.parse, handler(source))


Seconds = Annotated[float, Parsed(parse_duration)]
ByteCount = Annotated[int, Parsed(parse_size)]
