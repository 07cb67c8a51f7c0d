"""The compute-efficient frontier of Kaplan et al. 2020: appendix B, Table 6, and its end (section 6.3).

Compute and steps here are C_min and S_min, adjusted to training at the critical batch; a run at B = B_crit takes
twice of both.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bayescale.arrays import Numbers, Values
from bayescale.errors import DataError
from bayescale.kaplan.shape import OWNER
from bayescale.kaplan.tables import CURVES, EQ_6_7, TABLE_5, TABLE_6, ConstantsLike, Trend
from bayescale.law import FLOPS_PER_PARAMETER_TOKEN, PF_DAY
from bayescale.rootfind import decreasing_root
from bayescale.runs.inputs import checked_inputs


def given(**inputs: Any) -> tuple[Values, ...]:
    """Inputs as arrays, refused where one is not positive and finite; traced ones as they are."""
    if any(isinstance(x, jax.Array) for x in inputs.values()):
        return tuple(inputs.values())
    return tuple(x[()] for x in checked_inputs(OWNER, tuple(inputs), inputs, positive=True).values())


def positive_part(x: Any) -> Any:
    """x where positive, else 0."""
    return (x + abs(x)) / 2


def compute_exponent(k: ConstantsLike = CURVES) -> Any:
    """alpha_C of the frontier's loss, ``1 / (1/alpha_S + 1/alpha_B + 1/alpha_N)`` (eq. B.7)."""
    return 1 / (1 / k.alpha_S + 1 / k.alpha_B + 1 / k.alpha_N)


def compute_scale(k: ConstantsLike = CURVES) -> Any:
    """C_c of the frontier's loss, FLOPs (eq. B.8)."""
    f = converged_fraction(k)
    return (
        FLOPS_PER_PARAMETER_TOKEN
        * k.N_c
        * k.B_star
        * k.S_c
        * (1 + f) ** (1 / k.alpha_S + 1 / k.alpha_N)
        * f ** (-1 / k.alpha_S)
    )


def converged_fraction(k: ConstantsLike = CURVES) -> Any:
    """How far above its converged loss a compute-efficient run stops, ``f = alpha_N / alpha_S`` (eq. B.5)."""
    return k.alpha_N / k.alpha_S


def frontier(k: ConstantsLike = CURVES, C: Numbers = PF_DAY) -> dict[str, Any]:
    """The compute-efficient model at compute C_min (eqs. B.6 to B.10).

    Parameters
    ----------
    k : Constants or Law
        With alpha_N, N_c, alpha_S, S_c, alpha_B, B_star: numbers, or draws that broadcast with `C`.
    C : array_like
        C_min, FLOPs.

    Returns
    -------
    dict
        N (parameters), B (the critical batch, tokens), S (S_min, steps), D (tokens, C / 6N = B S), loss (nats/token).

    Raises
    ------
    UsageError
        C is not positive, or `k` lacks a constant.
    """
    (C,) = given(C=C)
    alpha_C, C_c, f = compute_exponent(k), compute_scale(k), converged_fraction(k)
    loss = (C_c / C) ** alpha_C
    N = k.N_c * (C / C_c) ** (alpha_C / k.alpha_N) * (1 + f) ** (1 / k.alpha_N)
    S = (
        C_c
        / (FLOPS_PER_PARAMETER_TOKEN * k.N_c * k.B_star)
        * (1 + f) ** (-1 / k.alpha_N)
        * (C / C_c) ** (alpha_C / k.alpha_S)
    )
    return {
        "N": N,
        "B": k.B_star / loss ** (1 / k.alpha_B),
        "S": S,
        "D": C / (FLOPS_PER_PARAMETER_TOKEN * N),
        "loss": loss,
    }


def loss_at_compute(k: ConstantsLike = CURVES, N: Numbers = 1e9, C: Numbers = PF_DAY) -> Any:
    """Loss of N parameters trained with C_min = C at the critical batch (eq. B.3, which has the loss on both sides).

    Parameters
    ----------
    k : Constants or Law
        As for `frontier`.
    N, C : array_like
        Parameters and FLOPs.

    Returns
    -------
    ndarray
        nats/token.
    """
    N, C = given(N=N, C=C)

    def excess(x: jax.Array, a: jax.Array, b: jax.Array, alpha_S: jax.Array, alpha_B: jax.Array) -> jax.Array:
        return jnp.log(a + (b * jnp.exp(-x / alpha_B)) ** alpha_S) - x

    with jax.enable_x64(True):
        steps = FLOPS_PER_PARAMETER_TOKEN * k.B_star * k.S_c * N / C
        a, b, alpha_S, alpha_B = jnp.broadcast_arrays(
            *map(jnp.asarray, ((k.N_c / N) ** k.alpha_N, steps, k.alpha_S, k.alpha_B))
        )
        low = jnp.log(a)
        return np.asarray(
            jnp.exp(decreasing_root(excess, low, low + excess(low, a, b, alpha_S, alpha_B), a, b, alpha_S, alpha_B))
        )[()]


def compute_to(k: ConstantsLike = CURVES, N: Numbers = 1e9, loss: Numbers = 3.0) -> Any:
    """C_min for N parameters to reach a loss, FLOPs (eq. B.15); infinite at draws where they never do.

    Raises
    ------
    DataError
        They never do, at any draw.
    """
    N, loss = given(N=N, loss=loss)
    return FLOPS_PER_PARAMETER_TOKEN * N * k.B_star / loss ** (1 / k.alpha_B) * steps_to(k, N, loss)


