"""Predictions and allocations averaged over laws; uncertainty within laws and between them told apart."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from bayescale import intervals
from bayescale.answers.allocate import Asked, Drawn, beyond_data, out_of_reach
from bayescale.answers.needed import single_input
from bayescale.answers.predict import decades_beyond, points_named, predict_draws, together
from bayescale.arrays import Numbers
from bayescale.errors import DataError, UsageError, did_you_mean
from bayescale.fit import Fit
from bayescale.law.groups import asked_about, groups_asked, in_every_group
from bayescale.law.labels import coded, groups_of, labelled
from bayescale.posterior.posterior import Posterior
from bayescale.runs import Source, read_runs
from bayescale.studies.compare.compared import Compared

RULES = {"evidence": "probability", "stacking": "weight", "holdout": "weight_holdout", "equal": ""}
"""Rules of averaging and the column of a comparison's table that holds their weights."""

NEGLIGIBLE = 1e-4
"""Laws of less weight than this are left out of an average."""


def law_weights(comparison: Compared, rule: str | Mapping[str, float]) -> dict[str, float]:
    """The weights of an average, summing to one, of the laws that matter.

    Parameters
    ----------
    comparison : Compared
    rule : {'evidence', 'stacking', 'holdout', 'equal'} or mapping
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
    runs: Source | None = None,
    *,
    weights: str | Mapping[str, float] = "evidence",
    interval: float = intervals.INTERVAL,
    **inputs: Numbers,
) -> pd.DataFrame:
    """Predictions averaged over laws: the mixture of their posteriors.

    Parameters
    ----------
    comparison : Compared
    runs, interval, **inputs
        As for `bayescale.answers.predict.predict`, groups by any law's columns among them. Of a group, laws that are
        pooled by its column answer for the group, and the others for all runs.
    weights : {'evidence', 'stacking', 'holdout', 'equal'} or mapping
        See `law_weights`.

    Returns
    -------
    DataFrame
        As `bayescale.answers.predict` gives it, and two columns: sd_within, the root of the mean variance within
        laws, and sd_between, the sd of the laws' means; their squares add up to the variance. All are NaN for new runs
        where a law's have no moments. Columns of groups follow the inputs.
    """
    intervals.checked_interval(interval)
    shares = law_weights(comparison, weights)
    fits = [comparison.fits[n] for n in shares]
    points, groups = _points(fits, runs, inputs)
    own = [points | {n: x for n, x in groups.items() if n in f.law.columns} for f in fits]
    drawn = [predict_draws(f, None, **of_fit) for f, of_fit in zip(fits, own, strict=True)]
    beyond = decades_beyond(fits[0], points)
    place = pd.DataFrame({**points, **groups, "point": np.arange(len(next(iter(points.values()))))})
    moments = all(f.likelihood.has_moments(f.constants) for f in fits)
    both = []
    for name, known in (("mean_curve", True), ("new_run", moments)):
        draws = [d[name].to_numpy() for d in drawn]
        mixed = mixture(draws, list(shares.values()), interval, moments=known)
        both.append(place.assign(quantity=name, **mixed, **beyond))
    table = pd.concat(both).sort_values(["point", "quantity"], kind="stable")
    order = [*points, *groups, "quantity", *intervals.COLUMNS, "sd_within", "sd_between", *beyond]
    return table[order].reset_index(drop=True)


@dataclass(frozen=True)
class Columns:
    """The columns that any of several fits of the same rows is pooled by.

    Attributes
    ----------
    columns : dict
        Column -> its groups' labels.
    asked : dict
        Column -> codes of the rows, of those whose groups each get an answer.
    """

    columns: dict[str, tuple[str, ...]]
    asked: dict[str, np.ndarray]

    @classmethod
    def of(cls, fits: Iterable[Posterior]) -> Columns:
        """Those of fits."""
        found = list(fits)
        columns = {c: labels for f in found for c, labels in f.law.columns.items()}
        return cls(columns, {c: x for f in found for c, x in asked_about(f.law, f.runs.inputs).items()})


def _points(
    fits: list[Fit], runs: Source | None, inputs: dict[str, Any]
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Points of the laws of several fits and names of their groups, as arrays of one length."""
    of = Columns.of(fits)
    table = None if runs is None else read_runs(runs)
    rest = {n: x for n, x in inputs.items() if n not in of.columns}
    named = {n: x for n, x in inputs.items() if n in of.columns} if table is None else groups_of(of, table)
    points = {n: x for n, x in points_named(fits[0], table, rest).items() if n not in of.columns}
    _, codes = coded(of, named, strict=table is None)
    everywhere = in_every_group(together(points | codes), of.asked)
    return {n: everywhere[n] for n in points}, {n: x for n, x in labelled(of, everywhere).items() if n in of.columns}


