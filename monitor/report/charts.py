"""The charts, as figures of plotly. Imported only when a report is wanted.

Colours of the data are seen on light and on dark ground; what is ground or text comes from one of
two templates, which the page's script chooses. Texts of plotly may hold tags, so whatever comes
from a profile is escaped.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Final

import plotly.graph_objects as go

from monitor.report.connections import Timeline
from monitor.report.latency import Latency
from monitor.report.memory import Memory
from monitor.report.rates import Rates

PALETTE: Final = (
    "#3b82f6", "#f59e0b", "#10b981", "#8b5cf6",
    "#ec4899", "#14b8a6", "#84cc16", "#64748b",
)  # fmt: skip
RED, GREEN, AMBER, GREY = "#ef4444", "#10b981", "#f59e0b", "#8a94a3"

_LOOKS: Final = {"good": (GREEN, "circle"), "warning": (AMBER, "diamond"), "bad": (RED, "x")}

_MINUTES_FROM, _HOURS_FROM = 180.0, 3 * 3600.0  # seconds; below, the axis counts smaller units


def templates() -> dict[str, Any]:
    """Return what differs between light and dark, by the name of the scheme."""
    return {
        "light": _template(text="#1f2933", grid="#e3e7ec", ground="#ffffff"),
        "dark": _template(text="#d7dde5", grid="#333c47", ground="#1b2129"),
    }


@dataclass(frozen=True, slots=True)
class TimeAxis:
    """Elapsed time in the unit that suits the length of a run."""

    end_seconds: float

    @property
    def unit(self) -> str:
        """Its name."""
        if self.end_seconds <= _MINUTES_FROM:
            return "seconds"
        return "minutes" if self.end_seconds <= _HOURS_FROM else "hours"

    def of(self, seconds: Sequence[float]) -> list[float]:
        """Return times in the unit."""
        divisor = {"seconds": 1, "minutes": 60, "hours": 3600}[self.unit]
        return [round(one / divisor, 5) for one in seconds]

    def layout(self) -> dict[str, Any]:
        """Return the axis for a figure."""
        suffix = {"seconds": " s", "minutes": " min", "hours": " h"}[self.unit]
        return {"range": self.of([0.0, self.end_seconds]), "ticksuffix": suffix, "nticks": 9}


@dataclass(frozen=True, slots=True)
class View:
    """A part of the memory's axis."""

    name: str
    range_mib: tuple[float, float]


def memory_views(memories: Sequence[Memory], ceiling_mib: float) -> tuple[View, View]:
    """Return what was used and all up to the ceiling; first what to begin with."""
    seen = [mib for mib in _seen(memories) if mib is not None]
    low, high = min(seen), max(seen)
    room = max((high - low) * 0.08, 0.5)
    near = View("What was used", (max(low - room, 0.0), high + room))
    whole = View("Up to the ceiling", (0.0, max(ceiling_mib, high) * 1.05))
    return (near, whole) if high < ceiling_mib / 2 else (whole, near)


def memory_chart(memories: Sequence[Memory], ceiling_mib: float, axis: TimeAxis) -> go.Figure:
    """Return RSS as a band of minimum and maximum, with floors, trend and ceiling."""
    figure = _figure(axis, height=400)
    for number, one in enumerate(memories):
        colour = PALETTE[number % len(PALETTE)]
        name = escape(one.name)
        _add_band(figure, one, axis.of(one.seconds), colour)
        figure.add_scatter(
            x=axis.of(one.floor_seconds),
            y=one.floor_mib,
            mode="markers",
            marker={"color": colour, "size": 6},
            name=f"floors, {name}",
            hovertemplate="floor %{y:.1f} MiB<extra></extra>",
        )
        if one.trend is not None:
            trend = one.trend
            ends = axis.of([trend.start_seconds, trend.end_seconds])
            low, high = trend.at(trend.low), trend.at(trend.high)
            figure.add_scatter(
                x=[*ends, *reversed(ends)],
                y=[*low, *reversed(high)],
                fill="toself",
                fillcolor=_faint(RED),
                line={"width": 0},
                mode="lines",
                name="interval of the trend",
                hoverinfo="skip",
            )
            figure.add_scatter(
                x=ends,
                y=trend.at(trend.slope),
                mode="lines",
                line={"color": RED, "width": 2},
                name=f"trend {trend.slope:+.2f} MiB/h ({trend.low:+.2f} to {trend.high:+.2f})",
                hovertemplate="trend %{y:.1f} MiB<extra></extra>",
            )
    figure.add_hline(
        y=ceiling_mib,
        line={"color": RED, "dash": "dash", "width": 1.5},
        annotation={"text": f"ceiling {ceiling_mib:,.0f} MiB", "font": {"color": RED}},
        annotation_position="top left",
    )
    view = memory_views(memories, ceiling_mib)[0]
    figure.update_yaxes(range=list(view.range_mib))
    return figure


