"""The symbols that traded when the exchange was last asked, kept over the end of the process.

Where symbols are named and nobody is asked, those: so a start with patterns goes on with them.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import msgspec

from streamer.listing.exchange_info import SYMBOLS_MAX, is_symbol
from streamer.sinks.directories import write_atomically

FILE = "symbols.json"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Listing:
    """What is known to trade; `is_settled`: confirmed by a second answer of the exchange's."""

    trading: frozenset[str] = frozenset()
    is_settled: bool = False


class _File(msgspec.Struct, frozen=True):
    trading: list[str]
    settled: bool = False


class ListingFile:
    """A file of `directory`; None keeps nothing."""

    def __init__(self, directory: Path | None) -> None:
        self._path = None if directory is None else directory / FILE

    def read(self) -> Listing:
        """Return what was kept; nothing where there is none, or it cannot be used."""
        if self._path is None:
            return Listing()
        try:
            found = msgspec.json.decode(self._path.read_bytes(), type=_File)
        except FileNotFoundError:
            return Listing()
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            log.warning("%s cannot be read, the exchange is asked: %s", self._path, error)
            return Listing()
        trading = frozenset(each for each in found.trading[:SYMBOLS_MAX] if is_symbol(each))
        return Listing(trading, found.settled)

    def write(self, listing: Listing) -> None:
        """Keep what trades. Waits for the disk: once an hour at most."""
        if self._path is None:
            return
        content = _File(sorted(listing.trading), listing.is_settled)
        try:
            write_atomically(self._path, msgspec.json.encode(content) + b"\n")
        except OSError as error:
            log.warning("%s cannot be written: %s", self._path, error)
