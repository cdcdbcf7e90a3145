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
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)")


def parse_duration(value: object) -> float:
    """Return seconds from a number of seconds or a text such as `4h`, `1h30m`, `500ms`.

    Raises ValueError, saying what would be right, on anything else, negative or not finite.
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        seconds = float(value)
        if 0 <= seconds < float("inf"):
            return seconds
    elif isinstance(value, str):
        text = value.strip()
        parts = _DURATION.findall(text)
        if parts and not _DURATION.sub("", text).strip():
            return float(sum(float(number) * _DURATION_SECONDS[unit] for number, unit in parts))
        if re.fullmatch(r"\d+(\.\d+)?", text):
            return float(text)
    raise ValueError("a duration is wanted, such as 30s, 500ms, 4h or 1h30m")


def parse_size(value: object) -> int:
    """Return bytes from a number of bytes or a text such as `450MiB` (2²⁰) or `450MB` (10⁶).

    Raises ValueError, saying what would be right, on anything else.
    """
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    if isinstance(value, str) and (match := _SIZE.fullmatch(value.strip())):
        number, unit = match.groups()
        if unit in _SIZE_BYTES:
            return round(float(number) * _SIZE_BYTES[unit])
    raise ValueError("a size is wanted, such as 450MiB (2^20 bytes) or 450MB (10^6 bytes)")


class Parsed:
    """Marks an annotated type: run this function on the raw value before the type's own checks."""

    def __init__(self, parse: Callable[[Any], Any]) -> None:
        self.parse = parse

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:  # noqa: ANN401
        from pydantic_core import core_schema  # here only: children never validate

        return core_schema.no_info_before_validator_function(self.parse, handler(source))


Seconds = Annotated[float, Parsed(parse_duration)]
ByteCount = Annotated[int, Parsed(parse_size)]
