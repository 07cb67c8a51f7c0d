"""What Kaplan et al. 2020 (arXiv:2001.08361) let a reader compute, at the published constants or at a fit's draws.

Each function takes the constants first: one of the tables here, ``Constants.of(fit)``, or a law whose constants are
numbers. Numbers give numbers; draws of shape (draw,) give draws, which `intervals.summarise` turns into intervals.
Points and draws together need a further axis: ``N[:, None]`` gives shape (point, draw). N counts parameters without
embeddings, D and B tokens, S steps, C FLOPs (`pf_days` converts), loss is in nats/token.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bayescale.arrays import Numbers, Values
from bayescale.kaplan.frontier import compute_exponent as compute_exponent
from bayescale.kaplan.frontier import compute_scale as compute_scale
from bayescale.kaplan.frontier import compute_to as compute_to
from bayescale.kaplan.frontier import contradiction as contradiction
from bayescale.kaplan.frontier import converged_fraction as converged_fraction
from bayescale.kaplan.frontier import convergence_cost as convergence_cost
from bayescale.kaplan.frontier import empirical_frontier as empirical_frontier
from bayescale.kaplan.frontier import frontier as frontier
from bayescale.kaplan.frontier import given
from bayescale.kaplan.frontier import loss_at_compute as loss_at_compute
from bayescale.kaplan.frontier import size_penalty as size_penalty
from bayescale.kaplan.frontier import steps_to as steps_to
from bayescale.kaplan.shape import flops as flops
from bayescale.kaplan.shape import forward_flops as forward_flops
from bayescale.kaplan.shape import learning_rate as learning_rate
from bayescale.kaplan.shape import operations as operations
from bayescale.kaplan.shape import parameters as parameters
from bayescale.kaplan.shape import pf_days as pf_days
from bayescale.kaplan.shape import training_flops as training_flops
from bayescale.kaplan.tables import CURVES as CURVES
from bayescale.kaplan.tables import EQ_6_7 as EQ_6_7
from bayescale.kaplan.tables import TABLE_2 as TABLE_2
from bayescale.kaplan.tables import TABLE_3 as TABLE_3
from bayescale.kaplan.tables import TABLE_5 as TABLE_5
from bayescale.kaplan.tables import TABLE_6 as TABLE_6
from bayescale.kaplan.tables import Constants as Constants
from bayescale.kaplan.tables import ConstantsLike as ConstantsLike
from bayescale.kaplan.tables import Trend as Trend
from bayescale.law import FLOPS_PER_PARAMETER_TOKEN
from bayescale.rootfind import decreasing_root

TOLERANCE = 0.02
"""The overfitting that the paper tolerates, as a fraction of the loss: what seeds differ by (section 4.2)."""


def critical_batch(k: ConstantsLike = CURVES, loss: Numbers = 3.0) -> Any:
    """B_crit at a loss, tokens: ``B_star / loss^(1/alpha_B)`` (eqs. 1.4 and 5.3)."""
    (loss,) = given(loss=loss)
    return k.B_star / loss ** (1 / k.alpha_B)


def minimum_steps(k: ConstantsLike, S: Numbers, B: Numbers, loss: Numbers) -> Any:
    """S_min: the steps of a batch far above critical to the loss that S steps at batch B reached (eq. 5.4)."""
    S, B, loss = given(S=S, B=B, loss=loss)
    return S / (1 + critical_batch(k, loss) / B)


def minimum_tokens(k: ConstantsLike, S: Numbers, B: Numbers, loss: Numbers) -> Any:
    """E_min: the tokens of a batch far below critical to that loss (eqs. 5.1 and 5.2)."""
    S, B, loss = given(S=S, B=B, loss=loss)
    return B * S / (1 + B / critical_batch(k, loss))


def minimum_compute(k: ConstantsLike, N: Numbers, S: Numbers, B: Numbers, loss: Numbers) -> Any:
    """C_min: the FLOPs of a batch far below critical to that loss (eq. 5.5)."""
    (N,) = given(N=N)
    return FLOPS_PER_PARAMETER_TOKEN * N * minimum_tokens(k, S, B, loss)


def loss_of_data(k: ConstantsLike = TABLE_2, N: Numbers = 1e9, D: Numbers | None = 1e10) -> Any:
    """L(N, D) (eqs. 1.5 and 4.1); ``D=None`` is L(N, infinity)."""
    (N,) = given(N=N)
    data = 0.0 if D is None else k.D_c / given(D=D)[0]
    return ((k.N_c / N) ** (k.alpha_N / k.alpha_D) + data) ** k.alpha_D


def loss_of_steps(k: ConstantsLike = CURVES, N: Numbers = 1e9, S: Numbers = 1e5, B: Numbers | None = None) -> Any:
    """L(N, S) after S steps at batch B (eqs. 5.3, 5.4 and 5.6); ``B=None`` is a batch far above critical, S = S_min.

    At a finite batch the loss is on both sides of the law and its root is found: see the law `kaplan_nsb`.
    """
    N, S = given(N=N, S=S)
    if B is None:
        return (k.N_c / N) ** k.alpha_N + (k.S_c / S) ** k.alpha_S
    (B,) = given(B=B)
    with jax.enable_x64(True):
        return np.asarray(loss_at_batch(k, *map(jnp.asarray, (N, S, B))))[()]


def loss_at_batch(k: ConstantsLike, N: Values, S: Values, B: Values) -> jax.Array:
    """L(N, S) at a finite batch, the root of eqs. 5.3, 5.4 and 5.6 in L; traceable, no checks: for the law."""
    of = {n: jnp.asarray(getattr(k, n), float) for n in ("alpha_N", "N_c", "alpha_S", "S_c", "alpha_B", "B_star")}

    def law(of: dict[str, jax.Array], steps: Values) -> jax.Array:
        return jnp.log((of["N_c"] / N) ** of["alpha_N"] + (of["S_c"] / steps) ** of["alpha_S"])

    def excess(x: jax.Array, of: dict[str, jax.Array]) -> jax.Array:
        """log of the law's right-hand side at loss e^x, less x."""
        return law(of, S / (1 + of["B_star"] * jnp.exp(-x / of["alpha_B"]) / B)) - x

    # the loss lies above that of an infinite batch, and below what that loss gives on the right
    low = law(of, S)
    return jnp.exp(decreasing_root(excess, low - 1e-6, low + excess(low, of) + 1e-6, of))


