"""The laws of Kaplan et al. 2020 (arXiv:2001.08361): pure power laws, no irreducible loss.

N counts parameters without embeddings. The paper states C in PF-days; here C is in FLOPs, 1 PF-day = 8.64e19.
"""

from math import log

import numpyro.distributions as dist

from bayescale import kaplan
from bayescale.law import PF_DAY, Law, Param, derived, stated

EXPONENT = dist.LogNormal(log(0.07), 0.6)
AT_CENTRE = dist.LogNormal(0.0, 0.3)


class KaplanN(Law):
    """L(N) = (N_c/N)^alpha_N

    Kaplan et al. 2020, eqs. 1.1 and 3.1, Table 5: trained to near convergence on all the data.
    """

    alpha_N: Param = EXPONENT
    N_c: Param = stated("L(N0) / L0", AT_CENTRE, lambda q, law, at: at.N * (q * at.loss) ** (1 / law.alpha_N))

    published = {"Kaplan et al. 2020, Table 5": {"alpha_N": 0.076, "N_c": 8.8e13}}

    def loss(self, N):
        return (self.N_c / N) ** self.alpha_N


class KaplanD(Law):
    """L(D) = (D_c/D)^alpha_D

    Kaplan et al. 2020, eqs. 1.2 and 3.2, Table 5: large models with early stopping on D tokens.

    M1 of Alabdulmohsin et al. 2022 (arXiv:2209.06640). The prior of alpha_D is of language models' losses in nats.
    """

    alpha_D: Param = EXPONENT
    D_c: Param = stated("L(D0) / L0", AT_CENTRE, lambda q, law, at: at.D * (q * at.loss) ** (1 / law.alpha_D))

    published = {"Kaplan et al. 2020, Table 5": {"alpha_D": 0.095, "D_c": 5.4e13}}

    def loss(self, D):
        return (self.D_c / D) ** self.alpha_D


class KaplanC(Law):
    """L(C) = (C_c/C)^alpha_C

    Kaplan et al. 2020, eq. 3.3, Table 5: the naive law, best loss at compute C with the batch fixed at 2^19 tokens.
    """

    alpha_C: Param = EXPONENT
    C_c: Param = stated("L(C0) / L0", AT_CENTRE, lambda q, law, at: at.C * (q * at.loss) ** (1 / law.alpha_C))

    published = {"Kaplan et al. 2020, Table 5": {"alpha_C": 0.057, "C_c": 1.6e7 * PF_DAY}}

    def loss(self, C):
        return (self.C_c / C) ** self.alpha_C


class KaplanCmin(KaplanC):
    """L(C_min) = (C_c/C_min)^alpha_C

    Kaplan et al. 2020, eqs. 1.3 and 6.3, Table 5: C is C_min, the compute adjusted to a batch far below critical.
    """

    name = "kaplan_cmin"

    published = {"Kaplan et al. 2020, Table 5": {"alpha_C": 0.050, "C_c": 3.1e8 * PF_DAY}}


class KaplanND(Law):
    """L(N, D) = [(N_c/N)^(alpha_N/alpha_D) + D_c/D]^alpha_D

    Kaplan et al. 2020, eqs. 1.5 and 4.1, Table 2: D is the size of the data set, trained on with early stopping.
    """

    alpha_N: Param = stated("alpha_N / alpha_D", dist.LogNormal(log(0.75), 0.4), lambda p, law, at: p * law.alpha_D)
    alpha_D: Param = dist.LogNormal(log(0.1), 0.5)
    N_c: Param = stated(
        "L(N0, inf) / L0", dist.LogNormal(log(0.9), 0.3), lambda q, law, at: at.N * (q * at.loss) ** (1 / law.alpha_N)
    )
    D_c: Param = stated(
        "L(inf, D0) / L0", dist.LogNormal(log(0.9), 0.3), lambda q, law, at: at.D * (q * at.loss) ** (1 / law.alpha_D)
    )

    published = {"Kaplan et al. 2020, Table 2": {"alpha_N": 0.076, "alpha_D": 0.103, "N_c": 6.4e13, "D_c": 1.8e13}}
    caution = "D is the size of a data set with early stopping; the paper does not split C = 6ND by this law"

    def loss(self, N, D):
        return ((self.N_c / N) ** (self.alpha_N / self.alpha_D) + self.D_c / D) ** self.alpha_D

    def optimum(self, C):
        return _optimum(self, C)

    @derived
    def a(self):
        """Exponent of N_opt(C) where C = 6ND is imposed."""
        return self.alpha_D / (self.alpha_N + self.alpha_D)

    @derived
    def overfitting(self, N, D):
        """L(N, D) / L(N, inf) - 1 (eqs. 4.2 and 4.3)."""
        return kaplan.overfitting(self, N, D)

    @derived
    def data_needed(self, N, tolerance):
        """Tokens that keep the overfitting of N parameters at the tolerance, a fraction of the loss (eq. 4.4)."""
        return kaplan.data_needed(self, N, tolerance)


class KaplanE(Law):
    """L(N, D) = E + [(N_c/N)^(alpha_N/alpha_D) + D_c/D]^alpha_D

    Kaplan et al. 2020, eq. 1.5, with an irreducible loss E that the paper does not have.
    """

    E: Param = stated("E / L0", dist.Beta(1.0, 1.0), lambda share, law, at: share * at.loss)
    alpha_N: Param = stated("alpha_N / alpha_D", dist.LogNormal(log(0.75), 0.4), lambda p, law, at: p * law.alpha_D)
    alpha_D: Param = dist.LogNormal(log(0.2), 0.6)
    N_c: Param = stated(
        "(L(N0, inf) - E) / L0",
        dist.LogNormal(log(0.4), 0.6),
        lambda q, law, at: at.N * (q * at.loss) ** (1 / law.alpha_N),
    )
    D_c: Param = stated(
        "(L(inf, D0) - E) / L0",
        dist.LogNormal(log(0.4), 0.6),
        lambda q, law, at: at.D * (q * at.loss) ** (1 / law.alpha_D),
    )

    caution = KaplanND.caution

    def loss(self, N, D):
        return self.E + ((self.N_c / N) ** (self.alpha_N / self.alpha_D) + self.D_c / D) ** self.alpha_D

    def optimum(self, C):
        return _optimum(self, C)

    @derived
    def a(self):
        """Exponent of N_opt(C) where C = 6ND is imposed."""
        return self.alpha_D / (self.alpha_N + self.alpha_D)


def _optimum(law, C):
    p = law.alpha_N / law.alpha_D
    G = (p * law.N_c**p / law.D_c) ** (1 / (p + 1))
    a = 1 / (1 + p)
    return {"N": G * (C / 6) ** a, "D": (C / 6) ** (1 - a) / G}
