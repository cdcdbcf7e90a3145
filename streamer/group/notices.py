"""What members tell each other in the control topic: a message for each change of a shard.

Partition N of that topic is shard N, and who is assigned the partition records the shard.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from streamer.order.positions import Position

VERSION = 1

Kind: TypeAlias = Literal["owned", "leaving", "hearing", "left"]
"""owned: its records are written by this member from now on.
leaving: it is revoked, and recorded until a successor hears its streams, or a time has passed.
hearing: the successor receives its streams, and holds what comes until they have been left.
left: nothing more of it comes from this member; positions say where its records end."""


class ShardNotice(msgspec.Struct, frozen=True):
    """A message's value."""

    version: int
    kind: Kind
    shard: int
    member: str  # its group.instance.id
    process: str  # differs with each start of a member
    # Of `left`, by route name; None: not known, the topics tell.
    positions: dict[str, Position] | None = None


def encode(notice: ShardNotice) -> bytes:
    """Return a message's value."""
    return msgspec.json.encode(notice)


def decode(value: bytes | None) -> ShardNotice | None:
    """Return what a message tells; None for one that is none of ours."""
    try:
        notice = msgspec.json.decode(value or b"", type=ShardNotice)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return notice if notice.version == VERSION else None
