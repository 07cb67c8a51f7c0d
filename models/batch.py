"""The critical batch size (McCandlish et al. 2018, arXiv:1812.06162; Kaplan et al. 2020, arXiv:2001.08361).

B counts tokens a batch. A sweep in sequences fits as well: S_min is the same, B_crit is in sequences.
"""

from math import log

import numpyro.distributions as dist

from bayescale import kaplan
from bayescale.law import Law, Param, derived, stated

ALPHA_B = dist.LogNormal(-log(4.8), 0.5)


class CriticalBatch(Law):
    """B_crit(L) = B_star / L^(1/alpha_B)

    Kaplan et al. 2020, eqs. 1.4 and 5.3, Table 5: the measured critical batch sizes of goal losses.
    """

    metric = "B_crit"
    alpha_B: Param = ALPHA_B
    B_star: Param = stated(
        "B_crit(L0) / B_crit0",
        dist.LogNormal(0.0, 0.5),
        lambda q, law, at: q * at.B_crit * at.loss ** (1 / law.alpha_B),
    )

    published = {"Kaplan et al. 2020, Table 5": {"alpha_B": 0.21, "B_star": 2.1e8}}

    def B_crit(self, loss):
        return kaplan.critical_batch(self, loss)

    @derived
    def doubling(self):
        """The fall in loss, as a fraction of it, that doubles the critical batch."""
        return 1 - 0.5**self.alpha_B


class BatchSweep(Law):
    """S(B) = S_min (1 + B_crit/B)

    McCandlish et al. 2018; Kaplan et al. 2020, eqs. 5.1 and 5.4: steps to one goal loss against the batch size.
    """

    metric = "S"
    S_min: Param = stated("S_min / S0", dist.LogNormal(log(0.5), 1.0), lambda q, law, at: q * at.S)
    B_crit: Param = stated("B_crit / B0", dist.LogNormal(0.0, 1.5), lambda q, law, at: q * at.B)

    def S(self, B):
        return self.S_min * (1 + self.B_crit / B)

    @derived
    def E_min(self):
        """The least data that reach the goal, at a batch far below critical (eq. 5.2), in the unit of B."""
        return self.S_min * self.B_crit
