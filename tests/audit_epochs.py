"""The comparison with the exchange's tape where ids have begun anew: by numbering and id.

The tape tells where: its ids fall. An epoch of the records is the numbering whose tape holds its
first record; which number an epoch has is the streamer's own affair.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from tests.audit import IDS, Audit, Record, compare, differences, kind_of, payload_id, record_id

NUMBERED = ("trade", "aggTrade", "bookTicker")
"""Kinds whose ids begin anew in the simulator."""
Payload = Mapping[str, Any]
Place = tuple[int, int]
"""A numbering, 0 for the first one on the tape, and an id."""


@dataclass(frozen=True)
class EpochAudit:
    """What was found for one stream of one symbol: ids are places."""

    audit: Audit
    numbering: dict[int, int]  # by epoch
    ends: dict[int, tuple[Place, Place]]  # by epoch: the lowest and the highest record
    tape: dict[Place, Payload]

    def before(self, epoch: int) -> list[Place]:
        """Return what of the tape is between the first record of an epoch and the one before."""
        first = self.ends[epoch][0] if epoch in self.ends else (0, 0)
        earlier = [last for other, (_, last) in self.ends.items() if other < epoch]
        last = max(earlier, default=(0, -1))
        return [place for place in self.tape if last < place < first]

    @property
    def last_numbering(self) -> int:
        """Return the one that goes on."""
        return max(numbering for numbering, _ in self.tape)


def epoch_of(identity: str) -> int:
    """Return the epoch in the id of a record or a gap record: what is after the stream; 0 if none.

    Of kinds in NUMBERED only: a candle has another number there.
    """
    parts = identity.split(":")
    return int(parts[4]) if len(parts) > 5 and parts[4] != "gap" else 0


def audit_epochs(
    records: Iterable[Record], tape: Iterable[Payload], stream: str, symbol: str
) -> EpochAudit:
    """Compare records with the whole tape, from the first of them to the last.

    Raises ValueError for an epoch of which the tape holds nothing.
    """
    kind = kind_of(stream)
    mine = [
        one
        for one in records
        if one["symbol"] == symbol and one["record_id"].split(":")[3] == stream
    ]
    epochs = [epoch_of(record["record_id"]) for record in mine]
    parts = _numberings(kind, tape)
    numbering = {
        epoch: _numbering_of(stream, epoch, [r for e, r in zip(epochs, mine, strict=True)
                                             if e == epoch], parts)
        for epoch in sorted(set(epochs))
    }  # fmt: skip
    places: dict[int, list[Place]] = {epoch: [] for epoch in numbering}
    for epoch, record in zip(epochs, mine, strict=True):
        places[epoch].append((numbering[epoch], record_id(kind, record)))
    ends = {epoch: (min(those), max(those)) for epoch, those in places.items()}
    begin, end = min(first for first, _ in ends.values()), max(last for _, last in ends.values())
    found = []
    for number, part in enumerate(parts):
        window = {i: payload for i, payload in part.items() if begin <= (number, i) <= end}
        of_it = [epoch for epoch in numbering if numbering[epoch] == number]
        for epoch in of_it or [0]:
            these = [r for e, r in zip(epochs, mine, strict=True) if of_it and e == epoch]
            found.append((number, compare(stream, symbol, these, window.values(), epoch=epoch)))
    went_back = tuple(
        (numbering[after], record_id(kind, record))
        for before, after, record in zip(epochs, epochs[1:], mine[1:], strict=False)
        if numbering[after] < numbering[before]
    )
    whole = {(n, i): payload for n, part in enumerate(parts) for i, payload in part.items()}
    return EpochAudit(_merged(found, went_back), numbering, ends, whole)


def _numberings(kind: str, tape: Iterable[Payload]) -> list[dict[int, Payload]]:
    """Return the tape in parts within which ids rise."""
    parts: list[dict[int, Payload]] = [{}]
    last_id = -1
    for payload in tape:
        number = payload_id(kind, payload, 1_000_000)
        if number <= last_id:
            parts.append({})
        parts[-1][number] = payload
        last_id = number
    return parts


def _numbering_of(
    stream: str, epoch: int, records: list[Record], parts: list[dict[int, Payload]]
) -> int:
    """Return the numbering of an epoch: that in which one of its records is, exact."""
    kind = kind_of(stream)
    for record, (number, part) in itertools.product(records, enumerate(parts)):
        payload = part.get(record_id(kind, record))
        if payload and not differences(stream, record, payload, 1_000_000, epoch=epoch):
            return number
    raise ValueError(f"the tape has nothing of epoch {epoch} of {stream}: {records[0]}")


def _merged(found: list[tuple[int, Audit]], went_back: tuple[Place, ...]) -> Audit:
    """Return the audits of all numberings as one; an id in two epochs of one is there twice."""
    per_numbering = [number for number, audit in found if audit.count]
    twice = {number for number in per_numbering if per_numbering.count(number) > 1}
    merged: dict[str, Any] = {"count": sum(audit.count for _, audit in found)}
    for field in fields(Audit):
        if field.name == "wrong":
            merged["wrong"] = tuple(text for _, audit in found for text in audit.wrong)
            merged["wrong"] += tuple(f"numbering {number} has several epochs" for number in twice)
        elif field.name != "count":
            merged[field.name] = tuple(
                (number, i) for number, audit in found for i in getattr(audit, field.name)
            )
    merged["disordered"] += went_back
    return Audit(**merged)


assert set(NUMBERED) <= IDS.keys()
