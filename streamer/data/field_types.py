"""The types that fields of events share."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

Source = Literal["live", "backfill", "archive"]
"""How an event came: on its stream, or later over REST or from the exchange's public archives. No
frame can claim the latter of itself."""
SOURCE_KEY = "vigil:source"  # no key of the exchange's: a frame's event is live
Whole = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]  # what Avro's long can hold
IdOrNone = Annotated[int, msgspec.Meta(ge=-1, le=(1 << 63) - 1)]
"""An id, or -1 where there is none: the trades of a span in which nobody traded."""
