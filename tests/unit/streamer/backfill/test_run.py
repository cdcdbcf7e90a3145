"""A back-fill as a whole: a sink in memory, and an exchange that is a function."""

from __future__ import annotations

import io
import sys
from collections.abc import Collection
from typing import Any

from streamer.audit.batches import BACKFILLED, Batch, Source
from streamer.audit.run import audit
from streamer.backfill.errors import BackfillError
from streamer.backfill.plan import Holding
from streamer.backfill.progress import Progress
from streamer.backfill.run import Backfill, Wanted
from streamer.backfill.stop import Stop
from streamer.data.events import GapRecord
from streamer.repair.rest_requests import RestFailure
from tests.unit.streamer.audit.stored import batch, event, gap
from tests.unit.streamer.audit.test_findings import Fixed
from tests.unit.streamer.backfill.test_rest_past import US, World

ALL_GAPS = Wanted(None, None, None, None, gaps_only=True)


def a_time(first: int, end: int, *symbols: str) -> Wanted:
    """Return the time of some aggregate trades of the exchange, which have ten trades each."""
    times = (US + number * 1_000_000 for number in (first, end))
    return Wanted(frozenset(symbols or ("BTCUSDT",)), frozenset(("trade",)), *times, False)


def live(*ids: int, price: str = "1.5") -> Batch:
    """Return what the stream has stored of the trades that the exchange tells."""
    return batch("trade", [event("trade", one, trade_time=US + one, price=price) for one in ids])


class Memory:
    """Takes everything but trades of some ids."""

    def __init__(self, *stored: Batch, refuses: Collection[int] = ()) -> None:
        self._stored = stored
        self._refuses = refuses
        self.events: list[Any] = []
        self.gaps: list[GapRecord] = []

    def stored(self, kinds: Collection[str]) -> Source:
        more = batch("trade", self.events, lane=BACKFILLED)
        return Fixed(*self._stored, more, batch("gap", self.gaps))

    def put(self, holding: Holding, event: Any) -> None:
        if event.id in self._refuses:
            raise BackfillError("nothing is taken")
        self.events.append(event)

    def put_gap(self, holding: Holding, gap: GapRecord) -> None:
        self.gaps.append(gap)

    def finish(self) -> None:
        pass

    def close(self) -> None:
        pass

    @property
    def ids(self) -> list[int]:
        return [one.id for one in self.events]

    @property
    def declared(self) -> list[tuple[str, int | None, int | None]]:
        return [(one.reason, one.first_id, one.last_id) for one in self.gaps]


def run(target: Memory, world: World, wanted: Wanted = ALL_GAPS) -> Backfill:
    backfill = Backfill(target, wanted, Progress(io.StringIO(), is_terminal=False), Stop())
    backfill.look(("trade",))
    backfill.from_rest(world.past)
    backfill.finish()
    return backfill


def test_what_could_not_be_put_is_not_said_to_be_filled():
    target = Memory(live(1, 2, 6, 7), batch("gap", [gap(3, 5)]), refuses=[4])
    backfill = run(target, World(*range(1, 9)))
    assert target.ids == [3]
    assert target.declared == [("filled", 3, 3)]
    assert backfill.outcome.left == ["trade BTCUSDT: 3 to 5: nothing is taken"]


def test_a_gap_of_ids_that_do_not_exist_is_explained_for_good():
    target = Memory(live(1, 2, 6, 7), batch("gap", [gap(3, 5)]))
    run(target, World(1, 2, 6, 7))
    assert target.declared == [("empty", 3, 5)]
    assert not run(target, World()).outcome.left  # nothing is asked for any more
    finding = audit(target.stored(("trade",)), lambda _: None).findings[0]
    assert (finding.declared_missing, finding.gap_ids) == (0, {"lagging": 3, "empty": 3})


def test_what_the_settings_were_without_is_stored_when_it_is_asked_for():
    target = Memory(live(10, 40), batch("gap", [gap(11, 39, "not_wanted")]))
    assert run(target, World(*range(10, 41))).outcome.stored == 0  # it was no loss
    assert run(target, World(*range(10, 41)), a_time(1, 3)).outcome.stored == 19
    assert target.ids == list(range(11, 30))


def test_a_symbol_that_is_refused_is_named_and_the_others_are_filled():
    target, world = Memory(live(10, 40)), World(*range(10, 41))
    world.exchange.troubles = [RestFailure("unknown_symbol", "Invalid symbol.")]
    backfill = run(target, world, a_time(1, 3, "AAAUSDT", "BTCUSDT"))
    assert target.ids == list(range(11, 30))
    (left,) = backfill.outcome.left
    assert "AAAUSDT" in left


def test_what_is_above_the_end_of_the_stream_is_said_to_come_again(capsys):
    def said(*ids: int) -> str:
        progress = Progress(sys.stderr, is_terminal=False)
        backfill = Backfill(Memory(live(*ids)), a_time(1, 3), progress, Stop())
        backfill.look(("trade",))
        backfill.from_rest(World(*range(5, 41)).past)
        return capsys.readouterr().err

    assert "the stream itself ends at 20: a streamer that goes on" in said(10, 20)
    assert "ends at" not in said(10, 40)
