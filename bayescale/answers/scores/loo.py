"""How well a law predicts rows it has not seen: one left out at a time, the largest budgets from the smaller ones."""

from __future__ import annotations

import importlib
import warnings as warnings_module
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from bayescale.answers.predict import pointwise_log_likelihood
from bayescale.answers.scores.evidence import RIVAL
from bayescale.errors import DataError
from bayescale.law import FLOPS_PER_PARAMETER_TOKEN
from bayescale.posterior.data import Data, centre_of
from bayescale.posterior.diagnostics import ess_mean
from bayescale.posterior.posterior import Posterior
from bayescale.posterior.samples import Effort, Samples
from bayescale.posterior.sampling import sample

K_HAT_LIMIT = 0.7
SE_LIMIT = 0.1
DRAWS, LIMIT = 500, 4000
"""Draws a chain without some rows: enough for a mean of densities, and where sampling stops."""

REFITS = 10
HELD_OUT = 0.2
"""Share of the rows, those of the largest budgets, that are held out to score extrapolation."""


@dataclass(frozen=True, eq=False)
class Loo:
    """Expected log predictive density of new rows, leaving one out at a time.

    Attributes
    ----------
    elpd, se : float
        Sum over rows and its standard error, in nats, on the metric's own scale.
    pointwise : ndarray, shape (row,)
    k_hat : ndarray, shape (row,)
        Pareto k-hat of each row's importance weights.
    refitted : ndarray of bool, shape (row,)
        Rows whose value is exact: from a posterior sampled without them.
    effective : float
        Effective number of constants: log likelihood of the rows, seen, above `elpd`.
    warnings : tuple of str
    """

    elpd: float
    se: float
    pointwise: np.ndarray
    k_hat: np.ndarray
    refitted: np.ndarray
    effective: float
    warnings: tuple[str, ...]

    def __repr__(self) -> str:
        rows = f"{len(self.pointwise)} rows ({self.refitted.sum()} refitted)"
        text = f"elpd_loo {self.elpd:.1f} +- {self.se:.1f} over {rows}, {self.effective:.1f} effective constants"
        return "\n".join([text, *(f"  - {w}" for w in self.warnings)])


@dataclass(frozen=True, eq=False)
class Lfo:
    """Log predictive density of the rows of the largest budgets, given the others.

    Attributes
    ----------
    elpd, se : float
        Sum over the held-out rows and its standard error, in nats; NaN where the rest cannot determine the law.
    pointwise : ndarray, shape (held-out row,)
    held_out : ndarray of bool, shape (row,)
    warnings : tuple of str
    """

    elpd: float
    se: float
    pointwise: np.ndarray
    held_out: np.ndarray
    warnings: tuple[str, ...]


def loo(fit: Posterior, *, refits: int = REFITS) -> Loo:
    """Leave-one-out cross-validation by Pareto-smoothed importance sampling, refitting where that fails.

    Vehtari, Gelman & Gabry 2017 (arXiv:1507.04544) through ArviZ. A row whose k-hat is above 0.7 gets its value from
    a posterior that is sampled without it, at most `refits` rows, the worst first.

    Parameters
    ----------
    fit : Posterior
    refits : int
        How many rows may be refitted, at about the time of a fit each.
    """
    import xarray

    arviz_stats: Any = importlib.import_module("arviz_stats")

    values = pointwise_log_likelihood(fit)
    chains, draws, rows = values.shape
    axes = {"chain": np.arange(chains), "draw": np.arange(draws)}
    tree = xarray.DataTree.from_dict(
        {
            "posterior": xarray.Dataset({"z": (("chain", "draw", "site"), fit.samples.z)}, coords=axes),
            "log_likelihood": xarray.Dataset(
                {fit.law.metric: (("chain", "draw", "run"), values)}, coords={**axes, "run": np.arange(rows)}
            ),
        }
    )
    reff = float(np.mean([min(ess_mean(x), x.size) for x in fit.constants.values()]) / (chains * draws))
    with warnings_module.catch_warnings():
        warnings_module.simplefilter("ignore")  # of high k-hat, which is dealt with below
        found = arviz_stats.loo(tree, pointwise=True, reff=reff)
    pointwise = np.array(found.elpd_i, dtype=float).ravel()
    k_hat = np.array(found.pareto_k, dtype=float).ravel()
    refitted = np.zeros(rows, bool)
    warnings: list[str] = []
    bad = [int(i) for i in np.argsort(-k_hat) if not k_hat[i] <= K_HAT_LIMIT]
    for row in bad[:refits]:
        keep = np.arange(rows) != row
        again = _without(fit, keep, fit.padded, seed=fit.seed + 1 + row)
        if again.failures:
            warnings.append(f"the posterior without row {fit.runs.labels[row]} did not converge ({again.failures[0]})")
            continue
        pointwise[row] = _log_predictive(fit, again, fit.padded, np.array([row]))[0]
        refitted[row] = True
    left = [row for row in bad if not refitted[row]]
    if left:
        labels = ", ".join(str(fit.runs.labels[row]) for row in left[:5])
        warnings.append(
            f"{len(left)} rows have a Pareto k-hat above {K_HAT_LIMIT} and were not refitted (rows {labels}"
            f"{', ...' if len(left) > 5 else ''}): their share of elpd_loo is unreliable; refits={len(bad)} refits them"
        )
    if fit.runs.run is not None and len(np.unique(fit.runs.run)) < rows:
        warnings.append(
            f"{rows} rows come from {len(np.unique(fit.runs.run))} runs: a row left out has its run's other rows to "
            "lean on, so elpd_loo flatters laws that follow single runs"
        )
    seen = _log_mean_exp(values.reshape(-1, rows))
    return Loo(
        float(pointwise.sum()),
        _se_of_sum(pointwise),
        pointwise,
        k_hat,
        refitted,
        float((seen - pointwise).sum()),
        tuple(warnings),
    )


