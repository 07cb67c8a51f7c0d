"""Compute-optimal allocation at every draw: how a budget splits between N and D, and what being off costs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from bayescale import estimate
from bayescale.errors import DataError, UsageError
from bayescale.fit import Fit
from bayescale.law import FLOPS_PER_PARAMETER_TOKEN, Law, checked_inputs
from bayescale.posterior.programs import Program
from bayescale.predict import evaluate_draws, filled_blocks

if TYPE_CHECKING:
    import xarray

GRID = 128
GOLDEN = 0.5 * (5**0.5 - 1)
LOG_C_RANGE = (np.log(1e6), np.log(1e45))
"""Where the compute for a target loss is looked for, FLOPs."""


def allocate(
    fit: Fit, C: Any = None, *, loss: Any = None, N: Any = None, interval: float = estimate.INTERVAL
) -> pd.DataFrame:
    """The compute-optimal parameters, tokens and loss of budgets, or the compute that a target loss needs.

    Parameters
    ----------
    fit : Fit
        Of a law with inputs N and D.
    C : array_like, optional
        Budgets in FLOPs, C = 6ND.
    loss : array_like, optional
        Target losses, instead of budgets: each draw finds its own compute.
    N : float, optional
        A model size in mind: adds what using it at each budget costs (see `penalty`).
    interval : float
        Mass of the equal-tailed intervals.

    Returns
    -------
    DataFrame
        One row a budget (or target loss) and quantity; quantities are N, D, tokens_per_parameter and loss
        (for a target loss: C, N, D, tokens_per_parameter), and with `N` excess_loss and compute_penalty.
        Columns: C or target_loss, quantity, median, mean, sd, low, high, and for target losses probability,
        the share of draws in which the target can be reached at all (the rest is over those draws).

    Raises
    ------
    UsageError
        The law has no allocation, or neither or both of `C` and `loss` are given.
    DataError
        No draw can reach a target loss.
    """
    estimate.checked_interval(interval)
    require_allocation(fit.law)
    if (C is None) == (loss is None):
        raise UsageError("give either budgets (C, in FLOPs) or target losses (loss)")
    if loss is not None:
        return _for_losses(fit, checked_inputs(fit.law.name, ("loss",), {"loss": loss})["loss"].ravel(), interval)
    budgets = checked_inputs(fit.law.name, ("C",), {"C": C})["C"].ravel()
    draws = optimum_draws(fit, budgets)
    if N is not None:
        sizes = np.broadcast_to(checked_inputs(fit.law.name, ("N",), {"N": N})["N"], budgets.shape)
        draws |= penalty_draws(fit, sizes, budgets / (FLOPS_PER_PARAMETER_TOKEN * sizes))
    return _tidy({"C": budgets}, draws, interval)


def allocate_draws(fit: Fit, C: Any) -> xarray.Dataset:
    """Draws behind `allocate`: variables N, D, tokens_per_parameter, loss; dimensions (draw, C)."""
    import xarray

    require_allocation(fit.law)
    budgets = checked_inputs(fit.law.name, ("C",), {"C": C})["C"].ravel()
    return xarray.Dataset(
        {n: (("draw", "C"), x) for n, x in optimum_draws(fit, budgets).items()}, coords={"C": budgets}
    )


def penalty(fit: Fit, N: Any, D: Any, *, interval: float = estimate.INTERVAL) -> pd.DataFrame:
    """What a chosen model size and token count costs against the optimum at the same compute.

    Returns
    -------
    DataFrame
        Columns N, D, C, quantity, median, mean, sd, low, high. Quantities: loss; excess_loss, the loss above
        that of the optimum at C = 6ND (nats/token); compute_penalty, C over the least compute that reaches
        the same loss (1 at the optimum).
    """
    estimate.checked_interval(interval)
    require_allocation(fit.law)
    given = checked_inputs(fit.law.name, ("N", "D"), {"N": N, "D": D})
    sizes, tokens = (np.ravel(x) for x in np.broadcast_arrays(given["N"], given["D"]))
    draws = penalty_draws(fit, sizes, tokens)
    return _tidy({"N": sizes, "D": tokens, "C": FLOPS_PER_PARAMETER_TOKEN * sizes * tokens}, draws, interval)


def require_allocation(law: Law) -> None:
    """Refuse a law that has no allocation between N and D, saying why."""
    if law.inputs != ("N", "D") or law.metric != "loss":
        raise UsageError(
            f"law {law.name} predicts {law.metric} from {', '.join(law.inputs)}: it has no split of C between N and D "
            "(laws of N and D have one, such as chinchilla)"
        )


def optimum_draws(fit: Fit, C: np.ndarray, *, closed_form: bool | None = None) -> dict[str, np.ndarray]:
    """The optimum at every draw, shape (draw, budget) each: N, D, tokens_per_parameter, loss.

    Parameters
    ----------
    closed_form : bool, optional
        Use the law's own `optimum` (default: where it has one) or the numeric minimum.
    """
    closed = hasattr(fit.law, "optimum") if closed_form is None else closed_form
    program = _program(fit, "closed" if closed else "numeric")
    blocks = [
        [np.asarray(x)[:, :size] for x in program(fit.thinned(), filled["C"])]
        for filled, size in filled_blocks({"C": C})
    ]
    N, D, loss, edge = (np.concatenate(x, axis=1) for x in zip(*blocks, strict=True))
    if np.any(edge):
        raise DataError(
            f"law {fit.law.name} has no interior optimum at {C[np.any(edge, axis=0)][0]:.3g} FLOPs in "
            f"{np.mean(np.any(edge, axis=1)):.0%} "
            "of draws: its loss falls all the way to a model of one parameter or one token"
        )
    return {"N": N, "D": D, "tokens_per_parameter": D / N, "loss": loss}


def penalty_draws(fit: Fit, N: np.ndarray, D: np.ndarray) -> dict[str, np.ndarray]:
    """loss, excess_loss and compute_penalty of chosen sizes at every draw, shape (draw, point) each."""
    C = FLOPS_PER_PARAMETER_TOKEN * N * D
    loss = evaluate_draws(fit, fit.law.metric, {"N": N, "D": D})
    best = optimum_draws(fit, C)["loss"]
    least = _least_compute(fit, loss)
    return {"loss": loss, "excess_loss": np.maximum(loss - best, 0.0), "compute_penalty": np.maximum(C / least, 1.0)}


def _for_losses(fit: Fit, targets: np.ndarray, interval: float) -> pd.DataFrame:
    constants = fit.thinned()
    draws = len(next(iter(constants.values())))
    C = _least_compute(fit, np.broadcast_to(targets, (draws, len(targets))))
    rows = []
    for i, target in enumerate(targets):
        reached = np.isfinite(C[:, i])
        if not reached.any():
            raise DataError(
                f"a loss of {target:g} is out of reach with any compute in every draw; ask for a higher one"
            )
        kept = {n: x[reached] for n, x in constants.items()}
        padded = {n: np.concatenate([x, np.repeat(x[-1:], draws - len(x))]) for n, x in kept.items()}
        budget = np.concatenate([C[reached, i], np.repeat(C[reached, i][-1:], draws - reached.sum())])
        N, D, _, _ = (np.asarray(x)[: reached.sum(), 0] for x in _program(fit, "each")(padded, budget[:, None]))
        found = {"C": C[reached, i], "N": N, "D": D, "tokens_per_parameter": D / N}
        part = _tidy({"target_loss": targets[i : i + 1]}, {n: x[:, None] for n, x in found.items()}, interval)
        rows.append(part.assign(probability=float(reached.mean())))
    return pd.concat(rows, ignore_index=True)


def _least_compute(fit: Fit, loss: np.ndarray) -> np.ndarray:
    """The least compute that reaches a loss at every draw, shapes (draw, point); infinite where none does."""
    columns = [loss[:, i : i + 1] for i in range(loss.shape[1])]
    return np.concatenate([np.asarray(_program(fit, "inverse")(fit.thinned(), c)) for c in columns], axis=1)


def _tidy(points: dict[str, np.ndarray], draws: dict[str, np.ndarray], interval: float) -> pd.DataFrame:
    parts = [
        pd.DataFrame({**points, "quantity": name, **estimate.summarise(values, interval)}).assign(order=i)
        for i, (name, values) in enumerate(draws.items())
    ]
    table = pd.concat(parts).rename_axis("point").reset_index()
    return table.sort_values(["point", "order"])[[*points, "quantity", *estimate.COLUMNS]].reset_index(drop=True)


def _program(fit: Fit, kind: str) -> Callable[..., Any]:
    """A compiled program over draws; kept with the law's others."""
    programs = fit.target.quantities
    if (key := f"allocate/{kind}") not in programs:
        closed = hasattr(fit.law, "optimum")

        def of_budgets(find: Any) -> Callable[..., Any]:
            return lambda constants, C: jax.vmap(lambda c: find(fit.target.law_at(constants), c))(C)

        find = _closed if kind == "closed" or (kind != "numeric" and closed) else _numeric
        if kind == "inverse":
            program = Program(jax.vmap(lambda constants, loss: _inverse(find, fit.target.law_at(constants), loss)))
        elif kind == "each":
            program = Program(jax.vmap(of_budgets(find)))
        else:
            program = Program(jax.vmap(of_budgets(find), in_axes=(0, None)))
        programs[key] = program
    return programs[key]


