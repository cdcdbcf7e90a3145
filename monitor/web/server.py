"""The supervisor's HTTP port, in a daemon thread beside the control loop.

One thread whatever comes: asyncio moves the bytes, h11 speaks HTTP. Clients are bounded in number,
and each request and response in time and size. The thread reads immutable snapshots and nothing
else, so that no client can hold up the supervisor.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from http import HTTPStatus
from typing import cast

from monitor.exposition import STREAMS_MAX
from monitor.snapshot import Snapshot
from monitor.web.counts import HttpCounts
from monitor.web.event_streams import (
    EVENT_STREAM_HEADERS,
    EVENT_STREAMS_MAX,
    EVENTS,
    EventStreams,
)
from monitor.web.exchange import Exchange, SlowClient
from monitor.web.hosts import host_allowed, host_and_port
from monitor.web.pages import Pages
from monitor.web.response import Request, Response, refusal, said

log = logging.getLogger(__name__)

CLIENTS_MAX = 64  # many times the scrapers and people there are, few of 1,024 descriptors
BACKLOG = 128  # connections to be accepted; asyncio takes as many at once, above CLIENTS_MAX
CLOSE_SECONDS = 5.0  # the thread answers at once, unless it is in the middle of a large page
SWITCH_SECONDS = 0.0005
"""How long the thread keeps the interpreter when the control loop wakes: by default 5 ms, and with
4,500 streams a page is made for 40 ms of each second (docs/live-page.md)."""

TOO_MANY_EVENT_STREAMS = said(
    HTTPStatus.SERVICE_UNAVAILABLE,
    f"expected at most {EVENT_STREAMS_MAX} event streams at a time: close the page elsewhere",
    ("Retry-After", "10"),
)


class HttpError(RuntimeError):
    """The server cannot listen: says where and why."""


class MetricsServer:
    """Serves what was published last. Thread-safe towards the one who publishes."""

    def __init__(
        self,
        address: str = "127.0.0.1:9091",
        allowed_hosts: Sequence[str] = (),
        metrics_streams_max: int = STREAMS_MAX,
    ) -> None:
        """Bind to `HOST:PORT` or `[IPV6]:PORT` (port 0: any free one). Raises HttpError.

        `allowed_hosts` are names that may stand in a Host header (`hosts.host_allowed`);
        `metrics_streams_max` is how many streams have metrics of their own.
        """
        try:
            self._bound_host, port = host_and_port(address)
            self._socket = _listen(self._bound_host, port)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise HttpError(
                f"metrics cannot be served on {address!r}: {reason}; expected a free "
                "HOST:PORT (ss --listening --tcp --processes names who has a port)"
            ) from error
        self._allowed_hosts = tuple(allowed_hosts)
        self._counts = HttpCounts(time.monotonic)
        self._pages = Pages(self._counts, metrics_streams_max)
        self._event_streams = EventStreams(lambda: self._pages.latest)
        self._clients: dict[asyncio.Task[None], None] = {}  # the oldest first
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._thread: threading.Thread | None = None

    @property
    def address(self) -> tuple[str, int]:
        """Host and port that are listened on."""
        host, port = self._socket.getsockname()[:2]
        return str(host), int(port)

    @property
    def url(self) -> str:
        """The live page, as this machine reaches it."""
        host, port = self.address
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - is compared
        return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"

    def start(self) -> None:
        """Serve until `close`. The threads of this process take turns more often from now on."""
        sys.setswitchinterval(min(sys.getswitchinterval(), SWITCH_SECONDS))
        self._thread = threading.Thread(target=self._run, name="metrics", daemon=True)
        self._thread.start()

    def publish(self, snapshot: Snapshot) -> None:
        """Let this be what is told from now on."""
        self._pages.publish(snapshot)
        if self._counts.event_streams:
            with suppress(RuntimeError):  # the thread has ended
                self._loop.call_soon_threadsafe(self._event_streams.wake)

    def close(self) -> None:
        """Stop serving and give the port back."""
        if self._thread is not None:
            with suppress(RuntimeError):  # it has ended
                self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(CLOSE_SECONDS)
        else:
            self._loop.close()
        self._socket.close()

    def _run(self) -> None:
        self._loop.set_exception_handler(self._failed)
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._accepted, sock=self._socket, backlog=BACKLOG)
        await self._stop.wait()
        server.close()  # clients are ended with the loop

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client. Whatever it does ends here."""
        task = cast(asyncio.Task[None], asyncio.current_task())
        if len(self._clients) >= CLIENTS_MAX:
            # The oldest has had the most time: a scrape takes milliseconds.
            oldest = next(iter(self._clients))
            del self._clients[oldest]
            oldest.cancel()
            self._counts.drop("too many clients")
        self._clients[task] = None
        self._counts.clients += 1
        try:
            await self._answer(Exchange(reader, writer))
        except asyncio.CancelledError:
            pass  # it made room, or the server ends
        except SlowClient as error:
            self._counts.drop(str(error))
        except OSError:  # it has gone
            self._counts.drop("connection lost")
        except Exception:
            log.exception("metrics port: a request failed")
            self._counts.drop("internal error")
        finally:
            self._clients.pop(task, None)
            self._counts.clients -= 1
            writer.transport.abort()  # close() would keep for it what it does not take

    async def _answer(self, exchange: Exchange) -> None:
        request = await exchange.request()
        if request is None:
            return
        if isinstance(request, Response):
            self._counts.drop("no HTTP", request.body.decode(errors="replace").strip())
            response = request
        elif (refused := self._refusal(request)) is not None:
            response = refused
        elif request.path == EVENTS:
            await self._stream(exchange)
            return
        else:
            response = self._pages.respond(request)
        self._counts.responses[response.status] += 1
        await exchange.respond(response)

    async def _stream(self, exchange: Exchange) -> None:
        """Send what is published for as long as the client stays, beside the other clients."""
        self._clients.pop(cast(asyncio.Task[None], asyncio.current_task()), None)
        self._counts.responses[HTTPStatus.OK] += 1
        self._counts.event_streams += 1
        try:
            await exchange.stream(EVENT_STREAM_HEADERS, self._event_streams.messages())
        finally:
            self._counts.event_streams -= 1

    def _refusal(self, request: Request) -> Response | None:
        refused = refusal(request, self._host_allowed, (*self._pages.paths, EVENTS))
        if refused is None:
            if request.path != EVENTS or self._counts.event_streams < EVENT_STREAMS_MAX:
                return None
            self._counts.drop("too many event streams")
            return TOO_MANY_EVENT_STREAMS
        if refused.status == HTTPStatus.FORBIDDEN:
            why = "another site" if request.from_another_site else "host not allowed"
            self._counts.drop(why, refused.body.decode(errors="replace").strip())
        return refused

    def _host_allowed(self, header: str) -> bool:
        return host_allowed(header, self._bound_host, self._allowed_hosts)

    def _failed(self, loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        """Take what no request is to blame for, such as no free descriptor (asked again in 1 s)."""
        self._counts.drop("not accepted", f"{context.get('message')}: {context.get('exception')}")


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # after a restart
        listening.bind((host, port))
        listening.listen(BACKLOG)
    except BaseException:
        listening.close()
        raise
    return listening
