import pytest

from streamer.values import (
    Listed,
    is_topic,
    parse_registry_url,
    parse_rest_url,
    parse_stream,
    parse_symbol,
    parse_topic,
    parse_topics,
    parse_websocket_url,
)


@pytest.mark.parametrize("text", ["btcusdt", "BTCUSDT", "币安人生USDT"])
def test_symbols_are_in_upper_case(text):
    assert parse_symbol(text) == text.upper()


def test_a_list_may_be_a_text_with_commas():
    assert Listed().parse("BTCUSDT, ETHUSDT,") == ["BTCUSDT", "ETHUSDT"]
    assert Listed().parse(("BTCUSDT",)) == ("BTCUSDT",)
    assert Listed().parse(5) == 5, "its type is what complains"
    with pytest.raises(ValueError, match="once"):
        Listed().parse("BTCUSDT,btcusdt")


@pytest.mark.parametrize("wrong", ["", "BTC/USDT", "btcusdt@trade", "BTC USDT", "BTC,ETH", "!x"])
def test_what_would_change_a_streams_name_is_no_symbol(wrong):
    with pytest.raises(ValueError, match="a symbol such as BTCUSDT"):
        parse_symbol(wrong)


@pytest.mark.parametrize("text", ["trade", "depth@100ms", "depth5@100ms", "kline_1m", "kline_1M"])
def test_streams_are_named_as_on_the_wire(text):
    assert parse_stream(text) == text


@pytest.mark.parametrize(
    ("wrong", "cure"),
    [
        ("trades", "trade, aggTrade, bookTicker, depth, depth@100ms, depth5, .*ticker, .*or kline"),
        ("Trade", "trade, aggTrade"),
        ("depth50", "depth20@100ms"),
        ("kline", "kline_1m"),
        ("kline_2m", "1s, 1m, 3m, .* 1M .M is a month"),
        ("kline_1m@+08:00", "kline_ and an interval"),
    ],
)
def test_a_wrong_stream_says_what_would_be_right(wrong, cure):
    with pytest.raises(ValueError, match=cure):
        parse_stream(wrong)


def test_other_types_are_left_to_the_type_check():
    for parse in (
        parse_symbol,
        parse_websocket_url,
        parse_rest_url,
        parse_registry_url,
        parse_topic,
        parse_topics,
        parse_stream,
    ):
        assert parse(7) == 7
    assert parse_topics({"trade": 7}) == {"trade": 7}


@pytest.mark.parametrize("text", ["wss://stream.binance.com:9443", "ws://127.0.0.1:8080/"])
def test_base_urls_lose_the_last_slash(text):
    assert parse_websocket_url(text) == text.rstrip("/")


@pytest.mark.parametrize(
    ("wrong", "cure"),
    [
        ("https://api.binance.com", "wss or ws"),
        ("wss://", "wss://stream.binance.com:9443"),
        ("wss://host/ws", "only scheme, host and port"),
        ("wss://host?x=1", "only scheme, host and port"),
        ("wss://me:pw@host", "only scheme, host and port"),
        ("wss://stream.binance.us:9443", "another venue"),
        ("wss://binance.us", "another venue"),
        ("wss://host:99999", "its host or its port is unusable; expected a URL such as wss://"),
        ("wss://host:x", "expected a URL such as wss://stream.binance.com:9443"),
        ("wss://[::1", "its host or its port is unusable"),
    ],
)
def test_a_wrong_url_says_what_would_be_right(wrong, cure):
    with pytest.raises(ValueError, match=cure):
        parse_websocket_url(wrong)


def test_a_registry_may_have_a_path():
    assert parse_registry_url(" https://registry:8081/v1/ ") == "https://registry:8081/v1"


@pytest.mark.parametrize(
    ("wrong", "cure"),
    [
        ("registry:8081", "https or http"),
        ("https://", "https or http"),
        ("https://registry:99999", "its host or its port is unusable"),
        ("https://[registry", "its host or its port is unusable"),
        ("https://registry?x=1", "https or http"),
        ("https://me@registry", "schema_registry_user and _password"),
        ("https://:pw@registry", "schema_registry_user and _password"),
    ],
)
def test_a_wrong_registry_says_what_would_be_right(wrong, cure):
    with pytest.raises(ValueError, match=cure):
        parse_registry_url(wrong)


@pytest.mark.parametrize("name", ["trades", "a.b_c-D9", "...", "x" * 249])
def test_topics_that_brokers_accept(name):
    assert is_topic(name)
    assert parse_topic(name) == name


@pytest.mark.parametrize("name", [".", "..", "x" * 250, "a b", "a/b", "trades\n", "börse"])
def test_topics_that_brokers_refuse(name):
    assert not is_topic(name)
    with pytest.raises(ValueError, match="expected 1 to 249 of"):
        parse_topic(name)
    with pytest.raises(ValueError, match="trade: expected 1 to 249 of"):
        parse_topics({"trade": name})


def test_no_topic_is_a_value_of_its_own():
    assert not is_topic("")
    assert parse_topic("") == ""


def test_each_stream_has_a_topic_of_its_own_which_may_name_the_symbol():
    topics = {"trade": "trades.{symbol}", "gap": "gaps"}
    assert parse_topics(topics) == topics
    with pytest.raises(ValueError, match="a topic has one schema"):
        parse_topics({"trade": "all", "gap": "all"})
    with pytest.raises(ValueError, match="trade: expected 1 to 249 of"):
        parse_topics({"trade": "trades.{coin}"})
