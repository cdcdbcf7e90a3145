"""One request and its response over one connection, within deadlines and bounds.

h11 parses and writes HTTP; this moves the bytes. A connection serves one request: a scrape every
few seconds gains nothing from keeping it, and none that is idle has to be looked after. A response
is sent whole, or in messages for as long as the client stays.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import aclosing, asynccontextmanager, suppress
from email.utils import formatdate
from http import HTTPStatus

import h11

from monitor.web.response import SECURITY_HEADERS, Request, Response, said

REQUEST_SECONDS = 5.0  # for a whole request; what is slower than that is no scraper
RESPONSE_SECONDS = 10.0  # for a whole response to be taken; Prometheus' own default limit
LINGER_SECONDS = 1.0  # for the client to close first: else it may lose the end of the response
HEAD_BYTES = 16 * 1024  # of request line and headers; h11's default, as of most servers
PIECE_BYTES = 64 * 1024  # written at a time: what one slow client can make the server hold
STREAM_BUFFER_BYTES = 256 * 1024  # that the kernel keeps of a stream; a message is some 20 kB
LINGER_BYTES = 64 * 1024  # of a request's body, which nobody reads


class SlowClient(Exception):  # noqa: N818 - no error of ours
    """The deadline for a request or a response has passed; the text says for which."""


class Exchange:
    """One request, read and answered. Its methods raise SlowClient and OSError."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        writer.transport.set_write_buffer_limits(high=0)  # drain() means: the kernel has it all
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_BYTES)
        self._head_only = False
        self._asked = False  # whether a byte came

    async def request(self) -> Request | Response | None:
        """Return what is asked, the response to what is no HTTP, or None: closed unasked."""
        try:
            async with asyncio.timeout(REQUEST_SECONDS):
                event = await self._first_event()
        except TimeoutError:
            raise SlowClient("slow request") from None
        except h11.RemoteProtocolError as error:
            if not self._asked:
                return None
            return said(HTTPStatus(error.error_status_hint), f"expected HTTP/1.1: {error}")
        if not isinstance(event, h11.Request):
            return None
        self._head_only = event.method == b"HEAD"
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in event.headers}
        return Request(event.method.decode("latin-1"), event.target.decode("latin-1"), headers)

    async def respond(self, response: Response) -> None:
        """Send a response, and let the client close first for a moment."""
        async with _deadline("slow response"):
            await self._send_head(response.status, response.all_headers)
            if not self._head_only:
                await self._send_data(response.body)
            await self._send(h11.EndOfMessage())
            self._writer.write_eof()
        with suppress(TimeoutError):
            async with asyncio.timeout(LINGER_SECONDS):
                await self._linger()

    async def stream(
        self, headers: Iterable[tuple[str, str]], messages: AsyncGenerator[bytes, None]
    ) -> None:
        """Send messages as they come, each within the deadline, until the client goes."""
        connected: socket.socket = self._writer.get_extra_info("socket")
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, STREAM_BUFFER_BYTES)
        sending = asyncio.create_task(self._send_messages(headers, messages))
        leaving = asyncio.create_task(self._linger())  # a closed connection is noticed at once
        try:
            await asyncio.wait((sending, leaving), return_when=asyncio.FIRST_COMPLETED)
        finally:
            sending.cancel()
            leaving.cancel()
            sent, _ = await asyncio.gather(sending, leaving, return_exceptions=True)
        if isinstance(sent, Exception) and not isinstance(sent, ConnectionError):
            raise sent  # that a client goes is no error

    async def _send_messages(
        self, headers: Iterable[tuple[str, str]], messages: AsyncGenerator[bytes, None]
    ) -> None:
        async with aclosing(messages):
            async with _deadline("slow event stream"):
                await self._send_head(HTTPStatus.OK, [*headers, *SECURITY_HEADERS])
            if self._head_only:
                return
            async for message in messages:
                async with _deadline("slow event stream"):
                    await self._send_data(message)

    async def _first_event(self) -> object:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            received = await self._reader.read(4096)
            self._asked = self._asked or bool(received)
            self._http.receive_data(received)
        return event

    async def _send_head(self, status: HTTPStatus, headers: list[tuple[str, str]]) -> None:
        headers = [("Date", formatdate(usegmt=True)), *headers]
        reason = status.phrase.encode()
        await self._send(h11.Response(status_code=status, reason=reason, headers=headers))

    async def _send_data(self, data: bytes) -> None:
        for start in range(0, len(data), PIECE_BYTES):
            await self._send(h11.Data(data[start : start + PIECE_BYTES]))

    async def _send(self, event: h11.Event) -> None:
        if data := self._http.send(event):
            self._writer.write(data)
            await self._writer.drain()

    async def _linger(self) -> None:
        """Read what is left: closing with bytes unread would reset what the client has not read."""
        left = LINGER_BYTES
        while left > 0 and (received := await self._reader.read(left)):
            left -= len(received)


@asynccontextmanager
async def _deadline(missed: str) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(RESPONSE_SECONDS):
            yield
    except TimeoutError:
        raise SlowClient(missed) from None
