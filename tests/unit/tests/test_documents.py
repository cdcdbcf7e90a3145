"""The tests that documents name are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[2]
DOCUMENT = (TESTS.parent / "docs" / "hostile.md").read_text()
# `unit/streamer/test_feed.py`, or one test: `unit/streamer/test_feed.py::test_that_it_is_so`.
NAMED = re.findall(r"`((?:unit|integration|fuzz|tests)/[\w/]+\.py)(?:::(\w+))?`", DOCUMENT)


@pytest.mark.parametrize(("path", "name"), sorted(set(NAMED)))
def test_a_named_test_exists(path, name):
    file = TESTS / path.removeprefix("tests/")
    assert file.is_file()
    if name:
        assert re.search(rf"^def {name}\(", file.read_text(), re.MULTILINE)


def test_no_test_is_named_otherwise():
    """Nothing that looks like a test escapes the pattern."""
    text = re.sub(r"(?s)```.*?```", "", DOCUMENT)
    understood = [path for path, _ in NAMED] + [name for _, name in NAMED]
    assert len(re.findall(r"\btest_\w+", text)) == sum("test_" in one for one in understood)
