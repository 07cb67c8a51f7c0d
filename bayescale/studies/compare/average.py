"""Predictions and allocations averaged over laws; uncertainty within laws and between them told apart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Unpack

import numpy as np
import pandas as pd

from bayescale import intervals
from bayescale.answers.allocate import Asked, out_of_reach
from bayescale.answers.optimum import Terms
from bayescale.answers.predict import decades_beyond, predict_draws
from bayescale.errors import DataError, UsageError, did_you_mean
from bayescale.studies.compare.compared import Compared

RULES = {"evidence": "probability", "stacking": "weight", "lfo": "weight_lfo", "equal": ""}
"""Rules of averaging and the column of a comparison's table that holds their weights."""

NEGLIGIBLE = 1e-4
"""Laws of less weight than this are left out of an average."""


def law_weights(comparison: Compared, rule: str | Mapping[str, float]) -> dict[str, float]:
    """The weights of an average, summing to one, of the laws that matter.

    Parameters
    ----------
    comparison : Compared
    rule : {'evidence', 'stacking', 'lfo', 'equal'} or mapping
        Posterior model probabilities; stacking of leave-one-out densities (Yao et al. 2018, arXiv:1704.02030);
        stacking of the densities of the largest budgets given the others; the same weight for every law that
        converged; or weights by law.

    Raises
    ------
    UsageError
        There is no such rule or law, or the weights are no weights.
    DataError
        No law has a weight by this rule.
    """
    table = comparison.table
    if isinstance(rule, str):
        if rule not in RULES:
            hint = did_you_mean(rule, RULES)
            raise UsageError(f"there is no rule {rule!r} to average by{hint}; there are: {', '.join(RULES)}")
        usable = table.index[table["converged"].astype(bool)]
        found = {n: 1.0 if rule == "equal" else float(table.loc[n, RULES[rule]]) for n in usable}
    else:
        for name, value in rule.items():
            if name not in comparison.fits:
                hint = did_you_mean(name, comparison.fits)
                raise UsageError(f"the comparison has no law {name!r}{hint}; it has {', '.join(comparison.fits)}")
            if not comparison.fits[name].converged and value:
                raise DataError(f"{name} has not converged and cannot be averaged over; give it no weight")
            if not (np.isfinite(value) and value >= 0):
                raise UsageError(f"the weight of {name} must be a number from 0 up, not {value}")
        found = {n: float(v) for n, v in rule.items()}
    found = {n: v for n, v in found.items() if np.isfinite(v)}
    total = sum(found.values())
    if not total > 0:
        raise DataError(f"no law of the comparison has a weight by {rule!r}; its warnings say why (try 'equal')")
    kept = {n: v / total for n, v in found.items() if v / total > NEGLIGIBLE}
    return {n: v / sum(kept.values()) for n, v in kept.items()}


def predict(
    comparison: Compared,
    runs: Any = None,
    *,
    weights: str | Mapping[str, float] = "evidence",
    interval: float = intervals.INTERVAL,
    **inputs: Any,
) -> pd.DataFrame:
    """Predictions averaged over laws: the mixture of their posteriors.

    Parameters
    ----------
    comparison : Compared
    runs, interval, **inputs
        As for `bayescale.answers.predict.predict`.
    weights : {'evidence', 'stacking', 'lfo', 'equal'} or mapping
        See `law_weights`.

    Returns
    -------
    DataFrame
        As `bayescale.answers.predict` gives it, and two columns: sd_within, the root of the mean variance within
        laws, and sd_between, the sd of the laws' means; their squares add up to the variance.
    """
    intervals.checked_interval(interval)
    shares = law_weights(comparison, weights)
    drawn = [predict_draws(comparison.fits[n], runs, **inputs) for n in shares]
    fit = comparison.fits[next(iter(shares))]
    points = {n: drawn[0][n].to_numpy() for n in fit.law.inputs}
    beyond = decades_beyond(fit, points)
    place = pd.DataFrame({**points, "point": np.arange(len(next(iter(points.values()))))})
    both = []
    for name in ("mean_curve", "new_run"):
        draws = [d[name].to_numpy() for d in drawn]
        mixed = mixture(draws, list(shares.values()), interval, heavy_tails=name == "new_run")
        both.append(place.assign(quantity=name, **mixed, **beyond))
    table = pd.concat(both).sort_values(["point", "quantity"], kind="stable")
    return table[[*points, "quantity", *intervals.COLUMNS, "sd_within", "sd_between", *beyond]].reset_index(drop=True)


