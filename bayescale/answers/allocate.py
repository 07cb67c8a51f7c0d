"""Compute-optimal allocation with its uncertainty: how a budget splits between N and D, and what being off costs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bayescale import intervals
from bayescale.answers.needed import needed_input, single_input
from bayescale.answers.optimum import (
    FREE,
    Deployment,
    Term,
    deployment_for,
    least_compute,
    optimum_draws,
    optimum_of_each,
    spent,
)
from bayescale.answers.predict import decades_beyond, evaluate_draws
from bayescale.arrays import Numbers
from bayescale.errors import DataError, UsageError
from bayescale.law.groups import asked_about, groups_asked
from bayescale.posterior.posterior import Posterior
from bayescale.runs.inputs import checked_inputs

if TYPE_CHECKING:
    import xarray


def allocate(
    fit: Posterior,
    C: Numbers | None = None,
    *,
    loss: Numbers | None = None,
    N: Numbers | None = None,
    interval: float = intervals.INTERVAL,
    **terms: Term,
) -> pd.DataFrame:
    """The compute-optimal parameters, tokens and loss of budgets, or the compute that a target loss needs.

    Parameters
    ----------
    fit : Posterior
        Of a law with inputs N and D; for a target also of a law of one input, which is what it then needs.
    C : array_like, optional
        Budgets in FLOPs: C = 6ND, or the fitted table's own count (and 2N a token served, with `inference_tokens`).
    loss : array_like, optional
        Target losses (error rates, where the law was fitted to these), instead of budgets: each draw finds its own
        compute, or its own input of a law of one.
    N : float, optional
        A model size in mind: adds what using it at each budget costs (see `penalty`).
    interval : float
        Mass of the equal-tailed intervals.
    **terms
        What the budget also has to pay for and keep to, and how it is counted: inference_tokens, inference_cost,
        max_N, max_D, cost; see `bayescale.answers.optimum.Terms`. The law's other inputs by name, ``U=1e11``. Of a fit
        with `pool` also groups by name, one or several, ``corpus="c4"``, as for `bayescale.answers.predict.predict`: a
        column that is left out is answered for each of its groups.

    Returns
    -------
    DataFrame
        One row a budget (or target loss), group and quantity; quantities are N, D, tokens_per_parameter and loss
        (for a target loss: C, N, D, tokens_per_parameter; the input of a law of one), with terms training_flops and
        inference_flops, and with `N` excess_loss and compute_penalty.
        Columns: C or target_loss, those of groups, quantity, median, mean, sd, low, high; probability, the share of
        draws in which the budget has an optimum, or the target can be reached, at all (the rest is over those draws);
        and decades_N, decades_D, decades_C: how many powers of ten the median N and D of the optimum, and what they
        cost, lie outside the data's range (0 inside).

    Raises
    ------
    UsageError
        The law has no allocation, or neither or both of `C` and `loss` are given.
    DataError
        No draw has an optimum or can reach a target loss in any group, or a budget does not pay for the terms.
    """
    intervals.checked_interval(interval)
    asked = Asked.checked(C, loss, N)
    by_point = asked.in_groups(fit, terms)
    return pd.DataFrame([row for points in by_point for p in points for row in _rows(fit, p, interval)])


def _rows(fit: Posterior, drawn: list[Drawn], interval: float) -> Iterator[dict[str, Any]]:
    rows = [p.row(intervals.summarise(p.column, interval)) for p in drawn]
    beyond = beyond_data(fit, rows)
    return (row | beyond for row in rows)


def beyond_data(fit: Posterior, rows: list[dict[str, Any]]) -> dict[str, float]:
    """Powers of ten that an optimum lies outside the data's range, by its median N and D: ``decades_N``, ..."""
    medians = {str(r["quantity"]): np.array([r["median"]]) for r in rows}
    found = decades_beyond(fit, {n: x for n, x in medians.items() if n in fit.law.inputs})
    return {n: float(x[0]) for n, x in found.items()}


def terms_by_group(fit: Posterior, terms: Mapping[str, Term]) -> list[tuple[dict[str, str], dict[str, Term]]]:
    """The groups that an allocation is asked for, by column and name, and its terms with each."""
    named = {n: x for n, x in terms.items() if n in fit.law.columns}
    rest = {n: x for n, x in terms.items() if n not in named}
    groups = groups_asked(fit.law, asked_about(fit.law, fit.runs.inputs), named)
    return [(group, {**rest, **group}) for group in groups]


