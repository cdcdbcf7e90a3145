"""The commands of the runbooks, as a person finds them there, and what they say."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from tests.streaming import ROOT

PAGES = sorted((ROOT / "docs" / "runbooks").glob("*.md"))
_FENCE = re.compile(r"^( *)```(\w*)$(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_NUMBER = r"[-+]?\d[\d.,:eE+-]*"


@dataclass(frozen=True)
class Command:
    """A command of a page."""

    page: Path
    line: int  # of the block's beginning
    text: str
    says: tuple[str, ...] | None  # lines of its output; None: the page does not tell


def commands(page: Path) -> list[Command]:
    """Return the commands of `console` blocks (after `$`) and of `sh` blocks (line by line)."""
    text = page.read_text()
    found = []
    for match in _FENCE.finditer(text):
        indent, kind, body = match.groups()
        line = text.count("\n", 0, match.start()) + 1
        lines = [one.removeprefix(indent) for one in body.strip("\n").split("\n")]
        if kind == "sh":
            found += [Command(page, line, one, None) for one in lines]
        elif kind == "console":
            found += _console(page, line, lines)
    return found


def _console(page: Path, line: int, lines: list[str]) -> list[Command]:
    found = []
    for part in "\n".join(lines).split("\n$ "):
        rows = part.removeprefix("$ ").split("\n")
        length = 1
        while sum(row.count("'") for row in rows[:length]) % 2:  # a quote goes on over the line
            length += 1
        found.append(Command(page, line, "\n".join(rows[:length]), tuple(rows[length:])))
    return found


def differs(said: str, expected: tuple[str, ...]) -> str | None:
    """Return the first expected line that is not said, in this order, apart from numbers."""
    lines = iter(said.splitlines())
    for wanted in expected:
        if wanted == "…":
            continue  # some lines, or none
        pattern = re.compile(kind_of(wanted))
        if not any(pattern.fullmatch(line) for line in lines):
            return wanted
    return None


def kind_of(line: str) -> str:
    """Return a pattern for lines of the same kind: numbers are any, `…` is anything."""
    parts = re.split(rf"(…|{_NUMBER})", line.rstrip())
    return "".join(
        ".*" if part == "…" else _NUMBER if re.fullmatch(_NUMBER, part) else re.escape(part)
        for part in parts
    ).replace(r"\ \ ", r"\ +")
