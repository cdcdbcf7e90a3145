"""Numbers for people."""

from __future__ import annotations


def amount(value: float | None, unit: str = "") -> str:
    """Return a number with its unit; a dash when it is not known."""
    if value is None:
        return "–"
    if unit == "share":
        return f"{value:.1%}"
    if unit == "s" and abs(value) >= 120:
        return clock(value)
    digits = 0 if float(value).is_integer() or abs(value) >= 1000 else 1 if abs(value) >= 100 else 3
    return (
        f"{round(value, digits):,} {unit}".rstrip() if digits else f"{value:,.0f} {unit}".rstrip()
    )


def clock(seconds: float) -> str:
    """Return a duration as H:MM:SS."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}"


def latency(seconds: float | None, beyond_seconds: float) -> str:
    """Return the upper bound of a latency; None is above the last bound."""
    return f"> {beyond_seconds:g} s" if seconds is None else f"≤ {seconds * 1000:g} ms"
