"""The combined predictor that popular summaries attribute to Kaplan et al. 2020. It is not in the paper."""

from math import log

import jax.numpy as jnp
import numpyro.distributions as dist
from jax.scipy.special import logsumexp

from bayescale.law import PF_DAY, Law, Param, stated

P = 32.0
EXPONENT = dist.LogNormal(log(0.07), 0.6)
SHARE = dist.LogNormal(log(0.7), 0.4)


class SeedMax(Law):
    """L(N, D, C) = L_inf + max((N_c/N)^alpha_N, (D_c/D)^alpha_D, (C_c/C)^alpha_C)

    A heuristic of popular summaries of Kaplan et al. 2020 (arXiv:2001.08361); the paper has no such law and no L_inf.

    L_inf is 0, as where the law is quoted; SeedMax(L_inf="Uniform(0, 2)") frees it. It then trades off with every
    exponent.

    The maximum is the p-norm with p = 32, at most 3.5 % above it, so that it has a derivative. With C = 6ND it counts
    compute twice; kaplan_nd is the paper's law of N and D.
    """

    alpha_N: Param = EXPONENT
    N_c: Param = stated("(N_c/N0)^alpha_N / L0", SHARE, lambda q, law, at: at.N * (q * at.loss) ** (1 / law.alpha_N))
    alpha_D: Param = EXPONENT
    D_c: Param = stated("(D_c/D0)^alpha_D / L0", SHARE, lambda q, law, at: at.D * (q * at.loss) ** (1 / law.alpha_D))
    alpha_C: Param = EXPONENT
    C_c: Param = stated("(C_c/C0)^alpha_C / L0", SHARE, lambda q, law, at: at.C * (q * at.loss) ** (1 / law.alpha_C))
    L_inf: Param = 0.0

    published = {
        "popular summaries": {
            "alpha_N": 0.076, "N_c": 8.8e13, "alpha_D": 0.095, "D_c": 5.4e13,
            "alpha_C": 0.050, "C_c": 3.1e8 * PF_DAY, "L_inf": 0.0,
        }
    }  # fmt: skip

    def loss(self, N, D, C):
        size = self.alpha_N * jnp.log(self.N_c / N)
        data = self.alpha_D * jnp.log(self.D_c / D)
        compute = self.alpha_C * jnp.log(self.C_c / C)
        return self.L_inf + jnp.exp(logsumexp(P * jnp.stack([size, data, compute])) / P)
