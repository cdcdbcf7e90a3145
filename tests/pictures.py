"""Pictures of the report for the documentation: `python -m tests.pictures` writes docs/report.

pillow comes with matplotlib in the dependency group `bench`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from monitor.report import write_report
from tests import profiles
from tests.browser import DRAWN, browser

DIRECTORY = Path(__file__).resolve().parents[1] / "docs" / "report"
VIEWS = {"desktop": (1000, False), "phone": (375, True)}  # CSS pixels, whether it is dark
COLOURS = 64  # a page has few, and pictures stay small
DOCUMENTS: dict[str, Callable[[], profiles.Document]] = {
    "pass": profiles.passing_day,
    "fail": lambda: profiles.leaking_day(5.0),
    "inconclusive": profiles.stopped_hour,
}


def main() -> None:
    """Show a report of each outcome, on a wide and on a narrow screen."""
    with tempfile.TemporaryDirectory() as directory, browser(Path(directory)) as page:
        for outcome, document in DOCUMENTS.items():
            report = Path(directory) / f"{outcome}.html"
            write_report(document(), report)
            for view, (width, dark) in VIEWS.items():
                page.show(report, width=width, dark=dark)
                page.wait_for(DRAWN)
                picture = DIRECTORY / f"{outcome}-{view}.png"
                page.screenshot(picture)
                few = Image.open(picture).quantize(COLOURS)
                few.save(picture, optimize=True)


if __name__ == "__main__":
    main()
