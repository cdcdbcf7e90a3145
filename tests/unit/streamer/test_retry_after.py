import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.retry_after import BAN_SECONDS_MAX, OTHER_SECONDS_MAX, RetryAfter, read_retry_after

DAY = 86400


@pytest.mark.parametrize(
    ("value", "status", "seconds"),
    [
        ("0", 429, 0),
        ("120", 418, 120),
        (" 007\t", 429, 7),
        (str(3 * DAY), 418, 3 * DAY),  # the longest ban
        (str(3 * DAY + 1), 418, 3 * DAY),
        ("315360000", 429, 3 * DAY),
        ("9" * 400, 418, 3 * DAY),  # float() says inf
        ("9" * 5000, 418, 3 * DAY),  # int() raises
        ("0" * 5000 + "5", 418, 5),
        ("300", 503, 300),
        ("301", 503, 300),
        ("86400", 403, 300),
    ],
)
def test_seconds_are_followed_within_what_the_exchange_documents(value, status, seconds):
    read = read_retry_after(value, status)
    assert read.seconds == seconds
    assert f"after {seconds} s" in read.note
    assert ("too long" in read.note) == (int(value.strip()[-9:]) > seconds)


@pytest.mark.parametrize(
    "value",
    ["", "-1", "+5", "1.5", "1e3", "inf", "nan", "²", "１２", "5, 10", "a\x1b[2J\n",
     "Fri, 27 Nov 2026 18:00:00 GMT"],
)  # fmt: skip
def test_what_is_no_number_of_seconds_is_told_and_not_followed(value):
    read = read_retry_after(value, 429)
    assert read.seconds is None
    assert "not followed" in read.note
    assert read.note.isprintable()


def test_no_header_is_nothing_to_tell():
    assert read_retry_after(None, 429) == RetryAfter(None, "")


@given(st.text(max_size=50) | st.from_regex(r"\A\s*[0-9]+\s*\Z"), st.integers(0, 999))
def test_no_value_keeps_us_away_for_long(value, status):
    read = read_retry_after(value, status)
    limit = BAN_SECONDS_MAX if status in (418, 429) else OTHER_SECONDS_MAX
    assert read.seconds is None or 0 <= read.seconds <= limit
    assert read.note.isprintable()
    assert len(read.note) < 200
