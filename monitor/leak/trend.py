"""The trend of floors beside what explains them without a leak: load and warm-up."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from operator import mul

from monitor.leak.floors import Floors

WARM_UP_HOURS = (0.05, 8 / 60, 20 / 60, 45 / 60, 100 / 60)  # time constants that are tried
_STEEPEST_LOGARITHM_MB = 12.0  # per e-fold of age: 38 MB from the 1st to the 24th hour
_QUICK_HOURS = 0.1  # what a reference does not explain may still settle within minutes
_CLIP = 2.0  # robust deviations above a fit, from which on a floor is a peak
_LOAD_GAIN = 2.0  # of BIC, before a load term may explain growth away
_NEAR_BIC = 4.0  # of the best: what is nearly as good may be the truth
_MOST_ALIKE = 6.0  # of that: a bad fit is not admitted for being bad
_MOST_CORRELATED = 0.95
_RESOLUTION_MB = 0.05  # no residual is believed to be smaller
_DEPENDENT = 1e-7  # of a column's sum of squares left over by the others: it adds nothing


@dataclass(frozen=True, slots=True)
class Fit:
    """Floors = level + slope·hours + what the other terms explain."""

    slope: float  # MB/h
    error: float  # standard error of it, widened for correlated residuals
    bic: float
    terms: tuple[str, ...]


class Design:
    """Centred columns and their products, computed once for all shapes of a window."""

    def __init__(self, floors: Floors) -> None:
        self.count = len(floors.hours)
        self.columns: dict[str, list[float]] = {
            "time": _centred(floors.hours),
            "floor": _centred(floors.floor_mb),
        }
        if floors.rate is not None and floors.peak_rate is not None:
            self.columns["rate"] = _centred(floors.rate)
            self.columns["peak rate"] = _centred(floors.peak_rate)
        self.transients: list[str] = []
        for tau in WARM_UP_HOURS:
            # With a reference only what is quick may differ from it.
            if tau > (floors.window_hours / 2 if floors.reference_mb is None else _QUICK_HOURS):
                break
            name = f"warm-up of {tau * 60:.0f} min"
            self.columns[name] = _centred([-math.exp(-hour / tau) for hour in floors.hours])
            self.transients.append(name)
        # Fragmentation settles like a logarithm: it never ends, but slows down for ever.
        if floors.reference_mb is None:
            self.columns["logarithm"] = _centred(
                [math.log(floors.age_hours + hour) for hour in floors.hours]
            )
            self.transients.append("logarithm")
        self._products: dict[tuple[str, str], float] = {}

    def product(self, a: str, b: str) -> float:
        """Sum of the products of two columns."""
        key = (a, b) if a <= b else (b, a)
        value = self._products.get(key)
        if value is None:
            value = self._products[key] = sum(map(mul, self.columns[a], self.columns[b]))
        return value

    # The columns are few and their products are kept, so normal equations are the cheapest way;
    # centring and the test for dependence keep them well conditioned.
    def fit(self, terms: Sequence[str]) -> tuple[Fit, list[float]] | None:
        """Least squares with the given terms, time last; None when a term has no positive share.

        Returns the coefficients too, in the order of the terms and then the slope.
        """
        names = (*terms, "time")
        size = len(names)
        lower: list[list[float]] = []
        half: list[float] = []  # L⁻¹ Xᵀy
        for i, name in enumerate(names):
            row: list[float] = []
            for j in range(i):
                value = self.product(name, names[j])
                for k in range(j):
                    value -= row[k] * lower[j][k]
                row.append(value / lower[j][j])
            whole = self.product(name, name)
            pivot = whole - sum(map(mul, row, row))
            if pivot <= _DEPENDENT * whole or pivot <= 0:
                return None
            row.append(math.sqrt(pivot))
            lower.append(row)
            rest = self.product(name, "floor") - sum(map(mul, row, half))
            half.append(rest / row[i])
        beta = half[:]
        for i in range(size - 1, -1, -1):
            for k in range(i + 1, size):
                beta[i] -= lower[k][i] * beta[k]
            beta[i] /= lower[i][i]
        if any(share <= 0 for share in beta[:-1]):
            return None
        if "logarithm" in terms and beta[-2] > _STEEPEST_LOGARITHM_MB:
            return None
        squares = max(self.product("floor", "floor") - sum(map(mul, half, half)), 0.0)
        squares += self.count * _RESOLUTION_MB**2
        bic = self.count * math.log(squares / self.count) + (size + 1) * math.log(self.count)
        freedom = max(self.count - size - 1, 1)
        residual = math.sqrt(squares / freedom)
        fit = Fit(beta[-1], residual / lower[-1][-1], bic, tuple(terms))
        return fit, beta

    def clip(self, fit: Fit, beta: Sequence[float]) -> bool:
        """Lower the floors that stand out above a fit: peaks that did not come down in time."""
        rest = self.residuals(fit, beta)
        ordered = sorted(rest)
        middle = ordered[len(ordered) // 2]
        spread = 1.4826 * sorted(abs(value - middle) for value in rest)[len(rest) // 2]
        most = middle + _CLIP * max(spread, _RESOLUTION_MB)
        if ordered[-1] <= most:
            return False
        floor = self.columns["floor"]
        self.columns["floor"] = _centred(
            [value - max(r - most, 0.0) for value, r in zip(floor, rest, strict=True)]
        )
        self._products = {
            names: value for names, value in self._products.items() if "floor" not in names
        }
        return True

    def residuals(self, fit: Fit, beta: Sequence[float]) -> list[float]:
        """Return what a fit leaves."""
        rest = list(self.columns["floor"])
        for name, share in zip((*fit.terms, "time"), beta, strict=True):
            rest = [value - share * x for value, x in zip(rest, self.columns[name], strict=True)]
        return rest

    def inflation(self, fit: Fit, beta: Sequence[float]) -> float:
        """How much wider errors are since neighbouring residuals resemble each other."""
        rest = self.residuals(fit, beta)
        squares = sum(map(mul, rest, rest)) + self.count * _RESOLUTION_MB**2
        lag = sum(a * b for a, b in pairwise(rest)) / squares
        lag = min(max(lag + 2 / self.count, 0.0), 0.9)
        return math.sqrt((1 + lag) / (1 - lag))


def admissible_fits(floors: Floors) -> list[Fit]:
    """Every shape nearly as good as the best one, with honest errors; the best first."""
    design = Design(floors)
    found = _all_shapes(design)
    if found and design.clip(*min(found, key=_bic)):
        found = _all_shapes(design)
    if not found:
        return []
    found.sort(key=_bic)
    # Residuals that resemble their neighbours are fewer than they look, and tell shapes apart less.
    alike = min(design.inflation(*found[0]) ** 2, _MOST_ALIKE)
    most = found[0][0].bic + _NEAR_BIC * alike
    return [
        replace(fit, error=fit.error * design.inflation(fit, beta))
        for fit, beta in found
        if fit.bic <= most
    ]


def straight_line(floors: Floors) -> Fit:
    """Return the growth as a whole, by time alone, its error widened for correlated residuals.

    The residuals of a line are less alike than the errors themselves, by about (2 + 4ρ)/n, which
    is put right here. What bends makes neighbours alike too, and so widens the error.
    """
    design = Design(floors)
    result = design.fit(())
    assert result is not None  # noqa: S101 - for the type checker: time alone always fits
    fit, beta = result
    rest = design.residuals(fit, beta)
    count = design.count
    squares = sum(map(mul, rest, rest)) + count * _RESOLUTION_MB**2
    lag = sum(a * b for a, b in pairwise(rest)) / squares
    alike = min(max((count * lag + 2) / (count - 4), 0.0), _MOST_CORRELATED)
    return replace(fit, error=fit.error * math.sqrt((1 + alike) / (1 - alike)))


def _bic(found: tuple[Fit, list[float]]) -> float:
    return found[0].bic


def _all_shapes(design: Design) -> list[tuple[Fit, list[float]]]:
    found: list[tuple[Fit, list[float]]] = []
    for transient in (None, *design.transients):
        found.extend(_with_loads(design, () if transient is None else (transient,)))
    return found


def _with_loads(design: Design, base: tuple[str, ...]) -> Iterator[tuple[Fit, list[float]]]:
    plain = design.fit(base)
    if plain is not None:
        yield plain
    if "rate" not in design.columns:
        return
    bar = plain[0].bic - _LOAD_GAIN if plain is not None else math.inf
    for loads in (("rate",), ("peak rate",), ("rate", "peak rate")):
        result = design.fit((*loads, *base))
        if result is not None and result[0].bic < bar:
            yield result


def _centred(values: Sequence[float]) -> list[float]:
    mean = sum(values) / len(values)
    return [value - mean for value in values]
