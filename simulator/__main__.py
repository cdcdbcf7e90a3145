"""The simulator's process: listens, tells where on one line of JSON, and ends on TERM or INT."""

from __future__ import annotations

import asyncio
import ctypes
import json
import logging
import os
import signal
import socket
import ssl
import sys
import tempfile
from pathlib import Path

from aiohttp import web

from simulator import control, rest, websocket
from simulator.certificates import server_context
from simulator.exchange import Exchange
from simulator.replay import RecordingError
from simulator.settings import Settings, parse

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_END_SECONDS = 0.2  # for handlers at the end; 0 would mean for ever
_LOOK_SECONDS = 0.1  # for the end of a refusal
_USAGE = 2  # the exit code of a wrong command line


class _Listener:
    """A listening socket that can be closed, so that the system refuses, and opened again."""

    def __init__(
        self, app: web.Application, host: str, port: int, tls: ssl.SSLContext | None
    ) -> None:
        self._runner = web.AppRunner(
            app, access_log=None, handle_signals=False, shutdown_timeout=_END_SECONDS
        )
        self._tls = tls
        self._server: asyncio.Server | None = None
        # Bound but never listening: keeps the port ours while nothing listens on it.
        self._reserved = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        self._reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._reserved.bind((host, port))
        self.address: tuple[str, int] = self._reserved.getsockname()[:2]

    async def open(self) -> None:
        if self._runner.server is None:
            await self._runner.setup()
        if self._server is None and self._runner.server is not None:
            self._server = await asyncio.get_running_loop().create_server(
                self._runner.server, *self.address, ssl=self._tls, reuse_address=True, backlog=512
            )

    def close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    async def end(self) -> None:
        self.close()
        await self._runner.cleanup()
        self._reserved.close()

    def url(self, scheme: str) -> str:
        host, port = self.address
        return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


async def _serve(settings: Settings, directory: Path) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    exchange = Exchange(settings)
    tls: ssl.SSLContext | None = None
    ca_file: Path | None = None
    if not settings.plain:
        tls, ca_file = server_context(directory)
    streams = _Listener(websocket.application(exchange), settings.host, settings.port, tls)
    api = _Listener(rest.application(exchange), settings.host, settings.rest_port, tls)
    levers = _Listener(control.application(exchange), settings.host, settings.control_port, None)
    for listener in (streams, api, levers):
        await listener.open()
    secure = "" if settings.plain else "s"
    addresses = {
        "websocket_url": streams.url(f"ws{secure}"),
        "rest_url": api.url(f"http{secure}"),
        "control_url": levers.url("http"),
        "ca_file": str(ca_file) if ca_file else None,
    }
    sys.stdout.write(json.dumps(addresses) + "\n")
    sys.stdout.flush()
    work = [
        asyncio.ensure_future(exchange.run()),
        asyncio.ensure_future(_refuse(exchange, streams)),
    ]
    end = asyncio.ensure_future(stopped.wait())
    done, _ = await asyncio.wait([*work, end], return_when=asyncio.FIRST_COMPLETED)
    for connection in list(exchange.feed.connections.values()):
        connection.reset()
    for listener in (streams, api, levers):
        await listener.end()
    for task in done:
        task.result()  # raises when the feed failed


async def _refuse(exchange: Exchange, streams: _Listener) -> None:
    """Close the streams' listening socket while a fault says so."""
    while True:
        await exchange.listening_refused.wait()
        streams.close()
        while (left := exchange.refused_until - exchange.now()) > 0:
            await asyncio.sleep(min(left, _LOOK_SECONDS))  # it may be ended before its time
        exchange.listening_refused.clear()
        await streams.open()


def _die_with_parent() -> None:
    parent = os.getppid()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before we asked
        raise SystemExit(1)


def main(arguments: list[str] | None = None) -> int:
    """Run until TERM or INT; return the exit code."""
    settings = parse(arguments)
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s"
    )
    if settings.die_with_parent:
        _die_with_parent()
    try:
        with tempfile.TemporaryDirectory(prefix="simulator-") as scratch:
            asyncio.run(_serve(settings, settings.directory or Path(scratch)))
    except (ValueError, RecordingError, OSError) as error:
        sys.stderr.write(f"simulator: {error}\n")
        return _USAGE
    return 0


if __name__ == "__main__":
    sys.exit(main())
