"""Outcomes as markdown tables, with intervals of 95 % by Wilson."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable

from benchmarks.leaks.corpus import HEALTHY, HELD_OUT, LEAKING, RATES_MB_PER_HOUR
from benchmarks.leaks.outcome import CONVICTION, Outcome, wilson


def table(outcomes: list[Outcome], hours: float) -> str:
    """Everything that is said of one length of run."""
    ours = [o for o in outcomes if o.detector == "vigil"]
    parts = [_summary(ours, hours)]
    names = list(dict.fromkeys(o.detector for o in outcomes))
    if len(names) > 1:
        shared = {(o.family, o.seed, o.rate) for o in outcomes if o.detector != "vigil"}
        same = [o for o in outcomes if (o.family, o.seed, o.rate) in shared]
        parts.append(_comparison(same, names))
    parts.append(_families(ours, hours))
    return "\n\n".join(parts)


def _summary(ours: list[Outcome], hours: float) -> str:
    healthy = [o for o in ours if o.rate == 0]
    leaking = [o for o in ours if o.rate > 0]
    rows = ["| what | all families | tuned-on families | held-out families |", "|---|---|---|---|"]

    def row(name: str, some: list[Outcome], hit: str) -> None:
        cells = []
        for part in (some, _split(some, False), _split(some, True)):
            hits = sum(_HITS[hit](o) for o in part)
            cells.append(share(hits, len(part)))
        rows.append(f"| {name} | {' | '.join(cells)} |")

    row("healthy, ever > 0.8", healthy, "alarm")
    row("healthy, > 0.8 at the end", healthy, "end")
    for rate in RATES_MB_PER_HOUR:
        row(f"{rate:g} MB/h found", [o for o in leaking if o.rate == rate], "alarm")
    masked = [o for o in leaking if o.family.startswith("behind") and o.rate == 2]
    row("masked, 2 MB/h found", masked, "alarm")
    turning = [o for o in leaking if o.family == "per_rotation" and o.rate >= 5]
    row("per rotation ≥ 5 MB/h, found within 2 rotations", turning, "two rotations")
    row("interval of 90 % covers", [o for o in ours if o.covered is not None], "covered")
    alarmed = [o for o in leaking if o.covered_at_alarm is not None]
    row("the same at the alarm", alarmed, "covered at the alarm")
    rows += [
        "",
        "| median delay in h | " + " | ".join(f"{r:g} MB/h" for r in RATES_MB_PER_HOUR) + " |",
    ]
    rows.append("|---" * (len(RATES_MB_PER_HOUR) + 1) + "|")
    for name, part in (("tuned-on", _split(leaking, False)), ("held-out", _split(leaking, True))):
        cells = [delay([o for o in part if o.rate == rate], hours) for rate in RATES_MB_PER_HOUR]
        rows.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(rows)


def _comparison(same: list[Outcome], names: list[str]) -> str:
    head = " | ".join(f"{rate:g}" for rate in RATES_MB_PER_HOUR)
    rows = [f"| detector | healthy ever > 0.8 | found at MB/h: {head} |"]
    rows.append("|---" * (len(RATES_MB_PER_HOUR) + 2) + "|")
    for name in names:
        mine = [o for o in same if o.detector == name]
        healthy = [o for o in mine if o.rate == 0]
        cells = [share(sum(o.alarm_hours is not None for o in healthy), len(healthy))]
        for rate in RATES_MB_PER_HOUR:
            some = [o for o in mine if o.rate == rate]
            found = sum(o.alarm_hours is not None for o in some)
            cells.append(f"{100 * found / len(some):.0f} %" if some else "–")
        rows.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(rows)


def mutation_table(outcomes: dict[str, list[Outcome]], hours: float) -> str:
    """Compare outcomes by the part that was removed ("" for none) on the same runs."""
    rows = [
        "| without | healthy ever > 0.8 | interval covers | 2 MB/h found, median delay "
        "| 5 MB/h | 10 MB/h | per rotation, within 2 | runs told otherwise: worse, better |",
        "|---|---|---|---|---|---|---|---|",
    ]
    whole = {(o.family, o.seed, o.rate): o for o in outcomes[""]}
    for name, some in outcomes.items():
        healthy = [o for o in some if o.rate == 0]
        covered = [o for o in some if o.covered is not None]
        turning = [o for o in some if o.family == "per_rotation" and o.rate >= 5]
        cells = [
            share(sum(map(_HITS["alarm"], healthy)), len(healthy)),
            share(sum(map(_HITS["covered"], covered)), len(covered)),
        ]
        for rate in (2.0, 5.0, 10.0):
            leaking = [o for o in some if o.rate == rate]
            found = sum(map(_HITS["alarm"], leaking))
            cells.append(f"{found}/{len(leaking)}, {delay(leaking, hours)}")
        cells.append(f"{sum(map(_HITS['two rotations'], turning))}/{len(turning)}")
        worse = better = 0
        for one in some:
            before = _HITS["alarm"](whole[one.family, one.seed, one.rate])
            if _HITS["alarm"](one) != before:
                right = before == (one.rate > 0)
                worse, better = worse + right, better + (not right)
        cells.append(f"{worse}, {better}" if name else "–")
        rows.append(f"| {name or '(nothing)'} | {' | '.join(cells)} |")
    return "\n".join(rows)


def _families(ours: list[Outcome], hours: float) -> str:
    rows = ["| healthy family | ever > 0.8 |", "|---|---|"]
    for family in HEALTHY:
        some = [o for o in ours if o.family == family]
        mark = " (held out)" if family in HELD_OUT else ""
        rows.append(
            f"| {family}{mark} | {sum(o.alarm_hours is not None for o in some)}/{len(some)} |"
        )
    head = " | ".join(f"{rate:g} MB/h" for rate in RATES_MB_PER_HOUR)
    rows += ["", f"| leaking family: found, median delay | {head} |"]
    rows.append("|---" * (len(RATES_MB_PER_HOUR) + 1) + "|")
    for family in LEAKING:
        cells = []
        for rate in RATES_MB_PER_HOUR:
            some = [o for o in ours if o.family == family and o.rate == rate]
            found = sum(o.alarm_hours is not None for o in some)
            cells.append(f"{found}/{len(some)}, {delay(some, hours)}")
        mark = " (held out)" if family in HELD_OUT else ""
        rows.append(f"| {family}{mark} | {' | '.join(cells)} |")
    return "\n".join(rows)


def share(hits: int, count: int) -> str:
    """Write a share with its interval."""
    if not count:
        return "–"
    low, high = wilson(hits, count)
    return f"{hits}/{count} = {100 * hits / count:.1f} % ({100 * low:.1f}-{100 * high:.1f})"


def delay(some: Iterable[Outcome], hours: float) -> str:
    """Median of the hours from the onset to the alarm; what was never found counts as longest."""
    delays = [2 * hours if o.delay_hours is None else o.delay_hours for o in some]
    if not delays:
        return "–"
    median = statistics.median(delays)
    return f"{median:.1f} h" if median < hours else "never"


def _split(some: list[Outcome], held_out: bool) -> list[Outcome]:
    return [o for o in some if (o.family in HELD_OUT) == held_out]


_HITS: dict[str, Callable[[Outcome], bool]] = {
    "alarm": lambda o: o.alarm_hours is not None,
    "end": lambda o: (o.final_score or 0) > CONVICTION,
    "two rotations": lambda o: o.alarm_hours is not None and o.rotations_seen <= 2,
    "covered": lambda o: bool(o.covered),
    "covered at the alarm": lambda o: bool(o.covered_at_alarm),
}
