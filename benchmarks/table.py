"""What was measured, for people and for machines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any


@dataclass(frozen=True, slots=True)
class Row:
    """One measure: the median of its values, the extremes, and the budget that it has."""

    name: str
    unit: str
    median: float
    least: float
    most: float
    values: int
    budget: str = ""

    @classmethod
    def of(cls, name: str, unit: str, values: Sequence[float], budget: str = "") -> Row:
        """Return the row of some values, at least one."""
        return cls(name, unit, median(values), min(values), max(values), len(values), budget)


@dataclass(frozen=True, slots=True)
class Table:
    """The rows of a part."""

    title: str
    rows: list[Row] = field(default_factory=list)

    def text(self) -> str:
        """Return the table in columns."""
        lines = [["", "median", "min to max", "budget", "unit"]]
        for row in self.rows:
            extremes = f"{shown(row.least)} to {shown(row.most)}" if row.values > 1 else ""
            lines.append([row.name, shown(row.median), extremes, row.budget, row.unit])
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        return "\n".join(
            [self.title]
            + [
                f"  {line[0]:<{widths[0]}}  {line[1]:>{widths[1]}}  {line[2]:>{widths[2]}}  "
                f"{line[3]:>{widths[3]}}  {line[4]}"
                for line in lines
            ]
        )

    def json(self) -> dict[str, Any]:
        """Return the table as plain data."""
        return asdict(self)


def shown(value: float) -> str:
    """Return a number with three digits that matter, or all of a large one's."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"
