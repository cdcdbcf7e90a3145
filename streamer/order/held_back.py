"""What has come of a stream before it is known after which record to go on. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, TypeVar

Frame = TypeVar("Frame")


@dataclass(slots=True)
class HeldBack(Generic[Frame]):
    """Frames in their order.

    `whole_since_us` is since when nothing that the exchange sends is missing in it, Unix
    microseconds; None: that cannot be said.
    """

    frames: list[Frame] = field(default_factory=list)
    whole_since_us: int | None = None

    def lose(self) -> None:
        """Handle that some of it was not received or not kept: what comes later can be used."""
        self.frames.clear()
        self.whole_since_us = None
