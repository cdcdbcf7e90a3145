import pytest

from streamer.values import parse_client_keys, parse_rest_url, parse_symbol, parse_websocket_url


@pytest.mark.parametrize("text", ["btcusdt", "BTCUSDT", "币安人生USDT"])
def test_symbols_are_in_upper_case(text):
    assert parse_symbol(text) == text.upper()


@pytest.mark.parametrize("wrong", ["", "BTC/USDT", "btcusdt@trade", "BTC USDT", "BTC,ETH", "!x"])
def test_what_would_change_a_streams_name_is_no_symbol(wrong):
    with pytest.raises(ValueError, match="a symbol such as BTCUSDT"):
        parse_symbol(wrong)


def test_other_types_are_left_to_the_type_check():
    for parse in (parse_symbol, parse_websocket_url, parse_rest_url, parse_client_keys):
        assert parse(7) == 7


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
    ],
)
def test_a_wrong_url_says_what_would_be_right(wrong, cure):
    with pytest.raises(ValueError, match=cure):
        parse_websocket_url(wrong)


def test_client_keys_are_dotted_however_they_are_given():
    given = {"sasl": {"mechanism": "PLAIN"}, "ssl_ca_location": "/ca.pem", "linger.ms": 5}
    assert parse_client_keys(given) == {
        "sasl.mechanism": "PLAIN",
        "ssl.ca.location": "/ca.pem",
        "linger.ms": 5,
    }
