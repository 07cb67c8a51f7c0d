"""How well a law predicts rows it has not seen, one left out at a time; where rows follow one another, one run."""

from __future__ import annotations

import importlib
import warnings as warnings_module
from dataclasses import dataclass
from typing import Any

import numpy as np

from bayescale.answers.scores.predictive import log_joint, log_mean_exp, pointwise_log_likelihood, without
from bayescale.errors import DataError
from bayescale.posterior.diagnostics import ess_mean
from bayescale.posterior.importance import K_HAT_LIMIT
from bayescale.posterior.posterior import Posterior

REFITS = 10


@dataclass(frozen=True, eq=False)
class Loo:
    """Expected log predictive density of new rows, leaving one out at a time; or of new runs, leaving out one.

    Attributes
    ----------
    elpd, se : float
        Sum over what is left out and its standard error, in nats, on the metric's own scale.
    pointwise : ndarray, shape (unit,)
        Log predictive density of each row, or of all rows of each run together.
    k_hat : ndarray, shape (unit,)
        Pareto k-hat of each one's importance weights.
    refitted : ndarray of bool, shape (unit,)
        Whose value is exact: from a posterior sampled without it.
    effective : float
        Effective number of constants: log likelihood of the rows, seen, above `elpd`.
    warnings : tuple of str
    unit : str
        What is left out: 'row' or 'run'.
    """

    elpd: float
    se: float
    pointwise: np.ndarray
    k_hat: np.ndarray
    refitted: np.ndarray
    effective: float
    warnings: tuple[str, ...]
    unit: str = "row"

    def __repr__(self) -> str:
        units = f"{len(self.pointwise)} {self.unit}s ({self.refitted.sum()} refitted)"
        text = f"elpd_loo {self.elpd:.1f} +- {self.se:.1f} over {units}, {self.effective:.1f} effective constants"
        return "\n".join([text, *(f"  - {w}" for w in self.warnings)])


def loo(fit: Posterior, *, refits: int = REFITS, runs: np.ndarray | None = None) -> Loo:
    """Leave-one-out cross-validation by Pareto-smoothed importance sampling, refitting where that fails.

    Vehtari, Gelman & Gabry 2017 (arXiv:1507.04544) through ArviZ. What has a k-hat above 0.7 gets its value from a
    posterior that is sampled without it, at most `refits` times, the worst first. A row that follows another along its
    run is not left out by leaving its term out, so that of such a likelihood whole runs are left out.

    Parameters
    ----------
    fit : Posterior
    refits : int
        How many rows or runs may be left out by fitting again, at about the time of a fit each.
    runs : ndarray, shape (row,), optional
        Names of the runs, to leave whole runs out whatever the likelihood.

    Raises
    ------
    DataError
        Whole runs are left out, and there is only one.
    """
    rows = fit.runs.rows
    runs = fit.runs.run if runs is None and fit.likelihood.along_runs else runs
    unit, labels, code = "row", fit.runs.labels.astype(str), np.arange(rows)
    if runs is not None:
        unit, (labels, code) = "run", np.unique(runs.astype(str), return_inverse=True)
    if len(labels) < 2:
        raise DataError(f"{fit.runs.source}: leaving one run out needs two; all rows are of run {labels[0]}")
    of_rows = pointwise_log_likelihood(fit)
    values = of_rows if unit == "row" else of_rows @ np.eye(len(labels))[code]
    pointwise, k_hat = _by_importance(fit, values)
    refitted = np.zeros(len(labels), bool)
    warnings: list[str] = []
    bad = [int(i) for i in np.argsort(-k_hat) if not k_hat[i] <= K_HAT_LIMIT]
    for i in bad[:refits]:
        keep = code != i
        again = without(fit, keep, fit.padded, seed=fit.seed + 1 + i)
        if again.failures:
            warnings.append(f"the posterior without {unit} {labels[i]} did not converge ({again.failures[0]})")
            continue
        pointwise[i] = log_mean_exp(log_joint(fit, again, fit.padded, keep).ravel())
        refitted[i] = True
    left = [i for i in bad if not refitted[i]]
    if left:
        some = ", ".join(labels[i] for i in left[:5])
        warnings.append(
            f"{len(left)} {unit}s have a Pareto k-hat above {K_HAT_LIMIT} and were not refitted ({unit}s {some}"
            f"{', ...' if len(left) > 5 else ''}): their share of elpd_loo is unreliable; refits={len(bad)} refits them"
        )
    if unit == "row" and fit.runs.run is not None and len(np.unique(fit.runs.run)) < rows:
        warnings.append(
            f"{rows} rows come from {len(np.unique(fit.runs.run))} runs: a row left out has its run's other rows to "
            "lean on, so elpd_loo flatters laws that follow single runs"
        )
    seen = log_mean_exp(values.reshape(-1, len(labels)))
    return Loo(
        float(pointwise.sum()),
        se_of_sum(pointwise),
        pointwise,
        k_hat,
        refitted,
        float((seen - pointwise).sum()),
        tuple(warnings),
        unit,
    )


def se_of_sum(pointwise: np.ndarray) -> float:
    """Standard error of the sum of independent values, shape (n,); NaN of one."""
    return float(np.sqrt(len(pointwise)) * pointwise.std(ddof=1)) if len(pointwise) > 1 else float("nan")


def _by_importance(fit: Posterior, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """elpd and k-hat of each unit, from log likelihoods of shape (chain, draw, unit)."""
    import xarray

    arviz_stats: Any = importlib.import_module("arviz_stats")
    chains, draws, units = values.shape
    axes = {"chain": np.arange(chains), "draw": np.arange(draws)}
    tree = xarray.DataTree.from_dict(
        {
            "posterior": xarray.Dataset({"z": (("chain", "draw", "site"), fit.samples.z)}, coords=axes),
            "log_likelihood": xarray.Dataset(
                {fit.law.metric: (("chain", "draw", "unit"), values)}, coords={**axes, "unit": np.arange(units)}
            ),
        }
    )
    reff = float(np.mean([min(ess_mean(x), x.size) for x in fit.constants.values()]) / (chains * draws))
    with warnings_module.catch_warnings():
        warnings_module.simplefilter("ignore")  # of high k-hat, which the caller deals with
        found = arviz_stats.loo(tree, pointwise=True, reff=reff)
    return np.array(found.elpd_i, dtype=float).ravel(), np.array(found.pareto_k, dtype=float).ravel()
