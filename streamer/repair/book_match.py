"""Whether a snapshot is of the same market as the changes of a stream, by their content. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from streamer.data.kinds.depth import Depth
from streamer.data.kinds.depth_snapshot import DepthSnapshot
from streamer.data.levels import Level

MOVED_SHARE = Decimal("0.0003")
"""Of the price: how far it may have moved between a change and a snapshot, some tenths of a second.
In a market that moves faster a snapshot is asked for again."""
SAME_SHARE = 0.25
"""Of the levels that a change has set: how many the snapshot a moment later has to have, to price
and quantity. In another market next to none are, in a busy one of the same some are gone."""


def fits(snapshot: DepthSnapshot, change: Depth) -> bool:
    """Return whether the latest change could be of the same market, by its prices.

    One of another market would have bids above what is asked here, or asks below what is bid.
    """
    for own, other, sign in ((change.bids, snapshot.asks, 1), (change.asks, snapshot.bids, -1)):
        prices = [sign * Decimal(price) for price, quantity in own if Decimal(quantity)]
        if prices and other:
            best = Decimal(other[0][0])
            if max(prices) > sign * best + best * MOVED_SHARE:
                return False
    return True


def agrees(snapshot: DepthSnapshot, changes: Iterable[Depth]) -> bool:
    """Return whether a snapshot tells the same as the last of these changes that is in it.

    The same update id means the same levels, all of them. From an earlier change a part must be
    left. False also where there is nothing to compare.
    """
    contained = [change for change in changes if change.last_update_id <= snapshot.id]
    if not contained:
        return False
    change = max(contained, key=lambda each: each.last_update_id)
    same, set_, differing = 0, 0, 0
    for own, other, sign in ((change.bids, snapshot.bids, -1), (change.asks, snapshot.asks, 1)):
        there = {Decimal(price): Decimal(quantity) for price, quantity in other}
        for price, quantity in _within(own, other, sign, snapshot.levels):
            is_same = there.get(price, Decimal()) == quantity
            differing += not is_same
            set_ += bool(quantity)
            same += bool(quantity) and is_same
    if change.last_update_id == snapshot.id:
        return not differing
    return set_ > 0 and same >= SAME_SHARE * set_


def _within(
    own: list[Level], other: list[Level], sign: int, asked: int
) -> list[tuple[Decimal, Decimal]]:
    """Return the levels of one side of a change of which a snapshot tells whether they are there.

    `sign` is -1 for bids, 1 for asks; `asked` levels were asked for.
    """
    levels = [(Decimal(price), Decimal(quantity)) for price, quantity in own]
    if len(other) < asked:
        return levels  # it has all there are
    limit = sign * Decimal(other[-1][0])
    return [level for level in levels if sign * level[0] <= limit]
