from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from streamer.assembly import assemble
from streamer.feed import Feed, Parts
from streamer.settings import StreamerSettings, load
from streamer.sinks import open_sink


def assembled(tmp_path: Path, *assignments: str) -> Parts:
    """Return the parts for settings, closed already."""
    given = [
        "exchange.symbols=BTCUSDT",
        "exchange.streams=trade",
        f"sink.directory={tmp_path}",
        *assignments,
    ]
    config = load(StreamerSettings, None, given).streamer_config()
    parts = assemble(config, partial(open_sink, config))
    feed = Feed(config, parts)
    feed.stop("the test has what it wants")
    assert feed.run() == 0
    return parts


def test_what_the_settings_leave_out_is_no_part(tmp_path: Path) -> None:
    parts = assembled(tmp_path, "repair.enabled=false")
    assert (parts.backfiller, parts.telemetry, parts.group) == (None, None, None)


def test_a_backfiller_hears_of_new_epochs_and_of_lost_books(tmp_path: Path) -> None:
    parts = assembled(tmp_path)
    assert parts.backfiller is not None
    assert parts.ingest.epochs.on_begin == parts.backfiller.start_anew
    assert parts.ingest.gap_records.on_book_lost == parts.backfiller.lose_book


@pytest.mark.parametrize(("kind", "kept"), [("null", False), ("files", True)])
def test_a_null_sink_keeps_nothing_for_the_next_start(
    tmp_path: Path, kind: str, kept: bool
) -> None:
    assembled(tmp_path, f"sink.kind={kind}")
    assert any(tmp_path.iterdir()) == kept


def test_a_symbol_that_the_exchange_lists_is_asked_for_again_and_is_not_silent(
    tmp_path: Path,
) -> None:
    parts = assembled(tmp_path)
    (route,) = parts.ingest.routes
    now = parts.idle_clock.since(route, 0.0) + 1000.0
    parts.availability.on_listed([route], now)
    assert parts.idle_clock.seconds(route, now) == 0.0
