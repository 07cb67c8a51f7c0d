"""The Chinchilla law of models whose parameters are counted without embeddings."""

from math import log

import jax.numpy as jnp
import numpyro.distributions as dist

from bayescale.law import FLOPS_PER_PARAMETER_TOKEN, Law, Param, derived, stated
from bayescale.models.chinchilla import Chinchilla
from bayescale.rootfind import decreasing_root
from bayescale.runs.embeddings import OMEGA, total

GRID = 256
BEYOND = 40.0
"""The optimum's log N is looked for so far beyond one parameter and beyond one token."""


class NonEmbedding(Law):
    """L(N, D) = E + A/(N + omega N^(1/3))^alpha + B/D^beta

    Pearce & Song 2024 (arXiv:2406.12907): the law of Hoffmann et al. 2022 in N parameters without embeddings.

    omega N^(1/3) are the embeddings, pinned as the source fits them to the models of Hoffmann et al.; `embedding_scale`
    gives omega of another vocabulary. The budget is C = 6 N D in these N. N_opt is no power law of C: it rises steeply,
    as Kaplan et al. 2020 found, where models are mostly embeddings, and as Chinchilla's where they are not.
    """

    name = "chinchilla_non_embedding"
    by_name_only = True

    E: Param = Chinchilla.E
    A: Param = stated(
        "A / T0^alpha / L0, T0 = N0 + omega N0^(1/3)",
        dist.LogNormal(log(0.15), 0.8),
        lambda share, law, at: share * at.loss * total(at.N, law.omega) ** law.alpha,
    )
    alpha: Param = Chinchilla.alpha
    B: Param = Chinchilla.B
    beta: Param = Chinchilla.beta
    omega: Param = OMEGA

    published = {source: {**k, "omega": OMEGA} for source, k in Chinchilla.published.items()}

    def loss(self, N, D):
        return self.E + self.A * total(N, self.omega) ** -self.alpha + self.B * D**-self.beta

    @derived
    def D_opt(self, N):
        """Tokens on which N parameters are the optimum of their budget."""
        T = total(N, self.omega)
        slope = N + self.omega / 3 * N ** (1 / 3)
        return (self.beta * self.B * T ** (1 + self.alpha) / (self.alpha * self.A * slope)) ** (1 / self.beta)

    def optimum(self, C):
        budget = jnp.log(C / FLOPS_PER_PARAMETER_TOKEN)

        def excess(u, law, budget):
            """Log of the tokens left for N = e^u over those that make it optimal: falls through the optimum."""
            return budget - u - jnp.log(law.D_opt(jnp.exp(u)))

        # with small exponents a budget has two valleys: the grid finds the deeper one
        grid = jnp.linspace(-BEYOND, jnp.maximum(budget, 0.0) + BEYOND, GRID)
        by_size = self.A * total(jnp.exp(grid), self.omega) ** -self.alpha
        best = jnp.clip(jnp.argmin(by_size + self.B * jnp.exp(self.beta * (grid - budget))), 1, GRID - 2)
        N = jnp.exp(decreasing_root(excess, grid[best - 1], grid[best + 1], self, budget))
        return {"N": N, "D": C / FLOPS_PER_PARAMETER_TOKEN / N}

    @derived
    def N_opt(self, C):
        """Compute-optimal parameters at C = 6 N D FLOPs."""
        return self.optimum(C)["N"]

    @derived
    def a(self, C):
        """Local exponent of N_opt: d log N_opt / d log C at C FLOPs."""
        N = self.optimum(C)["N"]
        embeddings = self.omega * N ** (1 / 3)
        of_total = (N + embeddings / 3) / (N + embeddings)
        of_slope = (N + embeddings / 9) / (N + embeddings / 3)
        return self.beta / (self.beta + (1 + self.alpha) * of_total - of_slope)
