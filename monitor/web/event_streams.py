"""Clients that stay: each is sent what a new snapshot changes, as server-sent events.

They are bounded apart from the scrapers, in number and in what is kept for one that takes nothing:
a client is sent the latest snapshot, not each one in between, and is dropped when it does not take
that in time. Used by the server's thread only.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from typing import Final

from monitor.live.feed import RETRY, Cursor, stalled
from monitor.web.collection import collection_paused
from monitor.web.pages import Published

EVENTS: Final = "/events"  # the path
EVENT_STREAMS_MAX: Final = 16  # people with the page open, some with several
KEEP_ALIVE_SECONDS: Final = 10.0  # without news; reverse proxies close what is silent for 30 to 60

EVENT_STREAM_HEADERS: Final = (
    ("Content-Type", "text/event-stream"),
    ("Cache-Control", "no-store"),
    ("Connection", "close"),
    ("X-Accel-Buffering", "no"),  # nginx would keep what it gets until its buffer is full
)


class EventStreams:
    """Tells all clients that there is something new."""

    def __init__(self, latest: Callable[[], Published | None]) -> None:
        self._latest = latest
        self._news = asyncio.Event()  # replaced at each publication

    def wake(self) -> None:
        """Have each client look at what is published."""
        self._news.set()
        self._news = asyncio.Event()

    async def messages(self) -> AsyncGenerator[bytes, None]:
        """Yield what one client is to be sent, for ever."""
        yield RETRY
        cursor = Cursor()
        sent: Published | None = None
        while True:
            latest = self._latest()
            if latest is not None and latest is not sent:
                sent = latest
                with collection_paused():
                    message = latest.message.after(cursor)
                yield message
                continue
            news = self._news
            try:
                async with asyncio.timeout(KEEP_ALIVE_SECONDS):
                    await news.wait()
            except TimeoutError:
                yield stalled(None if sent is None else time.monotonic() - sent.monotonic)
