import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.units import parse_duration, parse_size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("4h", 14400),
        ("90s", 90),
        ("500ms", 0.5),
        ("1h30m", 5400),
        ("2.5", 2.5),
        (7, 7),
        ("1d", 86400),
    ],
)
def test_durations(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "wrong", ["", "4 hours", "-1s", "h", "1x", -1, float("nan"), True, None, "1h x"]
)
def test_a_wrong_duration_says_what_would_be_right(wrong):
    with pytest.raises(ValueError, match="30s, 500ms, 4h or 1h30m"):
        parse_duration(wrong)


@pytest.mark.parametrize("wrong", [float("inf"), 10**400, "9" * 5_000, "9" * 400 + "d", "37000d"])
def test_a_duration_that_no_clock_can_count_is_refused(wrong):
    with pytest.raises(ValueError, match="at most 36500d"):
        parse_duration(wrong)


@pytest.mark.parametrize("wrong", [10**400, "9" * 5_000, "9" * 400 + "MiB", "8388608TiB", 1 << 63])
def test_a_size_that_no_disk_holds_is_refused(wrong):
    with pytest.raises(ValueError, match="8 EiB"):
        parse_size(wrong)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("450MiB", 450 * 2**20),
        ("450MB", 450 * 10**6),
        ("64 KiB", 65536),
        (5, 5),
        ("12", 12),
        ("1.5GiB", 3 * 2**29),
    ],
)
def test_sizes(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("wrong", ["450Mb", "MiB", "-3", -3, 1.5, True, "1 PB", None])
def test_a_wrong_size_says_what_would_be_right(wrong):
    with pytest.raises(ValueError, match="450MiB"):
        parse_size(wrong)


@given(st.integers(min_value=0, max_value=10**6))
def test_the_two_families_of_units_differ(count):
    assert parse_size(f"{count}MiB") - parse_size(f"{count}MB") == count * (2**20 - 10**6)