def _closed(law: Any, C: Any) -> tuple[Any, ...]:
    best = law.optimum(C)
    return best["N"], best["D"], law.loss(best["N"], best["D"]), jnp.zeros((), bool)


def _numeric(law: Any, C: Any) -> tuple[Any, ...]:
    """Minimise over log N: a grid brackets the lowest valley, golden section finds its floor."""
    tokens_by_parameters = C / FLOPS_PER_PARAMETER_TOKEN

    def loss(u: Any) -> Any:
        N = jnp.exp(u)
        return law.loss(N, tokens_by_parameters / N)

    grid = jnp.linspace(0.0, jnp.log(tokens_by_parameters), GRID)
    values = jax.vmap(loss)(grid)
    best = jnp.argmin(jnp.where(jnp.isfinite(values), values, jnp.inf))
    edge = (best == 0) | (best == GRID - 1)
    low, high = grid[jnp.maximum(best - 1, 0)], grid[jnp.minimum(best + 1, GRID - 1)]

    def narrow(_: Any, bracket: Any) -> Any:
        low, high = bracket
        left, right = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
        lower_left = loss(left) < loss(right)
        return jnp.where(lower_left, low, left), jnp.where(lower_left, right, high)

    low, high = jax.lax.fori_loop(0, 50, narrow, (low, high))
    N = jnp.exp((low + high) / 2)
    return N, tokens_by_parameters / N, loss((low + high) / 2), edge


def _inverse(find: Any, law: Any, targets: Any) -> Any:
    """The least compute that reaches each target loss; infinite where none does."""

    def one(target: Any) -> Any:
        def halve(_: Any, bracket: Any) -> Any:
            low, high = bracket
            middle = (low + high) / 2
            enough = find(law, jnp.exp(middle))[2] <= target
            return jnp.where(enough, low, middle), jnp.where(enough, middle, high)

        _, high = jax.lax.fori_loop(0, 60, halve, LOG_C_RANGE)
        reachable = find(law, jnp.exp(LOG_C_RANGE[1]))[2] <= target
        return jnp.where(reachable, jnp.exp(high), jnp.inf)

    return jax.vmap(one)(targets)