def overfitting(k: ConstantsLike = TABLE_2, N: Numbers = 1e9, D: Numbers = 1e10) -> Any:
    """What a finite data set costs, ``L(N, D) / L(N, infinity) - 1`` (eqs. 4.2 and 4.3)."""
    N, D = given(N=N, D=D)
    return (1 + (N / k.N_c) ** (k.alpha_N / k.alpha_D) * k.D_c / D) ** k.alpha_D - 1


def data_needed(k: ConstantsLike = TABLE_2, N: Numbers = 1e9, tolerance: Numbers = TOLERANCE) -> Any:
    """The tokens that keep `overfitting` of N parameters at `tolerance`: 5e3 N^0.74 at Table 2 and 0.02 (eq. 4.4)."""
    N, tolerance = given(N=N, tolerance=tolerance)
    return k.D_c * (N / k.N_c) ** (k.alpha_N / k.alpha_D) / ((1 + tolerance) ** (1 / k.alpha_D) - 1)


def stopping_step(
    data: ConstantsLike = TABLE_2, steps: ConstantsLike = TABLE_3, N: Numbers = 1e9, D: Numbers = 1e10
) -> Any:
    """The step below which early stopping is not due, ``S_c / (L(N, D) - L(N, infinity))^(1/alpha_S)`` (eq. 5.7).

    A lower bound, for a batch far above critical.

    Parameters
    ----------
    data : Constants or Law
        Of L(N, D): alpha_N, N_c, alpha_D, D_c.
    steps : Constants or Law
        Of L(N, S_min): alpha_S, S_c. Draws of the two must be as many.
    N, D : array_like
        Parameters, and tokens in the data set.
    """
    N, D = given(N=N, D=D)
    return steps.S_c / (loss_of_data(data, N, None) * overfitting(data, N, D)) ** (1 / steps.alpha_S)


def compute_for_loss_ratio(k: ConstantsLike = TABLE_5["kaplan_cmin"], ratio: Numbers = 1.01) -> Any:
    """The compute that pays for a loss `ratio` times as high, ``ratio^(1/alpha_C)``: 22 % for 1 %."""
    (ratio,) = given(ratio=ratio)
    return np.asarray(ratio ** (1 / k.alpha_C))[()]
