"""Durations."""

from __future__ import annotations

import pytest

from simulator.units import seconds


@pytest.mark.parametrize(
    ("text", "value"),
    [("500ms", 0.5), ("20s", 20.0), ("1.5m", 90.0), ("4h", 14400.0), ("1d", 86400.0), ("7", 7.0)],
)
def test_durations(text: str, value: float) -> None:
    assert seconds(text) == value


@pytest.mark.parametrize("text", ["", "soon", "-1s", "4 hours", "inf", "nan"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected 500ms"):
        seconds(text)