def score_chart(
    memories: Sequence[Memory], passes: float, fails: float, axis: TimeAxis
) -> go.Figure | None:
    """Return the leak score over time, or None while there is none."""
    if all(score is None for one in memories for score in one.scores):
        return None
    figure = _figure(axis, height=240)
    figure.update_yaxes(range=[0, 1.02])
    for number, one in enumerate(memories):
        figure.add_scatter(
            x=axis.of(one.score_seconds),
            y=one.scores,
            mode="lines",
            line={"color": PALETTE[number % len(PALETTE)], "width": 2, "shape": "hv"},
            name=escape(one.name),
            hovertemplate="score %{y:.2f}<extra></extra>",
        )
    for limit, text in ((passes, "suspected above"), (fails, "a leak above")):
        figure.add_hline(
            y=limit,
            line={"color": RED, "dash": "dash", "width": 1},
            annotation={"text": f"{text} {limit:g}", "font": {"color": RED}},
            annotation_position="top left",
        )
    return figure


def rate_chart(rates: Rates, axis: TimeAxis) -> go.Figure:
    """Return events per second of each stream and symbol, and the limit of all together."""
    figure = _figure(axis, height=360)
    figure.update_yaxes(rangemode="tozero")
    for number, line in enumerate(rates.lines):
        _add_rate(figure, rates, line.name, line.per_second, PALETTE[number % len(PALETTE)], axis)
    if rates.judged is not None:
        _add_rate(figure, rates, rates.judged.name, rates.judged.per_second, GREY, axis)
    figure.add_hline(
        y=rates.limit_per_second,
        line={"color": RED, "dash": "dash", "width": 1.5},
        annotation={
            "text": f"all trades ≥ {rates.limit_per_second:g}/s",
            "font": {"color": RED},
        },
        annotation_position="top left",
    )
    return figure


def timeline_chart(timeline: Timeline, axis: TimeAxis) -> go.Figure:
    """Return a bar for each connection, and a lane for each kind of thing that happened."""
    lanes = [escape(one) for one in timeline.lanes]
    figure = _figure(axis, height=70 + 34 * len(lanes))
    figure.update_layout(barmode="overlay", hovermode="closest", showlegend=False, bargap=0.35)
    figure.update_yaxes(
        type="category", categoryorder="array", categoryarray=lanes, autorange="reversed"
    )
    # One invisible point per lane: an empty lane is shown, too.
    figure.add_scatter(x=[None] * len(lanes), y=lanes, mode="markers", hoverinfo="skip")
    bars = timeline.bars
    starts = axis.of([one.start_seconds for one in bars])
    ends = axis.of([one.end_seconds for one in bars])
    figure.add_bar(
        orientation="h",
        y=[escape(one.lane) for one in bars],
        base=starts,
        x=[end - start for start, end in zip(starts, ends, strict=True)],
        marker={
            # Neighbours differ, so that a rotation without a pause is seen.
            "color": [PALETTE[0] if one.number % 2 else "#93b8f5" for one in bars],
            "line": {"width": 0},
        },
        customdata=[
            [one.number, start, end, escape(one.text)]
            for one, start, end in zip(bars, starts, ends, strict=True)
        ],
        hovertemplate="connection %{customdata[0]}: %{customdata[1]:.2f} to "
        "%{customdata[2]:.2f}<br>%{customdata[3]}<extra></extra>",
    )
    marks = timeline.marks
    figure.add_scatter(
        x=axis.of([one.at_seconds for one in marks]),
        y=[escape(one.lane) for one in marks],
        mode="markers",
        marker={
            "color": [_LOOKS[one.weight][0] for one in marks],
            "symbol": [_LOOKS[one.weight][1] for one in marks],
            "size": 11,
        },
        text=["<br>".join(_folded(escape(one.text))) for one in marks],
        hovertemplate="%{x:.3f}<br>%{text}<extra></extra>",
    )
    return figure


def latency_chart(latencies: Sequence[Latency]) -> go.Figure:
    """Return the share of events by latency."""
    figure = _figure(None, height=300)
    figure.update_yaxes(tickformat=".0%", rangemode="tozero")
    used = 1 + max(index for one in latencies for index, count in enumerate(one.counts) if count)
    for number, one in enumerate(latencies):
        bounds = [_bound(seconds) for seconds in one.bounds_seconds]
        figure.add_bar(
            x=[*(f"≤ {bound}" for bound in bounds), f"> {bounds[-1]}"][:used],
            y=one.shares[:used],
            name=one.name,
            marker={"color": PALETTE[number]},
            hovertemplate="%{x}: %{y:.2%}<extra></extra>",
        )
    return figure


