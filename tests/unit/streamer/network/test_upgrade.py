import pytest

from streamer.errors import HandshakeError, UpgradeError
from streamer.network.upgrade import find_head_end, read_head

URL = "ws://exchange"
GOOD = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: d3Jvbmc=\r\n\r\n"
)


def refused(head):
    with pytest.raises(HandshakeError) as caught:
        read_head(head, URL)
    error = caught.value
    assert error.error_type == "upgrade"
    assert str(error).isprintable()
    assert len(str(error)) < 1000
    return error


@pytest.mark.parametrize("end", [b"\r\n\r\n", b"\n\n", b"\r\n\n", b"\n\r\n"])
@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_the_end_of_a_head_is_found_wherever_the_network_cuts(end, size):
    data = b"HTTP/1.1 101 x\r\nA: b" + end + b"\x81\x00\r\n\r\n"
    found, received = 0, bytearray()
    while not found:
        looked_at = len(received)
        received += data[looked_at : looked_at + size]
        found = find_head_end(received, looked_at)
    assert data[:found] == b"HTTP/1.1 101 x\r\nA: b" + end


def test_what_the_library_judges_is_left_and_nothing_else():
    head = GOOD.replace(b"\r\nConn", b"\r\nSet-Cookie: a/b=c\r\nX\r\n: y\r\nDate: \xff\r\nConn")
    assert read_head(head, URL) == GOOD
    assert read_head(GOOD.replace(b"\r\n", b"\n"), URL) == GOOD


@pytest.mark.parametrize(
    "line",
    [
        "HTTP/1.1 ²²² x",
        "HTTP/1.1 ١٠١ x",
        "HTTP/1.1 099 x",
        "HTTP/1.1 1011 x",
        "HTTP/1.1  101 x",
        "HTTP/2 101 x",
        "HTTP/1.1",
        "",
        "SSH-2.0-OpenSSH_9.2",
        "\x1b]0;title\x07" + "x" * 60_000,
    ],
)
def test_no_http_is_told_as_such(line):
    error = refused(f"{line}\r\n\r\n".encode())
    assert not isinstance(error, UpgradeError)
    assert "is no WebSocket: it answered" in str(error)


def test_a_status_in_latin_1_digits_is_none():
    assert not isinstance(refused(b"HTTP/1.1 \xb2\xb2\xb2 x\r\n\r\n"), UpgradeError)


@pytest.mark.parametrize(
    ("status", "value", "seconds"),
    [(418, "9" * 400, 259200), (429, "120", 120), (503, "315360000", 300), (429, "-5", None)],
)
def test_a_refusal_tells_status_and_how_long_to_stay_away(status, value, seconds):
    error = refused(f"HTTP/1.1 {status} No\r\nRetry-After: {value}\r\n\r\n".encode())
    assert isinstance(error, UpgradeError)
    assert (error.status, error.retry_after_seconds) == (status, seconds)
    assert f"HTTP {status} No; " in str(error)
    assert ("not followed" if seconds is None else f"after {seconds} s") in str(error)


def test_two_values_are_no_number():
    error = refused(b"HTTP/1.1 429 No\r\nRetry-After: 5\r\nretry-after: 9\r\n\r\n")
    assert error.retry_after_seconds is None
    assert "'5, 9'" in str(error)


@pytest.mark.parametrize(("line", "to"), [(b"", "nowhere"), (b"Location: \x1bc/\r\n", r"\x1bc/")])
def test_a_redirect_names_where_to(line, to):
    assert f"to {to}; redirects are not followed" in str(
        refused(b"HTTP/1.1 302\r\n" + line + b"\r\n")
    )


def test_a_reason_of_a_megabyte_is_cut():
    assert "more characters)" in str(refused(b"HTTP/1.1 500 " + b"\x1b[2J" * 250_000 + b"\r\n\r\n"))