def allocate(
    comparison: Compared,
    C: Any = None,
    *,
    loss: Any = None,
    N: Any = None,
    weights: str | Mapping[str, float] = "evidence",
    interval: float = intervals.INTERVAL,
    **terms: Unpack[Terms],
) -> pd.DataFrame:
    """Compute-optimal allocations averaged over laws.

    Parameters
    ----------
    comparison : Compared
        Of laws of N and D.
    C, loss, N, **terms
        As for `bayescale.answers.allocate.allocate`.
    weights, interval
        As for `predict`.

    Returns
    -------
    DataFrame
        As `bayescale.answers.allocate` gives it, with sd_within and sd_between. For target losses the average is
        over the draws, of all laws, that reach them.
    """
    intervals.checked_interval(interval)
    shares = law_weights(comparison, weights)
    asked = Asked.checked(C, loss, N)
    by_law = [list(asked.points(comparison.fits[n], terms, reachable=False)) for n in shares]
    rows = []
    for drawn in zip(*by_law, strict=True):
        reached = np.array([1.0 if d.probability is None else d.probability for d in drawn])
        mass = reached * np.array(list(shares.values()))
        if not mass.any():
            raise DataError(out_of_reach(drawn[0].place["target_loss"]))
        there = [(d, w) for d, w in zip(drawn, mass / mass.sum(), strict=True) if w > 0]
        summary = mixture([d.column for d, _ in there], [w for _, w in there], interval)
        both = drawn[0] if drawn[0].probability is None else replace(drawn[0], probability=float(mass.sum()))
        rows.append(both.row(summary))
    return pd.DataFrame(rows)


def mixture(
    draws: list[np.ndarray], weights: list[float], interval: float = intervals.INTERVAL, *, heavy_tails: bool = False
) -> dict[str, np.ndarray]:
    """Median, mean, sd and equal-tailed interval of a mixture of posteriors, and its variance in two parts.

    Parameters
    ----------
    draws : list of ndarray, shape (draw, point) each
        Draws of each component; components may differ in how many.
    weights : list of float
        Summing to one.
    interval : float
    heavy_tails : bool
        Take moments after clipping each component's outer 0.1 % at either side, as `intervals.summarise` does.

    Returns
    -------
    dict
        'median', 'mean', 'sd', 'low', 'high', 'sd_within', 'sd_between', each of shape (point,).
    """
    tail = (1 - interval) / 2
    w = np.asarray(weights)
    moments = [intervals.summarise(x, interval, heavy_tails=heavy_tails) for x in draws]
    means, variances = np.array([m["mean"] for m in moments]), np.array([m["sd"] ** 2 for m in moments])
    mean = w @ means
    within, between = w @ variances, w @ (means - mean) ** 2
    joined = np.concatenate(draws)
    of_draw = np.concatenate([np.full(len(x), share / len(x)) for x, share in zip(draws, w, strict=True)])
    low, median, high = np.array(list(_quantiles(joined, of_draw, (tail, 0.5, 1 - tail)))).T
    return {
        "median": median,
        "mean": mean,
        "sd": np.sqrt(within + between),
        "low": low,
        "high": high,
        "sd_within": np.sqrt(within),
        "sd_between": np.sqrt(between),
    }


def _quantiles(values: np.ndarray, weights: np.ndarray, probabilities: tuple[float, ...]) -> Iterator[np.ndarray]:
    """Weighted quantiles of each column, a row of `probabilities` for each."""
    for column in values.T:
        order = np.argsort(column)
        middle = np.cumsum(weights[order]) - weights[order] / 2
        yield np.interp(probabilities, middle, column[order])


def stack(pointwise: np.ndarray, iterations: int = 20000, tolerance: float = 1e-10) -> np.ndarray:
    """Stacking weights: the mixture of laws with the greatest summed log predictive density.

    Yao et al. 2018 (arXiv:1704.02030), eq. 4. The objective is concave, and the fixed-point iteration w_k <- w_k
    mean_i(p_ik / sum_j w_j p_ij), which never lowers it, is that of a mixture's shares.

    Parameters
    ----------
    pointwise : ndarray, shape (row, law)
        Log predictive density of every row by every law.

    Returns
    -------
    ndarray, shape (law,)
        Summing to one.
    """
    p = np.exp(pointwise - pointwise.max(axis=1, keepdims=True))
    w = np.full(p.shape[1], 1 / p.shape[1])
    for _ in range(iterations):
        gain = (p / (p @ w)[:, None]).mean(axis=0)
        if gain.max() < 1 + tolerance:
            break
        w = w * gain
    return np.asarray(w / w.sum())
