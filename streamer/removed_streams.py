"""Where streams that were removed from the settings have ended, kept over the end of the process.

One that comes back needs it, so that what nobody wanted meanwhile is put on record and is no hole.
The sink knows of most of them when it is opened, also of those that were removed while no streamer
ran, but not of all: files are searched for the streams that are wanted. And topics may be shared:
what another streamer writes there has not left here.
"""

from __future__ import annotations

import logging
from collections.abc import Container, Mapping
from pathlib import Path

import msgspec

from streamer.order.positions import Position, furthest
from streamer.sinks.directories import write_atomically

FILE = "departures.json"

_log = logging.getLogger(__name__)


class RemovedStreams:
    """Positions by route name, in a file of `directory`; None keeps them in memory alone.

    `stored` is what the sink knows, of streams that are wanted now and of others. Of two positions
    the higher one is right: neither is told before the sink has what is below it. From a `shared`
    sink only those are taken that were wanted here before.
    """

    def __init__(
        self,
        directory: Path | None,
        stored: Mapping[str, Position] | None = None,
        *,
        wanted: Container[str] = (),
        shared: bool = False,
    ) -> None:
        self._path = None if directory is None else directory / FILE
        self._positions: dict[str, Position] = {}
        if self._path is not None:
            self._read(self._path)
        ours = {
            name: position
            for name, position in (stored or {}).items()
            if not shared or name in wanted or name in self._positions
        }
        if ours:
            self.note(furthest(self._positions, ours))

    def _read(self, path: Path) -> None:
        try:
            self._positions = msgspec.json.decode(path.read_bytes(), type=dict[str, Position])
        except FileNotFoundError:
            return
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
            _log.warning("%s cannot be read, streams that come back begin anew: %s", path, error)

    def note(self, left: dict[str, Position]) -> None:
        """Note where streams end that leave. Waits for the disk: it is rare."""
        if not left:
            return
        self._positions.update(left)
        if self._path is None:
            return
        try:
            write_atomically(self._path, msgspec.json.encode(self._positions) + b"\n")
        except OSError as error:
            _log.warning("%s cannot be written: %s", self._path, error)

    def take(self, route_name: str) -> Position | None:
        """Return where a stream had ended that is wanted again.

        The file keeps it until the stream leaves again: a crash may come before it is on record,
        and what is recorded all the same explains itself.
        """
        return self._positions.pop(route_name, None)
