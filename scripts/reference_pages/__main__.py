"""Write the pages: `scripts/reference`."""

from __future__ import annotations

from pathlib import Path

from scripts.reference_pages import settings_page

DOCS = Path(__file__).parents[2] / "docs"
PAGES = {"settings.md": settings_page.page}
"""Each page under docs/, and what makes its text."""


def main() -> None:
    """Write every page and name it."""
    for name, page in PAGES.items():
        (DOCS / name).write_text(page(), encoding="utf-8")
        print(f"docs/{name}")


if __name__ == "__main__":
    main()
