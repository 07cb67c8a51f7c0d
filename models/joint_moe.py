"""Mixtures of experts trained on any number of tokens: Chinchilla's law at each number of experts."""

from math import log

import jax.numpy as jnp
import numpyro.distributions as dist

from bayescale.law import FLOPS_PER_PARAMETER_TOKEN, Law, Param, derived, stated
from bayescale.models.experts import E_MAX, E_START, effective_experts

SHARE = dist.LogNormal(log(0.15), 0.8)
EXPONENT = dist.LogNormal(log(0.25), 0.5)
BEND = dist.Normal(0.0, 0.03)


class JointMoE(Law):
    """L(N, D, E) = a Ehat^delta N^(alpha + gamma ln Ehat) + b Ehat^omega D^(beta + zeta ln Ehat) + c

    Ludziejewski et al. 2025 (arXiv:2502.05172), Table 3; Ehat of E, E_start and E_max as Clark et al. 2022 have it.

    1/Ehat = 1/(E - 1 + 1/(1/E_start - 1/E_max)) + 1/E_max. E experts a layer, of which a token passes through one
    (dense: E = 1); N counts the parameters that it passes through, with embeddings. Exponents are signed as published:
    negative where more N and D help. Each number of experts has an optimum of its own, as ``allocate(C, E=8)`` asks for
    it. Ehat0 is Ehat at the geometric mean of the table's E.
    """

    may_rise = True

    E_start: Param = E_START
    E_max: Param = E_MAX
    gamma: Param = BEND
    alpha: Param = stated(
        "-(alpha + gamma ln Ehat0)", EXPONENT, lambda q, law, at: -q - law.gamma * jnp.log(law.effective_E(at.E))
    )
    delta: Param = stated(
        "delta + gamma ln N0", dist.Normal(0.0, 0.1), lambda q, law, at: q - law.gamma * jnp.log(at.N)
    )
    a: Param = stated(
        "a Ehat0^delta N0^(alpha + gamma ln Ehat0) / L0",
        SHARE,
        lambda q, law, at: (
            q * at.loss * jnp.exp(-law.delta * jnp.log(law.effective_E(at.E)) - law.N_exponent(at.E) * jnp.log(at.N))
        ),
    )
    zeta: Param = BEND
    beta: Param = stated(
        "-(beta + zeta ln Ehat0)", EXPONENT, lambda q, law, at: -q - law.zeta * jnp.log(law.effective_E(at.E))
    )
    omega: Param = stated("omega + zeta ln D0", dist.Normal(0.0, 0.1), lambda q, law, at: q - law.zeta * jnp.log(at.D))
    b: Param = stated(
        "b Ehat0^omega D0^(beta + zeta ln Ehat0) / L0",
        SHARE,
        lambda q, law, at: (
            q * at.loss * jnp.exp(-law.omega * jnp.log(law.effective_E(at.E)) - law.D_exponent(at.E) * jnp.log(at.D))
        ),
    )
    c: Param = stated("c / L0", dist.Beta(2.0, 1.2), lambda share, law, at: share * at.loss)

    name = "joint_moe"
    published = {
        "Ludziejewski et al. 2025": {
            "E_start": 2.0732, "E_max": 290.4521, "gamma": 0.0098, "alpha": -0.1889, "delta": -0.2285, "a": 35.91,
            "zeta": -0.0259, "beta": -0.1775, "omega": 0.5529, "b": 35.98, "c": 1.3637,
        },
    }  # fmt: skip

    def loss(self, N, D, E):
        return self.N_scale(E) * N ** self.N_exponent(E) + self.D_scale(E) * D ** self.D_exponent(E) + self.c

    def optimum(self, C, E):
        m, mu, n, nu = self.N_scale(E), -self.N_exponent(E), self.D_scale(E), -self.D_exponent(E)
        falling = (mu > 0) & (nu > 0)
        mu, nu = jnp.where(falling, mu, 1.0), jnp.where(falling, nu, 1.0)
        half = jnp.log(C / FLOPS_PER_PARAMETER_TOKEN)
        log_N = (jnp.log(mu * m / (nu * n)) + nu * half) / (mu + nu)
        log_N = jnp.where(falling, log_N, jnp.nan)
        return {"N": jnp.exp(log_N), "D": jnp.exp(half - log_N)}

    @derived
    def effective_E(self, E):
        """Ehat, the number of experts with their diminishing returns."""
        return effective_experts(self, E)

    @derived
    def N_scale(self, E):
        """What multiplies N^N_exponent(E)."""
        return self.a * self.effective_E(E) ** self.delta

    @derived
    def N_exponent(self, E):
        """Exponent of N at E experts."""
        return self.alpha + self.gamma * jnp.log(self.effective_E(E))

    @derived
    def D_scale(self, E):
        """What multiplies D^D_exponent(E)."""
        return self.b * self.effective_E(E) ** self.omega

    @derived
    def D_exponent(self, E):
        """Exponent of D at E experts."""
        return self.beta + self.zeta * jnp.log(self.effective_E(E))

    @derived
    def a_opt(self, E):
        """Exponent of N_opt(C) at E experts."""
        return self.D_exponent(E) / (self.N_exponent(E) + self.D_exponent(E))

    @derived
    def b_opt(self, E):
        """Exponent of D_opt(C) at E experts."""
        return self.N_exponent(E) / (self.N_exponent(E) + self.D_exponent(E))
