"""Compute-optimal allocation with its uncertainty: how a budget splits between N and D, and what being off costs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
import pandas as pd

from bayescale import intervals
from bayescale.answers.needed import needed_input, single_input
from bayescale.answers.optimum import (
    FREE,
    Deployment,
    Terms,
    deployment_for,
    least_compute,
    optimum_draws,
    optimum_of_each,
    spent,
)
from bayescale.answers.predict import evaluate_draws
from bayescale.arrays import Numbers
from bayescale.errors import DataError, UsageError
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
    **terms: Unpack[Terms],
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
        What the budget also has to pay for and keep to: inference_tokens, inference_cost, max_N, max_D, fixed,
        cost; see `bayescale.answers.optimum.Terms`.

    Returns
    -------
    DataFrame
        One row a budget (or target loss) and quantity; quantities are N, D, tokens_per_parameter and loss
        (for a target loss: C, N, D, tokens_per_parameter; the input of a law of one), with terms training_flops and
        inference_flops, and with `N` excess_loss and compute_penalty.
        Columns: C or target_loss, quantity, median, mean, sd, low, high, and probability, the share of draws in which
        the budget has an optimum, or the target can be reached, at all (the rest is over those draws).

    Raises
    ------
    UsageError
        The law has no allocation, or neither or both of `C` and `loss` are given.
    DataError
        No draw has an optimum or can reach a target loss, or a budget does not pay for the terms.
    """
    intervals.checked_interval(interval)
    asked = Asked.checked(C, loss, N)
    return pd.DataFrame([p.row(intervals.summarise(p.column, interval)) for p in asked.points(fit, terms)])


def allocate_draws(fit: Posterior, C: Numbers, **terms: Unpack[Terms]) -> xarray.Dataset:
    """Draws behind `allocate`: variables N, D, tokens_per_parameter, loss; dimensions (draw, C).

    NaN at draws that have no optimum.
    """
    import xarray

    deployment = deployment_for(fit.law, terms, fit.runs.cost)
    budgets = checked_inputs(fit.law.name, ("C",), {"C": C})["C"].ravel()
    found = optimum_draws(fit, budgets, deployment)
    return xarray.Dataset({n: (("draw", "C"), x) for n, x in found.items()}, coords={"C": budgets})


def penalty(
    fit: Posterior, N: Numbers, D: Numbers, *, interval: float = intervals.INTERVAL, **terms: Unpack[Terms]
) -> pd.DataFrame:
    """What a chosen model size and token count costs against the optimum at the same compute.

    Returns
    -------
    DataFrame
        Columns N, D, C, quantity, median, mean, sd, low, high, and probability, the share of draws that have an
        optimum to hold it against (the rest is over those draws). Quantities: loss; excess_loss, the loss above
        that of the optimum at the same C (nats/token); compute_penalty, C over the least compute that reaches
        the same loss (1 at the optimum). With terms (see `allocate`), C counts serving, and the optimum keeps to
        the limits.
    """
    intervals.checked_interval(interval)
    deployment = deployment_for(fit.law, terms, fit.runs.cost)
    given = checked_inputs(fit.law.name, ("N", "D"), {"N": N, "D": D})
    sizes, tokens = (np.ravel(x) for x in np.broadcast_arrays(given["N"], given["D"]))
    draws = penalty_draws(fit, sizes, tokens, deployment)
    place = {"N": sizes, "D": tokens, "C": deployment.cost(sizes, tokens)}
    points = [
        drawn_where_known({k: float(v[i]) for k, v in place.items()}, name, values[:, i])
        for i in range(len(sizes))
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

    place: dict[str, float]
    quantity: str
    values: np.ndarray
    probability: float

    @property
    def column(self) -> np.ndarray:
        """The draws, shape (draw, 1)."""
        return self.values[:, None]

    def row(self, summary: dict[str, np.ndarray]) -> dict[str, Any]:
        """The row of a table: the place, the quantity and what sums it up, each of shape (1,)."""
        numbers = {n: float(x[0]) for n, x in summary.items()}
        return {**self.place, "quantity": self.quantity, **numbers, "probability": self.probability}


def drawn_where_known(place: dict[str, float], quantity: str, values: np.ndarray) -> Drawn:
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

    def points(self, fit: Posterior, terms: Terms, *, reachable: bool = True) -> Iterator[Drawn]:
        """Draws of every quantity at every point, by one law; `reachable` refuses targets that no draw reaches."""
        if self.name == "target_loss" and single_input(fit.law):
            yield from _for_targets(fit, self.values, terms, reachable)
            return
        deployment = deployment_for(fit.law, terms, fit.runs.cost)
        if self.name == "target_loss":
            yield from _for_losses(fit, self.values, deployment, reachable)
            return
        draws = optimum_draws(fit, self.values, deployment)
        if self.size is not None:
            off = penalty_draws(fit, self.size, self._tokens(deployment), deployment, self.values)
            draws |= {n: off[n] for n in ("excess_loss", "compute_penalty")}
        for i, C in enumerate(self.values):
            for name, values in draws.items():
                yield drawn_where_known({"C": float(C)}, name, values[:, i])

    def _tokens(self, deployment: Deployment) -> np.ndarray:
        assert self.size is not None
        tokens = np.asarray(deployment.tokens(self.values, self.size))
        if (bad := (tokens <= 0) | (self.size > deployment.max_N)).any():
            N, C = self.size[bad][0], self.values[bad][0]
            why = f"max_N is {deployment.max_N:.3g}" if N > deployment.max_N else "nothing is left to train it"
            raise DataError(f"a model of {N:.3g} parameters does not go with a budget of {C:.3g} FLOPs: {why}")
        return tokens


def _for_losses(fit: Posterior, targets: np.ndarray, deployment: Deployment, reachable: bool) -> Iterator[Drawn]:
    constants = fit.thinned()
    draws = len(next(iter(constants.values())))
    C = least_compute(fit, np.broadcast_to(targets, (draws, len(targets))), deployment)
    for i, target in enumerate(targets):
        reached = np.isfinite(C[:, i])
        if reachable and not reached.any():
            raise DataError(out_of_reach(target))
        N, D = (x[reached] for x in optimum_of_each(fit.target, constants, C[:, i], deployment))
        found = {"C": C[reached, i], "N": N, "D": D, "tokens_per_parameter": D / N, **spent(N, D, deployment)}
        for name, values in found.items():
            yield Drawn({"target_loss": float(target)}, name, values, float(reached.mean()))


def _for_targets(fit: Posterior, targets: np.ndarray, terms: Terms, reachable: bool) -> Iterator[Drawn]:
    """The input that targets need, by a law of one."""
    name = single_input(fit.law)
    if strange := set(terms) - {"fixed"}:
        raise UsageError(f"law {fit.law.name} takes {name} alone, and does not know {sorted(strange)[0]}")
    draws = needed_input(fit, targets, terms.get("fixed", {}))
    for i, target in enumerate(targets):
        reached = np.isfinite(draws[:, i])
        if reachable and not reached.any():
            raise DataError(out_of_reach(target, name))
        yield Drawn({"target_loss": float(target)}, name, draws[reached, i], float(reached.mean()))


def out_of_reach(target: float, by: str = "compute") -> str:
    """That no draw reaches a target loss."""
    return f"a loss of {target:g} is out of reach with any {by} in every draw; ask for a higher one"
