"""What members tell each other in the control topic: a message for each change of a shard.

Partition N of that topic is shard N, and who is assigned the partition records the shard.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from streamer.order.positions import Position

VERSION = 1

Kind: TypeAlias = Literal["owned", "leaving", "left", "offered", "hearing", "withdrawn"]
"""Of who records a shard:
owned: its records are written by this member from now on.
leaving: it is revoked, and recorded until a successor hears its streams, or a time has passed.
left: nothing more of it comes from this member; positions say where its records end.
offered: this member has lost the group, and recorded it on; it delivers that if it is waited for.

Of who is to record it next:
hearing: it receives the streams, and holds what comes until they have been left.
withdrawn: it will not record it after all."""

OF_SUCCESSORS: tuple[Kind, ...] = ("hearing", "withdrawn")


class ShardNotice(msgspec.Struct, frozen=True):
    """A message's value."""

    version: int
    kind: Kind
    shard: int
    member: str  # its group.instance.id
    process: str  # differs with each start of a member
    # Of `left`, by route name; None: not known, the topics tell.
    positions: dict[str, Position] | None = None
    # Of `offered`, which one it is; of `hearing`, which one is waited for. None: nothing is known
    # of the one before, and it is waited for a moment only.
    offer: float | None = None


def key_of(notice: ShardNotice) -> str:
    """Return a message's key: of owners, offers and successors the topic keeps the latest each."""
    if notice.kind in OF_SUCCESSORS:
        return f"{notice.shard}.successor"
    return f"{notice.shard}.offer" if notice.kind == "offered" else f"{notice.shard}"


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
