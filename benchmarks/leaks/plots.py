"""Two plots: false alarms over time, and recall by rate."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.leaks.corpus import RATES_MB_PER_HOUR
from benchmarks.leaks.outcome import Outcome


def draw(outcomes: list[Outcome], folder: Path, hours: float) -> None:
    """Write `false-alarms.svg` and `recall.svg`."""
    folder.mkdir(parents=True, exist_ok=True)
    plt.rcParams["svg.hashsalt"] = "leaks"  # the same outcomes give the same file
    names = list(dict.fromkeys(o.detector for o in outcomes))
    figure, axes = plt.subplots(figsize=(7, 4))
    for name in names:
        healthy = [o for o in outcomes if o.detector == name and o.rate == 0]
        _rising(axes, [o.alarm_hours for o in healthy], hours, name)
    axes.set(xlabel="hours", ylabel="healthy runs with an alarm so far", ylim=(0, None))
    axes.legend()
    _save(figure, folder / "false-alarms.svg")
    figure, axes = plt.subplots(figsize=(7, 4))
    for rate in RATES_MB_PER_HOUR:
        some = [o for o in outcomes if o.detector == "vigil" and o.rate == rate]
        _rising(axes, [o.delay_hours for o in some], hours, f"{rate:g} MB/h")
    axes.set(xlabel="hours since the leak began", ylabel="leaking runs found", ylim=(0, 1.02))
    axes.legend()
    _save(figure, folder / "recall.svg")


def _rising(axes: Axes, at: list[float | None], hours: float, label: str) -> None:
    if not at:
        return
    known = sorted(value for value in at if value is not None)
    shares = [(i + 1) / len(at) for i in range(len(known))]
    last = shares[-1] if shares else 0.0
    axes.step([0, *known, hours], [0, *shares, last], where="post", label=label)


def _save(figure: Figure, path: Path) -> None:
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
