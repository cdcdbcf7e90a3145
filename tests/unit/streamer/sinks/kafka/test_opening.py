import pytest

from streamer.config import RECORD_TOPICS, KafkaConfig
from streamer.errors import SettingsError
from streamer.routes import Routes
from streamer.sinks.kafka.topics import topic_of, topics_of_kinds, without_topic

ROUTES = Routes(("trade",), ("BTCUSDT", "币安人生USDT"))
BTC, OTHER = ROUTES


def test_a_stream_has_a_topic_or_one_for_each_symbol():
    assert topic_of(KafkaConfig(), BTC) == "market.crypto.trades.binance"
    assert topic_of(KafkaConfig(topics={"trade": "trades.{symbol}"}), BTC) == "trades.BTCUSDT"


def test_gaps_have_a_topic_without_being_named():
    assert (
        topic_of(KafkaConfig(topics={"trade": "t"}), ROUTES.gaps["BTCUSDT"]) == RECORD_TOPICS["gap"]
    )


def test_a_stream_without_a_topic_is_refused():
    with pytest.raises(SettingsError, match=r"add kafka\.topics\.trade"):
        topic_of(KafkaConfig(topics={"aggTrade": "t"}), BTC)


def test_a_symbol_that_no_topic_can_be_named_after_is_refused():
    with pytest.raises(SettingsError, match=r"kafka\.topics\.trade: .* is no name for a topic"):
        topic_of(KafkaConfig(topics={"trade": "trades.{symbol}"}), OTHER)


def test_topics_are_known_before_there_is_a_symbol_unless_they_are_named_after_one():
    config = KafkaConfig(topics={"trade": "t", "depth": "d", "kline": "k.{symbol}"})
    kinds = Routes(("trade", "depth@100ms", "kline_1m"), (), with_snapshots=True).kinds
    assert topics_of_kinds(config, kinds) == {
        "t": "trade",
        "d": "depth",
        RECORD_TOPICS["gap"]: "gap",
        RECORD_TOPICS["depthSnapshot"]: "depthSnapshot",
    }
    assert Routes(("trade",), (), with_snapshots=True).kinds == {"trade", "gap"}
    assert Routes(("depth",), ()).kinds == {"depth", "gap"}


def test_symbols_that_no_topic_can_be_named_after_are_found_before_the_start():
    symbols = ("BTCUSDT", "币安人生USDT")
    config = KafkaConfig(topics={"trade": "trades.{symbol}", "aggTrade": "t"})
    assert without_topic(config, ("trade", "gap"), symbols) == {"币安人生USDT"}
    assert without_topic(config, ("aggTrade", "gap"), symbols) == set()
