"""Numbers for people."""

from __future__ import annotations

from datetime import datetime


def amount(value: float | None, unit: str = "") -> str:
    """Return a number with its unit; a dash when it is not known."""
    if value is None:
        return "–"
    if unit == "share":
        return f"{value:.1%}"
    if unit == "score":
        return f"{value:.2f}"
    if unit == "s" and abs(value) >= 120:
        return clock(value)
    if unit == "count":
        unit = ""  # the name says it
    size = abs(value)
    number = (
        f"{value:,.0f}"
        if size >= 1000
        else f"{value:.1f}"
        if size >= 10
        else f"{round(value, 3):.3g}"
    )
    return f"{number.removesuffix('.0')} {unit}".rstrip()


def clock(seconds: float) -> str:
    """Return a duration as H:MM:SS."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}"


def moment(iso: object) -> str:
    """Return an ISO time without what nobody reads; what is no such time as it is."""
    try:
        at = datetime.fromisoformat(str(iso))
    except ValueError:
        return str(iso)
    return f"{at:%Y-%m-%d %H:%M:%S} {at.tzname() or ''}".rstrip()


def latency(seconds: float | None, beyond_seconds: float) -> str:
    """Return the upper bound of a latency; None is above the last bound."""
    return f"> {beyond_seconds:g} s" if seconds is None else f"≤ {seconds * 1000:g} ms"
