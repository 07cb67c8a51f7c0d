"""The learning curves of Kaplan et al. 2020 (arXiv:2001.08361): loss against steps, for models of many sizes.

N counts parameters without embeddings, S optimiser steps after warm-up, B tokens a batch.
"""

from math import log

import numpyro.distributions as dist

from bayescale import kaplan
from bayescale.law import Law, Param, derived, stated
from bayescale.models.batch import ALPHA_B

ALPHA_N = dist.LogNormal(log(0.07), 0.6)
ALPHA_S = dist.LogNormal(log(0.7), 0.4)
N_C = stated(
    "(N_c/N0)^alpha_N / L0", dist.LogNormal(log(0.8), 0.3), lambda q, law, at: at.N * (q * at.loss) ** (1 / law.alpha_N)
)
S_C = stated(
    "(S_c/S0)^alpha_S / L0",
    dist.LogNormal(log(0.15), 0.8),
    lambda q, law, at: at.S * (q * at.loss) ** (1 / law.alpha_S),
)


class KaplanNS(Law):
    """L(N, S_min) = (N_c/N)^alpha_N + (S_c/S_min)^alpha_S

    Kaplan et al. 2020, eqs. 1.6 and 5.6, Table 3: S is S_min, steps at a batch far above critical.
    """

    alpha_N: Param = ALPHA_N
    N_c: Param = N_C
    alpha_S: Param = ALPHA_S
    S_c: Param = S_C

    name = "kaplan_ns"
    published = {"Kaplan et al. 2020, Table 3": {"alpha_N": 0.077, "N_c": 6.5e13, "alpha_S": 0.76, "S_c": 2.1e3}}

    def loss(self, N, S):
        return (self.N_c / N) ** self.alpha_N + (self.S_c / S) ** self.alpha_S

    @derived
    def steps_to(self, N, loss):
        """S_min at which N parameters reach a loss, infinite where they never do (eq. 5.6 solved for S_min)."""
        return kaplan.steps_to(self, N, loss)

    @derived
    def converged_fraction(self):
        """How far above its converged loss a model is best stopped, as a fraction of it (eq. B.5)."""
        return kaplan.converged_fraction(self)


class KaplanNSB(Law):
    """L(N, S, B) = (N_c/N)^alpha_N + (S_c/S_min)^alpha_S, S_min = S / (1 + B_star / (B L^(1/alpha_B)))

    Kaplan et al. 2020, eqs. 5.3, 5.4 and 5.6, Tables 3 and 5: learning curves at a finite batch. L is on both sides.
    """

    alpha_N: Param = ALPHA_N
    N_c: Param = N_C
    alpha_S: Param = ALPHA_S
    S_c: Param = S_C
    alpha_B: Param = ALPHA_B
    B_star: Param = stated(
        "B_crit(L0)", dist.LogNormal(log(1e6), 1.0), lambda q, law, at: q * at.loss ** (1 / law.alpha_B)
    )

    name = "kaplan_nsb"
    published = {
        "Kaplan et al. 2020, Tables 3 and 5": {
            **KaplanNS.published["Kaplan et al. 2020, Table 3"],
            "alpha_B": 0.21,
            "B_star": 2.1e8,
        }
    }

    def loss(self, N, S, B):
        return kaplan.loss_at_batch(self, N, S, B)

    @derived
    def critical_batch(self, loss):
        """B_crit(L), tokens (eq. 5.3)."""
        return kaplan.critical_batch(self, loss)

    @derived
    def minimum_steps(self, N, S, B):
        """S_min of a run of S steps at batch B (eq. 5.4)."""
        return kaplan.minimum_steps(self, S, B, self.loss(N, S, B))

    @derived
    def minimum_compute(self, N, S, B):
        """C_min of a run of S steps at batch B, FLOPs (eq. 5.5)."""
        return kaplan.minimum_compute(self, N, S, B, self.loss(N, S, B))

    @derived
    def alpha_C(self):
        """Exponent of the loss along the compute-efficient frontier (eq. B.7)."""
        return kaplan.compute_exponent(self)

    @derived
    def N_opt(self, C):
        """Compute-efficient parameters at C_min = C FLOPs (eq. B.9)."""
        return kaplan.frontier(self, C)["N"]

    @derived
    def B_opt(self, C):
        """Critical batch on the compute-efficient frontier at C_min = C, tokens (eq. 5.3)."""
        return kaplan.frontier(self, C)["B"]

    @derived
    def S_opt(self, C):
        """S_min on the compute-efficient frontier at C_min = C (eq. B.10)."""
        return kaplan.frontier(self, C)["S"]

    @derived
    def L_opt(self, C):
        """Loss on the compute-efficient frontier at C_min = C (eqs. B.6 to B.8)."""
        return kaplan.frontier(self, C)["loss"]
