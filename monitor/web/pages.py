"""What is served: each page is rendered once per snapshot, however many ask for it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from http import HTTPStatus
from importlib.resources import files
from typing import Final

from monitor.exposition import STREAMS_MAX, Exposition
from monitor.health import obstacles, warnings
from monitor.live.feed import Message
from monitor.live.streams import QueryError, StreamQuery, StreamTable, query_of
from monitor.snapshot import Snapshot
from monitor.status import status_json
from monitor.web.collection import collection_paused
from monitor.web.counts import HttpCounts
from monitor.web.response import JSON, Request, Response, said
from streamer.strict_json import encode

STALE_SECONDS = 10.0  # the loop publishes every second; ten missed turns are a hang
QUERIES_MAX = 32  # of the streams, in a second: each costs a look at all of them
_NOTHING_YET = "nothing is known yet"
_FILES: Final = {
    "/": ("live/page.html", "text/html; charset=utf-8"),
    "/page.css": ("report/page.css", "text/css; charset=utf-8"),  # the same look
    "/live.css": ("live/live.css", "text/css; charset=utf-8"),
    "/live.js": ("live/live.js", "text/javascript; charset=utf-8"),
    "/icon.svg": ("live/icon.svg", "image/svg+xml"),
}
"""The live page: files of the package, with their types."""


@dataclass(frozen=True)
class Published:
    """A snapshot, when it came, and what was rendered from it so far."""

    snapshot: Snapshot
    monotonic: float
    rendered: dict[str, Response] = field(default_factory=dict)
    queries: dict[StreamQuery, Response] = field(default_factory=dict)

    @cached_property
    def streams(self) -> StreamTable:
        """The table of streams."""
        return StreamTable(self.snapshot)

    @cached_property
    def message(self) -> Message:
        """What those are sent who stay."""
        return Message(self.snapshot, self.streams)


class Pages:
    """The pages by path. `publish` may be called by any thread, the rest by the server's only."""

    def __init__(self, counts: HttpCounts, streams_max: int = STREAMS_MAX) -> None:
        """`streams_max` is how many streams have metrics of their own."""
        self.latest: Published | None = None
        self._exposition = Exposition(
            lambda: self.latest.snapshot if self.latest else None, streams_max, also=counts
        )
        self.paths: dict[str, Callable[[Request], Response]] = {
            "/metrics": self._metrics,
            "/healthz": self._healthz,
            "/readyz": self._readyz,
            "/status": self._status,
            **{path: _file(*file) for path, file in _FILES.items()},
            "/streams": self._streams,
        }

    def publish(self, snapshot: Snapshot) -> None:
        """Let this be what is told from now on."""
        self.latest = Published(snapshot, time.monotonic())

    def respond(self, request: Request) -> Response:
        """Answer a request for one of `paths`."""
        with collection_paused():
            return self.paths[request.path](request)

    def _metrics(self, request: Request) -> Response:
        # Two formats whatever is asked for, so that nobody can have more of them rendered.
        if _accepts_openmetrics(request.headers.get("accept", "")):
            return self._once(
                "/metrics in OpenMetrics", lambda _: _exposition(*self._exposition.openmetrics())
            )
        return self._once("/metrics", lambda _: _exposition(*self._exposition.text()))

    def _healthz(self, _: Request) -> Response:
        latest = self.latest
        if latest is not None and time.monotonic() - latest.monotonic < STALE_SECONDS:
            return said(HTTPStatus.OK, "alive")
        return said(HTTPStatus.SERVICE_UNAVAILABLE, "the control loop makes no progress")

    def _readyz(self, _: Request) -> Response:
        return self._once("/readyz", _ready)

    def _status(self, _: Request) -> Response:
        return self._once("/status", _status)

    def _streams(self, request: Request) -> Response:
        latest = self.latest
        try:
            query = query_of(request.query)
        except QueryError as error:
            return said(HTTPStatus.BAD_REQUEST, str(error))
        if latest is None:
            return said(HTTPStatus.SERVICE_UNAVAILABLE, _NOTHING_YET)
        if query not in latest.queries:
            if len(latest.queries) >= QUERIES_MAX:
                return said(
                    HTTPStatus.SERVICE_UNAVAILABLE,
                    f"expected at most {QUERIES_MAX} different queries a second",
                    ("Retry-After", "1"),
                )
            body = encode(latest.streams.page(query))
            latest.queries[query] = Response(HTTPStatus.OK, body, JSON)
        return latest.queries[query]

    def _once(self, name: str, render: Callable[[Snapshot | None], Response]) -> Response:
        """Return what was rendered for this snapshot, or render it."""
        latest = self.latest
        if latest is None:
            return render(None)
        if name not in latest.rendered:
            latest.rendered[name] = render(latest.snapshot)
        return latest.rendered[name]


def _accepts_openmetrics(accept: str) -> bool:
    kinds = (kind.partition(";")[0].strip().lower() for kind in accept.split(","))
    return "application/openmetrics-text" in kinds


def _exposition(text: bytes, content_type: str) -> Response:
    return Response(HTTPStatus.OK, text, content_type)


def _file(name: str, content_type: str) -> Callable[[Request], Response]:
    body = files("monitor").joinpath(*name.split("/")).read_bytes()
    response = Response(HTTPStatus.OK, body, content_type)
    return lambda _: response


def _ready(snapshot: Snapshot | None) -> Response:
    why = obstacles(snapshot) if snapshot is not None else (_NOTHING_YET,)
    also = warnings(snapshot) if snapshot is not None else ()
    if why:
        return said(HTTPStatus.SERVICE_UNAVAILABLE, "\n".join((*why, *also)))
    return said(HTTPStatus.OK, "\n".join(("streaming", *also)))


def _status(snapshot: Snapshot | None) -> Response:
    if snapshot is None:
        return said(HTTPStatus.SERVICE_UNAVAILABLE, _NOTHING_YET)
    return Response(HTTPStatus.OK, status_json(snapshot), JSON)
