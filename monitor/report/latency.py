"""Latency as the report draws it: shares by bucket, and the percentiles that they allow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Final

_NAMES: Final = {"receive": "exchange to streamer", "acknowledge": "streamer to acknowledgement"}


@dataclass(frozen=True, slots=True)
class Latency:
    """One kind of latency. The last bucket is everything above the last bound."""

    name: str
    bounds_seconds: tuple[float, ...]
    counts: tuple[int, ...]
    mean_seconds: float

    @property
    def shares(self) -> tuple[float, ...]:
        """Share of the events in each bucket."""
        total = sum(self.counts)
        return tuple(count / total for count in self.counts)

    def percentile(self, share: float) -> float | None:
        """Return the bound below which this share lies; None when it is above them all."""
        wanted = share * sum(self.counts)
        for bound, reached in zip(self.bounds_seconds, accumulate(self.counts), strict=False):
            if reached >= wanted:
                return bound
        return None


def latencies(document: Mapping[str, Any]) -> tuple[Latency, ...]:
    """Return the latencies that were measured at all; the predecessor measured none."""
    latency: Mapping[str, Any] = document.get("latency") or {}
    return tuple(
        Latency(
            name=name,
            bounds_seconds=tuple(latency["bucket_seconds"]),
            counts=tuple(latency[key]["counts"]),
            mean_seconds=latency[key]["sum_seconds"] / sum(latency[key]["counts"]),
        )
        for key, name in _NAMES.items()
        if key in latency and sum(latency[key]["counts"])
    )
