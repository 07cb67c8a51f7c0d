"""What a plot is of: a fit, or a comparison averaged over its laws, asked the same questions."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from bayescale import intervals
from bayescale.answers.predict import evaluate_draws
from bayescale.errors import NotConverged, UsageError
from bayescale.fit import Fit
from bayescale.law import AnyLaw
from bayescale.law.fields import UNSEEN
from bayescale.law.groups import groups_asked
from bayescale.law.labels import coded, new_effect
from bayescale.plot import style
from bayescale.plot.kinds import has_allocation, refused
from bayescale.runs import Observations
from bayescale.runs.inputs import checked_inputs
from bayescale.studies.compare import Comparison
from bayescale.studies.compare.average import Columns, mixture
from bayescale.studies.downstream import Downstream

Plotted: TypeAlias = Fit | Comparison
"""What most plots are of."""

Weights: TypeAlias = str | Mapping[str, float]
"""What a comparison is averaged by; see `Comparison.weights`."""

Group: TypeAlias = dict[str, str]
"""A group by the names of its columns."""

Allocation = dict[str, dict[str, np.ndarray]]
"""Quantity -> median, mean, sd, low, high, shape (budget,) each."""


@dataclass(frozen=True, eq=False)
class Subject:
    """A fit or a comparison.

    Attributes
    ----------
    found : Fit or Comparison
    average : dict
        What a comparison's predictions are averaged by; empty for a fit.
    law : Law
        The fit's, or one of the comparison's (all have its inputs and metric).
    runs : Observations
    name : str
        The law's name, or 'average of n laws'.
    fits : tuple of Fit
        The fit, or those of the laws that count.
    shares : tuple of float
        Their weights.
    columns : Columns
        By which any of them is pooled.
    groups : tuple of Group
        Those that are asked for; of fits without groups one that names none.
    """

    found: Plotted
    average: dict[str, Any]
    law: AnyLaw
    runs: Observations
    name: str
    fits: tuple[Fit, ...]
    shares: tuple[float, ...]
    columns: Columns
    groups: tuple[Group, ...]

    def predict(
        self, points: Mapping[str, Any], interval: float, group: Group | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """The mean curve's and a new run's estimates at points: median, mean, sd, low, high, shape (point,) each.

        Of a group; without one, of the first. A draw's scatter is the same at every point, so that a new run's interval
        is as smooth as the curve's.
        """
        intervals.checked_interval(interval)
        arrays = {n: np.ascontiguousarray(x) for n, x in self._broadcast(points).items()}
        means = [evaluate_draws(f, f.law.metric, self.in_group(f, arrays, group)) for f in self.fits]
        known = [c for c, x in (self.groups[0] if group is None else group).items() if x != UNSEEN]
        scatters = [_scatter(f, known) for f in self.fits]
        both = (means, [m * s for m, s in zip(means, scatters, strict=True)])
        moments = all(f.likelihood.has_moments(f.constants) for f in self.fits)
        curve, new_run = (
            mixture(draws, list(self.shares), interval, moments=there)
            if self.average
            else intervals.summarise(draws[0], interval, moments=there)
            for draws, there in zip(both, (True, moments), strict=True)
        )
        return curve, new_run

    def _broadcast(self, points: Mapping[str, Any]) -> dict[str, np.ndarray]:
        checked = checked_inputs(self.law.name, self.law.inputs, points)
        return dict(zip(checked, (np.ravel(x) for x in np.broadcast_arrays(*checked.values())), strict=True))

    def in_group(self, fit: Fit, arrays: dict[str, np.ndarray], group: Group | None) -> dict[str, np.ndarray]:
        """Points with the codes that a fit has for a group, the first of those asked for if None."""
        names = self.groups[0] if group is None else group
        _, codes = coded(fit.law, {c: x for c, x in names.items() if c in fit.law.columns})
        count = len(next(iter(arrays.values())))
        return arrays | {c: np.full(count, x.item()) for c, x in codes.items()}

    def rows(self, group: Group) -> np.ndarray:
        """Which of the runs are a group's, shape (row,)."""
        found = np.full(self.runs.rows, True)
        for fit in self.fits:
            _, codes = coded(fit.law, {c: x for c, x in group.items() if c in fit.law.columns})
            for column, code in codes.items():
                found &= fit.runs.inputs[column] == code
        return found

    def colours(self) -> Iterator[tuple[Group, str, str, np.ndarray]]:
        """Each group with its name, its colour and which of the runs are its own."""
        for group, color in zip(self.groups, style.of_groups(len(self.groups)), strict=True):
            yield group, group_text(group), color, self.rows(group)

    @property
    def title(self) -> str:
        """The law's name, with the group where there is one."""
        if len(self.groups) > 1 or not self.groups[0]:
            return self.name
        return f"{self.law.law.name if len(self.fits) == 1 else self.name}, {_named(self.groups[0])}"

    def allocate(
        self, C: np.ndarray, fixed: Mapping[str, float], interval: float, group: Group | None = None
    ) -> Allocation:
        """Estimates at the compute-optimal split of budgets, by quantity, one row a budget.

        `fixed` is as in `further`, the group as in `predict`.
        """
        names = self.groups[0] if group is None else group
        table = _quiet(self.found.allocate, C, interval=interval, **fixed, **names, **self.average)
        return {
            str(q): {c: part[c].to_numpy(float) for c in intervals.COLUMNS} for q, part in table.groupby("quantity")
        }

    def further(self, among: tuple[str, ...], held: Mapping[str, Any]) -> dict[str, float]:
        """One value of each of some inputs: the one that is held, or the geometric mean of the runs'.

        Raises
        ------
        UsageError
            Several values are held, or of an input that is not among them.
        """
        for name, value in held.items():
            if name not in among:
                allowed = f"; give {' or '.join(among)}" if among else ""
                raise UsageError(f"{name} cannot be held in this plot of {self.name}{allowed}")
            if np.size(checked_inputs(self.law.name, (name,), {name: value})[name]) != 1:
                raise UsageError(f"give one value of {name} for this plot, not {np.size(value)}")
        return {n: float(np.ravel(held[n])[0]) if n in held else middle(self.runs.inputs[n]) for n in among}

    def held(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """What is held besides groups."""
        return {n: x for n, x in given.items() if n not in self.columns.columns}

    def compute(self) -> np.ndarray:
        """What every row cost, FLOPs."""
        return np.asarray(self.runs.cost.flops(self.runs.inputs["N"], self.runs.inputs["D"]))


def group_text(group: Group) -> str:
    """A group's name as a legend has it, of several columns one after another."""
    return style.escape(", ".join(group.values()))


def _named(group: Group) -> str:
    return style.escape(", ".join(f"{c} = {x}" for c, x in group.items()))


def subject(found: Plotted, weights: Weights | None = None, held: Mapping[str, Any] | None = None) -> Subject:
    """A fit or a comparison to plot, in the groups held, or all; a fit that has not converged gives a warning.

    Raises
    ------
    UsageError
        It is neither, or weights are given for a fit.
    """
    if isinstance(found, Comparison):
        shares = {n: w for n, w in found.weights(weights or "evidence").items() if w > 0}
        fits = tuple(found.fits[n] for n in shares)
        name = f"average of {len(fits)} laws" if len(fits) > 1 else next(iter(shares))
        average = {"weights": weights or "evidence"}
        return Subject(
            found, average, fits[0].law, fits[0].runs, name, fits, tuple(shares.values()), *_groups(fits, held)
        )
    fit = checked(found)
    if weights is not None:
        raise UsageError("weights average over the laws of a comparison; this is a fit of one law")
    return Subject(fit, {}, fit.law, fit.runs, fit.law.name, (fit,), (1.0,), *_groups((fit,), held))


def _groups(fits: tuple[Fit, ...], held: Mapping[str, Any] | None) -> tuple[Columns, tuple[Group, ...]]:
    columns = Columns.of(fits)
    named = {n: x for n, x in (held or {}).items() if n in columns.columns}
    return columns, tuple(groups_asked(columns, columns.asked, named))


def checked(fit: Plotted | Downstream, *, unconverged: bool = False) -> Fit:
    """A fit to plot; one that has not converged gives a warning, unless the plot is to show just that."""
    if isinstance(fit, Comparison | Downstream):
        what = "comparison" if isinstance(fit, Comparison) else "downstream"
        raise UsageError(
            f"this plot is of one law: give one of the {what}'s fits, {', '.join(fit.fits)} "
            f"({what}.fits[name]; at the command line --of)"
        )
    if not isinstance(fit, Fit):
        raise UsageError(f"a plot is of a fit, not of {type(fit).__name__}")
    if not fit.converged and not unconverged:
        message = f"this fit of {fit.law.name} has not converged and its plot is no answer: {'; '.join(fit.failures)}"
        warnings.warn(message, NotConverged, stacklevel=4)
    return fit


def require_split(of: Subject, kind: str) -> tuple[str, ...]:
    """The law's inputs besides N and D; refuses a law by which compute does not split between these."""
    for law in (f.law for f in of.fits):
        if not has_allocation(law):
            raise refused(
                law,
                f"{kind} needs a law of the loss in N and D; {law.name} predicts {law.metric} "
                f"from {', '.join(law.inputs)}",
            )
    return tuple(n for n in of.law.inputs if n not in ("N", "D"))


def _scatter(fit: Fit, known: Collection[str]) -> np.ndarray:
    """One run's scatter at every draw, as a factor on the mean curve of a group known by columns, shape (draw, 1)."""
    constants = fit.thinned()
    draws = len(next(iter(constants.values())))
    keys = np.random.default_rng((fit.seed, 4)).integers(0, 2**32, (draws, 2), dtype=np.uint32)
    ones = np.ones((draws, 1)) * np.reshape(new_effect(fit.law, constants, known), (-1, 1))
    return np.asarray(fit.target.new_run(constants, ones, keys))


def middle(values: np.ndarray) -> float:
    """The geometric mean, or the mean where values are not all positive."""
    return float(np.exp(np.log(values).mean())) if (values > 0).all() else float(values.mean())


def _quiet(question: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """An answer without the warning that `checked` gave already."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotConverged)
        return question(*arguments, **options)
