"""The page: verdict first, then criteria, charts and events, in one file that needs no network.

The markup is built as a tree, which escapes every text, wherever it came from.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from typing import Any, Final
from xml.etree.ElementTree import Element, tostring

from monitor.criteria import Criterion, Verdict
from monitor.evidence import Evidence
from monitor.report.charts import View
from monitor.report.connections import described
from monitor.report.latency import Latency
from monitor.report.memory import Memory
from monitor.report.rates import StreamRow
from monitor.report.text import amount, clock, latency, moment
from monitor.soak_plans import MIB
from streamer.strict_json import encode, encode_readable

POLICY: Final = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"
)
"""What the browser may load: nothing that is not in the file."""

EVENTS_SHOWN: Final = 300
MARK: Final = {"pass": "✓ pass", "fail": "✗ fail", "inconclusive": "? inconclusive"}
_WORST_FIRST: Final = ("fail", "inconclusive", "pass")


def element(tag: str, *children: Element | str | None, **attributes: str) -> Element:
    """Return an element; `class_` and `data_label` stand for class and data-label."""
    made = Element(
        tag, {name.rstrip("_").replace("_", "-"): value for name, value in attributes.items()}
    )
    for child in children:
        if isinstance(child, Element):
            made.append(child)
        elif child and len(made):
            made[-1].tail = (made[-1].tail or "") + child
        elif child:
            made.text = (made.text or "") + child
    return made


def page(title: str, body: Iterable[Element], data: Mapping[str, Any], library: str) -> bytes:
    """Return the file. `data` are the charts, `library` the script that draws them."""
    # The end of a script would be found inside its strings, too.
    encoded = encode(data).decode().replace("<", "\\u003c")
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", **{"http-equiv": "Content-Security-Policy"}, content=POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", title),
        element("style", _resource("page.css")),
    )
    scripts = (
        element("script", encoded, type="application/json", id="charts-data"),
        element("script", library),
        element("script", _resource("page.js")),
    )
    html = element("html", head, element("body", element("main", *body), *scripts), lang="en")
    text = "<!doctype html>\n" + tostring(html, encoding="unicode", method="html")
    return text.encode("utf-8", "replace")  # half a surrogate pair is valid in JSON, not here


def heading(document: Mapping[str, Any], evidence: Evidence, verdict: Verdict) -> Element:
    """Return the verdict with its reasons, and what was run."""
    meta = document["test_metadata"]
    profile = evidence.profile
    run = f"{profile.name} profile, {clock(evidence.elapsed_seconds)}"
    if document.get("profile") or not evidence.own_format:
        run += f" of {clock(profile.duration_seconds)}"
    reasons = [
        element("li", element("strong", one.name), f": {one.reason or one.expression}")
        for one in (*verdict.failed, *verdict.open)
    ]
    return element(
        "header",
        element("h1", "Verdict: ", element("span", MARK[verdict.outcome], class_="outcome")),
        element("ul", *reasons) if reasons else element("p", "Every required criterion passed."),
        element("p", run, class_="quiet"),
        element(
            "p",
            f"{moment(meta.get('start_time'))} to {moment(meta.get('end_time'))}",
            class_="quiet",
        ),
        element("p", ", ".join(map(str, evidence.symbols)), class_="quiet"),
        _figures(document, evidence, verdict),
        class_=verdict.outcome,
    )


def criteria_table(verdict: Verdict) -> Element:
    """Return every criterion, the required ones first, and of these what did not pass."""
    groups = (
        ("required", [one for one in verdict.criteria if one.required]),
        ("informational", [one for one in verdict.criteria if not one.required]),
    )
    names = ("criterion", "outcome", "observed", "limit", "reason")
    return element(
        "section",
        element("h2", "Criteria"),
        element(
            "table",
            element("thead", element("tr", *(_head(one, one in names[2:4]) for one in names))),
            *(
                element(
                    "tbody",
                    element("tr", element("th", title, scope="rowgroup", colspan="5")),
                    *map(
                        _criterion, sorted(group, key=lambda one: _WORST_FIRST.index(one.outcome))
                    ),
                )
                for title, group in groups
                if group
            ),
        ),
    )


def chart(
    title: str, identity: str, notes: Iterable[str] = (), views: Iterable[View] = ()
) -> Element:
    """Return the place of a chart, with what it says in words, and buttons for its views."""
    buttons = (
        element(
            "button",
            one.name,
            type="button",
            data_chart=identity,
            data_range=encode(one.range_mib).decode(),
            aria_pressed="false" if at else "true",
        )
        for at, one in enumerate(views)
    )
    return element(
        "section",
        element("h2", title),
        *buttons,
        element("div", id=identity, class_="chart", role="img", aria_label=title),
        *(element("p", note, class_="quiet") for note in notes),
        element("noscript", element("p", "The chart is drawn by a script, which is switched off.")),
    )


def memory_notes(memories: Sequence[Memory]) -> list[str]:
    """Return what the leak detector has to say of each process."""
    notes = ["Band: lowest and highest RSS of each interval. Floors: what remains at low points."]
    return notes + [f"{one.name}: {' '.join(_stopped(one.said))}" for one in memories if one.said]


def memory_parts_table(evidence: Evidence) -> Element | None:
    """Return what held the memory of each process, as it told; None: no process did."""
    names = ("held by", "after a minute", "at most", "at the end", "accounted for up to")
    keys = ("first_bytes", "highest_bytes", "last_bytes", "limit_bytes")
    rows = [
        element(
            "tr",
            element("th", f"{process}: {str(name).replace('_', ' ')}", scope="row"),
            *(
                _cell(column, amount(_mib(part.get(key)), "MiB"))
                for column, key in zip(names[1:], keys, strict=True)
            ),
        )
        for process in evidence.processes
        for name, part in (process.facts.get("memory_parts") or {}).items()
    ]
    if not rows:
        return None
    head = element("tr", *(_head(name, at > 0) for at, name in enumerate(names)))
    note = (
        "As the streamer tells: the queue of the sink is part of the heap, held events and the "
        "encoder's caches are Python objects. What has a limit is not taken for a leak below it."
    )
    return element(
        "section",
        element("h2", "What held the memory"),
        element("p", note, class_="quiet"),
        element("table", element("thead", head), element("tbody", *rows)),
    )


def _mib(size_bytes: float | None) -> float | None:
    return None if size_bytes is None else size_bytes / MIB


def latency_notes(latencies: Iterable[Latency]) -> list[str]:
    """Return the percentiles, as bounds of their buckets."""
    return [
        f"{one.name}: "
        + ", ".join(
            f"p{share * 100:g} {latency(one.percentile(share), one.bounds_seconds[-1])}"
            for share in (0.5, 0.9, 0.99)
        )
        + f", mean {one.mean_seconds * 1000:,.1f} ms"
        for one in latencies
    ]


def stream_table(streams: Sequence[StreamRow]) -> Element:
    """Return the streams with their totals."""
    names = ("stream", "events", "mean per second", "lowest", "longest silence")
    rows = (
        element(
            "tr",
            element("th", one.name, scope="row"),
            _cell(names[1], f"{one.events:,}"),
            _cell(names[2], f"{one.mean_per_second:,.1f}"),
            _cell(names[3], amount(one.lowest_per_second)),
            _cell(names[4], amount(one.longest_silence_seconds, "s")),
        )
        for one in streams
    )
    head = (_head(one, at > 0) for at, one in enumerate(names))
    return element(
        "section",
        element(
            "details",
            element("summary", f"Streams ({len(streams)})"),
            element("table", element("thead", element("tr", *head)), element("tbody", *rows)),
        ),
    )


def event_table(document: Mapping[str, Any]) -> Element:
    """Return the latest events."""
    events = document.get("events") or []
    counts: Mapping[str, int] = document.get("event_counts") or {}
    shown = events[-EVENTS_SHOWN:]
    rows = (
        element(
            "tr",
            element("th", clock(one["elapsed_seconds"]), scope="row"),
            element("td", str(one["kind"]).replace("_", " ")),
            element("td", described(one.get("detail") or {})),
        )
        for one in shown
    )
    total = sum(counts.values())
    kinds = ", ".join(f"{count:,} {kind.replace('_', ' ')}" for kind, count in counts.items())
    return element(
        "section",
        element(
            "details",
            element("summary", f"Events ({len(shown)} of {total:,})"),
            element("p", kinds, class_="quiet"),
            element("table", element("tbody", *rows)),
        ),
    )


def origins(document: Mapping[str, Any]) -> Element:
    """Return settings and environment, as they are in the profile."""
    kept = {key: document.get(key) for key in ("environment", "profile", "settings")}
    return element(
        "section",
        element(
            "details",
            element("summary", "Environment and settings"),
            element("pre", encode_readable(kept).decode()),
        ),
    )


def _figures(document: Mapping[str, Any], evidence: Evidence, verdict: Verdict) -> Element:
    observed = {one.name: one for one in verdict.criteria}
    summary = evidence.summary
    counts: Mapping[str, int] = document.get("event_counts") or {}
    peak = observed["memory ceiling"]
    growth = observed["memory growth"]
    facts = {
        "messages": amount(summary.get("total_messages")),
        "mean rate": amount(summary.get("avg_message_rate"), "per second"),
        "highest memory": f"{amount(peak.observed, 'MiB')} of {amount(peak.limit)}",
        "growth of the floor": amount(growth.observed, "MiB"),
        "leak score": amount(observed["leak score"].observed, "score"),
        "rotations": amount(summary.get("rotations")),
        "unscheduled drops": amount(summary.get("unscheduled_drops")),
        "gaps declared": amount(summary.get("gaps")),
        "gaps repaired": amount(counts.get("gap_repaired", 0) if evidence.own_format else None),
        "duplicates not stored": amount(summary.get("duplicates")),
    }
    pairs = (
        element("div", element("dt", name), element("dd", value)) for name, value in facts.items()
    )
    return element("dl", *pairs)


def _criterion(one: Criterion) -> Element:
    breach = None
    if one.first_breach is not None:
        breach = f"first at {clock(one.first_breach)}; "
    return element(
        "tr",
        element("th", one.name, element("div", one.expression, class_="quiet"), scope="row"),
        element("td", MARK[one.outcome], class_=f"outcome {one.outcome}"),
        _cell("observed", amount(one.observed, one.unit)),
        _cell("limit", amount(one.limit, one.unit)),
        element("td", breach, one.reason),
    )


def _head(name: str, number: bool) -> Element:
    return element("th", name, scope="col", class_="number" if number else "")


def _cell(label: str, text: str) -> Element:
    return element("td", text, class_="number", data_label=label)


def _stopped(sentences: Iterable[str]) -> Iterable[str]:
    return (one if one.endswith(".") else f"{one}." for one in sentences)


def _resource(name: str) -> str:
    return (files("monitor.report") / name).read_text(encoding="utf-8")
