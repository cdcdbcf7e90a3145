from __future__ import annotations

import pytest

from streamer.availability import Availability
from streamer.feed_counters import FeedCounters
from streamer.routes import Routes
from tests.unit.streamer.payloads import NOW_US, trade


@pytest.fixture
def subject() -> Availability:
    return Availability(Routes(("trade", "aggTrade"), ("BTCUSDT", "XUSDT")), FeedCounters())


def kinds(subject: Availability) -> list[str]:
    return [notice.kind for notice in subject._counters.notices]


def test_a_refused_name_is_told_once_and_when_it_is_accepted(subject, caplog) -> None:
    for now in (0.0, 60.0):
        subject.refused("xusdt@trade", "the exchange refused: no (code 2)", now)
    assert caplog.text.count("xusdt@trade cannot be subscribed") == 1
    assert "correct exchange.symbols" in caplog.text
    subject.accepted("xusdt@trade")
    subject.accepted("xusdt@trade")
    assert kinds(subject) == ["stream_unavailable", "stream_available"]


def test_what_is_not_streamed_any_more_is_nobodys_business(subject) -> None:
    subject.refused("gone@trade", "no", 0.0)
    subject.accepted("gone@trade")
    assert not subject.streams
    subject.refused("xusdt@trade", "no", 0.0)
    subject._routes.remove(subject._routes.by_name["xusdt@trade"])
    subject.update()
    assert not subject.streams


def test_a_symbol_that_is_listed_has_all_its_streams_subscribed_anew(subject) -> None:
    listed = []
    subject.on_listed = lambda routes, now: listed.append((sorted(r.name for r in routes), now))
    routes = [route for route in subject._routes if route.symbol == "XUSDT"]
    subject.unknown_symbol(routes, "Invalid symbol.", 0.0)
    assert not subject.known_symbol("BTCUSDT", 1.0)
    assert subject.known_symbol("XUSDT", 2.0)
    assert not subject.known_symbol("XUSDT", 3.0)
    assert listed == [(["xusdt@aggTrade", "xusdt@trade"], 2.0)]


def test_a_stream_that_speaks_is_served(subject) -> None:
    route = subject._routes.by_name["btcusdt@trade"]
    subject.unknown_symbol([route], "Invalid symbol.", 0.0)
    subject.update()
    assert subject.streams.reason(route.name) == "unknown_symbol"
    route.decode(trade(), NOW_US)
    subject.update()
    assert subject.streams.reason(route.name) is None
