"""The report: one HTML file for people, made from a profile document, opened without a network.

The plotting library is optional (`pip install 'plotly>=6'`) and imported only when a report
is written, so that a supervisor never carries it.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from monitor.evidence import evidence_of
from monitor.leak import LeakDetector
from monitor.replay import replay
from monitor.soak_plans import MIB
from monitor.verdict import verdict_on

if TYPE_CHECKING:
    from plotly.graph_objects import Figure


class ReportError(RuntimeError):
    """A report cannot be made or written: says why, and what helps."""


def write_report(document: Mapping[str, Any], path: Path) -> None:
    """Judge a document and write its report with mode 0600, whole or not at all.

    Raises DocumentError when it is no profile, ReportError when the library is absent or the file
    cannot be written.
    """
    write_page(render(document), path)


def write_page(content: bytes, path: Path) -> None:
    """Write a page with mode 0600, whole or not at all. Raises ReportError."""
    temporary: str | None = None
    try:
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        Path(temporary).replace(path)
        temporary = None
    except OSError as error:
        raise ReportError(f"the report cannot be written to {path}: {error.strerror}") from error
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)


@contextmanager
def needs_plotly() -> Iterator[None]:
    """Raise ReportError when the library is absent."""
    try:
        yield
    except ImportError as error:
        raise ReportError(
            f"a report needs the library plotly ({error}): pip install 'plotly>=6'"
        ) from error


def render(document: Mapping[str, Any]) -> bytes:
    """Return the report. Raises DocumentError and ReportError."""
    with needs_plotly():
        from plotly.offline import get_plotlyjs

        from monitor.report import charts
    from monitor.report import page
    from monitor.report.connections import timeline
    from monitor.report.latency import latencies
    from monitor.report.memory import memories
    from monitor.report.rates import rates

    evidence = evidence_of(document)
    replays = replay(evidence, LeakDetector)
    verdict = verdict_on(evidence, replays)
    limits = evidence.profile
    axis = charts.TimeAxis(evidence.elapsed_seconds)
    figures: dict[str, Any] = {}
    body = [page.heading(document, evidence, verdict), page.criteria_table(verdict)]

    def add(
        title: str, figure: Figure, notes: Iterable[str] = (), views: Iterable[charts.View] = ()
    ) -> None:
        name = title.split(",")[0].lower().replace(" ", "-")
        figures[name] = json.loads(figure.to_json())
        body.append(page.chart(title, name, notes, views))

    if seen := memories(evidence, replays):
        ceiling_mib = limits.memory_ceiling_bytes / MIB
        figure = charts.memory_chart(seen, ceiling_mib, axis)
        views = charts.memory_views(seen, ceiling_mib)
        add("Memory, MiB", figure, page.memory_notes(seen), views)
        score = charts.score_chart(seen, limits.leak_score_pass, limits.leak_score_fail, axis)
        if score is not None:
            add("Leak score", score)
    if (parts := page.memory_parts_table(evidence)) is not None:
        body.append(parts)
    if evidence.rows:
        rated = rates(evidence)
        add("Rate, events per second", charts.rate_chart(rated, axis))
        body.append(page.stream_table(rated.streams))
    if document.get("events"):
        add("Connections", charts.timeline_chart(timeline(document), axis))
    if measured := latencies(document):
        notes = page.latency_notes(measured)
        add("Latency, share of the events", charts.latency_chart(measured), notes)
    if document.get("events"):
        body.append(page.event_table(document))
    body.append(page.origins(document))
    title = f"{verdict.outcome}: {limits.name} soak"
    data = {"figures": figures, "templates": charts.templates()}
    return page.page(title, body, data, get_plotlyjs())
