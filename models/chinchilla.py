"""Two additive power laws above an irreducible loss."""

from math import log

import numpyro.distributions as dist

from bayescale.law import Law, Param, derived, stated


class Chinchilla(Law):
    """L(N, D) = E + A/N^alpha + B/D^beta

    Hoffmann et al. 2022 (arXiv:2203.15556), eq. 2; fitted again by Besiroglu et al. 2024 (arXiv:2404.10102).

    N parameters with embeddings, D training tokens seen once, loss in nats/token.
    """

    E: Param = stated("E / L0", dist.Beta(2.0, 1.2), lambda share, law, at: share * at.loss)
    A: Param = stated(
        "A / N0^alpha / L0", dist.LogNormal(log(0.15), 0.8), lambda share, law, at: share * at.loss * at.N**law.alpha
    )
    alpha: Param = dist.LogNormal(log(0.3), 0.5)
    B: Param = stated(
        "B / D0^beta / L0", dist.LogNormal(log(0.15), 0.8), lambda share, law, at: share * at.loss * at.D**law.beta
    )
    beta: Param = dist.LogNormal(log(0.3), 0.5)

    published = {
        "Hoffmann et al. 2022": {"E": 1.693374, "A": 406.4010, "alpha": 0.33917084, "B": 410.7228, "beta": 0.2849083},
        "Besiroglu et al. 2024": {"E": 1.8172, "A": 482.01, "alpha": 0.3478, "B": 2085.43, "beta": 0.3658},
    }

    def loss(self, N, D):
        return self.E + self.A * N**-self.alpha + self.B * D**-self.beta

    def optimum(self, C):
        G = (self.alpha * self.A / (self.beta * self.B)) ** (1 / (self.alpha + self.beta))
        return {"N": G * (C / 6) ** self.a(), "D": (C / 6) ** self.b() / G}

    @derived
    def a(self):
        """Exponent of N_opt(C)."""
        return self.beta / (self.alpha + self.beta)

    @derived
    def b(self):
        """Exponent of D_opt(C)."""
        return self.alpha / (self.alpha + self.beta)

    @derived
    def gamma(self):
        """Exponent of the reducible loss along the compute-optimal frontier."""
        return self.alpha * self.beta / (self.alpha + self.beta)
