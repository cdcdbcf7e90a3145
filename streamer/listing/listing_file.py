"""The symbols that traded when the exchange was last asked, kept over the end of the process."""

from __future__ import annotations

import logging
from pathlib import Path

import msgspec

from streamer.listing.exchange_info import SYMBOLS_MAX, is_symbol
from streamer.sinks.directories import write_atomically

FILE = "symbols.json"

log = logging.getLogger(__name__)


class _File(msgspec.Struct, frozen=True):
    trading: list[str]


class ListingFile:
    """A file of `directory`; None keeps nothing."""

    def __init__(self, directory: Path | None) -> None:
        self._path = None if directory is None else directory / FILE

    def read(self) -> frozenset[str]:
        """Return what was kept; nothing where there is none, or it cannot be used."""
        if self._path is None:
            return frozenset()
        try:
            found = msgspec.json.decode(self._path.read_bytes(), type=_File).trading
        except FileNotFoundError:
            return frozenset()
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            log.warning("%s cannot be read, the exchange is asked: %s", self._path, error)
            return frozenset()
        return frozenset(each for each in found[:SYMBOLS_MAX] if is_symbol(each))

    def write(self, trading: frozenset[str]) -> None:
        """Keep what trades. Waits for the disk: once an hour at most."""
        if self._path is None:
            return
        try:
            write_atomically(self._path, msgspec.json.encode(_File(sorted(trading))) + b"\n")
        except OSError as error:
            log.warning("%s cannot be written: %s", self._path, error)
