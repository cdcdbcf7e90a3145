import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.dialing.proxy import checked_proxy, parse_proxy
from streamer.secret import Secret, SecretUrl


@pytest.mark.parametrize(
    ("url", "host", "port", "user", "password"),
    [
        ("http://proxy:3128", "proxy", 3128, None, None),
        ("HTTP://Proxy.example.com.:3128/", "proxy.example.com.", 3128, None, None),
        ("http://10.0.0.1:8080", "10.0.0.1", 8080, None, None),
        ("http://[fd00::1]:8080", "fd00::1", 8080, None, None),
        ("http://me@proxy:1", "proxy", 1, "me", None),
        ("http://me:@proxy:1", "proxy", 1, "me", ""),
        ("http://m%40e:p%2Fw%3A%23%C3%A9@proxy:65535", "proxy", 65535, "m@e", "p/w:#é"),
        ("http://me:a:b@proxy:1", "proxy", 1, "me", "a:b"),
        ("http://me:%ff\udcfe@proxy:1", "proxy", 1, "me", "\udcff\udcfe"),
    ],
)
def test_the_parts_of_a_proxys_url(url, host, port, user, password):
    proxy = parse_proxy(SecretUrl(url))
    assert (proxy.scheme, proxy.host, proxy.port) == ("http", host, port)
    assert proxy.user == (None if user is None else Secret(user))
    assert proxy.password == (None if password is None else Secret(password))
    assert checked_proxy(SecretUrl(url)) == SecretUrl(url)


def test_a_proxy_is_told_of_without_its_user():
    assert str(parse_proxy(SecretUrl("http://me:pw@[fd00::1]:80"))) == "the proxy [fd00::1]:80"
    assert str(parse_proxy(SecretUrl("http://me:pw@proxy:80"))) == "the proxy proxy:80"
    assert "pw" not in repr(parse_proxy(SecretUrl("http://me:pw@proxy:80")))


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("proxy:3128", "has no scheme; expected http://HOST:PORT"),
        ("me:hidden@proxy:3128", "has no scheme"),
        ("//proxy:3128", "has no scheme"),
        ("https://proxy:3128", "asks for TLS to the proxy itself"),
        ("socks4://proxy:3128", "unsupported scheme"),
        ("ftp://proxy:3128", "unsupported scheme"),
        ("://proxy:3128", "unsupported scheme"),
        ("http://proxy:3128/path", "more than host and port"),
        ("http://proxy:3128//", "more than host and port"),
        ("http://proxy:3128?a=b", "more than host and port"),
        ("http://proxy:3128#a", "more than host and port"),
        ("http://me:hid\nden@proxy:3128", "percent-encoded"),
        ("http://me:hid/den@proxy:3128", "percent-encoded"),
        ("http://me:hid@den@proxy:3128", "percent-encoded"),
        ("http://", "no usable host"),
        ("http://:3128", "no usable host"),
        ("http://me:hidden@:3128", "no usable host"),
        ("http://pro xy:3128", "no usable host"),
        ("http://pröxy:3128", "no usable host"),
        ("http://-proxy:3128", "no usable host"),
        ("http://" + "a" * 64 + ":1", "no usable host"),
        ("http://a..b:1", "no usable host"),
        ("http://[fd00::1:3128", "no usable host"),
        ("http://[v1.x]:3128", "no usable host"),
        ("http://fd00::1:3128", "no usable host"),
        ("http://proxy:port", "no usable host"),
        ("http://me:hidden", "no usable host"),
        ("http://proxy:65536", "no usable host"),
        ("http://m\ud800e:hidden@proxy:1", "no text"),
        ("http://proxy:0", "no port"),
        ("http://proxy:", "no port"),
        ("http://proxy", "no port"),
    ],
)
def test_what_is_no_usable_proxy(url, problem):
    with pytest.raises(ValueError, match=problem) as caught:
        checked_proxy(SecretUrl(url))
    assert "hid" not in str(caught.value)


@given(st.text(max_size=30))
def test_any_other_text_is_refused_with_a_reason(text):
    with pytest.raises(ValueError, match="expected http"):
        parse_proxy(SecretUrl(f"{text}://{text}"))


@given(st.text(min_size=1, max_size=30), st.text(max_size=30))
def test_every_user_and_password_can_be_written(user, password):
    def encoded(text):
        return "".join(f"%{byte:02X}" for byte in text.encode())

    proxy = parse_proxy(SecretUrl(f"http://{encoded(user)}:{encoded(password)}@proxy:1"))
    assert proxy.user is not None
    assert proxy.password is not None
    assert (proxy.user.reveal(), proxy.password.reveal()) == (user, password)


@pytest.mark.parametrize("scheme", ["socks5", "socks5h"])
@pytest.mark.parametrize(
    ("user", "usable"),
    [
        ("", True),
        ("me:pw@", True),
        ("me:" + "x" * 255 + "@", True),
        ("me@", False),
        ("me:@", False),
        (":pw@", False),
        ("me:hid" + "x" * 253 + "@", False),
        ("me:hid%C3%A9@", False),
    ],
)
def test_socks_takes_both_user_and_password_or_none(scheme, user, usable):
    url = SecretUrl(f"{scheme}://{user}proxy:1080")
    if usable:
        assert parse_proxy(url).scheme == scheme
        return
    with pytest.raises(ValueError, match="SOCKS5 cannot take") as caught:
        parse_proxy(url)
    assert "hid" not in str(caught.value)


@pytest.mark.parametrize(
    ("user", "credentials"),
    [("", None), ("me@", b"me:"), ("me:%C3%A9@", "me:é".encode()), ("me:%ff@", b"me:\xff")],
)
def test_what_is_sent_as_basic_authentication(user, credentials):
    assert parse_proxy(SecretUrl(f"http://{user}proxy:1")).basic_credentials == credentials


def test_no_url_at_all_is_left_to_the_type():
    assert checked_proxy(None) is None
    assert checked_proxy(SecretUrl("")) == SecretUrl("")
    assert checked_proxy(7) == 7
