import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.web.hosts import host_allowed, host_and_port, host_of


@pytest.mark.parametrize(
    "header",
    [
        "localhost",
        "LOCALHOST:9091",
        "localhost.:1",
        "a.localhost",
        "127.0.0.1",
        "10.1.2.3:9091",
        "[::1]",
        "[::1]:9091",
        "[fe80::1%eth0]:9091",
        "bound.example:9091",
    ],
)
def test_addresses_loopback_names_and_the_bound_name_are_allowed(header: str) -> None:
    assert host_allowed(header, "Bound.example")


@pytest.mark.parametrize(
    "header",
    [
        "",
        ":9091",
        "evil.example",
        "localhost.evil.example",
        "evil-localhost",
        "127.0.0.1.evil.example",
        "localhost:port",
        "localhost:1:2",
        "[::1",
        "::1]",
        "[::1]x",
        "127.1.evil",
        "local host",
        "[]",
        "user@127.0.0.1",
        "١٢٧.0.0.1",
        "localhost:١",
        ".",
    ],
)
def test_other_names_are_not(header: str) -> None:
    assert not host_allowed(header, "0.0.0.0")


def test_names_that_the_settings_allow() -> None:
    allowed = ("Vigil.internal.", ".example.org", "")
    for header in ("vigil.internal:9091", "VIGIL.INTERNAL.", "example.org", "a.b.example.org"):
        assert host_allowed(header, "0.0.0.0", allowed), header
    for header in ("x.vigil.internal", "badexample.org", "example.org.evil", ""):
        assert not host_allowed(header, "0.0.0.0", allowed), header
    assert host_allowed("anything", "::", ["*"])


@given(st.text())
def test_any_header_is_a_host_or_none(header: str) -> None:
    host = host_of(header)
    assert host is None or (host and host in header.lower())


@pytest.mark.parametrize(
    ("address", "named"),
    [
        ("127.0.0.1:9091", ("127.0.0.1", 9091)),
        ("0.0.0.0:0", ("0.0.0.0", 0)),
        ("[::1]:65535", ("::1", 65_535)),
        ("localhost:80", ("localhost", 80)),
    ],
)
def test_a_host_and_a_port(address: str, named: tuple[str, int]) -> None:
    assert host_and_port(address) == named


@pytest.mark.parametrize(
    "address",
    [
        *("", "9091", ":9091", "[]:9091", "127.0.0.1", "127.0.0.1:", "::1:80", "[::1]"),
        *("[127.0.0.1]:80", "a:65536", "a:-1", "a:http", "a:\u0661", "http://a:80"),
    ],
)
def test_nothing_else_is_an_address_to_listen_on(address: str) -> None:
    """A port alone would be served on every address of the machine."""
    with pytest.raises(ValueError, match="expected HOST:PORT, such as"):
        host_and_port(address)
