"""The live view on a terminal: time, memory under its ceiling, rates, connections, events."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from heapq import nlargest
from pathlib import Path
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from monitor.snapshot import Snapshot, StreamerSnapshot
from monitor.verdict import Verdict
from streamer.printable import printable_lines
from supervisor.report import (
    clock,
    connection_state,
    events_total,
    mebibytes,
    verdict_block,
)

_EVENTS_SHOWN = 6
_BAR_WIDTH = 40
_STREAMS_SHOWN = 20


class LiveView:
    """Redraws one block; what is logged meanwhile appears above it."""

    owns_terminal = True

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console()
        # Drawn from the loop only: a thread of its own would draw at moments of its choice.
        self._live = Live(
            console=self._console, auto_refresh=False, redirect_stderr=sys.stderr.isatty()
        )

    def __enter__(self) -> LiveView:
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._live.stop()

    def refresh(self, snapshot: Snapshot) -> None:
        """Draw the state."""
        self._live.update(render(snapshot), refresh=True)

    def report(self, snapshot: Snapshot) -> None:
        """Write nothing: the view shows it all the time."""

    def conclude(self, verdict: Verdict | None, path: Path) -> None:
        """Leave the last state on the screen and write the final block below it."""
        self._live.stop()
        text = verdict_block(verdict, path) if verdict else f"profile: {path}"
        self._console.print(printable_lines(text), highlight=False, markup=False, soft_wrap=True)


def render(snapshot: Snapshot) -> RenderableType:
    """Return the view of a snapshot."""
    parts: list[RenderableType] = [_progress(snapshot)]
    parts += [_streamer(snapshot, streamer) for streamer in snapshot.streamers]
    parts += [
        Text(
            f"{datetime.fromtimestamp(entry.time, UTC):%H:%M:%S}  {entry.kind:<20} "
            + "  ".join(f"{key}={value}" for key, value in entry.detail.items()),
            style="dim",
            no_wrap=True,
            overflow="ellipsis",
        )
        for entry in snapshot.recent_events[-_EVENTS_SHOWN:]
    ]
    return Group(*parts)


def _progress(snapshot: Snapshot) -> RenderableType:
    line = Table.grid(padding=(0, 2))
    cells: list[RenderableType] = [Text(clock(snapshot.elapsed_seconds), style="bold")]
    if snapshot.duration_seconds:
        done = min(snapshot.elapsed_seconds, snapshot.duration_seconds)
        cells.append(ProgressBar(total=snapshot.duration_seconds, completed=done, width=_BAR_WIDTH))
        cells.append(Text(f"of {clock(snapshot.duration_seconds)}"))
    cells.append(Text(f"{events_total(snapshot):,} messages, {snapshot.events_per_second:,.1f}/s"))
    line.add_row(*cells)
    return line


def _streamer(snapshot: Snapshot, streamer: StreamerSnapshot) -> RenderableType:
    rss = streamer.sample.rss_bytes if streamer.sample else None
    share = (rss or 0) / snapshot.memory_ceiling_bytes
    memory = Text(
        f"RSS {mebibytes(rss)} of {mebibytes(snapshot.memory_ceiling_bytes)}",
        style="red" if share > 0.9 else "green",
    )
    head = Table.grid(padding=(0, 2))
    head.add_row(
        Text(f"{streamer.name}.{streamer.generation}", style="bold"),
        memory,
        Text(f"growth {mebibytes(streamer.growth_bytes, signed=True)}"),
        Text(connection_state(streamer), style="green" if streamer.streaming else "yellow"),
    )
    rates = Table.grid(padding=(0, 2))
    # A thousand fit no screen, and to draw them each second would cost more than to judge them.
    busiest = nlargest(_STREAMS_SHOWN, streamer.streams, key=lambda one: one.per_second)
    for one in busiest if len(streamer.streams) > _STREAMS_SHOWN else streamer.streams:
        rates.add_row(
            Text(f"  {one.symbol}"),
            Text(one.stream),
            f"{one.events_total:,}",
            f"{one.per_second:,.1f}/s",
        )
    if (more := len(streamer.streams) - _STREAMS_SHOWN) > 0:
        rates.add_row(Text(f"  and {more:,} more"), Text(""), "", "")
    return Group(head, rates)