def lfo(fit: Posterior, *, share: float = HELD_OUT, seed: int | None = None) -> Lfo:
    """Leave the future out: train on the smaller budgets, score new runs at the largest.

    Priors are stated at the centre of the rows that are trained on, as they would have been then.

    Parameters
    ----------
    fit : Posterior
    share : float
        Of the rows, to hold out; the cut falls between two budgets.
    seed : int, optional
        Of the second fit.
    """
    budget, name = budgets(fit)
    held_out = largest(budget, share)
    nan = float("nan")
    train = {n: fit.runs.inputs[n][~held_out] for n in fit.law.inputs}
    points = len(pd.DataFrame(train).drop_duplicates())
    need = len(fit.law.free)
    if held_out.all() or points < need + 1:
        why = f"without its largest {name} the table has {points} points, too few for {need} constants"
        return Lfo(nan, nan, np.full(int(held_out.sum()), nan), held_out, (why,))
    data = fit.padded._replace(centre=centre_of(train, fit.law.metric, fit.runs.observed[~held_out]))
    again = _without(fit, ~held_out, data, seed=fit.seed + 1 if seed is None else seed)
    warnings = tuple(f"trained on the smaller {name}: {f}" for f in again.failures)
    pointwise = _log_predictive(fit, again, data, np.flatnonzero(held_out))
    if again.failures:
        return Lfo(nan, nan, np.full(len(pointwise), nan), held_out, warnings)
    return Lfo(float(pointwise.sum()), _se_of_sum(pointwise), pointwise, held_out, warnings)


def budgets(fit: Posterior) -> tuple[np.ndarray, str]:
    """What each row cost, as far as the law's inputs tell, shape (row,), and what that is called."""
    inputs = fit.runs.inputs
    if "C" in inputs:
        return inputs["C"], "C"
    if {"N", "D"} <= set(inputs):
        return FLOPS_PER_PARAMETER_TOKEN * inputs["N"] * inputs["D"], "compute"
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


def _without(fit: Posterior, keep: np.ndarray, data: Data, *, seed: int) -> Samples:
    """Sample the posterior of some of the rows; the others stay in place, masked, so that programs are reused."""
    mask = np.zeros_like(data.mask)
    mask[: len(keep)] = keep
    kept = data._replace(mask=mask)
    quick = sample(fit.target, kept, method="laplace", seed=seed)
    # a mean of densities asks less of the weights than the evidence does, for which the quick mode's own gate is set
    if quick.k_hat < K_HAT_LIMIT and quick.log_evidence_se < SE_LIMIT and not _rivals(quick):
        return replace(quick, failures=())
    if fit.samples.method == "laplace":
        return quick
    return sample(fit.target, kept, method="nuts", seed=seed, effort=Effort(draws=DRAWS, limit=LIMIT))


def _rivals(samples: Samples) -> bool:
    return sum(m.log_evidence > samples.modes[0].log_evidence - RIVAL for m in samples.modes) > 1


def _log_predictive(fit: Posterior, samples: Samples, data: Data, rows: np.ndarray) -> np.ndarray:
    """Log of the mean predictive density of rows over draws, shape (row,)."""
    flat = {n: x.reshape(-1) for n, x in samples.constants.items()}
    total = len(next(iter(flat.values())))
    parts = []
    for start in range(0, total, 1000):
        block = {n: x[start : start + 1000] for n, x in flat.items()}
        parts.append(np.asarray(fit.target.log_likelihood(block, data))[:, rows])
    return _log_mean_exp(np.concatenate(parts))


def _log_mean_exp(values: np.ndarray) -> np.ndarray:
    top = values.max(axis=0)
    return np.asarray(top + np.log(np.mean(np.exp(values - top), axis=0)))


def _se_of_sum(pointwise: np.ndarray) -> float:
    return float(np.sqrt(len(pointwise)) * pointwise.std(ddof=1)) if len(pointwise) > 1 else float("nan")
