"""Rebuilds a book as it was at a time, from records as any Avro reader returns them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from streamer.book.keeper import BookKeeper, Change, Levels, Snapshot

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PARTS = 5  # of a record id without an epoch: binance:spot:SYMBOL:STREAM:ID
Record = Mapping[str, Any]


class NotCovered(LookupError):  # noqa: N818 - a reason, for people
    """The records do not tell the book at this time; the text says why, for people."""


class NoChanges(NotCovered):
    """There are no changes at all."""


@dataclass(frozen=True, slots=True)
class Book:
    """A book after the update `last_update_id`: all prices that are known, the best first.

    With a `limit` a side goes on below its last price, where the records know nothing for sure.
    """

    last_update_id: int
    changed_us: int  # Unix time of the last change in it, by the exchange's clock
    bids: Levels
    asks: Levels
    bids_limit: Any = None
    asks_limit: Any = None


def rebuild(
    snapshots: Iterable[Record], changes: Iterable[Record], at_us: int | None = None
) -> Book:
    """Return the book at a Unix time in microseconds by the exchange's clock; None: the last one.

    `snapshots` are the records of kind `depthSnapshot` of one symbol, `changes` those of kind
    `depth` of one of its streams, in the order in which they were stored. Raises NotCovered where
    no book can be known: before the first snapshot, between lost changes and the next snapshot,
    after the last change.
    """
    of_epoch: dict[int, list[Snapshot]] = {}
    for record in snapshots:
        of_epoch.setdefault(epoch_of(record), []).append(snapshot_of(record))
    keeper = BookKeeper(())
    epoch: int | None = None
    latest: Change | None = None
    for record in changes:
        change = change_of(record)
        number = epoch_of(record)
        if at_us is not None and change.time_us > at_us:
            return _between(keeper, latest, change, at_us, same_epoch=number == epoch)
        if number != epoch:
            epoch, keeper = number, BookKeeper(of_epoch.get(number, ()))
        reached_id = keeper.reached_id
        keeper.take(change)
        if keeper.reached_id != reached_id:  # else it is a copy of an earlier one
            latest = change
    if latest is None:
        raise NoChanges("there are no changes of this book")
    if at_us is not None:
        raise NotCovered(f"the last change of this book is of {_time(latest.time_us)}")
    return _book(keeper, latest)


def change_of(record: Record) -> Change:
    """Return a record of kind `depth`."""
    return Change(
        record["first_update_id"],
        record["last_update_id"],
        _microseconds(record["event_time"]),
        _levels(record["bids"]),
        _levels(record["asks"]),
    )


def snapshot_of(record: Record) -> Snapshot:
    """Return a record of kind `depthSnapshot`."""
    return Snapshot(
        record["last_update_id"],
        record["levels"],
        _levels(record["bids"]),
        _levels(record["asks"]),
    )


def epoch_of(record: Record) -> int:
    """Return which numbering the ids of a record are of: 0, or when it began, Unix seconds."""
    parts = record["record_id"].split(":")
    return int(parts[-2]) if len(parts) > _PARTS else 0


def _between(
    keeper: BookKeeper, latest: Change | None, following: Change, at_us: int, *, same_epoch: bool
) -> Book:
    """Return the book between two changes that follow each other."""
    if latest is None:
        raise NotCovered(f"the first change of this book is of {_time(following.time_us)}")
    reached_id = keeper.reached_id or 0
    if not same_epoch:
        raise NotCovered(
            f"at {_time(at_us)} the exchange began its ids anew: what is between is not known"
        )
    if following.first_id > reached_id + 1:
        raise NotCovered(
            f"the changes {reached_id + 1} to {following.first_id - 1} are missing, between "
            f"{_time(latest.time_us)} and {_time(following.time_us)}"
        )
    return _book(keeper, latest)


def _book(keeper: BookKeeper, latest: Change) -> Book:
    if keeper.last_id is None:
        why = "no snapshot is there to begin with"
        if keeper.missing is not None:
            first_id, last_id = keeper.missing
            why = f"the changes {first_id} to {last_id} are missing, and no snapshot came since"
        raise NotCovered(f"{why}, up to {_time(latest.time_us)}")
    if not (keeper.bids.is_known and keeper.asks.is_known):
        raise NotCovered(
            f"at {_time(latest.time_us)} the price has left the levels of the latest snapshot; "
            "depth_snapshots.levels tells how many there are"
        )
    return Book(
        keeper.last_id,
        latest.time_us,
        keeper.bids.levels(),
        keeper.asks.levels(),
        keeper.bids.limit,
        keeper.asks.limit,
    )


def _levels(levels: Iterable[Any]) -> Levels:
    return tuple((level["price"], level["quantity"]) for level in levels)


def _microseconds(time: Any) -> int:  # noqa: ANN401 - a datetime, or a whole number
    return time if isinstance(time, int) else (time - _EPOCH) // timedelta(microseconds=1)


def _time(unix_us: int) -> str:
    return (_EPOCH + timedelta(microseconds=unix_us)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
