"""Text of others, made fit for a log, a terminal or a report: one line that steers nothing. Pure.

What an exchange, a proxy or a broker sends may hold escape sequences that set a terminal's title,
new lines that forge a line of a log, characters that reverse what is read, or a megabyte.
"""

from __future__ import annotations

from typing import Final

TEXT_BYTES_MAX: Final = 4096
"""A text for people that is longer is read by nobody, and a log of such lines fills a disk."""


def printable(text: str, bytes_max: int = TEXT_BYTES_MAX) -> str:
    r"""Return text as one line without control characters, of about `bytes_max` bytes of UTF-8.

    Whatever does not print is written as in Python's source (`\x1b`, `\n`, `\u202e`): control
    characters, line and paragraph separators, characters that change the direction, halves of
    surrogate pairs, unassigned ones, and spaces that are none. Text that is too long ends with how
    many of its characters were cut.
    """
    if text.isprintable() and len(text) <= bytes_max // 4:  # a character has 4 bytes at most
        return text
    kept: list[str] = []
    size_bytes = 0
    for number, character in enumerate(text):
        shown = character if character.isprintable() else _escaped(character)
        size_bytes += len(shown.encode())
        if size_bytes > bytes_max:
            return f"{''.join(kept)}… ({len(text) - number} more characters)"
        kept.append(shown)
    return "".join(kept)


def printable_lines(text: str, bytes_max: int = 4 * TEXT_BYTES_MAX) -> str:
    """Return text of several lines, such as a traceback, each of them printable.

    Of text that is too long, the middle is left out: the end of a traceback says what went wrong.
    """
    lines = [printable(line) for line in text.split("\n")]
    sizes = [len(line.encode()) + 1 for line in lines]
    if sum(sizes) <= bytes_max:
        return "\n".join(lines)
    head = _fitting(sizes, bytes_max // 4)
    tail = _fitting(sizes[:head:-1], bytes_max - bytes_max // 4)
    middle = f"… ({len(lines) - head - tail} more lines)"
    return "\n".join([*lines[:head], middle, *lines[len(lines) - tail :]])


def _fitting(sizes: list[int], bytes_max: int) -> int:
    """Return how many of the first sizes add up to no more than `bytes_max`."""
    for count, size in enumerate(sizes):
        bytes_max -= size
        if bytes_max < 0:
            return count
    return len(sizes)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()
