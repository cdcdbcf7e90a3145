"""The header of messages that a back-fill wrote into the streams' topics, out of their order."""

from __future__ import annotations

from typing import Any

from confluent_kafka import Message

SOURCE_HEADER = "vigil-source"
"""Its value is the record's `source`: backfill or archive. The stream's own messages have none."""


def is_backfilled(message: Message) -> bool:
    """Return whether a back-fill wrote a message."""
    headers: Any = message.headers()  # pairs, or None
    return headers is not None and any(name == SOURCE_HEADER for name, _ in headers)
