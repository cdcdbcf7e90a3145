"""The report in a real browser, without a network: what is drawn, and that it fits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from monitor.report import write_report
from tests import profiles
from tests.browser import DRAWN, Page, browser
from tests.unit.monitor.report.test_page import nasty

TEXT_COLOUR = "getComputedStyle(document.querySelector('.xtick text')).fill"
LIGHTNESS = f"{TEXT_COLOUR}.match(/\\d+/g).slice(0, 3).reduce((sum, one) => sum + Number(one), 0)"
DESKTOP, PHONE = 1100, 375  # CSS pixels; a small phone

OUTCOMES: dict[str, Callable[[], profiles.Document]] = {
    "pass": profiles.smoke,
    "fail": lambda: profiles.leaking_day(5.0),
    "inconclusive": profiles.stopped_hour,
}


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with browser(tmp_path_factory.mktemp("chromium")) as tab:
        yield tab


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    directory = tmp_path_factory.mktemp("reports")
    paths = {outcome: directory / f"{outcome}.html" for outcome in OUTCOMES}
    for outcome, document in OUTCOMES.items():
        write_report(document(), paths[outcome])
    return paths


def numbers(page: Page, expression: str) -> list[float]:
    found: list[float] = page.value(f"[{expression}]")
    return found


@pytest.mark.parametrize("width", [DESKTOP, PHONE], ids=["desktop", "phone"])
@pytest.mark.parametrize("outcome", OUTCOMES)
def test_it_is_drawn_and_fits(
    page: Page, reports: dict[str, Path], outcome: str, width: int, tmp_path: Path
) -> None:
    path = reports[outcome]
    # Opening it takes longest, so both schemes are looked at in one page; each is the first once.
    first_dark = width == PHONE
    page.show(path, width=width, dark=first_dark)
    page.wait_for(DRAWN)
    assert_fits(page, outcome, width, dark=first_dark, picture=tmp_path / "first.png")
    page.scheme(dark=not first_dark)
    page.wait_for(f"{LIGHTNESS} {'>' if not first_dark else '<='} {3 * 128}")
    assert_fits(page, outcome, width, dark=not first_dark, picture=tmp_path / "second.png")
    # data: and blob: are parts of the file, under names of their own.
    assert [one for one in page.requested if not one.startswith(("data:", "blob:"))] == [
        path.as_uri()
    ]


def test_no_script_of_a_profile_runs(page: Page, tmp_path: Path) -> None:
    path = tmp_path / "nasty.html"
    write_report(nasty(), path)
    page.show(path, width=DESKTOP, dark=False)
    page.wait_for(DRAWN)
    assert page.complaints == []  # a dialog, an error, a handler that the policy has stopped
    assert page.value("document.body.innerText.includes('onerror=alert(2)')")
    assert page.value("document.querySelectorAll('script').length") == 3
    assert page.value("document.querySelectorAll('img, iframe, [onerror], [onload]').length") == 0


def assert_fits(page: Page, outcome: str, width: int, *, dark: bool, picture: Path) -> None:
    assert page.complaints == []
    assert outcome in page.value("document.querySelector('h1').innerText")
    scrolled, visible = numbers(page, "document.documentElement.scrollWidth, innerWidth")
    assert visible == width
    assert scrolled <= visible
    # Nothing is cut off inside of what does not scroll, either.
    assert page.value(
        "[...document.querySelectorAll('section, td, th, dd, .chart')]"
        ".every(one => one.scrollWidth <= one.clientWidth + 1 || one.clientWidth === 0)"
    )
    assert (page.value(LIGHTNESS) > 3 * 128) == dark
    page.screenshot(picture)
    assert picture.stat().st_size > 20_000  # an empty page takes 5,000


def test_every_chart_shows_its_data(page: Page, reports: dict[str, Path]) -> None:
    page.show(reports["fail"], width=DESKTOP)
    page.wait_for(DRAWN)
    titles = page.value("[...document.querySelectorAll('.chart')].map(one => one.id)")
    assert titles == ["memory", "leak-score", "rate", "connections", "latency"]
    lines = numbers(
        page,
        "...['memory', 'leak-score', 'rate'].map(id => Math.min(...[...document"
        ".querySelectorAll(`#${id} .scatterlayer .js-line`)].map(one => one.getTotalLength())))",
    )
    assert all(length > 100 for length in lines), lines
    bars = page.value("document.querySelectorAll('#connections .bars .point').length")
    assert bars == 8
    assert page.value("document.querySelectorAll('#connections .points path').length") > 8
    assert page.value("document.querySelectorAll('#memory .points path').length") >= 30  # floors
    assert page.value("document.querySelectorAll('#latency .bars .point').length") > 10


def test_colours_follow_the_system_while_it_is_open(page: Page, reports: dict[str, Path]) -> None:
    page.show(reports["pass"], width=DESKTOP)
    page.wait_for(DRAWN)
    light = page.value(TEXT_COLOUR)
    page.scheme(dark=True)
    page.wait_for(f"{TEXT_COLOUR} !== {light!r}")
    assert page.complaints == []


def test_the_ceiling_can_be_brought_into_view(page: Page, reports: dict[str, Path]) -> None:
    page.show(reports["fail"], width=PHONE)
    page.wait_for(DRAWN)
    top = "document.getElementById('memory')._fullLayout.yaxis.range[1]"
    assert page.value(top) < 250
    page.value("document.querySelector('button[aria-pressed=false]').click()")
    page.wait_for(f"{top} > 450")
    assert page.value("document.querySelector('button[aria-pressed=true]').innerText") == (
        "Up to the ceiling"
    )


def test_without_scripts_the_verdict_is_still_read(page: Page, reports: dict[str, Path]) -> None:
    page.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        page.show(reports["inconclusive"], width=PHONE)
        assert "stopped by a person" in page.value("document.querySelector('header').innerText")
        assert page.value("document.querySelectorAll('.chart .main-svg').length") == 0
    finally:
        page.call("Emulation.setScriptExecutionDisabled", value=False)
