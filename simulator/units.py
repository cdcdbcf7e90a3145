"""Durations as people write them."""

from __future__ import annotations

import re

_UNIT_SECONDS = {"ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)?")


def seconds(text: str) -> float:
    """Return seconds from `500ms`, `20s`, `4h` or a plain number of seconds.

    Raises ValueError, saying what would be right, on anything else.
    """
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is no duration; expected 500ms, 20s, 4h or a number of seconds")
    return float(match[1]) * _UNIT_SECONDS[match[2] or "s"]
