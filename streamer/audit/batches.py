"""What is read: encoded records that lie one behind the other, and where they are from."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol


class Unreadable(Exception):  # noqa: N818 - it is handed on as often as raised
    """Something in a file or a topic is no record of ours; the text names the place."""


@dataclass(frozen=True)
class Schema:
    """A record's schema."""

    definition: dict[str, Any]

    @cached_property
    def name(self) -> str:
        """The name without its namespace."""
        return str(self.definition.get("name", "")).rpartition(".")[2]


BACKFILLED = -1
"""The lane of what a back-fill brought into files; into partition n: -1 - n."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Some records of one schema; those of a lane are in the order in which they were stored."""

    schema: Schema
    count: int
    data: bytes
    place: str  # for people: a file, or a partition and offset
    lane: int = 0  # the partition; below 0: of what a back-fill brought


class Source(Protocol):
    """What is to be read: as it was when the source was made, however often it is read."""

    total_bytes: int | None
    """How much there is; None when that is not known."""
    total_records: int | None
    """The same in records."""

    def batches(self, kinds: Collection[str] | None = None) -> Iterator[Batch | Unreadable]:
        """Yield everything from the beginning; in place of what cannot be read, why.

        With `kinds`, only what may hold records of these.
        """
