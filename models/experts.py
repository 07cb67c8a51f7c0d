"""Mixtures of experts: laws of a model with E experts a routed layer, of which a token passes through one."""

from math import log

import jax.numpy as jnp
import numpyro.distributions as dist

from bayescale.law import Law, Param, derived, stated

TEN = log(10.0)
E_START = stated("E_start - 1", dist.LogNormal(0.0, 1.0), lambda q, law, at: 1 + q)
E_MAX = stated("E_max / E_start - 1", dist.LogNormal(log(200.0), 1.0), lambda q, law, at: law.E_start * (1 + q))


def effective_experts(law, E):
    """Ehat: E_start of a dense model, E_max of infinitely many experts."""
    return 1 / (1 / (E - 1 + 1 / (1 / law.E_start - 1 / law.E_max)) + 1 / law.E_max)


class ClarkRouted(Law):
    """L(N, E) = 10^(a log10 N + b log10 Ehat + c log10 N log10 Ehat + d), Ehat of E, E_start and E_max

    Clark et al. 2022 (arXiv:2202.01169), eq. 1: models of one D, with E experts in every other layer.

    1/Ehat = 1/(E - 1 + 1/(1/E_start - 1/E_max)) + 1/E_max: E_start of a dense model (E = 1), at most E_max. N counts
    the parameters that one token passes through. E_max takes runs of hundreds of experts to determine. Ehat0 is Ehat at
    the geometric mean of the table's E.
    """

    may_rise = True

    E_start: Param = E_START
    E_max: Param = E_MAX
    a: Param = stated(
        "-(a + c log10 Ehat0)",
        dist.LogNormal(log(0.07), 0.5),
        lambda q, law, at: -q - law.c * jnp.log10(law.effective_E(at.E)),
    )
    b: Param = stated(
        "-(b + c log10 N0)", dist.LogNormal(log(0.03), 0.8), lambda q, law, at: -q - law.c * jnp.log10(at.N)
    )
    c: Param = dist.Normal(0.0, 0.02)
    d: Param = stated(
        "L(N0, E0) / L0",
        dist.LogNormal(0.0, 0.2),
        lambda q, law, at: jnp.log10(q * at.loss) - law.rise(at.N, at.E),
    )

    published = {
        "Clark et al. 2022, S-Base": {
            "E_start": 1.847, "E_max": 314.478, "a": -0.082, "b": -0.108, "c": 0.009, "d": 1.104,
        },
        "Clark et al. 2022, RL-R": {
            "E_start": 1.880, "E_max": 469.982, "a": -0.083, "b": -0.126, "c": 0.012, "d": 1.111,
        },
        "Clark et al. 2022, Hash": {
            "E_start": 4.175, "E_max": 477.741, "a": -0.087, "b": -0.136, "c": 0.012, "d": 1.157,
        },
    }  # fmt: skip

    def loss(self, N, E):
        return jnp.exp(TEN * (self.rise(N, E) + self.d))

    def rise(self, N, E):
        """log10 L less d."""
        n, e = jnp.log10(N), jnp.log10(self.effective_E(E))
        return self.a * n + self.b * e + self.c * n * e

    @derived
    def effective_E(self, E):
        """Ehat, the number of experts with their diminishing returns."""
        return effective_experts(self, E)

    @derived
    def effective_N(self, N, E):
        """Parameters of a dense model of the same loss, the source's effective parameter count."""
        e1 = jnp.log10(self.effective_E(1.0))
        return jnp.exp(TEN * (self.rise(N, E) - self.b * e1) / (self.a + self.c * e1))

    @derived
    def N_cutoff(self):
        """Parameters beyond which more experts hurt; infinite where they help larger models no less (c <= 0)."""
        falling = self.c > 0
        return jnp.where(falling, jnp.exp(-TEN * self.b / jnp.where(falling, self.c, 1.0)), jnp.inf)
