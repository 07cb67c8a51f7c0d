"""Pre-training as data: how many tokens of the target distribution it is worth."""

from math import log

import numpyro.distributions as dist

from bayescale.law import Law, Param, derived, stated


class TransferredData(Law):
    """D_T(D, N) = k D^alpha N^beta

    Hernandez et al. 2021 (arXiv:2102.01293): data that pre-training saves a model of N parameters without embeddings
    that is fine-tuned on D.

    D and D_T are in one unit, and k is of that unit and of the vocabulary: only the exponents carry over.
    """

    metric = "D_T"
    k: Param = stated(
        "D_T(D0, N0) / D_T0",
        dist.LogNormal(0.0, 0.5),
        lambda q, law, at: q * at.D_T / at.D**law.alpha / at.N**law.beta,
    )
    alpha: Param = dist.Beta(2.0, 6.0)
    beta: Param = dist.LogNormal(log(0.4), 0.4)

    published = {
        "Hernandez et al. 2021, from text to Python": {"k": 1.9e4, "alpha": 0.18, "beta": 0.38},
        "Hernandez et al. 2021, from text and code to Python": {"k": 2.1e5, "alpha": 0.096, "beta": 0.38},
    }

    def D_T(self, D, N):
        return self.k * D**self.alpha * N**self.beta

    @derived
    def multiplier(self, D, N):
        """Data in effect, D + D_T, over the data fine-tuned on."""
        return 1 + self.D_T(D, N) / D
