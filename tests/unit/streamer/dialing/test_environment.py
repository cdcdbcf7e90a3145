import urllib.request

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.dialing.environment import environment_proxy, names_with_credentials

STREAM = "wss://stream.binance.com:9443"
REST = "https://api.binance.com"
PROXY = "http://proxy:3128"


def proxy(url, **environment):
    found = environment_proxy(url, environment)
    return None if found is None else found.reveal()


@pytest.mark.parametrize(
    ("url", "environment", "expected"),
    [
        (REST, {}, None),
        (REST, {"HTTPS_PROXY": PROXY}, PROXY),
        (STREAM, {"HTTPS_PROXY": PROXY}, PROXY),
        (REST, {"https_proxy": PROXY}, PROXY),
        (REST, {"https_proxy": PROXY, "HTTPS_PROXY": "http://other:1"}, PROXY),
        (REST, {"https_proxy": "", "HTTPS_PROXY": PROXY}, None),
        (REST, {"https_proxy": " ", "ALL_PROXY": PROXY}, PROXY),
        (REST, {"all_proxy": PROXY}, PROXY),
        (REST, {"ALL_PROXY": "http://other:1", "HTTPS_PROXY": PROXY}, PROXY),
        (REST, {"HTTP_PROXY": PROXY}, None),
        (REST, {"HTTPS_PROXY": "proxy:3128"}, PROXY),
        (REST, {"HTTPS_PROXY": "me:pw@proxy:3128"}, "http://me:pw@proxy:3128"),
        ("ws://exchange:80", {"HTTP_PROXY": PROXY}, PROXY),
        ("http://exchange", {"http_proxy": PROXY}, PROXY),
        ("http://exchange", {"HTTPS_PROXY": PROXY}, None),
        ("http://exchange", {"HTTP_PROXY": PROXY, "REQUEST_METHOD": "GET"}, None),
        ("http://exchange", {"http_proxy": PROXY, "REQUEST_METHOD": "GET"}, PROXY),
    ],
)
def test_the_variables_are_read_as_curl_and_requests_do(url, environment, expected):
    assert proxy(url, **environment) == expected


@pytest.mark.parametrize(
    ("url", "no_proxy", "straight"),
    [
        (REST, "", False),
        (REST, "*", True),
        (REST, " * ", True),
        (REST, "api.binance.com", True),
        (REST, "API.Binance.com", True),
        (REST, "binance.com", True),
        (REST, ".binance.com", True),
        (REST, "example.com, .binance.com", True),
        (REST, "example.com binance.com", True),
        (REST, "nance.com", False),
        (REST, "api.binance.com:443", True),
        (REST, "api.binance.com:80", False),
        (STREAM, "stream.binance.com:9443", True),
        ("https://api.binance.com.", "api.binance.com", True),
        (REST, "10.0.0.0/8", False),
        ("https://10.1.2.3", "10.0.0.0/8", True),
        ("https://10.1.2.3", "10.1.2.3/8", True),
        ("https://10.1.2.3", "10.1.2.3", True),
        ("https://10.1.2.3:8443", "10.1.2.3:8443", True),
        ("https://10.1.2.3:8443", "10.1.2.3:443", False),
        ("https://10.1.2.3", "11.0.0.0/8,10.1.2.4", False),
        ("https://10.1.2.3", "x,*", True),
        ("https://[fd00::1]", "fd00::/8", True),
        ("https://[fd00::1]", "[fd00::1]", True),
        ("https://[fd00::1]:99", "[fd00::1]:99", True),
        ("https://[fd00::1]", "10.0.0.0/8", False),
    ],
)
def test_what_no_proxy_exempts(url, no_proxy, straight):
    for name in ("NO_PROXY", "no_proxy"):
        found = proxy(url, HTTPS_PROXY=PROXY, **{name: no_proxy})
        assert found == (None if straight else PROXY)


@pytest.mark.parametrize(
    "host", ["localhost", "a.localhost", "LOCALHOST", "127.0.0.1", "127.9.9.9", "[::1]"]
)
def test_loopback_is_reached_straight(host):
    assert proxy(f"https://{host}:8443", HTTPS_PROXY=PROXY, ALL_PROXY=PROXY) is None


def test_what_is_no_proxy_is_named_with_its_variable():
    for name in ("HTTPS_PROXY", "ALL_PROXY", "https_proxy"):
        with pytest.raises(ValueError, match=f"{name} in the environment has no usable") as caught:
            proxy(REST, **{name: "http://me:hidden@:1"})
        assert "hidden" not in str(caught.value)
        assert 'exchange.proxy = ""' in str(caught.value)
    assert proxy(REST, HTTPS_PROXY="nonsense", NO_PROXY="binance.com") is None


@given(st.text(max_size=40), st.text(max_size=40))
def test_any_environment_is_a_proxy_or_a_reason(value, no_proxy):
    for url in (STREAM, REST, "https://10.1.2.3", "https://[fd00::1]"):
        reason = ""
        try:
            proxy(url, HTTPS_PROXY=value, NO_PROXY=no_proxy)
        except ValueError as error:
            reason = str(error)
        assert not reason or reason.startswith("HTTPS_PROXY in the environment ")


ENTRIES = st.lists(st.sampled_from(["binance.com", "com", "x", ".api.binance.com", ":443", ""]))


@given(ENTRIES.map(",".join), st.sampled_from(["", ":443", ":80"]))
def test_names_are_exempt_as_the_standard_library_has_it(no_proxy, port):
    no_proxy += port
    expected = urllib.request.proxy_bypass_environment("api.binance.com:443", {"no": no_proxy})
    assert (proxy(REST, HTTPS_PROXY=PROXY, NO_PROXY=no_proxy) is None) == bool(expected)


def test_the_variables_that_hold_a_password():
    environment = {
        "HTTPS_PROXY": "http://me:pw@proxy:1",
        "https_proxy": "me:pw@proxy:1",
        "HTTP_PROXY": PROXY,
        "ALL_PROXY": "socks5h://me@proxy:1",
        "NO_PROXY": "a@b",
        "OTHER": "http://me:pw@proxy:1",
    }
    assert sorted(names_with_credentials(environment)) == [
        "ALL_PROXY",
        "HTTPS_PROXY",
        "https_proxy",
    ]
