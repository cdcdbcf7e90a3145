"""Where streams that were removed from the settings have ended, kept over the end of the process.

One that comes back needs it, so that what nobody wanted meanwhile is put on record and is no hole.
The sink knows of them when it is opened, also of those that were removed while no streamer ran, if
it is told whom to look for: files are not searched for streams of which nothing is known. And
topics may be shared: what another streamer writes there has not left here.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

import msgspec

from streamer.order.positions import Position, furthest
from streamer.sinks.directories import write_atomically

FILE = "departures.json"

_log = logging.getLogger(__name__)


class Departures(msgspec.Struct, frozen=True):
    """Where streams have ended, and which of them have left.

    `left` has the position at which one was wanted again, None before that: a record beyond it
    shows that the stream is back.
    """

    positions: dict[str, Position]
    left: dict[str, Position | None] = {}
    # Names that were wanted here at some time, with a position or without.
    streamed: list[str] = []


class RemovedStreams:
    """Positions by route name, in a file of `directory`; None keeps them in memory alone.

    A sink is opened for the streams that are `wanted` and told of the others in `streamed`; what it
    knows is for `take_stored`.
    """

    def __init__(self, directory: Path | None, wanted: Collection[str] = ()) -> None:
        self._path = None if directory is None else directory / FILE
        self._positions: dict[str, Position] = {}
        self._left: dict[str, Position | None] = {}
        self.returning: dict[str, Position] = {}
        """The wanted ones that had left: where they ended. Nobody wanted what came after that."""
        self._wanted = wanted
        self._streamed: set[str] = set()
        if self._path is not None:
            self._read(self._path)

    @property
    def streamed(self) -> frozenset[str]:
        """The names that were wanted here before."""
        return frozenset((*self._streamed, *self._positions, *self._left))

    def take_stored(
        self,
        stored: Mapping[str, Position],
        *,
        shared: bool,
        chosen: Collection[str] = (),
    ) -> None:
        """Take what the sink knows, of streams that are wanted now and of others.

        Of two positions the higher one is right: neither is told before the sink has what is below
        it. From a `shared` sink only those are taken that were wanted here before, or that are
        `chosen` by a pattern: where nothing was kept here, they are wanted once they are listed.
        """
        wanted, before = self._wanted, self.streamed
        ours = {
            name: position
            for name, position in stored.items()
            if not shared or name in wanted or name in before or name in chosen
        }
        self._positions = furthest(self._positions, ours)
        for name, position in self._positions.items():
            if name not in wanted:
                if name not in chosen:
                    self._left[name] = None
            elif name in self._left and self._left[name] in (None, position):
                self._left[name] = self.returning[name] = position
            else:
                self._left.pop(name, None)
        self._streamed.update(wanted)
        if self._streamed or self._positions:
            self._write()

    def _read(self, path: Path) -> None:
        if (found := read_departures(path)) is None:
            return
        self._positions, self._left = dict(found.positions), dict(found.left)
        self._streamed = set(found.streamed)

    def join(self, names: Iterable[str]) -> None:
        """Note streams that are wanted from now on: they may be removed while no streamer runs."""
        names = set(names)
        if not names <= self._streamed:
            self._streamed |= names
            self._write()

    def note(self, left: Mapping[str, Position | None]) -> None:
        """Note streams that leave, and where they end; None: only the sink can tell, later.

        Waits for the disk: it is rare.
        """
        if not left:
            return
        self._positions.update({name: end for name, end in left.items() if end is not None})
        self._left.update(dict.fromkeys(left))
        self._write()

    def stay(self, names: Iterable[str]) -> None:
        """Forget that these have left: they were wanted again before they were gone."""
        known = [name for name in names if self._left.pop(name, self) is not self]
        if known:
            self._write()

    def take(self, route_name: str, *, go_on: bool = False) -> Position | None:
        """Return where a stream had ended that is wanted again while others run.

        The file keeps it: a crash may come before its first record, and then it has not come back.
        With `go_on` it counts as one that never left, also at the next start.
        """
        position = self._positions.get(route_name)
        if position is not None:
            if go_on:
                self._left.pop(route_name, None)
            else:
                self._left[route_name] = position
            self._write()
        return position

    def _write(self) -> None:
        if self._path is None:
            return
        content = Departures(self._positions, self._left, sorted(self._streamed))
        try:
            write_atomically(self._path, departures_content(content))
        except OSError as error:
            _log.warning("%s cannot be written: %s", self._path, error)


def read_departures(path: Path) -> Departures | None:
    """Return what a file tells; None where there is none, or it cannot be read."""
    try:
        raw = path.read_bytes()
        try:
            return msgspec.json.decode(raw, type=Departures)
        except msgspec.ValidationError:  # of an earlier version: positions alone
            return Departures(msgspec.json.decode(raw, type=dict[str, Position]))
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        _log.warning("%s cannot be read, streams that come back begin anew: %s", path, error)
        return None


def departures_content(departures: Departures) -> bytes:
    """Return what the file holds."""
    return msgspec.json.encode(departures) + b"\n"