def steps_to(k: ConstantsLike = CURVES, N: Numbers = 1e9, loss: Numbers = 3.0) -> Any:
    """S_min for N parameters to reach a loss (eq. 5.6 solved for S_min); infinite at draws where they never do.

    Raises
    ------
    DataError
        They never do, at any draw.
    """
    N, loss = given(N=N, loss=loss)
    converged = (k.N_c / N) ** k.alpha_N
    with np.errstate(divide="ignore"):
        steps = k.S_c * positive_part(loss - converged) ** (-1 / k.alpha_S)
    if not isinstance(steps, jax.Array) and not np.any(np.isfinite(steps)):
        raise DataError(
            f"a loss of {np.max(loss):.4g} is out of reach: {np.max(N):.3g} parameters converge to "
            f"{np.median(converged):.4g} nats/token with any number of steps; ask for a higher loss or a larger model"
        )
    return steps


def size_penalty(k: ConstantsLike = CURVES, ratio: Numbers = 1.0) -> dict[str, Any]:
    """What reaching the optimum's loss costs with a model `ratio` times its size (eqs. B.16 and B.17).

    Parameters
    ----------
    k : Constants or Law
        With alpha_N and alpha_S.
    ratio : array_like
        N / N_eff.

    Returns
    -------
    dict
        compute and steps, as multiples of the optimum's; infinite where a model so small never reaches that loss.
    """
    (ratio,) = given(ratio=ratio)
    with np.errstate(divide="ignore"):
        steps = positive_part(1 + k.alpha_S / k.alpha_N * (1 - ratio**-k.alpha_N)) ** (-1 / k.alpha_S)
    return {"compute": ratio * steps, "steps": steps}


def convergence_cost(
    k: ConstantsLike = CURVES, fraction: Numbers | None = None, other: Numbers = 0.02
) -> dict[str, Any]:
    """Two runs to one loss that stop at different fractions above their converged losses (eqs. B.11 to B.14).

    Parameters
    ----------
    k : Constants or Law
        With alpha_N and alpha_S.
    fraction, other : array_like
        ``L(N, C) / L(N, inf) - 1`` of the two runs; the compute-efficient alpha_N / alpha_S unless given, and 0.02.

    Returns
    -------
    dict
        N, S, C: ratios of parameters, steps and compute, the first run's over the other's.
    """
    fraction, other = given(fraction=converged_fraction(k) if fraction is None else fraction, other=other)
    N = ((1 + fraction) / (1 + other)) ** (1 / k.alpha_N)
    S = ((1 + 1 / fraction) / (1 + 1 / other)) ** (1 / k.alpha_S)
    return {"N": N, "S": S, "C": N * S}


def empirical_frontier(C: Numbers, k: ConstantsLike = TABLE_5["kaplan_cmin"]) -> dict[str, Any]:
    """The paper's measured frontier at C_min FLOPs (Table 6, eqs. 6.1 to 6.7), with the loss of eq. 1.3.

    It is not appendix B's: the theory's N grows as C^0.68 and the measured one as C^0.73.

    Returns
    -------
    dict
        N, B, S, D, loss as in `frontier`, and D_critical, the tokens at the critical batch (eq. 6.7).
    """
    (C,) = given(C=C)
    trends = {n: trend.at(C) for n, trend in TABLE_6.items()}
    return {**trends, "D_critical": EQ_6_7.at(C), "loss": (k.C_c / C) ** k.alpha_C}


def contradiction(
    compute: ConstantsLike = TABLE_5["kaplan_cmin"],
    data: ConstantsLike = TABLE_5["kaplan_d"],
    *,
    tokens: Trend = TABLE_6["D"],
    parameters: Trend = TABLE_6["N"],
) -> dict[str, Any]:
    """Where L(C_min) falls below the L(D) of the data that so much compute processes (eq. 6.8, section 6.3).

    Both trends cannot hold beyond this point. It is known to an order of magnitude at best: summarise log C.

    Parameters
    ----------
    compute : Constants or Law
        With alpha_C and C_c (FLOPs): numbers or draws.
    data : Constants or Law
        With alpha_D and D_c: numbers or draws.
    tokens : Trend
        D(C_min): ``TABLE_6["D"]`` (one epoch) or `EQ_6_7` (one epoch at the critical batch).
    parameters : Trend
        N(C_min).

    Returns
    -------
    dict
        C (FLOPs), N, D, loss; infinite (loss 0) at draws where the data outrun the compute and nothing crosses.
    """
    gap = compute.alpha_C - data.alpha_D * tokens.exponent
    lead = compute.alpha_C * np.log(compute.C_c / PF_DAY) - data.alpha_D * (np.log(data.D_c) - np.log(tokens.scale))
    crosses = np.asarray(gap > 0)
    with np.errstate(over="ignore"):
        C = np.where(crosses, np.exp(lead / np.where(crosses, gap, 1.0)), np.inf)[()] * PF_DAY
        return {"C": C, "N": parameters.at(C), "D": tokens.at(C), "loss": (compute.C_c / C) ** compute.alpha_C}
