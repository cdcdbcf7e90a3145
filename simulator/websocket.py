"""The WebSocket server: `/ws`, `/ws/<stream>/<stream>`, `/stream`, `/stream?streams=a/b`."""

from __future__ import annotations

import asyncio
import logging

from aiohttp import WSMessage, WSMsgType, web

from simulator import frames
from simulator.connection import Connection
from simulator.exchange import Exchange
from simulator.payloads import TimeUnit, time_unit
from simulator.subscriptions import Refused, Subscriptions

log = logging.getLogger(__name__)
_MAX_MESSAGE_BYTES = 1 << 20  # from a client; far above any control message


def application(exchange: Exchange) -> web.Application:
    """Return the application that serves the streams."""
    server = _Server(exchange)
    app = web.Application()
    app.router.add_get("/ws", server.raw)
    app.router.add_get("/ws/{names:.*}", server.raw)
    app.router.add_get("/stream", server.combined)
    return app


class _Server:
    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._settings = exchange.settings

    async def raw(self, request: web.Request) -> web.StreamResponse:
        return await self._serve(request, request.match_info.get("names", ""), combined=False)

    async def combined(self, request: web.Request) -> web.StreamResponse:
        return await self._serve(request, request.query.get("streams", ""), combined=True)

    async def _serve(
        self, request: web.Request, names: str, *, combined: bool
    ) -> web.StreamResponse:
        await self._admit()
        try:
            unit = time_unit(request.query.get("timeUnit", "MILLISECOND"))
            subscriptions = Subscriptions(
                self._settings.stream_limit, combined, refused=self._settings.refused_streams
            )
            subscriptions.subscribe([name for name in names.split("/") if name])
        except (ValueError, Refused) as error:
            raise web.HTTPBadRequest(text=str(error)) from None
        websocket = web.WebSocketResponse(
            autoping=False, compress=False, max_msg_size=_MAX_MESSAGE_BYTES
        )
        await websocket.prepare(request)
        connection = self._opened(request, subscriptions, unit)
        alive = asyncio.ensure_future(self._keep(connection))
        try:
            async for message in websocket:
                await self._receive(connection, message)
        finally:
            alive.cancel()
            self._gone(connection)
        return websocket

    async def _admit(self) -> None:
        """Let a connection attempt pass, or refuse it as the settings and faults say."""
        exchange, now = self._exchange, self._exchange.now()
        exchange.attempts_total += 1
        exchange.attempts.append(now)
        while exchange.attempts[0] <= now - self._settings.attempt_window:
            exchange.attempts.popleft()
        if len(exchange.attempts) > self._settings.attempt_limit:
            wait = exchange.attempts[0] + self._settings.attempt_window - now
            raise web.HTTPTooManyRequests(headers={"Retry-After": str(int(wait) + 1)})
        if exchange.refusal is not None and now < exchange.refused_until:
            if exchange.refusal.fault.arguments["how"] == "hang":
                await asyncio.sleep(exchange.refused_until - now)
            raise web.HTTPServiceUnavailable

    def _opened(
        self,
        request: web.Request,
        subscriptions: Subscriptions,
        unit: TimeUnit,
    ) -> Connection:
        if request.transport is None:
            raise ConnectionResetError("the client left during the upgrade")
        number, lag = self._exchange.next_connection()
        connection = Connection(number, request.transport, subscriptions, unit, lag)
        self._exchange.feed.connections[number] = connection
        self._follow(connection)
        log.info("connection %d: %s", number, request.path_qs[:200])
        return connection

    def _gone(self, connection: Connection) -> None:
        del self._exchange.feed.connections[connection.number]
        self._follow(connection)
        log.info("connection %d: ended after %d events", connection.number, connection.events_sent)

    def _follow(self, connection: Connection) -> None:
        self._exchange.feed.refresh(connection, self._exchange.clock.microseconds())
        self._exchange.kick()

    async def _receive(self, connection: Connection, message: WSMessage) -> None:
        now = asyncio.get_running_loop().time()
        if connection.frozen or connection.closing:
            return
        if not connection.within_limit(now, self._settings.message_limit):
            self._exchange.background(connection.close(1008, "Too many requests"))
        elif message.type is WSMsgType.PING:
            connection.pings_received += 1
            if now >= connection.answers_pings_from:
                connection.send([frames.frame(frames.PONG, message.data)])
        elif message.type is WSMsgType.PONG:
            connection.take_pong(bytes(message.data))
        elif message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
            data = message.data
            text = data if isinstance(data, str) else data.decode(errors="replace")
            if now >= connection.answers_messages_from:
                self._exchange.background(self._answer(connection, text))

    async def _answer(self, connection: Connection, text: str) -> None:
        if len(text.encode()) > self._settings.large_frame_bytes:
            await asyncio.sleep(self._settings.large_frame_delay)
        answer = connection.subscriptions.answer(text)
        connection.send([frames.frame(frames.TEXT, answer.encode(errors="replace"))])
        self._follow(connection)

    async def _keep(self, connection: Connection) -> None:
        """Ping, and end the connection when it is unanswered or too old."""
        loop = asyncio.get_running_loop()
        next_ping = connection.opened + self._settings.ping_interval
        cut = connection.opened + self._settings.max_connection_age
        while True:
            unanswered = connection.oldest_ping() + self._settings.pong_timeout
            now = loop.time()
            if now >= unanswered:
                await connection.close(1008, "Pong timeout")
                return
            if now >= cut:
                await connection.close(1001, "Connection lifetime reached")
                return
            if now >= next_ping:
                connection.ping(now)
                next_ping += self._settings.ping_interval
                unanswered = connection.oldest_ping() + self._settings.pong_timeout
            await asyncio.sleep(max(0.0, min(next_ping, cut, unanswered) - loop.time()))
