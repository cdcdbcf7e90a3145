"""Which gaps are open, what to ask about them next, when again, and when to give up. Pure.

A gap is whatever `suspect` was told, per key, until `advance` shows it closed. One question is
under way at a time; its outcome comes back through `page` or `trouble`. REST may lag behind the
streams, stop in the middle of a page, refuse, or be away: only two things end a gap other than
its ids: REST passing over them, twice alike, and time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Generic, Literal, TypeVar

from streamer.data.binance_spot import PAGE_LIMIT
from streamer.order.sequence import EMPTY
from streamer.repair.repair_order import Need, RepairOrder
from streamer.repair.rest_requests import RestFailureKind

Key = TypeVar("Key")

CONFIRM_SECONDS = 1.0  # between two looks that agree that ids do not exist; a replica may lag
DELAY_FIRST_SECONDS, DELAY_MAX_SECONDS = 0.25, 10.0  # a lagging tail; REST being away
LASTING = ("refused", "misfit", "unknown_symbol")
"""Troubles that do not heal by waiting, and concern one question."""
REFUSALS, REFUSED_SECONDS = 3, 60.0  # of one question; a refusal in error heals by then
_DOUBLINGS_MAX = 10


@dataclass(frozen=True, slots=True)
class Ask(Generic[Key]):
    """What to ask: events from `first_id` on, at most `limit` of them."""

    key: Key
    first_id: int
    limit: int


@dataclass(frozen=True, slots=True)
class GiveUp(Generic[Key]):
    """What is missing up to `last_id` will not come. Reasons: `REASONS`."""

    key: Key
    last_id: int
    reason: str


REASONS = {
    EMPTY: "the exchange shows that there are no such ids: no loss",
    "lagging": "REST knew nothing of them for repair.give_up_after",
    "throttled": "REST turned us away (429, 418), or its weight was used up, for "
    "repair.give_up_after",
    "blocked": "the exchange's firewall turned us away for repair.give_up_after",
    "unavailable": "REST was not available, or did not return JSON, for repair.give_up_after",
    "refused": "REST refuses the question itself",
    "unknown_symbol": "the exchange does not know the symbol (any more)",
    "misfit": "REST contradicts the stream: another venue, or wrong data",
    "unusable": "REST confirms it, and it is no trade: a price, quantity or field cannot be",
    "too_old": "older than repair.max_age",
    "not_repaired": "repair.enabled is false, or the stream's past cannot be asked for",
    "new_epoch": "the exchange began its ids anew: those before cannot be asked for any more",
    "not_wanted": "its stream was removed from the settings, and came back later",
    "delisted": "the exchange does not trade the symbol any more: no loss",
    "no_room": "too much waited above them while repair.enabled is false",
}
"""Why a gap was declared."""


@dataclass(slots=True)
class OpenGap:
    """A gap under repair; ids, both ends included, and monotonic times."""

    first_id: int
    last_id: int
    began_id: int  # where it began before anything was repaired
    ask_at: float
    progress_at: float  # when it was first missed, or last became smaller
    asked_since: float | None = None  # the first outcome since the last progress
    attempts: int = 0  # since the last progress
    refusals: int = 0
    refused_since: float = 0.0
    passed_over: int | None = None  # REST's first id at the last look, above what was asked for
    old_below: int | None = None  # while the first id that is not too old is searched for
    young_from: int | None = None
    trouble: str = "lagging"
    repaired: int = 0  # ids that REST brought
    is_compared: bool = False  # the event above it, by the latest answer
    looked_cheaply: bool = False  # aggregates were asked for: now only trades help

    @property
    def asks_from(self) -> int:
        """The id to ask from next: the first one, or the middle of what is searched."""
        if self.old_below is None or self.young_from is None:
            return self.first_id
        return (self.old_below + self.young_from) // 2


class GapTracker(Generic[Key]):
    """The open gaps of all keys."""

    def __init__(self, give_up_after_seconds: float) -> None:
        self.open: dict[Key, OpenGap] = {}
        self._give_up_after_seconds = give_up_after_seconds
        self._paused_until = 0.0
        self._troubles = 0  # in a row
        self._trouble: RestFailureKind | Literal["lagging"] | None = None  # since REST last helped
        self._helped_at = 0.0  # when REST last told an id, or there was first something to ask
        self._given_up: dict[Key, tuple[float, OpenGap]] = {}  # when, and as it was then
        self._order: RepairOrder[Key] = RepairOrder()

    def suspect(
        self, key: Key, first_id: int, last_id: int, now: float, since: float | None = None
    ) -> None:
        """Open a gap, or tell what it looks like now: another connection may have helped.

        `since` is when it was first missed, if that was earlier: it may have waited for others.
        """
        gap = self.open.get(key)
        if gap is None:
            if not self.open and self._trouble is None:
                self._helped_at = now
            gap = self.open[key] = OpenGap(first_id, last_id, first_id, now, since or now)
            given_up_at, before = self._given_up.pop(key, (0.0, gap))
            if gap.progress_at <= given_up_at:  # it waited behind that one: as long in vain
                gap.asked_since, gap.trouble = before.asked_since, before.trouble
            return
        gap.last_id = last_id
        self.advance(key, first_id, now)

    def advance(self, key: Key, next_id: int, now: float) -> OpenGap | None:
        """Tell that everything below `next_id` is dealt with; return the gap if that closes it."""
        gap = self.open[key]
        if next_id > gap.first_id:
            gap.first_id, gap.progress_at, gap.ask_at = next_id, now, now
            gap.attempts = gap.refusals = 0
            gap.asked_since = gap.passed_over = None
            if gap.old_below is not None and gap.old_below < next_id:
                gap.old_below = gap.young_from = None
        if next_id <= gap.last_id:
            return None
        self._order.forget(key)
        return self.open.pop(key)

    def ids(self, count: Callable[[Key, int, int], int]) -> tuple[int, int]:
        """Return how many ids the open gaps still miss, and how many of theirs are dealt with.

        `count(key, first_id, below_id)` tells how many there are: not every number is one.
        """
        gaps = self.open.items()
        left = sum(count(key, gap.first_id, gap.last_id + 1) for key, gap in gaps)
        return left, sum(count(key, gap.began_id, gap.first_id) for key, gap in gaps)

    def weight_left(self, weigh: Callable[[Key, int, int], int]) -> int:
        """Return the request weight that the open gaps take.

        `weigh(key, first_id, below_id)` tells that of one.
        """
        return sum(weigh(key, gap.first_id, gap.last_id + 1) for key, gap in self.open.items())

    def takes_more_than(self, weight: int, weigh: Callable[[Key, int, int], int]) -> bool:
        """Return whether the open gaps take more weight; of many gaps as few are looked at as do.

        `weigh` as for `weight_left`.
        """
        for key, gap in self.open.items():
            weight -= weigh(key, gap.first_id, gap.last_id + 1)
            if weight < 0:
                return True
        return False

    def next(self, now: float, waiting: Callable[[Key], int] = lambda _: 0) -> Ask[Key] | None:
        """Return what to ask now, in the order of `RepairOrder`; `asked` tells that it was.

        `waiting(key)` is how many events wait above a gap.
        """
        if now < self._paused_until:
            return None
        needs = {
            key: Need(waiting(key), gap.ask_at)
            for key, gap in self.open.items()
            if gap.ask_at <= now
        }
        if not needs:
            return None
        return self.ask_of(self._order.choose(needs))

    def ask_of(self, key: Key) -> Ask[Key] | None:
        """Return what there is to ask about a key, due or not; None where no gap is open."""
        gap = self.open.get(key)
        if gap is None:
            return None
        if gap.old_below is not None:
            return Ask(key, gap.asks_from, 1)
        return Ask(key, gap.first_id, min(PAGE_LIMIT, gap.last_id - gap.first_id + 1))

    def asked(self) -> None:
        """Count that what `next` returned was asked."""
        self._order.asked()

    def page(
        self, ask: Ask[Key], ids: Sequence[int], now: float, *, too_old: bool = False
    ) -> GiveUp[Key] | None:
        """Take the ids of an answer, ascending; say what they show not to exist or to be too old.

        `too_old` tells that even the last one is older than what is wanted. The events themselves
        are the caller's, who tells by `suspect` or `advance` what they have closed.
        """
        self._troubles = 0
        if ids:
            self._helped_at = now
        self._trouble = None if ids else "lagging"
        gap = self.open.get(ask.key)
        if gap is not None:
            gap.is_compared = False
        if gap is None or ask.first_id != gap.asks_from:
            return None  # closed or grown smaller meanwhile
        gap.attempts += 1
        gap.asked_since = now if gap.asked_since is None else gap.asked_since
        gap.refusals = 0
        gap.ask_at = now + _delay(gap.attempts)  # unless there is progress
        if not ids or ids[0] != gap.first_id:
            self._order.forget(ask.key)  # it does not go on: others may get their turn
        if not ids or ids[0] < ask.first_id:
            gap.trouble = "lagging"
            gap.passed_over = None
            return None
        if too_old or gap.old_below is not None:
            return self._search(ask.key, gap, ids, now, too_old=too_old)
        if ids[0] == gap.first_id:
            return None
        if gap.passed_over == ids[0]:
            return GiveUp(ask.key, min(ids[0] - 1, gap.last_id), EMPTY)
        gap.passed_over = ids[0]
        gap.ask_at = now + CONFIRM_SECONDS
        return None

    def compared(self, ask: Ask[Key], now: float) -> None:
        """Take that REST tells the same as the stream next to a gap: now that is asked for."""
        self._troubles = 0
        self._trouble, self._helped_at = None, now
        if (gap := self.open.get(ask.key)) is not None:
            gap.ask_at, gap.is_compared = now, True

    def looked(self, ask: Ask[Key], now: float) -> None:
        """Take an answer to a cheaper question: what it leaves open is asked for now."""
        self._troubles = 0
        self._trouble, self._helped_at = None, now
        if (gap := self.open.get(ask.key)) is not None:
            gap.ask_at, gap.looked_cheaply = now, True

    def trouble(
        self, ask: Ask[Key], kind: RestFailureKind, wait_seconds: float, now: float
    ) -> GiveUp[Key] | None:
        """Take that there was no answer."""
        if kind in LASTING:  # the others are no matter of this one
            self._order.forget(ask.key)
        gap = self.open.get(ask.key)
        if gap is not None:
            gap.is_compared = False
            gap.attempts += 1
            gap.asked_since = now if gap.asked_since is None else gap.asked_since
            gap.trouble = kind
            if kind in LASTING:
                gap.passed_over = None  # it has to show that twice without a doubt in between
        self._trouble = kind
        if kind not in LASTING:
            self.pause(kind, wait_seconds, now)
        elif gap is not None:
            if not gap.refusals:
                gap.refused_since = now
            gap.refusals += 1
            gap.ask_at = now + _delay(gap.refusals)
            if gap.refusals >= REFUSALS and now - gap.refused_since >= REFUSED_SECONDS:
                return GiveUp(ask.key, gap.last_id, kind)
        return None

    def drop(self, key: Key) -> None:
        """Forget a key that is gone, or of whose gap REST alone told, which is not believed."""
        self.open.pop(key, None)
        self._given_up.pop(key, None)
        self._order.forget(key)

    def pause(self, kind: RestFailureKind, wait_seconds: float, now: float) -> None:
        """Ask nothing for so long, or longer after one trouble upon another."""
        self._trouble = kind
        self._troubles += 1
        self._paused_until = max(
            self._paused_until, now + max(wait_seconds, _delay(self._troubles))
        )

    def paused(self, now: float) -> bool:
        """Return whether nothing may be asked now, about gaps or anything else."""
        return now < self._paused_until

    def overdue(self, now: float) -> list[GiveUp[Key]]:
        """Return the gaps that have waited too long for help, by the clock alone.

        Too long since they were first asked about in vain; or, asked about or not, too long while
        REST told no id of any gap. A gap that waits for its turn behind others, which REST helps,
        is not given up.
        """
        given_up = []
        for key, gap in self.open.items():
            asked_since = gap.asked_since if gap.asked_since is not None else now
            since = max(gap.progress_at, min(asked_since, self._helped_at))
            if now - since >= self._give_up_after_seconds:
                reason = (
                    gap.trouble if gap.asked_since is not None else self._trouble or "throttled"
                )
                given_up.append(GiveUp(key, gap.last_id, reason))
                self._given_up[key] = now, replace(gap)
        return given_up

    def _search(
        self, key: Key, gap: OpenGap, ids: Sequence[int], now: float, *, too_old: bool
    ) -> GiveUp[Key] | None:
        """Halve what lies between ids that are too old and those that are not."""
        if gap.old_below is None or gap.young_from is None:
            gap.old_below, gap.young_from = ids[-1] + 1, gap.last_id + 1
        elif too_old:
            gap.old_below = max(gap.old_below, ids[-1] + 1)
        else:
            gap.young_from = gap.asks_from
        gap.ask_at = now
        if gap.young_from - gap.old_below >= PAGE_LIMIT:
            return None
        old_below = min(gap.old_below, gap.last_id + 1)
        gap.old_below = gap.young_from = None
        return GiveUp(key, old_below - 1, "too_old") if old_below > gap.first_id else None


def _delay(attempts: int) -> float:
    doublings = min(attempts - 1, _DOUBLINGS_MAX)
    return min(DELAY_FIRST_SECONDS * 2.0**doublings, DELAY_MAX_SECONDS)
