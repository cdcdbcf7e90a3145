import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.printable import printable, printable_lines

ANYTHING = st.text(st.characters(exclude_categories=()), max_size=300)  # surrogates too


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ± 中", "plain ± 中"),
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("a\r\nforged line", r"a\r\nforged line"),
        ("\x9b31m", r"\x9b31m"),  # C1: an escape sequence in one character
        ("\u202eltr\u2066", r"\u202eltr\u2066"),
        ("\u2028\u2029\x85\x0b", r"\u2028\u2029\x85\x0b"),  # what else ends a line for some
        ("\ud800", r"\ud800"),
        ("\U000e0041", r"\U000e0041"),
        ("", ""),
    ],
)
def test_what_does_not_print_is_written_out(text, shown):
    assert printable(text) == shown


def test_long_text_is_cut_and_says_by_how_much():
    assert printable("a" * 1_000_000) == "a" * 4096 + "… (995904 more characters)"
    assert printable("\x1b" * 100, 40) == r"\x1b" * 10 + "… (90 more characters)"
    assert printable("€€€", 8) == "€€… (1 more characters)"
    assert printable("€€", 6) == "€€"


@given(ANYTHING, st.integers(0, 200))
def test_any_text_is_one_bounded_line(text, bytes_max):
    shown = printable(text, bytes_max)
    assert shown.isprintable()
    assert len(shown.encode()) <= bytes_max + len("… (300 more characters)".encode())
    assert printable(shown) == shown


def test_lines_stay_lines():
    text = "Traceback:\n  File\x1b[2J\n    raise\nValueError: x"
    assert printable_lines(text) == "Traceback:\n  File\\x1b[2J\n    raise\nValueError: x"


def test_of_many_lines_the_middle_is_left_out():
    lines = [f"line {number:03}" for number in range(100)]  # 9 bytes each with the new line
    shown = printable_lines("\n".join(lines), 9 * 40).split("\n")
    assert shown == [*lines[:10], "… (60 more lines)", *lines[70:]]


@given(st.lists(ANYTHING, max_size=20).map("\n".join), st.integers(1, 500))
def test_any_lines_are_bounded_and_those_at_the_ends_are_kept_once(text, bytes_max):
    shown = printable_lines(text, bytes_max)
    assert all(line.isprintable() for line in shown.split("\n"))
    assert len(shown.encode()) <= bytes_max + len("… (300 more lines)".encode())
    whole = [printable(line) for line in text.split("\n")]
    if shown != "\n".join(whole):
        assert sum(not line.startswith("… (") for line in shown.split("\n")) <= len(whole)
