from __future__ import annotations

import logging

import pytest

from streamer.errors import SettingsError
from streamer.reload import Reload
from streamer.settings import StreamerSettings


def settings(**sections):
    return StreamerSettings.model_validate(sections)


def test_it_returns_what_the_settings_want_and_names_what_waits(caplog):
    after = settings(exchange={"symbols": "XRPUSDT"}, connection={"max_age": "2h"})
    reload = Reload(settings(), lambda: after)
    with caplog.at_level(logging.WARNING):
        exchange = reload()
    assert exchange.symbols == ("XRPUSDT",)
    assert "needs a new start: connection.max_age" in caplog.text


@pytest.mark.parametrize("times", [1, 2])
def test_wrong_settings_are_named_and_return_nothing(caplog, times):
    def load():
        raise SettingsError("exchange.symbols = []: wrong")

    reload = Reload(settings(), load)
    for _ in range(times):
        assert reload() is None
    assert caplog.text.count("nothing is changed: exchange.symbols") == times
