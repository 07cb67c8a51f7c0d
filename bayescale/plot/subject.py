"""What a plot is of: a fit, or a comparison averaged over its laws, asked the same questions."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from bayescale import intervals
from bayescale.answers.predict import evaluate_draws
from bayescale.errors import NotConverged, UsageError
from bayescale.fit import Fit
from bayescale.law import AnyLaw
from bayescale.law.labels import new_effect
from bayescale.plot.kinds import has_allocation, refused
from bayescale.runs import Observations
from bayescale.runs.inputs import checked_inputs
from bayescale.studies.compare import Comparison
from bayescale.studies.compare.average import mixture
from bayescale.studies.downstream import Downstream

Plotted: TypeAlias = Fit | Comparison
"""What most plots are of."""

Weights: TypeAlias = str | Mapping[str, float]
"""What a comparison is averaged by; see `Comparison.weights`."""

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
    """

    found: Plotted
    average: dict[str, Any]
    law: AnyLaw
    runs: Observations
    name: str
    fits: tuple[Fit, ...]
    shares: tuple[float, ...]

    def predict(self, points: Mapping[str, Any], interval: float) -> tuple[dict[str, Any], dict[str, Any]]:
        """The mean curve's and a new run's estimates at points: median, mean, sd, low, high, shape (point,) each.

        A draw's scatter is the same at every point, so that a new run's interval is as smooth as the curve's.
        """
        intervals.checked_interval(interval)
        arrays = {n: np.ascontiguousarray(x) for n, x in self._broadcast(points).items()}
        means = [evaluate_draws(f, f.law.metric, arrays) for f in self.fits]
        scatters = [_scatter(f) for f in self.fits]
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

    def allocate(self, C: np.ndarray, fixed: Mapping[str, float], interval: float) -> Allocation:
        """Estimates at the compute-optimal split of budgets, by quantity, one row a budget; `fixed` as in `further`."""
        terms = {"fixed": dict(fixed)} if fixed else {}
        table = _quiet(self.found.allocate, C, interval=interval, **terms, **self.average)
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

    def compute(self) -> np.ndarray:
        """What every row cost, FLOPs."""
        return np.asarray(self.runs.cost.flops(self.runs.inputs["N"], self.runs.inputs["D"]))


def subject(found: Plotted, weights: Weights | None = None) -> Subject:
    """A fit or a comparison to plot; a fit that has not converged gives a warning.

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
        return Subject(found, average, fits[0].law, fits[0].runs, name, fits, tuple(shares.values()))
    fit = checked(found)
    if weights is not None:
        raise UsageError("weights average over the laws of a comparison; this is a fit of one law")
    return Subject(fit, {}, fit.law, fit.runs, fit.law.name, (fit,), (1.0,))


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


def _scatter(fit: Fit) -> np.ndarray:
    """One run's scatter at every draw, as a factor on the mean curve, shape (draw, 1)."""
    constants = fit.thinned()
    draws = len(next(iter(constants.values())))
    keys = np.random.default_rng((fit.seed, 4)).integers(0, 2**32, (draws, 2), dtype=np.uint32)
    ones = np.ones((draws, 1)) * np.reshape(new_effect(fit.law, constants), (-1, 1))
    return np.asarray(fit.target.new_run(constants, ones, keys))


def middle(values: np.ndarray) -> float:
    """The geometric mean, or the mean where values are not all positive."""
    return float(np.exp(np.log(values).mean())) if (values > 0).all() else float(values.mean())


def _quiet(question: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """An answer without the warning that `checked` gave already."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotConverged)
        return question(*arguments, **options)
