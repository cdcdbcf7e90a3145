"""Are rebuilt books right? State by state against the exchange's own, for three kinds of readers.

Imports neither the streamer nor the simulator: the truth is what the exchange's tape of changes
tells from its beginning, when the book was empty, and the readers are written here.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

Side = dict[Decimal, Decimal]
Record = Mapping[str, Any]
READERS = ("changes alone", "a snapshot at the start only", "at the start and after gaps")


@dataclass
class Tally:
    """How many states one kind of reader had right, wrong, and knew not to have.

    `undeclared`: those of the last ones whose change is missing, and in no gap record.
    """

    right: int = 0
    wrong: int = 0
    unknown: int = 0
    undeclared: int = 0

    def add(self, other: Tally) -> None:
        self.right += other.right
        self.wrong += other.wrong
        self.unknown += other.unknown
        self.undeclared += other.undeclared


class Reader:
    """Keeps a book; `careful`: knows that it has none where changes are missing."""

    def __init__(self, snapshots: Iterable[Record], *, careful: bool) -> None:
        self.bids: Side = {}
        self.asks: Side = {}
        self.last_id: int | None = None
        self._snapshots = sorted(snapshots, key=lambda each: each["last_update_id"])
        self._careful = careful

    def take(self, change: Record) -> None:
        first, last = change["first_update_id"], change["last_update_id"]
        if self.last_id is not None and self._careful and first > self.last_id + 1:
            self.last_id = None
        serving = [each for each in self._snapshots if first - 1 <= each["last_update_id"] <= last]
        if serving:
            self.bids, self.asks = ({}, {})
            self._apply(serving[-1])
            self.last_id = serving[-1]["last_update_id"]
        if self.last_id is None and self._careful:
            return
        if self.last_id is None or last > self.last_id:
            self._apply(change)
            self.last_id = last

    def _apply(self, change: Record) -> None:
        for side, levels in ((self.bids, change["bids"]), (self.asks, change["asks"])):
            apply(side, ((each["price"], each["quantity"]) for each in levels))


def apply(side: Side, levels: Iterable[tuple[Decimal, Decimal]]) -> None:
    """Set quantities by price; zero removes one."""
    for price, quantity in levels:
        side.pop(price, None)
        if quantity:
            side[price] = quantity


def without_copies(records: Iterable[Record]) -> list[Record]:
    """Return the first one of each record; after a kill, Kafka may have some twice."""
    return list({each["record_id"]: each for each in reversed(list(records))}.values())[::-1]


def compare(
    tape: Iterable[Mapping[str, Any]],
    changes: Iterable[Record],
    snapshots: Sequence[Record],
    gaps: Sequence[Record],
) -> dict[str, Tally]:
    """Return what each kind of reader of one symbol had after each change on the exchange's tape.

    From the first change that is recorded to the last one. A reader that lost the connection
    believes in the book that it had, unless it is the last kind.
    """
    changes = without_copies(changes)
    first_id, last_id = changes[0]["first_update_id"], changes[-1]["last_update_id"]
    readers = {
        READERS[0]: Reader((), careful=False),
        READERS[1]: Reader(snapshots[:1], careful=False),
        READERS[2]: Reader(snapshots, careful=True),
    }
    tallies = {name: Tally() for name in readers}
    ends = [each["last_update_id"] for each in changes]
    taken = 0
    bids: Side = {}
    asks: Side = {}
    for state in tape:
        for side, key in ((bids, "b"), (asks, "a")):
            apply(side, ((Decimal(price), Decimal(each)) for price, each in state[key]))
        if not first_id <= state["u"] <= last_id:
            continue
        known = bisect_right(ends, state["u"])
        for name, reader in readers.items():
            for change in changes[taken:known]:
                reader.take(change)
            tally = tallies[name]
            # The last kind knows that it has an older book, and why: changes are missing.
            if reader.last_id is None or (name == READERS[2] and reader.last_id != state["u"]):
                tally.unknown += 1
                is_there = bool(known) and ends[known - 1] == state["u"]
                tally.undeclared += not is_there and not any(
                    each["first_id"] <= state["u"] <= each["last_id"] for each in gaps
                )
            elif (reader.bids, reader.asks) == (bids, asks):
                tally.right += 1
            else:
                tally.wrong += 1
        taken = max(taken, known)
    return tallies


KINDS = ("reset", "withhold", "stall", "kill")
BROKER_KINDS = ("kafka", "kafka and reset", "kafka and kill")
"""Kafka is away for a while; meanwhile nothing else, or the connection or the streamer ends."""


def faults(seed: int, count: int, kinds: Sequence[str] = KINDS) -> list[tuple[float, str]]:
    """Return faults with the seconds that each takes, drawn by a seed; each kind at least once."""
    dice = random.Random(f"books {seed}")
    drawn = [*kinds, *(dice.choice(kinds) for _ in range(count - len(kinds)))]
    dice.shuffle(drawn)
    return [(dice.uniform(1.0, 2.5), kind) for kind in drawn[:count]]


def table(tallies: Mapping[str, Tally]) -> str:
    """Return rows for a document."""
    lines = ["| snapshots | states right | wrong | known not to be known |", "|---|---|---|---|"]
    lines += [
        f"| {name} | {each.right:,} | {each.wrong:,} | {each.unknown:,} |"
        for name, each in tallies.items()
    ]
    return "\n".join(lines)
