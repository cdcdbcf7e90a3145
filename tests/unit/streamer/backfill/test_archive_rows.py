"""The rows themselves are tested with whole archives (test_archive.py)."""

from __future__ import annotations

import pytest

from streamer.backfill.archive_name import parse_name
from streamer.backfill.archive_rows import COLUMNS, reader
from streamer.data.catalogue import REPAIRABLE


def test_every_kind_with_a_past_has_columns():
    assert COLUMNS.keys() == REPAIRABLE


@pytest.mark.parametrize("what", ["trades", "aggTrades", "1m"])
def test_a_line_of_nothing_is_refused(what):
    with pytest.raises(ValueError, match="1 columns; expected"):
        reader(parse_name(f"BTCUSDT-{what}-2026-11-27.zip"))("")