def allocate_draws(fit: Posterior, C: Numbers, **terms: Term) -> xarray.Dataset:
    """Draws behind `allocate`: variables N, D, tokens_per_parameter, loss; dimensions (draw, C).

    Where several groups are asked for there is a dimension group between the two, with their names as coordinates. NaN
    at draws that have no optimum.
    """
    import xarray

    budgets = checked_inputs(fit.law.name, ("C",), {"C": C})["C"].ravel()
    parts = [
        xarray.Dataset(
            {n: (("draw", "C"), x) for n, x in optimum_draws(fit, budgets, deployment).items()},
            coords={"C": budgets, **group},
        )
        for group, of_group in terms_by_group(fit, terms)
        for deployment in [deployment_for(fit.law, of_group, fit.runs.cost)]
    ]
    return parts[0] if len(parts) == 1 else xarray.concat(parts, "group").transpose("draw", "group", "C")


def penalty(
    fit: Posterior, N: Numbers, D: Numbers, *, interval: float = intervals.INTERVAL, **terms: Term
) -> pd.DataFrame:
    """What a chosen model size and token count costs against the optimum at the same compute.

    Returns
    -------
    DataFrame
        Columns N, D, C, those of groups, quantity, median, mean, sd, low, high, and probability, the share of draws
        that have an optimum to hold it against (the rest is over those draws). Quantities: loss; excess_loss, the
        loss above that of the optimum at the same C (nats/token); compute_penalty, C over the least compute that
        reaches the same loss (1 at the optimum). With terms (see `allocate`), C counts serving, and the optimum keeps
        to the limits. Groups are as for `allocate`.
    """
    intervals.checked_interval(interval)
    given = checked_inputs(fit.law.name, ("N", "D"), {"N": N, "D": D})
    sizes, tokens = (np.ravel(x) for x in np.broadcast_arrays(given["N"], given["D"]))
    asked = []
    for group, of_group in terms_by_group(fit, terms):
        deployment = deployment_for(fit.law, of_group, fit.runs.cost)
        place = {"N": sizes, "D": tokens, "C": deployment.cost(sizes, tokens)}
        asked.append((group, place, penalty_draws(fit, sizes, tokens, deployment)))
    points = [
        drawn_where_known({k: float(v[i]) for k, v in place.items()} | group, name, values[:, i])
        for i in range(len(sizes))
        for group, place, draws in asked
        for name, values in draws.items()
    ]
    return pd.DataFrame([p.row(intervals.summarise(p.column, interval)) for p in points])


def penalty_draws(
    fit: Posterior, N: np.ndarray, D: np.ndarray, deployment: Deployment = FREE, C: np.ndarray | None = None
) -> dict[str, np.ndarray]:
    """loss, excess_loss and compute_penalty of chosen sizes at every draw, shape (draw, point) each.

    The latter two are NaN at draws that have no optimum. `C` is the budget they are held against (default: what they
    cost).
    """
    C = deployment.cost(N, D) if C is None else C
    fixed = {n: np.broadcast_to(x, N.shape) for n, x in deployment.fixed.items()}
    loss = evaluate_draws(fit, fit.law.metric, {"N": N, "D": D, **fixed})
    best = optimum_draws(fit, C, deployment)["loss"]
    least = least_compute(fit, loss, deployment)
    times = np.where(np.isnan(best), np.nan, np.maximum(C / least, 1.0))
    return {"loss": loss, "excess_loss": np.maximum(loss - best, 0.0), "compute_penalty": times}


@dataclass(frozen=True)
class Drawn:
    """Draws of one quantity at one point of an allocation; `probability` is the share in which the point exists."""

    place: dict[str, float | str]
    quantity: str
    values: np.ndarray
    probability: float

    @property
    def column(self) -> np.ndarray:
        """The draws, shape (draw, 1); NaN where the point exists at none."""
        return self.values[:, None] if len(self.values) else np.full((1, 1), np.nan)

    def row(self, summary: dict[str, np.ndarray]) -> dict[str, Any]:
        """The row of a table: the place, the quantity and what sums it up, each of shape (1,)."""
        numbers = {n: float(x[0]) for n, x in summary.items()}
        return {**self.place, "quantity": self.quantity, **numbers, "probability": self.probability}


def drawn_where_known(place: dict[str, float | str], quantity: str, values: np.ndarray) -> Drawn:
    """Draws of one quantity, shape (draw,), less those at which it is NaN."""
    known = ~np.isnan(values)
    return Drawn(place, quantity, values[known], float(known.mean()))


