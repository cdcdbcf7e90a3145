"""The control API (plain HTTP): faults, connections, status, and the tape as it is.

For rehearsals and auditors, who need no code of ours: everything is JSON over HTTP.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable

from aiohttp import web

from simulator.archives import Archives
from simulator.exchange import Exchange
from simulator.feed import payload_of
from simulator.payloads import time_unit
from simulator.summaries import EVERY_STREAM, Summaries
from simulator.tape import EVENT_DELAY_MICROSECONDS, STREAMS

_LINES_AT_ONCE = 1000  # of the tape, so that a long answer does not hold up the feed


def application(exchange: Exchange) -> web.Application:
    """Return the application that serves the control API."""
    control = _Control(exchange)
    app = web.Application(middlewares=[_explain])
    app.router.add_get("/status", control.status)
    app.router.add_get("/connections", control.connections)
    app.router.add_get("/faults", control.faults)
    app.router.add_post("/faults", control.add_fault)
    app.router.add_delete(r"/faults/{number:\d+}", control.end_fault)
    app.router.add_get("/tape", control.tape)
    app.router.add_get("/data/spot/daily/{path:.+}", control.archive)  # as data.binance.vision
    return app


@web.middleware
async def _explain(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Answer a mistake in a request with 400 and what would be right."""
    try:
        return await handler(request)
    except ValueError as error:
        return web.json_response({"error": str(error)}, status=400)


class _Control:
    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        summaries = {symbol: one["ticker"] for symbol, one in exchange.sources.items()}
        self._archives = Archives(
            exchange.tapes,
            {symbol: one for symbol, one in summaries.items() if isinstance(one, Summaries)},
        )

    async def status(self, request: web.Request) -> web.Response:
        exchange = self._exchange
        now = exchange.clock.microseconds()
        latest = {
            f"{symbol.lower()}@{stream}": tape.event(stream, index - 1).id
            for symbol, tape in exchange.tapes.items()
            for stream in STREAMS
            if (index := tape.index_after(stream, now - EVENT_DELAY_MICROSECONDS)) > 0
        }
        replay = exchange.replay
        return web.json_response({
            "time": now / 1e6,
            "tape_start": exchange.start / 1e6,
            "seed": exchange.settings.seed,
            "rate": exchange.settings.rate,
            "symbols": list(exchange.tapes),
            "last_ids": latest,
            "connections": len(exchange.feed.connections),
            "attempts_total": exchange.attempts_total,
            "events_total": exchange.feed.events_total,
            "replay": {"frames": replay.total, "sent": replay.sent} if replay else None,
        })  # fmt: skip

    async def connections(self, request: web.Request) -> web.Response:
        now = asyncio.get_running_loop().time()
        live = self._exchange.feed.connections.values()
        return web.json_response([connection.as_json(now) for connection in live])

    async def faults(self, request: web.Request) -> web.Response:
        return web.json_response([each.as_json() for each in self._exchange.schedule.records])

    async def add_fault(self, request: web.Request) -> web.Response:
        try:
            keys = dict(json.loads(await request.text()))
        except (ValueError, TypeError):
            raise ValueError('expected a JSON object, such as {"kind": "reset"}') from None
        record = self._exchange.add_fault(keys)
        return web.json_response(record.as_json(), status=201)

    async def end_fault(self, request: web.Request) -> web.Response:
        record = self._exchange.end_fault(int(request.match_info["number"]))
        return web.json_response(record.as_json())

    async def archive(self, request: web.Request) -> web.Response:
        """Send a public archive, or its checksum."""
        name = request.match_info["path"].rpartition("/")[2]
        now = self._exchange.clock.microseconds()
        return web.Response(body=self._archives.get(name, now))

    async def tape(self, request: web.Request) -> web.StreamResponse:
        """Send the raw payloads, a line each, of what has happened by now."""
        query = request.query
        stream, symbol = query.get("stream", ""), query.get("symbol", "")
        if stream not in EVERY_STREAM or symbol not in self._exchange.tapes:
            raise ValueError(
                f"stream={stream!r} symbol={symbol!r}: expected one of "
                f"{', '.join(EVERY_STREAM)} and one of {', '.join(self._exchange.tapes)}"
            )
        unit = time_unit(query.get("time_unit", "MICROSECOND"))
        tape = self._exchange.sources[symbol][stream]
        now = self._exchange.clock.microseconds()
        begin = tape.index_of(stream, int(query["from_id"])) if query.get("from_id") else 0
        end = tape.index_after(stream, now - EVENT_DELAY_MICROSECONDS)
        if query.get("to_id"):
            end = min(end, tape.index_of(stream, int(query["to_id"]) + 1))
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        await response.prepare(request)
        for first in range(begin, end, _LINES_AT_ONCE):
            indices = range(first, min(end, first + _LINES_AT_ONCE))
            events = [tape.event(stream, index) for index in indices]
            lines = [
                payload_of(symbol, event, unit) + "\n"
                for event in events
                if getattr(event, "changed", True)  # else it was never sent
            ]
            await response.write("".join(lines).encode())
        await response.write_eof()
        return response
