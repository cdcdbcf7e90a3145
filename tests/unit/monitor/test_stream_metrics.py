from __future__ import annotations

import msgspec
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as openmetrics_families,
)
from prometheus_client.parser import text_string_to_metric_families

from monitor.exposition import Exposition
from monitor.series_limit import OTHERS
from monitor.snapshot import Snapshot
from monitor.soak_plans import PROFILES
from tests.unit.monitor.observations import EPOCH, stream
from tests.unit.monitor.runs import Run

Shown = dict[tuple[str, ...], float]


def of(symbols: str, missing: int = 0, **changes: object) -> dict[str, object]:
    """Return streams of one letter's symbols; each brings its place as events."""
    return {
        "streams": tuple(
            stream(10 * (place + 1), name, missing_total=missing, **changes)
            for place, name in enumerate(symbols)
        )
    }


def snapshot(*seconds: dict[str, object]) -> Snapshot:
    run = Run(PROFILES["1h"])
    for one in seconds:
        run.seconds(1, lambda _, one=one: one)  # type: ignore[misc]
    return run.recorder.snapshot(run.now, EPOCH + run.now)


def shown(exposition: Exposition) -> Shown:
    return {
        (one.name, *one.labels.values()): one.value
        for family in text_string_to_metric_families(exposition.text()[0].decode())
        for one in family.samples
    }


def test_beyond_the_limit_symbols_are_told_together_and_totals_stay() -> None:
    told = snapshot(of("ABCD", missing=1))
    whole, limited = shown(Exposition(lambda: told)), shown(Exposition(lambda: told, 2))
    assert ("binance_stream_events_total", "trade", "C") not in limited
    assert limited["binance_stream_events_total", "trade", OTHERS] == 30 + 40
    assert limited["binance_messages_received_total", OTHERS] == 30 + 40
    assert limited["binance_missing_ids_total", "trade", OTHERS] == 2
    assert limited["vigil_metrics_streams_omitted",] == 2
    assert whole["vigil_metrics_streams_omitted",] == 0
    for name in {key[0] for key in whole if key[0].endswith("_total")}:
        sums = [sum(v for key, v in one.items() if key[0] == name) for one in (whole, limited)]
        assert sums[0] == sums[1], name


def test_the_rest_is_as_fresh_as_its_worst_and_its_states_are_counted() -> None:
    silent = stream(4, "D", silent_seconds=99.0, silence="news")
    absent = stream(0, "E", unavailable="refused", book_lost=True)
    silent = msgspec.structs.replace(silent, book_lost=False, book_awaited=True)
    told = snapshot({"streams": (*of("ABC")["streams"], silent, absent)})  # type: ignore[misc]
    limited = shown(Exposition(lambda: told, 2))
    assert limited["vigil_stream_fresh", "trade", "A"] == 1
    assert limited["vigil_stream_fresh", "trade", OTHERS] == 0
    assert limited["binance_stream_silent_seconds", "trade", OTHERS] == 99
    assert limited["vigil_stream_unavailable", "trade", OTHERS, "refused"] == 1
    assert limited["vigil_streams", "fresh"] == 3
    assert limited["vigil_book_lost", "trade", OTHERS] == 1
    assert limited["vigil_book_awaited", "trade", OTHERS] == 1
    assert ("vigil_book_awaited", "trade", "A") not in limited
    assert ("vigil_book_lost", "trade", "A") not in limited, "nobody keeps account of it"
    assert limited["vigil_streams", "stale"] == 1
    assert limited["vigil_streams", "unavailable"] == 1


def test_what_is_told_together_never_falls() -> None:
    snapshots = iter([snapshot(of("ABCD")), snapshot(of("ABCD"), of("BD"))])
    latest = next(snapshots)
    exposition = Exposition(lambda: latest, 2)
    key = "binance_stream_events_total", "trade", OTHERS
    before = shown(exposition)[key]
    latest = next(snapshots)
    assert shown(exposition)[key] >= before


def test_both_formats_tell_the_same() -> None:
    told = snapshot(of("A", missing=3))
    exposition = Exposition(lambda: told)
    text = exposition.openmetrics()[0].decode()
    samples = {
        (one.name, *one.labels.values()): one.value
        for family in openmetrics_families(text)
        for one in family.samples
    }
    assert samples == shown(exposition)
    assert text.endswith("# EOF\n")


def test_labels_are_escaped() -> None:
    told = snapshot({"streams": (stream(1, 'a"} 1\nb\\'),)})
    assert shown(Exposition(lambda: told))["vigil_stream_fresh", "trade", 'a"} 1\nb\\'] == 1


def test_one_that_leaves_is_not_silent() -> None:
    leaving = stream(1, "L", leaving=True, silent_seconds=99.0)
    told = snapshot({"streams": (*of("AB")["streams"], leaving)})  # type: ignore[misc]
    assert ("binance_stream_silent_seconds", "trade", "L") not in shown(Exposition(lambda: told))
