"""The page of many runs: a table, and a chart for each figure over the time of the starts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Final
from xml.etree.ElementTree import Element

from monitor.history import FIGURES, Past
from monitor.report import needs_plotly
from monitor.report.page import MARK, chart, element, page
from monitor.report.text import amount, clock, moment

_SERVICE: Final = "– (a service)"


def render_history(runs: Sequence[Past]) -> bytes:
    """Return the page, which needs no network. Raises ReportError without the library."""
    with needs_plotly():
        from plotly.offline import get_plotlyjs

        from monitor.report import charts
    figures: dict[str, Any] = {}
    body = [
        element(
            "header",
            element("h1", f"{len(runs)} runs"),
            element("p", "Points are drawn with their intervals of 90 %.", class_="quiet"),
        ),
        _table(runs),
    ]
    for name in FIGURES:
        points = [
            charts.Point(
                run.start_time,
                found.value,
                found.low,
                found.high,
                run.verdict,
                f"{run.source}: {amount(found.value, run.units[name])}",
            )
            for run in runs
            if (found := run.figures.get(name)) is not None and _is_time(run.start_time)
        ]
        if points:
            identity = name.replace(" ", "-")
            figures[identity] = json.loads(charts.history_chart(points).to_json())
            unit = next(run.units[name] for run in runs if name in run.units)
            body.append(chart(f"{name[0].upper()}{name[1:]}, {unit}", identity))
    data = {"figures": figures, "templates": charts.templates()}
    return page(f"{len(runs)} runs", body, data, get_plotlyjs())


def cells_of(run: Past) -> Iterator[tuple[str, str]]:
    """Yield what a table says of a run, by the heading of the column."""
    yield "started", moment(run.start_time)
    yield "soak", run.soak or "–"
    yield "verdict", run.verdict or "–"
    yield "duration", clock(run.duration_seconds)
    for name in FIGURES:
        found = run.figures.get(name)
        yield f"{name}, {run.units.get(name, '')}", amount(found.value if found else None)
    yield "version", run.version or "–"


def _table(runs: Sequence[Past]) -> Element:
    rows = []
    for run in runs:
        cells = dict(cells_of(run))
        verdict = MARK[run.verdict] if run.verdict else _SERVICE
        outcome = element("td", verdict, class_=f"outcome {run.verdict or ''}")
        told = [
            outcome if name == "verdict" else element("td", text, class_="number", data_label=name)
            for name, text in cells.items()
        ]
        rows.append(element("tr", element("th", run.source, scope="row"), *told))
    names = ["profile", *(dict(cells_of(runs[0])) if runs else ())]
    head = element("thead", element("tr", *(element("th", one, scope="col") for one in names)))
    table = element("table", head, element("tbody", *rows))
    return element("section", element("div", table, style="overflow-x: auto"))


def _is_time(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True
