"""How well a law extrapolates: the rows of the largest budgets, predicted from the others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from bayescale.answers.scores.predictive import log_joint, log_marginals, log_mean_exp, without
from bayescale.errors import DataError
from bayescale.posterior.data import centre_of
from bayescale.posterior.diagnostics import ess_mean, pareto_k
from bayescale.posterior.importance import K_HAT_LIMIT
from bayescale.posterior.posterior import Posterior

HELD_OUT = 0.2
"""Share of the rows, those of the largest budgets, that are held out to score extrapolation."""


@dataclass(frozen=True, eq=False)
class Holdout:
    """Log predictive density of the rows of the largest budgets, given the others.

    Attributes
    ----------
    elpd : float
        Of the held-out rows together, in nats on the metric's own scale: what extrapolation gets wrong it gets wrong in
        all of them. The difference of two laws' is the log Bayes factor of the held-out rows, once the others are seen.
        NaN where the rest cannot determine the law.
    se : float
        Its Monte Carlo standard error. It says nothing of how the held-out rows might have come out: they are one
        future, not many independent ones.
    k_hat : float
        Pareto k-hat of the draws' joint densities, of which `elpd` is the log mean.
    pointwise : ndarray, shape (held-out row,)
        Log predictive density of each row by itself.
    held_out : ndarray of bool, shape (row,)
    warnings : tuple of str
    """

    elpd: float
    se: float
    k_hat: float
    pointwise: np.ndarray
    held_out: np.ndarray
    warnings: tuple[str, ...]

    def __repr__(self) -> str:
        rows = f"{self.held_out.sum()} of {len(self.held_out)} rows"
        text = f"elpd_holdout {self.elpd:.1f} +- {self.se:.1f} of {rows}, those of the largest budgets, together"
        return "\n".join([text, *(f"  - {w}" for w in self.warnings)])


def holdout(fit: Posterior, *, share: float = HELD_OUT, seed: int | None = None) -> Holdout:
    """Hold out the rows of the largest budgets, fit the others, and score new runs at the held-out ones.

    It is one split into past and future, not the many of leave-future-out cross-validation (Buerkner, Gabry & Vehtari
    2020). Priors are stated at the centre of the rows that are trained on, as they would have been then, unless the fit
    was given a centre: then there.

    Parameters
    ----------
    fit : Posterior
    share : float
        Of the rows, to hold out; the cut falls between two budgets.
    seed : int, optional
        Of the second fit.

    Raises
    ------
    DataError
        All rows have one budget.
    """
    budget, name = budgets(fit)
    held_out = largest(budget, share)
    train = {n: fit.runs.inputs[n][~held_out] for n in fit.law.inputs}
    points = len(pd.DataFrame(train).drop_duplicates())
    need = len(fit.law.free)
    if held_out.all() or points < need + 1:
        why = f"without its largest {name} the table has {points} points, too few for {need} constants"
        return no_holdout(held_out, why)
    data = fit.padded
    if not fit.centre_given:
        data = data._replace(centre=centre_of(train, fit.law.metric, fit.runs.observed[~held_out]))
    again = without(fit, ~held_out, data, seed=fit.seed + 1 if seed is None else seed)
    if again.failures:
        return no_holdout(held_out, *(f"trained on the smaller {name}: {f}" for f in again.failures))
    joint = log_joint(fit, again, data, ~held_out)
    density = np.exp(joint - joint.max())
    effective = min(ess_mean(density), float(density.size))
    k_hat = pareto_k(joint.ravel())
    warnings: tuple[str, ...] = ()
    if not k_hat < K_HAT_LIMIT:
        warnings = (f"its density of the largest {name} rests on few draws (Pareto k-hat {k_hat:.2f}) and is rough",)
    return Holdout(
        float(log_mean_exp(joint.ravel())),
        float(density.std() / density.mean() / np.sqrt(effective)),
        k_hat,
        log_marginals(fit, again, data, ~held_out),
        held_out,
        warnings,
    )


def no_holdout(held_out: np.ndarray, *why: str) -> Holdout:
    """A hold-out without a score."""
    nan = float("nan")
    return Holdout(nan, nan, nan, np.full(int(held_out.sum()), nan), held_out, why)


def budgets(fit: Posterior) -> tuple[np.ndarray, str]:
    """What each row cost, as far as the law's inputs tell, shape (row,), and what that is called."""
    inputs = fit.runs.inputs
    if "C" in inputs:
        return inputs["C"], "C"
    if {"N", "D"} <= set(inputs):
        return fit.runs.cost.flops(inputs["N"], inputs["D"]), "compute"
    if {"N", "S"} <= set(inputs):  # at one batch size, compute but for a factor
        return inputs["N"] * inputs["S"], "compute"
    for name in ("N", "D", "S"):
        if name in inputs:
            return inputs[name], name
    name = next(iter(inputs))
    return inputs[name], name


def largest(budget: np.ndarray, share: float = HELD_OUT) -> np.ndarray:
    """The rows of the largest budgets, about `share` of all; rows of one budget stay together.

    Budgets that differ by less than 5 % are one, as tables round them or read them off a figure, unless that
    would hold out more than three times the share.

    Raises
    ------
    DataError
        All rows have one budget.
    """
    order = np.argsort(budget)
    ordered = np.log(budget[order])
    for gap in (0.05, 0.0):
        cuts = np.flatnonzero(np.diff(ordered) > gap) + 1
        shares = 1 - cuts / len(budget)
        if len(cuts) and (gap == 0 or shares.min() <= 3 * share):
            break
    else:
        raise DataError(f"every row has the same budget ({budget[0]:.3g}): none can be held out as the largest")
    cut = cuts[np.argmin(np.abs(shares - share))]
    held_out = np.zeros(len(budget), bool)
    held_out[order[cut:]] = True
    return held_out
