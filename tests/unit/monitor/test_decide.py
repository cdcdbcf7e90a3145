"""The table of rules, row by row in both modes, and what must hold for any history."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.decide import decide
from monitor.leak import Assessment
from monitor.ledger import Ledger
from monitor.model import (
    Abort,
    Action,
    Collect,
    Event,
    Exited,
    Fail,
    Mode,
    Reported,
    Restart,
    Rotate,
    Tick,
    Warn,
)
from monitor.rules import Rule, built_in_rules, merged
from monitor.soak_plans import PROFILES, scaled
from monitor.state import DROPS_KEPT, State
from tests.unit.monitor.observations import (
    NAME,
    launched,
    replace,
    report,
    reported,
    sample,
    slot,
    stream,
)

MODES: tuple[Mode, ...] = ("soak", "run")


class Watcher:
    """Feeds events and keeps the actions."""

    def __init__(self, mode: Mode, profile: str = "24h", extra: tuple[Rule, ...] = ()) -> None:
        limits = PROFILES[profile] if mode == "soak" else None
        rules = merged(built_in_rules(mode, limits), extra)
        self.state = State(rules, mode, Ledger(None, 4 * 3600.0, lambda *_: Scripted()))
        self.actions: list[Action] = []
        Scripted.score = Scripted.latest = None

    def feed(self, event: Event, now: float) -> tuple[Action, ...]:
        self.state, actions = decide(self.state, event, now)
        self.actions.extend(actions)
        return actions

    def kinds(self) -> list[type[Action]]:
        return [type(action) for action in self.actions]


@dataclass
class Scripted:
    """A detector that says what the test wants."""

    score: ClassVar[float | None] = None
    latest: ClassVar[float | None] = None

    def observe(
        self,
        elapsed_seconds: float,
        memory_bytes: float,
        messages_total: float | None = None,
        rotation: bool = False,
        explained_bytes: float | None = None,
    ) -> None:
        pass

    def assess(self) -> Assessment:
        return Assessment(
            Scripted.score,
            None,
            None,
            None,
            None,
            "none",
            "scripted",
            latest_score=Scripted.latest,
        )


@pytest.fixture(params=MODES)
def watcher(request: pytest.FixtureRequest) -> Watcher:
    watcher = Watcher(request.param)
    watcher.feed(launched(), 0.0)
    return watcher


# The table --------------------------------------------------------------------------------------


def test_memory_ceiling_takes_one_sample(watcher: Watcher) -> None:
    assert watcher.feed(sample(1, 449.9), 1.0) == ()
    (action,) = watcher.feed(sample(2, 450.1), 2.0)
    if watcher.state.mode == "soak":
        assert isinstance(action, Abort)
    else:
        assert isinstance(action, Restart)
    assert action.skip_drain
    assert not action.kill_now
    assert action.hears
    assert action.breach.rule == "memory ceiling"
    assert "450.1 MiB is above 450.0 MiB" in action.breach.message


def test_far_above_the_ceiling_it_is_killed_at_once(watcher: Watcher) -> None:
    (action,) = watcher.feed(sample(1, 541), 1.0)
    assert isinstance(action, (Abort, Restart))
    assert action.kill_now


def test_an_end_already_wished_for_can_only_be_hastened(watcher: Watcher) -> None:
    watcher.feed(sample(1, 451), 1.0)
    assert watcher.feed(sample(2, 460), 2.0) == ()
    (action,) = watcher.feed(sample(3, 541), 3.0)
    assert isinstance(action, (Abort, Restart))
    assert action.kill_now
    assert watcher.feed(sample(4, 600), 4.0) == ()


def test_the_one_hour_profile_has_a_lower_ceiling() -> None:
    watcher = Watcher("soak", "1h")
    watcher.feed(launched(), 0.0)
    assert watcher.feed(sample(1, 399), 1.0) == ()
    assert isinstance(watcher.feed(sample(2, 401), 2.0)[0], Abort)


def test_memory_high_must_last_ten_minutes(watcher: Watcher) -> None:
    watcher.feed(reported(0.5), 0.5)
    for at in range(1, 600):
        assert watcher.feed(sample(at, 410), float(at)) == ()
    watcher.feed(sample(600, 399), 600.0)  # one dip begins it anew
    for at in range(601, 1201):
        assert watcher.feed(sample(at, 410), float(at)) == ()
    watcher.feed(sample(1201, 410), 1201.0)
    expected = [Warn] if watcher.state.mode == "soak" else [Rotate, Warn]
    assert watcher.kinds() == expected
    watcher.feed(sample(1202, 410), 1202.0)
    assert watcher.kinds() == expected, "the same news is told once an hour"


def test_leak_score(watcher: Watcher) -> None:
    Scripted.score = Scripted.latest = 0.5
    for at in (0, 61, 121):
        assert watcher.feed(sample(at), float(at)) == ()
    Scripted.latest = 0.6
    watcher.feed(sample(181), 181.0)
    assert watcher.kinds() == [Collect]  # the suspicion has yet to last: now it still helps
    Scripted.score = 0.6
    watcher.feed(sample(211), 211.0)
    watcher.feed(sample(241), 241.0)
    assert watcher.kinds() == [Collect, Warn]
    Scripted.score = 0.9
    watcher.feed(sample(301), 301.0)
    watcher.feed(sample(361), 361.0)
    if watcher.state.mode == "soak":
        assert watcher.kinds() == [Collect, Warn, Fail]
    else:
        assert watcher.kinds() == [Collect, Warn, Warn, Restart]
        assert isinstance(watcher.actions[-1], Restart)
        assert watcher.actions[-1].when_quiet
        assert not watcher.actions[-1].skip_drain


def test_a_suspect_is_collected_again_after_an_hour_or_in_the_next_generation(
    watcher: Watcher,
) -> None:
    Scripted.latest = 0.6
    hours = 3
    for at in range(60, hours * 3600, 60):
        watcher.feed(sample(at), float(at))
    assert watcher.kinds().count(Collect) == hours
    watcher.feed(Exited(NAME, 1, 0, expected=True, time=0.0), hours * 3600.0)
    watcher.feed(launched(2), hours * 3600.0)
    for at in range(hours * 3600, hours * 3600 + 180, 60):
        watcher.feed(sample(at, generation=2), float(at))
    assert watcher.kinds().count(Collect) == hours + 1
    [*_, last] = [one for one in watcher.actions if isinstance(one, Collect)]
    assert last.breach.generation == 2


def test_whose_end_is_decided_is_collected_no_more() -> None:
    watcher = Watcher("run")
    watcher.feed(launched(), 0.0)
    watcher.feed(sample(1, 451), 1.0)
    Scripted.latest = 0.6
    for at in (61, 121, 181):
        watcher.feed(sample(at), float(at))
    assert Collect not in watcher.kinds()


def test_a_short_soak_cannot_convict_of_a_leak() -> None:
    watcher = Watcher("soak", "1h")
    watcher.feed(launched(), 0.0)
    Scripted.score = 0.9
    for at in (0, 61, 121):
        watcher.feed(sample(at), float(at))
    assert watcher.kinds() == [Warn, Warn]  # suspected, and said to be one


def test_age_rotates_each_slot_by_itself(watcher: Watcher) -> None:
    slots = (slot("a", 14_399.0), slot("b", 14_400.5))
    watcher.feed(reported(1.0, slots=slots), 1.0)
    (action,) = watcher.actions
    assert isinstance(action, Rotate)
    assert (action.breach.slot, action.reason) == ("b", "age")
    watcher.feed(reported(2.0, slots=(slot("a", 14_400.5), slot("b", 14_401.5))), 2.0)
    assert [one.breach.slot for one in watcher.actions] == ["b", "a"]
    rotating = (slot("a", 14_500.0, rotating=True), slot("b", 14_500.0, rotating=True))
    assert watcher.feed(reported(100.0, slots=rotating), 100.0) == ()
    assert len(watcher.feed(reported(101.0, slots=(slot("a", 14_501.0),)), 101.0)) == 1


def test_silence_rotates_the_slot_of_the_stream(watcher: Watcher) -> None:
    slots = (slot("a"), slot("b"))
    streams = (
        stream(5, "BTCUSDT", silent_seconds=30.0, slot="a"),
        stream(5, "BTCUSDT", kind="aggTrade", silent_seconds=30.5, slot="b"),
        stream(5, "ETHUSDT", silent_seconds=31.0, slot="b"),
    )
    watcher.feed(reported(1.0, slots=slots, streams=streams), 1.0)
    (action,) = watcher.actions  # one rotation serves both silent streams
    assert isinstance(action, Rotate)
    assert action.reason == "stale"
    breach = action.breach
    assert (breach.slot, breach.stream, breach.symbol) == ("b", "aggTrade", "BTCUSDT")


@pytest.mark.parametrize(
    "state",
    [slot(age=None), slot(age=29.0), slot(rotating=True)],
    ids=["down", "young", "rotating"],
)
def test_silence_is_not_held_against_a_slot_that_is_being_helped(
    watcher: Watcher, state: object
) -> None:
    streams = (stream(5, silent_seconds=99.0),)
    assert watcher.feed(reported(1.0, slots=(state,), streams=streams), 1.0) == ()


@pytest.mark.parametrize(
    ("silence", "seconds", "rotates"),
    [
        ("news", 31.0, True),
        ("quiet", 99.0, False),
        ("unconfirmed", 31.0, False),
        ("unconfirmed", 86_400.0, False),
        (None, 31.0, True),
    ],
)
def test_silence_counts_when_rest_confirms_it_or_is_not_to_be_asked(
    watcher: Watcher, silence: str | None, seconds: float, rotates: bool
) -> None:
    one = replace(stream(5, silent_seconds=seconds), silence=silence)
    watcher.feed(reported(1, streams=(one,)), 1.0)
    assert bool(watcher.actions) == rotates


def test_what_the_exchange_does_not_serve_rotates_nothing(watcher: Watcher) -> None:
    one = replace(stream(5, silent_seconds=9e4), unavailable="unknown_symbol")
    watcher.feed(reported(1, streams=(one,)), 1.0)
    assert watcher.actions == []


def test_lasting_silence_is_no_storm_of_rotations(watcher: Watcher) -> None:
    streams = (stream(5, "QUIET", silent_seconds=99.0), stream(5))
    rotations = []
    for at in range(1, 86_400, 5):
        busy = (streams[0], replace(streams[1], events_total=100 * at))
        actions = watcher.feed(reported(at, streams=busy), float(at))
        rotations += [at for action in actions if isinstance(action, Rotate)]
    assert len(rotations) < 30, "doubling up to an hour"
    assert rotations[1] - rotations[0] >= 120
    assert rotations[-1] - rotations[-2] >= 3600


def test_silence_that_was_healed_is_forgotten(watcher: Watcher) -> None:
    silent, well = stream(5, silent_seconds=99.0), stream(6)
    asked = []
    for at in range(1, 1001):
        one = silent if at % 200 < 100 else well
        actions = watcher.feed(reported(at, streams=(one,)), float(at))
        asked += [at for action in actions if action.breach.rule == "silence"]
    assert asked == [1, 200, 400, 600, 800, 1000]


@pytest.mark.parametrize(("per_second", "breached"), [(9.9, True), (10.0, False)])
def test_rate_counts_trades_and_aggregate_trades_over_the_window(
    watcher: Watcher, per_second: float, breached: bool
) -> None:
    for at in range(1, 602):
        streams = (
            stream(round(per_second * at / 2 * 10)),
            stream(round(per_second * at / 2 * 10), kind="aggTrade"),
            stream(10_000 * at, kind="bookTicker"),  # does not count
        )
        counted = tuple(
            replace(one, events_total=one.events_total // (1 if i == 2 else 10))
            for i, one in enumerate(streams)
        )
        actions = watcher.feed(reported(at, streams=counted), float(at))
        if at < 601:
            assert actions == ()
    if not breached:
        assert watcher.actions == []
    elif watcher.state.mode == "soak":
        assert watcher.kinds() == [Fail]
    else:
        assert watcher.kinds() == [Rotate, Warn]


def test_rate_has_the_profiles_window() -> None:
    for name, window in (("1h", 300), ("smoke", 12)):
        watcher = Watcher("soak", name)
        watcher.feed(launched(), 0.0)
        for at in range(1, 2000):
            if watcher.feed(reported(at, streams=(stream(at),)), float(at)):
                break
        assert at == window + 1


def test_book_tickers_alone_have_no_rate(watcher: Watcher) -> None:
    for at in range(1, 700):
        streams = (stream(at, kind="bookTicker"),)
        assert watcher.feed(reported(at, streams=streams), float(at)) == ()


def test_heartbeat_is_missed_ten_seconds_after_a_report(watcher: Watcher) -> None:
    for at in range(1, 20):
        assert watcher.feed(Tick(), float(at)) == (), "before the first report it is starting up"
    watcher.feed(reported(20), 20.0)
    for at in range(21, 31):
        assert watcher.feed(Tick(), float(at)) == ()
    (action,) = watcher.feed(Tick(), 31.0)
    assert isinstance(action, Abort if watcher.state.mode == "soak" else Restart)
    assert action.skip_drain
    assert action.breach.rule == "heartbeat"


def test_our_own_sleep_is_not_the_streamers_silence(watcher: Watcher) -> None:
    watcher.feed(reported(1), 1.0)
    assert watcher.feed(Tick(), 100.0) == ()
    for at in range(101, 111):
        assert watcher.feed(Tick(), float(at)) == ()
    assert len(watcher.feed(Tick(), 111.0)) == 1


def test_a_supervisor_that_is_slow_all_the_time_misses_no_heartbeat(watcher: Watcher) -> None:
    watcher.feed(reported(1), 1.0)
    for at in (5.0, 9.0, 13.0):  # the first pause is excused, until a report comes
        assert watcher.feed(Tick(), at) == ()
    assert len(watcher.feed(Tick(), 17.0)) == 1


def test_own_ping_is_the_streamers_business(watcher: Watcher) -> None:
    (rule,) = [rule for rule in watcher.state.rules if rule.name == "own ping"]
    assert (rule.action, rule.limit, rule.enforced_by) == ("rotate", 190.0, "streamer")
    late = slot(last_pong_time=0.0)
    assert watcher.feed(reported(1, slots=(late,)), 1.0) == ()


def test_ten_drops_a_day(watcher: Watcher) -> None:
    watcher.feed(reported(1, slots=(slot(drops_total=9),)), 1.0)
    assert watcher.actions == []
    watcher.feed(reported(2, slots=(slot(drops_total=10),)), 2.0)
    assert watcher.kinds() == [Fail if watcher.state.mode == "soak" else Warn]


def test_drops_of_yesterday_are_forgotten(watcher: Watcher) -> None:
    watcher.feed(reported(1, slots=(slot(drops_total=9),)), 1.0)
    later = 86_402.0
    watcher.feed(Reported(later, report(2, slots=(slot(drops_total=18),))), later)
    assert [action for action in watcher.actions if action.breach.rule == "drops"] == []


def test_drops_are_summed_over_generations(watcher: Watcher) -> None:
    watcher.feed(reported(1, slots=(slot(drops_total=6),)), 1.0)
    watcher.feed(Exited(NAME, 1, 0, True, 0.0), 2.0)
    watcher.feed(launched(2), 3.0)
    watcher.feed(reported(4, generation=2, slots=(slot(drops_total=4),)), 4.0)
    assert [action.breach.observed for action in watcher.actions] == [10]


def test_drops_scale_with_the_time_given() -> None:
    profile = scaled(PROFILES["24h"], 6 * 3600)
    assert profile.drops_limit == 3
    (rule,) = [rule for rule in built_in_rules("soak", profile) if rule.name == "drops"]
    assert rule.limit == 2


# One decision point -----------------------------------------------------------------------------


def test_a_restart_under_way_silences_everything_gentler() -> None:
    watcher = Watcher("run")
    watcher.feed(launched(), 0.0)
    watcher.feed(sample(1, 460), 1.0)
    assert watcher.kinds() == [Restart]
    old = (slot(age=99_999.0, drops_total=50),)
    silent = (stream(5, silent_seconds=99.0),)
    for at in range(2, 900):
        watcher.feed(reported(at, slots=old, streams=silent), float(at))
        watcher.feed(sample(at, 460), float(at))
    assert watcher.kinds() == [Restart]


def test_a_restart_at_a_quiet_moment_gives_way_to_a_pressing_one() -> None:
    watcher = Watcher("run")
    watcher.feed(launched(), 0.0)
    Scripted.score = 0.9
    watcher.feed(sample(0), 0.0)
    watcher.feed(sample(61), 61.0)
    watcher.feed(sample(121), 121.0)
    assert [one.when_quiet for one in watcher.actions if isinstance(one, Restart)] == [True]
    (action,) = watcher.feed(sample(122, 460), 122.0)
    assert isinstance(action, Restart)
    assert not action.when_quiet


def test_one_rotation_serves_age_and_silence_alike(watcher: Watcher) -> None:
    slots, streams = (slot(age=15_000.0),), (stream(5, silent_seconds=99.0),)
    watcher.feed(reported(1, slots=slots, streams=streams), 1.0)
    assert watcher.kinds() == [Rotate]


def test_what_is_draining_is_left_alone(watcher: Watcher) -> None:
    watcher.feed(reported(1, state="draining", slots=(slot(age=None),)), 1.0)
    for at in range(2, 60):
        assert watcher.feed(Tick(), float(at)) == ()


def test_windows_begin_anew_with_each_child() -> None:
    watcher = Watcher("run")
    watcher.feed(launched(1), 0.0)
    for at in range(1, 600):
        watcher.feed(sample(at, 410), float(at))
        watcher.feed(reported(at, streams=(stream(at),)), float(at))
    watcher.feed(Exited(NAME, 1, -9, False, 0.0), 600.0)
    watcher.feed(launched(2), 601.0)
    for at in range(602, 1200):
        watcher.feed(sample(at, 410, generation=2), float(at))
        event = Reported(at, report(at, generation=2, streams=(stream(at),)))
        watcher.feed(event, float(at))
    assert watcher.actions == []


def test_late_news_of_a_generation_that_is_gone_is_ignored(watcher: Watcher) -> None:
    watcher.feed(launched(2), 1.0)
    assert watcher.feed(sample(2, 600, generation=1), 2.0) == ()
    old = report(9, 1, slots=(slot(age=99_999.0, drops_total=99),))
    assert watcher.feed(Reported(3.0, old), 3.0) == ()
    watcher.feed(Exited(NAME, 1, -9, False, 0.0), 4.0)
    assert len(watcher.feed(sample(5, 600, generation=2), 5.0)) == 1


def test_after_an_abort_the_other_streamers_are_not_judged_any_more() -> None:
    watcher = Watcher("soak")
    watcher.feed(launched(), 0.0)
    watcher.feed(launched(streamer="streamer-2"), 0.0)
    watcher.feed(sample(1, 460), 1.0)
    watcher.feed(sample(1, 460, streamer="streamer-2"), 1.0)
    old = (slot(age=99_999.0),)
    watcher.feed(reported(2, streamer="streamer-2", slots=old), 2.0)
    assert watcher.kinds() == [Abort]
    watcher.feed(sample(3, 600), 3.0)
    assert watcher.kinds() == [Abort, Abort], "the end that was begun can still be hastened"


def test_the_rate_is_that_of_all_streamers_together() -> None:
    watcher = Watcher("run")
    watcher.feed(launched(), 0.0)
    watcher.feed(launched(streamer="streamer-2"), 0.0)
    for at in range(1, 700):
        watcher.feed(reported(at, streams=(stream(6 * at),)), float(at))
        second = reported(at, streamer="streamer-2", streams=(stream(6 * at),))
        watcher.feed(second, float(at))
    assert watcher.actions == []


def test_a_rule_of_the_users_own() -> None:
    rule = Rule(name="many files", metric="open_files", limit=100, for_seconds=5, grace_seconds=10)
    watcher = Watcher("run", extra=(rule,))
    watcher.feed(launched(), 0.0)
    acted = [at for at in range(1, 30) if watcher.feed(sample(at, open_files=101), float(at))]
    assert acted == [15], "judged from 10 s on, then for 5 s"


# Any history ------------------------------------------------------------------------------------

_events = st.one_of(
    st.builds(
        lambda rss, generation: ("sample", generation, rss),
        st.floats(1, 700),
        st.integers(1, 4),
    ),
    st.builds(
        lambda silent, generation, age: ("report", generation, (silent, age)),
        st.floats(0, 100),
        st.integers(1, 4),
        st.floats(0, 20_000),
    ),
    st.just(("tick", 0, None)),
    st.builds(lambda generation: ("exit", generation, None), st.integers(1, 4)),
    st.just(("launch", 0, None)),
)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(MODES), st.lists(st.tuples(_events, st.floats(0.1, 30)), max_size=60))
def test_no_action_for_a_generation_that_is_gone_and_no_storm(
    mode: Mode, history: list[tuple[tuple[str, int, object], float]]
) -> None:
    watcher = Watcher(mode)
    now, living, launches = 0.0, 0, 0
    rotations: list[tuple[int, float]] = []
    endings: dict[int, int] = {}
    for sequence, ((kind, generation, value), seconds) in enumerate(history, 1):
        now += seconds
        event: Event = Tick()
        if kind == "launch":
            launches += 1
            living = launches
            event = launched(launches)
        elif kind == "exit":
            event = Exited(NAME, generation, 0, False, 0.0)
            living = 0 if generation == living else living
        elif kind == "sample":
            event = sample(now, value, generation)  # type: ignore[arg-type]
        elif kind == "report":
            silent, age = value  # type: ignore[misc]
            one = report(
                sequence,
                generation,
                streams=(stream(5, silent_seconds=silent),),  # type: ignore[has-type]
                slots=(slot(age=age),),  # type: ignore[has-type]
            )
            event = Reported(now, one)
        for action in watcher.feed(event, now):
            assert action.breach.generation == living
            if isinstance(action, Rotate):
                assert living not in endings
                rotations.append((living, now))
            if isinstance(action, (Restart, Abort)):
                endings[living] = endings.get(living, 0) + 1
    assert all(count <= 2 for count in endings.values())
    for (first, before), (second, after) in pairwise(rotations):
        assert first != second or after - before >= 60


def test_drops_that_cannot_be_are_counted_up_to_a_bound(watcher: Watcher) -> None:
    watcher.feed(reported(1), 1.0)
    watcher.feed(reported(2, slots=(slot(drops_total=1 << 62),)), 2.0)
    assert len(watcher.state.drops[NAME]) == DROPS_KEPT