@dataclass(frozen=True)
class Asked:
    """What an allocation is asked for: budgets, or target losses; and a model size in mind."""

    name: str
    values: np.ndarray
    size: np.ndarray | None

    @classmethod
    def checked(cls, C: Numbers | None, loss: Numbers | None, N: Numbers | None) -> Asked:
        """Exactly one of budgets and losses, all positive."""
        if (C is None) == (loss is None):
            raise UsageError("give either budgets (C, in FLOPs) or target losses (loss)")
        if loss is not None and N is not None:
            raise UsageError("a model size in mind (N) is held against budgets (C), not against target losses")
        name, given = ("C", C) if loss is None else ("loss", loss)
        values = checked_inputs("allocate", (name,), {name: given}, positive=True)[name].ravel()
        size = None
        if N is not None:
            size = checked_inputs("allocate", ("N",), {"N": N})["N"].ravel()
            if size.size not in (1, values.size):
                raise UsageError(f"give one model size (N) or one a budget; found {size.size} for {values.size}")
            size = np.broadcast_to(size, values.shape)
        return cls("C" if name == "C" else "target_loss", values, size)

    def in_groups(self, fit: Posterior, terms: Mapping[str, Term]) -> list[list[list[Drawn]]]:
        """Draws of every quantity at every point in every group; refuses a target that none of them reaches."""
        of_groups = [
            [[replace(d, place={**d.place, **group}) for d in drawn] for drawn in self.points(fit, of_group)]
            for group, of_group in terms_by_group(fit, terms)
        ]
        by_point = [list(of_point) for of_point in zip(*of_groups, strict=True)]
        for value, of_point in zip(self.values, by_point, strict=True):
            if not any(d.probability for drawn in of_point for d in drawn):
                raise DataError(out_of_reach(value, single_input(fit.law)))
        return by_point

    def points(self, fit: Posterior, terms: Mapping[str, Term]) -> list[list[Drawn]]:
        """Draws of every quantity at every point, by one law in one group."""
        if self.name == "target_loss" and single_input(fit.law):
            return _for_targets(fit, self.values, terms)
        deployment = deployment_for(fit.law, terms, fit.runs.cost)
        if self.name == "target_loss":
            return _for_losses(fit, self.values, deployment)
        draws = optimum_draws(fit, self.values, deployment)
        if self.size is not None:
            off = penalty_draws(fit, self.size, self._tokens(deployment), deployment, self.values)
            draws |= {n: off[n] for n in ("excess_loss", "compute_penalty")}
        return [
            [drawn_where_known({"C": float(C)}, name, values[:, i]) for name, values in draws.items()]
            for i, C in enumerate(self.values)
        ]

    def _tokens(self, deployment: Deployment) -> np.ndarray:
        assert self.size is not None
        tokens = np.asarray(deployment.tokens(self.values, self.size))
        if (bad := (tokens <= 0) | (self.size > deployment.max_N)).any():
            N, C = self.size[bad][0], self.values[bad][0]
            why = f"max_N is {deployment.max_N:.3g}" if N > deployment.max_N else "nothing is left to train it"
            raise DataError(f"a model of {N:.3g} parameters does not go with a budget of {C:.3g} FLOPs: {why}")
        return tokens


def _for_losses(fit: Posterior, targets: np.ndarray, deployment: Deployment) -> list[list[Drawn]]:
    constants = fit.thinned()
    draws = len(next(iter(constants.values())))
    C = least_compute(fit, np.broadcast_to(targets, (draws, len(targets))), deployment)
    by_target = []
    for i, target in enumerate(targets):
        reached = np.isfinite(C[:, i])
        N, D = (x[reached] for x in optimum_of_each(fit.target, constants, C[:, i], deployment))
        found = {"C": C[reached, i], "N": N, "D": D, "tokens_per_parameter": D / N, **spent(N, D, deployment)}
        place: dict[str, float | str] = {"target_loss": float(target)}
        by_target.append([Drawn(place, n, x, float(reached.mean())) for n, x in found.items()])
    return by_target


def _for_targets(fit: Posterior, targets: np.ndarray, terms: Mapping[str, Term]) -> list[list[Drawn]]:
    """The input that targets need, by a law of one."""
    name = single_input(fit.law)
    draws = needed_input(fit, targets, terms)
    by_target = []
    for i, target in enumerate(targets):
        reached = np.isfinite(draws[:, i])
        drawn = Drawn({"target_loss": float(target)}, name, draws[reached, i], float(reached.mean()))
        by_target.append([drawn])
    return by_target


def out_of_reach(target: float, name: str = "") -> str:
    """That no draw reaches a target loss, by compute or by the input of this name."""
    return f"a loss of {target:g} is out of reach with any {name or 'compute'} in every draw; ask for a higher one"
