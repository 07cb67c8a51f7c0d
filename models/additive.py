"""Relatives of the Chinchilla law in the nested family L = E + (A/N^alpha + B/D^beta)^k: fewer constants, or one more.

E and k move the loss but not the optimum: every member shares the optimum and the exponents a and b of the inner sum.
"""

from math import exp, log

import numpyro.distributions as dist

from bayescale.law import Param, derived, stated
from bayescale.models.chinchilla import Chinchilla


def gadre(E: float, a: float, b: float, eta: float) -> dict[str, float]:
    """Constants of `ChinchillaTied` from Gadre et al.'s eq. 4."""
    return {"E": E, "A": a / 6**eta, "alpha": 2 * eta, "B": b / 6**eta}


class ChinchillaTied(Chinchilla):
    """L(N, D) = E + A/N^alpha + B/D^alpha

    Hoffmann et al. 2022 (arXiv:2203.15556), eq. 2 with beta = alpha, as Muennighoff et al. 2023 (arXiv:2305.16264) and
    Gadre et al. 2024 (arXiv:2403.08540) use it.

    N and D then grow alike, as the square root of compute. Gadre et al. write it in C = 6ND and in tokens a parameter
    M = D/N: L = E + (a M^eta + b M^-eta) C^-eta, with eta = alpha/2, a = A 6^eta and b = B 6^eta.
    """

    beta: Param = "alpha"

    published = {
        "Muennighoff et al. 2023, C4": {
            "E": exp(0.6254804), "A": exp(6.255414), "alpha": 0.3526596, "B": exp(7.3049974),
        },
        "Gadre et al. 2024, C4": gadre(E=1.508, a=141.3, b=189.5, eta=0.1212),
        "Gadre et al. 2024, RedPajama": gadre(E=1.837, a=212.2, b=366.7, eta=0.1364),
        "Gadre et al. 2024, RefinedWeb": gadre(E=1.734, a=157.1, b=246.2, eta=0.1272),
    }  # fmt: skip


class ChinchillaNoFloor(Chinchilla):
    """L(N, D) = A/N^alpha + B/D^beta

    Hoffmann et al. 2022 (arXiv:2203.15556), eq. 2 without an irreducible loss.

    Each term is about half of the loss at the data's centre, so exponents are about twice those of a law of one term.
    """

    E: Param = 0.0
    A: Param = stated(
        "A / N0^alpha / L0", dist.LogNormal(log(0.5), 0.8), lambda share, law, at: share * at.loss * at.N**law.alpha
    )
    alpha: Param = dist.LogNormal(log(0.14), 0.6)
    B: Param = stated(
        "B / D0^beta / L0", dist.LogNormal(log(0.5), 0.8), lambda share, law, at: share * at.loss * at.D**law.beta
    )
    beta: Param = dist.LogNormal(log(0.14), 0.6)

    published = {}


class Coupled(Chinchilla):
    """L(N, D) = E + (A/N^alpha + B/D^beta)^k

    Busbridge et al. 2025 (arXiv:2502.08606), the supervised law; k = 1 is Chinchilla's.

    k and E trade off strongly: an irreducible loss of this law means nothing without the prior of k.
    """

    E: Param = stated("E / L0", dist.Beta(1.0, 1.0), lambda share, law, at: share * at.loss)
    k: Param = dist.LogNormal(log(0.8), 0.4)
    A: Param = stated(
        "(A / N0^alpha)^k / L0",
        dist.LogNormal(log(0.15), 0.8),
        lambda share, law, at: (share * at.loss) ** (1 / law.k) * at.N**law.alpha,
    )
    B: Param = stated(
        "(B / D0^beta)^k / L0",
        dist.LogNormal(log(0.15), 0.8),
        lambda share, law, at: (share * at.loss) ** (1 / law.k) * at.D**law.beta,
    )

    published = {}

    def loss(self, N, D):
        return self.E + (self.A * N**-self.alpha + self.B * D**-self.beta) ** self.k

    @derived
    def gamma(self):
        """Exponent of the reducible loss along the compute-optimal frontier."""
        return self.k * self.alpha * self.beta / (self.alpha + self.beta)
