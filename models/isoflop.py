"""IsoFLOP profiles and what they are for: the loss of models of one budget, and the optimum as the budget grows."""

from math import log

import numpyro.distributions as dist
from jax.numpy import log as ln

from bayescale.law import FLOPS_PER_PARAMETER_TOKEN, PF_DAY, Law, Param, derived, stated

SPLIT = dist.Beta(4.0, 4.0)
AT_CENTRE = dist.LogNormal(0.0, 1.0)


class IsoFLOP(Law):
    """L(N) = L_opt [1 + h/2 log(N/N_opt)^2]

    Hoffmann et al. 2022 (arXiv:2203.15556), section 3.2, approach 2: a parabola in log N through runs of one budget.

    A parabola is the valley's shape only near its floor; runs far from the optimum, as on one side of it only, move
    the optimum that it finds (arXiv:2603.22339).
    """

    name = "isoflop"

    L_opt: Param = stated("L_opt / L0", dist.LogNormal(-0.02, 0.1), lambda q, law, at: q * at.loss)
    N_opt: Param = stated("N_opt / N0", AT_CENTRE, lambda q, law, at: q * at.N)
    h: Param = dist.LogNormal(log(0.05), 0.8)

    by_name_only = may_rise = True

    def loss(self, N):
        return self.L_opt * (1 + self.h / 2 * ln(N / self.N_opt) ** 2)


class IsoFLOPs(Law):
    """L(N, C) = (L_inf + (C_c/C)^gamma) [1 + h/2 log(N/(k C^a))^2]

    Hoffmann et al. 2022 (arXiv:2203.15556), section 3.2, approach 2: the profiles of all budgets at once.

    With ``pool={"budget": ["k"]}`` each budget has an optimum of its own, N_opt(C), about the power law k C^a that all
    of them share.
    """

    name = "isoflops"

    L_inf: Param = stated("L_inf / L0", dist.Beta(2.0, 1.2), lambda share, law, at: share * at.loss)
    gamma: Param = dist.LogNormal(log(0.16), 0.4)
    C_c: Param = stated(
        "(L_opt(C0) - L_inf) / L0",
        dist.LogNormal(log(0.3), 0.8),
        lambda q, law, at: at.C * (q * at.loss) ** (1 / law.gamma),
    )
    h: Param = dist.LogNormal(log(0.05), 0.8)
    a: Param = SPLIT
    k: Param = stated("N_opt(C0) / N0", AT_CENTRE, lambda q, law, at: q * at.N / at.C**law.a)

    by_name_only = may_rise = True

    def loss(self, N, C):
        return self.L_opt(C) * (1 + self.h / 2 * (ln(N / self.k) - self.a * ln(C)) ** 2)

    @derived
    def L_opt(self, C):
        """The loss at the floor of the profile of C FLOPs."""
        return self.L_inf + (self.C_c / C) ** self.gamma

    @derived
    def N_opt(self, C):
        """Parameters at the floor of the profile of C FLOPs."""
        return self.k * C**self.a

    @derived
    def D_opt(self, C):
        """Tokens that C FLOPs leave for N_opt parameters, at 6 FLOPs a parameter and token."""
        return C / FLOPS_PER_PARAMETER_TOKEN / self.N_opt(C)


class OptimalN(Law):
    """N_opt(C) = k C^a

    Kaplan et al. 2020, Table 6; Hoffmann et al. 2022 (arXiv:2203.15556), approaches 1 and 2: optima of several budgets.

    N as the source counts it: Kaplan et al. without embeddings.
    """

    metric = "N_opt"
    k: Param = stated("N_opt(C0) / N_opt0", AT_CENTRE, lambda q, law, at: q * at.N_opt / at.C**law.a)
    a: Param = SPLIT

    published = {
        "Kaplan et al. 2020, Table 6": {"k": 1.3e9 / PF_DAY**0.73, "a": 0.73},
        "Porian et al. 2024, tuned": {"k": 0.1189265, "a": 0.496895},
    }

    def N_opt(self, C):
        return self.k * C**self.a

    @derived
    def D_opt(self, C):
        """Tokens that C FLOPs leave for N_opt parameters, at 6 FLOPs a parameter and token."""
        return C / FLOPS_PER_PARAMETER_TOKEN / self.N_opt(C)


class OptimalD(Law):
    """D_opt(C) = k C^b

    DeepSeek-AI 2024 (arXiv:2401.02954), section 3.2; Llama 3 (arXiv:2407.21783), section 3.2: optimal tokens.
    """

    metric = "D_opt"
    k: Param = stated("D_opt(C0) / D_opt0", AT_CENTRE, lambda q, law, at: q * at.D_opt / at.C**law.b)
    b: Param = SPLIT

    published = {
        "Kaplan et al. 2020, Table 6": {"k": 2e10 / PF_DAY**0.27, "b": 0.27},
        "DeepSeek-AI 2024": {"k": 5.8316, "b": 0.4757},
        "Llama 3, 2024": {"k": 0.299, "b": 0.537},
    }

    def D_opt(self, C):
        return self.k * C**self.b

    @derived
    def N_opt(self, C):
        """Parameters for which C FLOPs leave D_opt tokens, at 6 FLOPs a parameter and token."""
        return C / FLOPS_PER_PARAMETER_TOKEN / self.D_opt(C)