def allocate(
    comparison: Compared,
    C: Numbers | None = None,
    *,
    loss: Numbers | None = None,
    N: Numbers | None = None,
    weights: str | Mapping[str, float] = "evidence",
    interval: float = intervals.INTERVAL,
    **terms: Numbers,
) -> pd.DataFrame:
    """Compute-optimal allocations averaged over laws.

    Parameters
    ----------
    comparison : Compared
        Of laws of N and D.
    C, loss, N, **terms
        As for `bayescale.answers.allocate.allocate`; of groups, as for `predict`.
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
    fits = [comparison.fits[n] for n in shares]
    of = Columns.of(fits)
    rest = {n: x for n, x in terms.items() if n not in of.columns}
    groups = groups_asked(of, of.asked, {n: x for n, x in terms.items() if n in of.columns})
    by_group = []
    for group in groups:
        known = [{n: x for n, x in group.items() if n in f.law.columns} for f in fits]
        by_law = [asked.points(f, {**rest, **own}) for f, own in zip(fits, known, strict=True)]
        by_group.append(list(zip(*by_law, strict=True)))
    rows: list[dict[str, Any]] = []
    for value, of_point in zip(asked.values, zip(*by_group, strict=True), strict=True):
        found = [
            [_averaged(drawn, group, list(shares.values()), interval) for drawn in zip(*by_law, strict=True)]
            for group, by_law in zip(groups, of_point, strict=True)
        ]
        if not any(row["probability"] for block in found for row in block):
            raise DataError(out_of_reach(value, single_input(fits[0].law)))
        rows += [row | beyond_data(fits[0], block) for block in found for row in block]
    return pd.DataFrame(rows)


def _averaged(drawn: Sequence[Drawn], group: dict[str, str], shares: list[float], interval: float) -> dict[str, Any]:
    """The row of one quantity at one point in one group, over the draws, of all laws, at which the point exists."""
    mass = np.array([d.probability for d in drawn]) * np.array(shares)
    there = [(d.column, w) for d, w in zip(drawn, mass, strict=True) if w > 0] or [(drawn[0].column, 1.0)]
    summary = mixture([x for x, _ in there], [w / sum(w for _, w in there) for _, w in there], interval)
    of_group = replace(drawn[0], place={**drawn[0].place, **group}, probability=min(float(mass.sum()), 1.0))
    return of_group.row(summary)


def mixture(
    draws: list[np.ndarray], weights: list[float], interval: float = intervals.INTERVAL, *, moments: bool = True
) -> dict[str, np.ndarray]:
    """Median, mean, sd and equal-tailed interval of a mixture of posteriors, and its variance in two parts.

    Parameters
    ----------
    draws : list of ndarray, shape (draw, point) each
        Draws of each component; components may differ in how many.
    weights : list of float
        Summing to one.
    interval : float
    moments : bool
        Whether every component has a mean and an sd; where one has none, those of the mixture are NaN.

    Returns
    -------
    dict
        'median', 'mean', 'sd', 'low', 'high', 'sd_within', 'sd_between', each of shape (point,).
    """
    tail = (1 - interval) / 2
    w = np.asarray(weights)
    of_each = [intervals.summarise(x, interval, moments=moments) for x in draws]
    means, variances = np.array([m["mean"] for m in of_each]), np.array([m["sd"] ** 2 for m in of_each])
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
