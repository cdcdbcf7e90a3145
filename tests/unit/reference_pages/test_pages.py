"""The pages made from the code are as the code is now."""

from pathlib import Path

import pytest

from scripts.reference_pages import settings_page
from scripts.reference_pages.__main__ import PAGES
from scripts.reference_pages.comments import field_comments
from scripts.reference_pages.values import duration_text, size_text
from streamer.units import parse_duration, parse_size

DOCS = Path(__file__).parents[3] / "docs"


@pytest.mark.parametrize("name", PAGES)
def test_the_page_is_what_the_code_says(name: str) -> None:
    assert (DOCS / name).read_text(encoding="utf-8") == PAGES[name](), "run scripts/reference"


def test_every_key_has_a_meaning() -> None:
    assert settings_page.keys_without_meaning() == []


def test_comments_stand_above_or_behind() -> None:
    class Section:
        # First line,
        # second line.
        above: int = 1
        none: int = 2
        behind: int = 3  # the reason

        # A comment of nobody.

        last: int = 4

    assert field_comments(Section) == {
        "above": "First line, second line.",
        "none": "",
        "behind": "the reason",
        "last": "",
    }


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.5, "500ms"), (90.0, "90s"), (5400.0, "90m"), (14400.0, "4h"), (0, "0s")],
)
def test_durations_read_back(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(("size", "text"), [(8 << 20, "8MiB"), (1536, "1536B"), (4 << 30, "4GiB")])
def test_sizes_read_back(size: int, text: str) -> None:
    assert size_text(size) == text
    assert parse_size(text) == size
