"""What the topic of positions tells of streams that are not wanted now."""

from __future__ import annotations

import pytest

from streamer.order.positions import Position
from streamer.routes import Routes
from streamer.sinks.kafka.position_topic import PositionValue, key_of, route_name_of
from streamer.sinks.kafka.resume import unwanted_positions

ROUTES = Routes(("trade", "depth@100ms"), ("BTCUSDT",))


@pytest.mark.parametrize("name", ["btcusdt@trade", "btcusdt@depth@100ms"])
def test_a_key_tells_topic_and_route(name: str) -> None:
    assert route_name_of(key_of("some.topic", ROUTES.by_name[name])) == ("some.topic", name)


@pytest.mark.parametrize("key", [b"", b"topic", b"topic:trade", b"topic:trade:"])
def test_any_other_key_tells_nothing(key: bytes) -> None:
    assert route_name_of(key) == ("", "")


def test_positions_of_our_topics_that_nobody_wants_are_known() -> None:
    topics = {route: f"our.{route.kind}" for route in ROUTES}
    keys = ["our.trade:trade:BTCUSDT", "our.trade:trade:ETHUSDT", "their.trade:trade:BNBUSDT", "x"]
    written = {
        key.encode(): PositionValue(1, number, 10 * number, 99) for number, key in enumerate(keys)
    }
    assert unwanted_positions(topics, written) == {"ethusdt@trade": Position(1, 10)}
