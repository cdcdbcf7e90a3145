import pytest

from streamer.config import RECORD_TOPICS, KafkaConfig
from streamer.errors import SettingsError
from streamer.routes import Routes
from streamer.sinks.kafka.topics import topic_of

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
