"""Which quotes an audit has to miss: computed from the exchange's tape, not as the audit does it.

Where the top that the tape has at the end of a recorded change is another one than at the change
before, or than the recorded quote before, and no quote between is recorded, one is missing.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from tests.audit_epochs import epoch_of
from tests.book_states import Reader, without_copies

Record = Mapping[str, Any]
Payload = Mapping[str, Any]


@dataclass
class MissingQuotes:
    """What is expected of the audit of one book, or what is wrong with the quotes."""

    ranges: list[tuple[int, int]] = field(default_factory=list)  # the recorded quotes around
    not_withheld: list[int] = field(default_factory=list)  # missing, though the exchange sent it


def missing_quotes(
    tape: Iterable[Payload],
    quotes: Iterable[Record],
    changes: Iterable[Record],
    snapshots: Sequence[Record],
    gaps: Iterable[Record],
    withheld: Iterable[tuple[int, int]],
) -> MissingQuotes:
    """Return what of the quotes of a symbol has to be found missing by one stream of changes.

    All are of this symbol; `gaps` and `withheld` (first and last id) are of its quotes. Ids of
    quotes may begin anew, those of changes do not: so only the first numbering counts.
    """
    told = _first_numbering(tape)
    ids = list(told)
    # A symbol that joins after ids began anew has no other epoch either.
    of_first = [
        each
        for each in without_copies(quotes)
        if not epoch_of(each["record_id"]) and each["update_id"] in told
    ]
    known = _known(changes, snapshots)
    withheld = list(withheld)
    found = MissingQuotes()
    for before, after in pairwise(of_first):
        if any(
            gap["from_time"] < after["received_time"] and gap["to_time"] > before["received_time"]
            for gap in gaps
        ):
            continue
        begin, end = before["update_id"], after["update_id"]
        latest, is_found = _top(told[begin]), False
        for update_id in known[bisect_right(known, begin) : bisect_right(known, end - 1)]:
            holding = ids[bisect_right(ids, update_id) - 1]
            if _top(told[holding]) != latest:
                latest, is_found = _top(told[holding]), True
                if not any(first <= holding <= last for first, last in withheld):
                    found.not_withheld.append(holding)
        if is_found:
            found.ranges.append((begin, end))
    return found


def _first_numbering(tape: Iterable[Payload]) -> dict[int, Payload]:
    told: dict[int, Payload] = {}
    latest = -1
    for payload in tape:
        if payload["u"] <= latest:
            break
        latest = payload["u"]
        told[latest] = payload
    return told


def _known(changes: Iterable[Record], snapshots: Sequence[Record]) -> list[int]:
    """Return the last ids of the changes after which a careful reader has a book."""
    reader, known = Reader(snapshots, careful=True), []
    for change in without_copies(changes):
        reader.take(change)
        if reader.last_id is not None:
            known.append(change["last_update_id"])
    return known


def _top(payload: Payload) -> tuple[Any, ...]:
    return tuple(payload[key] for key in "bBaA")