@dataclass(frozen=True, slots=True)
class Point:
    """A value of one run with its interval."""

    start_time: str  # ISO 8601
    value: float
    low: float
    high: float
    outcome: str | None
    text: str


def history_chart(points: Sequence[Point]) -> go.Figure:
    """Return one figure of many runs over the time of their start, in the colours of their ends."""
    figure = _figure(None, height=260)
    figure.update_layout(showlegend=False, xaxis={"type": "date", "automargin": True})
    colours = {"pass": GREEN, "fail": RED, "inconclusive": AMBER}
    figure.add_scatter(
        x=[one.start_time for one in points],
        y=[one.value for one in points],
        mode="lines+markers",
        line={"color": GREY, "width": 1},
        marker={"size": 9, "color": [colours.get(one.outcome or "", GREY) for one in points]},
        error_y={
            "type": "data",
            "symmetric": False,
            "array": [one.high - one.value for one in points],
            "arrayminus": [one.value - one.low for one in points],
            "color": GREY,
            "thickness": 1,
        },
        text=[escape(one.text) for one in points],
        hovertemplate="%{text}<extra></extra>",
    )
    return figure


def _bound(seconds: float) -> str:
    return f"{seconds * 1000:g} ms" if seconds < 1 else f"{seconds:g} s"


def _figure(axis: TimeAxis | None, height: int) -> go.Figure:
    return go.Figure(
        layout={
            "template": "none",
            "height": height,
            "hovermode": "x" if axis else "closest",
            "margin": {"l": 8, "r": 12, "t": 28, "b": 8},
            "xaxis": {"automargin": True, **(axis.layout() if axis else {})},
            "yaxis": {"automargin": True, "nticks": 7},
            # Below everything, however many lines a narrow screen makes of it.
            "legend": {
                "orientation": "h",
                "traceorder": "normal",
                "x": 0,
                "xanchor": "left",
                "y": 0,
                "yref": "container",
                "yanchor": "bottom",
            },
            "showlegend": True,
        }
    )


def _add_band(figure: go.Figure, memory: Memory, x: list[float], colour: str) -> None:
    name = escape(memory.name)
    # fill="tonexty" ignores interruptions; the lines show them.
    figure.add_scatter(
        x=x,
        y=memory.low_mib,
        mode="lines",
        line={"color": colour, "width": 1},
        showlegend=False,
        hovertemplate="lowest %{y:.1f} MiB<extra></extra>",
    )
    figure.add_scatter(
        x=x,
        y=memory.high_mib,
        mode="lines",
        line={"color": colour, "width": 1},
        fill="tonexty",
        fillcolor=_faint(colour),
        name=f"RSS, {name}",
        hovertemplate="highest %{y:.1f} MiB<extra></extra>",
    )


def _seen(memories: Sequence[Memory]) -> Iterator[float | None]:
    for one in memories:
        yield from one.low_mib
        yield from one.high_mib


def _add_rate(
    figure: go.Figure,
    rates: Rates,
    name: str,
    per_second: Sequence[float],
    colour: str,
    axis: TimeAxis,
) -> None:
    figure.add_scatter(
        x=axis.of(rates.seconds),
        y=[round(one, 4) for one in per_second],
        mode="lines",
        line={"color": colour, "width": 1.5},
        name=escape(name),
        hovertemplate="%{y:,.1f}/s %{fullData.name}<extra></extra>",
    )


def _template(text: str, grid: str, ground: str) -> dict[str, Any]:
    axis = {"gridcolor": grid, "linecolor": grid, "zerolinecolor": grid, "tickcolor": grid}
    template: dict[str, Any] = go.layout.Template(
        layout={
            "font": {"color": text, "size": 13, "family": "system-ui, sans-serif"},
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "xaxis": axis,
            "yaxis": axis,
            "hoverlabel": {"bgcolor": ground, "bordercolor": grid, "font": {"color": text}},
            "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": GREY, "activecolor": text},
        }
    ).to_plotly_json()
    return template


def _faint(colour: str) -> str:
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.22)"


def _folded(text: str, width: int = 60) -> Iterator[str]:
    """Break a text for a small screen."""
    line = ""
    for word in text.split():
        if line and len(line) + len(word) >= width:
            yield line
            line = word
        else:
            line = f"{line} {word}" if line else word
    yield line
