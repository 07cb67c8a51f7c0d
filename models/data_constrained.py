"""Training for several epochs on a fixed pool of unique tokens."""

from math import exp, log

import numpyro.distributions as dist
from jax.numpy import expm1, maximum, minimum

from bayescale.law import Param, derived
from bayescale.models.chinchilla import Chinchilla


class DataConstrained(Chinchilla):
    """L(N, D, U) = E + A/N'^alpha + B/D'^beta

    Muennighoff et al. 2023 (arXiv:2305.16264), section 3.1 and appendix A.

    D tokens are seen, U of them unique: D' = U + U R_D (1 - exp(-(D/U - 1)/R_D)), where D exceeds U, so that repeating
    is worth at most 1 + R_D epochs. N' is alike, with R_N and the N that is compute-optimal for the unique tokens.
    R_D takes runs of more than eight epochs to determine, R_N models much larger than the unique tokens call for.
    """

    R_D: Param = dist.LogNormal(log(15.0), 0.8)
    R_N: Param = dist.LogNormal(log(5.0), 0.8)

    published = {
        "Muennighoff et al. 2023, C4": {
            "E": exp(0.6254804), "A": exp(6.255414), "alpha": 0.3526596, "B": exp(7.3049974), "beta": 0.3526596,
            "R_D": 15.387756, "R_N": 5.309743,
        },
    }  # fmt: skip

    def loss(self, N, D, U):
        return (
            self.E + self.A * self.effective_N(N, D, U) ** -self.alpha + self.B * self.effective_D(D, U) ** -self.beta
        )

    @derived
    def effective_D(self, D, U):
        """Unique tokens that would do as much as D tokens of which U are unique."""
        unique = minimum(U, D)
        return unique * (1 + worth(D / unique - 1, self.R_D))

    @derived
    def effective_N(self, N, D, U):
        """Parameters that would do as much, were there tokens for them, as N do on U unique tokens."""
        G = (self.alpha * self.A / (self.beta * self.B)) ** (1 / (self.alpha + self.beta))
        needed = minimum(N, G * (G * minimum(U, D)) ** (self.beta / self.alpha))
        return needed * (1 + worth(maximum(N / needed - 1, 0.0), self.R_N))


def worth(repeats, R):
    """What repeats are worth, in first times: R at most."""
    return -R * expm1(-repeats / R)
