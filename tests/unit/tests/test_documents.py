"""The tests that documents name are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[2]
DOCUMENT = re.sub(r"(?s)```.*?```", "", (TESTS.parent / "docs" / "hostile.md").read_text())
# `unit/streamer/test_feed.py`, `…/test_feed.py`, or one test: `…/test_feed.py::test_that_it_is_so`.
NAMED = re.findall(r"`(?:tests/)?(?:([\w/]+)/|…/)?(test_\w+\.py)(?:::(test_\w+))?`", DOCUMENT)


@pytest.mark.parametrize(("directory", "file", "name"), sorted(set(NAMED)))
def test_a_named_test_exists(directory, file, name):
    found = [TESTS / directory / file] if directory else sorted(TESTS.rglob(file))
    assert found
    assert all(each.is_file() for each in found)
    if name:
        assert any(re.search(rf"^def {name}\(", each.read_text(), re.MULTILINE) for each in found)


def test_no_test_is_named_otherwise():
    """Nothing that looks like a test escapes the pattern."""
    understood = [one for _, *names in NAMED for one in names if one]
    assert len(re.findall(r"\btest_\w+", DOCUMENT)) == len(understood)
    assert len(understood) > 20
