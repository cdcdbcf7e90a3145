"""Which streams are wanted now: by the settings, and by what the exchange lists."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from typing import Protocol

from streamer.errors import SinkNotReady, StreamerError
from streamer.feed_counters import FeedCounters
from streamer.listing.symbol_watch import SymbolWatch
from streamer.subscription_manager import Change, listed

log = logging.getLogger(__name__)


class Subscriptions(Protocol):
    """Joins and leaves streams while others run."""

    def change(
        self,
        streams: Iterable[str],
        symbols: Iterable[str],
        now: float,
        *,
        go_on: bool = False,
    ) -> Change:
        """Want these and no others. Raises StreamerError, and nothing is changed then.

        A SinkNotReady tells when to ask again.
        With `go_on`, those that join go on where they had left, if they had.
        """


class WantedStreams:
    """Tells the subscriptions what is wanted; `turn` is to be called about once a second.

    `declare_delisted(symbol, unix_us)` puts on record that a symbol trades no more.
    """

    def __init__(
        self,
        streams: Iterable[str],
        watch: SymbolWatch,
        subscriptions: Subscriptions,
        counters: FeedCounters,
        declare_delisted: Callable[[str, int], None],
    ) -> None:
        self._streams = tuple(streams)
        self._watch = watch
        self._subscriptions = subscriptions
        self._counters = counters
        self._declare_delisted = declare_delisted
        self._symbols = watch.selected
        self._told: set[str] = set(watch.refused)  # that the sink cannot take: told once
        self._awaited: SinkNotReady | None = None  # why wanted symbols have not joined yet

    def change(self, streams: Iterable[str], entries: Iterable[str], now: float) -> Change:
        """Want streams of the symbols of other settings.

        Raises StreamerError when the sink cannot take one that is streamed or named; nothing is
        changed then. One that only a pattern chooses is left out, and one for which the sink makes
        something ready joins when that is done.
        """
        before, streams = self._watch.entries, tuple(streams)
        symbols = self._watch.want(entries)
        try:
            change = self._subscriptions.change(streams, symbols, now)
        except StreamerError as error:
            names = frozenset() if isinstance(error, SinkNotReady) else self._watch.names
            kept = [one for one in symbols if one in names or one in self._symbols]
            try:
                if len(kept) == len(symbols):
                    raise
                change = self._subscriptions.change(streams, kept, now)
            except StreamerError:
                self._watch.want(before)
                raise
            self._streams = streams
            joined = self._join(kept, [one for one in symbols if one not in set(kept)], now)
            awaited = tuple(one for one in symbols if one not in {*kept, *joined})
            symbols = (*kept, *joined)
            added = (f"{one.lower()}@{stream}" for stream in streams for one in joined)
            change = Change(
                (*change.added, *added), change.removed, awaited if self._awaited else ()
            )
        self._streams, self._symbols = streams, symbols
        return change

    def turn(self, now: float) -> None:
        """Follow what the exchange lists, and what the sink is ready for by now."""
        is_over = self._awaited is not None and self._awaited.is_over()
        if self._watch.turn(now) or is_over:
            self._awaited = None
            self._follow(self._watch.candidates, now)

    @property
    def is_known(self) -> bool:
        """Whether it is known which symbols trade, as far as that matters."""
        return not self._watch.is_waiting

    def close(self) -> None:
        """Ask no more."""
        self._watch.close()

    def _follow(self, symbols: tuple[str, ...], now: float) -> None:
        gone = [each for each in self._symbols if each not in set(symbols)]
        new = [each for each in symbols if each not in set(self._symbols)]
        if not gone and not new:
            return
        for symbol in gone:  # before its streams leave: a record needs one of them
            self._declare_delisted(symbol, time.time_ns() // 1000)
        kept = [each for each in self._symbols if each not in gone]
        joined = self._join(kept, new, now)
        self._symbols = (*kept, *joined)
        for kind, changed in (("symbols_delisted", gone), ("symbols_listed", joined)):
            if changed:
                log.info("%s: %s", kind.replace("_", " "), listed(changed))
                self._counters.notice(kind, symbols=listed(changed), count=len(changed))

    def _join(self, kept: list[str], new: list[str], now: float) -> list[str]:
        """Want the kept symbols and the new ones; return those new ones that the sink takes."""
        try:
            self._subscriptions.change(self._streams, (*kept, *new), now, go_on=True)
        except SinkNotReady as reason:
            self._awaited = reason
            log.info("%s: recorded as soon as the sink is ready: %s", listed(new), reason)
            alone: list[str] = []
        except StreamerError as error:
            alone = new if len(new) > 1 else []
            if len(new) == 1:
                self._watch.refused.add(new[0])
            if len(new) == 1 and new[0] not in self._told:
                self._told.add(new[0])
                log.error("%s is listed and cannot be recorded: %s", new[0], error)  # noqa: TRY400 - a setting
                self._counters.notice("warning", message=f"{new[0]} cannot be recorded: {error}")
        else:
            self._watch.refused.difference_update(new)
            return new
        # One that cannot be recorded keeps none of the others out.
        joined: list[str] = []
        for each in alone:
            joined += self._join([*kept, *joined], [each], now)
        if not joined:
            self._subscriptions.change(self._streams, kept, now)
        return joined
