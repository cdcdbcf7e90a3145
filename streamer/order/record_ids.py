"""Record ids among encoded records: which routes there are, and how far each one goes. Pure.

Found by their shape, at the speed of a regular expression: decoding a record in Python takes ten
times as long, and 128 MiB hold most of a million.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from streamer.avro.binary import long
from streamer.avro.fields import read_fields
from streamer.data.binance_spot import RECORD_ID_PREFIX
from streamer.data.catalogue import NUMBERED, kind_of
from streamer.order.positions import DeclaredGap, Position

# Every schema begins with record_id and symbol: the text of the id, its length before it, then the
# length of the symbol in a byte, which may look like one more digit, and the symbol again.
_RECORD_ID = re.compile(
    rb"%b:([^:]{1,63}):([^:]{1,63}):(?:(\d{1,19}):)?(?:gap:)?(\d{1,19})(?:-\d{1,19})?"
    rb"(?=.\1)" % RECORD_ID_PREFIX.encode(),
    re.DOTALL,
)
_RECEIVED = "received_time"
_GAP_FIELDS = ("first_id", "last_id", "declared_time")


@dataclass(frozen=True, slots=True)
class Found:
    """A record: its route, the number of its id, and where the field after its id begins."""

    route_name: str
    number: int
    ends_at: int
    epoch: int = 0


def last_of_each(data: bytes) -> dict[str, Found]:
    """Return the last record of each route among encoded records."""
    last = {match.group(1, 2): match for match in _RECORD_ID.finditer(data)}
    found = map(_found, last.values())
    return {each.route_name: each for each in found}


def last_of(data: bytes, route_name: str) -> Found | None:
    """Return the last record of one route: much quicker than all of them where it is rare."""
    symbol, _, stream = route_name.partition("@")
    prefix = f"{RECORD_ID_PREFIX}:{symbol.upper()}:{stream}:".encode()
    at = data.rfind(prefix)
    while at >= 0:
        if (match := _RECORD_ID.match(data, at)) is not None:
            return _found(match)
        at = data.rfind(prefix, 0, at)
    return None


def first_record(message: bytes) -> Found | None:
    """Return the record of a message, whatever goes before it."""
    match = _RECORD_ID.search(message)
    return None if match is None else _found(match)


def position_of(found: Found, data: bytes, schema: Any, otherwise_us: int) -> Position:  # noqa: ANN401 - JSON
    """Return the position that a record is; `otherwise_us` where it tells no time of receipt."""
    fields = _fields(schema, data, found, (_RECEIVED,))
    return Position(found.number, fields.get(_RECEIVED, otherwise_us), found.epoch)


def gaps_among(data: bytes, schema: Any) -> list[DeclaredGap]:  # noqa: ANN401 - JSON
    """Return the gaps of ids among encoded gap records."""
    return [
        gap
        for match in _RECORD_ID.finditer(data)
        if (gap := gap_of(_found(match), data, schema)) is not None
    ]


def gap_of(found: Found, data: bytes, schema: Any) -> DeclaredGap | None:  # noqa: ANN401 - JSON
    """Return the gap of ids that a gap record declares; None for one of time."""
    fields = _fields(schema, data, found, _GAP_FIELDS)
    first_id, last_id = fields.get("first_id"), fields.get("last_id")
    if first_id is None or last_id is None:
        return None
    declared_us = fields.get("declared_time", 0)
    return DeclaredGap(found.route_name, first_id, last_id, declared_us, found.epoch)


def _found(match: re.Match[bytes]) -> Found:
    symbol, stream, epoch, number = match.groups()
    ends_at = match.end()
    if not _is_whole(match, ends_at) and _is_whole(match, ends_at - 1):
        # The last digit is none, but the length of the symbol; what follows looks like it, too.
        ends_at -= 1
        number = match.string[match.start(4) : min(match.end(4), ends_at)]
    name = f"{symbol.decode(errors='replace').lower()}@{stream.decode()}"
    if kind_of(stream.decode()) not in NUMBERED:  # of a candle it is the open time
        epoch = None
    return Found(name, int(number), ends_at, int(epoch or 0))


def _is_whole(match: re.Match[bytes], ends_at: int) -> bool:
    """Return whether a record id that ends there has the length that stands before it."""
    length = long(ends_at - match.start())
    return match.string[max(match.start() - len(length), 0) : match.start()] == length


def _fields(schema: Any, data: bytes, found: Found, wanted: tuple[str, ...]) -> dict[str, Any]:  # noqa: ANN401 - JSON
    try:
        return read_fields(schema["fields"][1:], data, found.ends_at, wanted)
    except (ValueError, LookupError, TypeError):
        return {}  # a schema of another time: the id is what counts
