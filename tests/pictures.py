"""Pictures for the documentation: `python -m tests.pictures` writes docs/report, docs/live-page.

pillow comes with matplotlib in the dependency group `bench`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from monitor.report import write_report
from monitor.snapshot import Snapshot
from monitor.web.server import MetricsServer
from tests import live_scenes, profiles
from tests.browser import DRAWN, Page, browser

DOCS = Path(__file__).resolve().parents[1] / "docs"
VIEWS = {"desktop": (1000, False), "phone": (375, True)}  # CSS pixels, whether it is dark
COLOURS = 64  # a page has few, and pictures stay small
DOCUMENTS: dict[str, Callable[[], profiles.Document]] = {
    "pass": profiles.passing_day,
    "fail": lambda: profiles.leaking_day(5.0),
    "inconclusive": profiles.stopped_hour,
}


SCENES: dict[str, Callable[[], Snapshot]] = {
    "healthy": live_scenes.healthy,
    "silent": live_scenes.silent_symbol,
    "kafka": live_scenes.kafka_away,
    "leak": live_scenes.leaking,
}
LIVE_VIEWS = {"desktop": (1000, False), "dark": (1000, True), "phone": (375, True)}
DRAW = (
    "window.isDrawn = false;"
    " requestAnimationFrame(() => requestAnimationFrame(() => { window.isDrawn = true; }))"
)
SHOWN = (
    "document.querySelectorAll('.chart .floor').length > 10"
    " && document.querySelectorAll('#event-rows li').length > 0"
)


def main() -> None:
    """Show a report of each outcome and the live page, on a wide and on a narrow screen."""
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as directory,
        browser(Path(directory)) as page,
    ):
        page.call("Emulation.setTimezoneOverride", timezoneId="UTC")
        show_reports(page, Path(directory))
        show_live_page(page)


def show_reports(page: Page, directory: Path) -> None:
    """Write docs/report."""
    for outcome, document in DOCUMENTS.items():
        report = directory / f"{outcome}.html"
        write_report(document(), report)
        for view, (width, dark) in VIEWS.items():
            page.show(report, width=width, dark=dark)
            page.wait_for(DRAWN)
            take(page, DOCS / "report" / f"{outcome}-{view}.png")


def show_live_page(page: Page) -> None:
    """Write docs/live-page."""
    server = MetricsServer("127.0.0.1:0")
    server.start()
    host, port = server.address
    for scene, snapshot in SCENES.items():
        server.publish(snapshot())
        for view, (width, dark) in LIVE_VIEWS.items():
            page.show(f"http://{host}:{port}/", width=width, dark=dark)
            page.wait_for(SHOWN)
            page.value("document.querySelector('#judgement').open = false")  # it would fill two
            page.value(DRAW)
            page.wait_for("window.isDrawn")  # else the picture is as high as before
            take(page, DOCS / "live-page" / f"{scene}-{view}.png")
            if (scene, view) == ("healthy", "desktop"):
                take(page, DOCS / "live-page" / "overview.png", whole=False)  # for the README
    server.close()


def take(page: Page, picture: Path, *, whole: bool = True) -> None:
    """Save a picture of the whole page, or of what fits on the screen; small."""
    picture.parent.mkdir(exist_ok=True)
    page.screenshot(picture, whole=whole)
    few = Image.open(picture).quantize(COLOURS)
    few.save(picture, optimize=True)


if __name__ == "__main__":
    main()
