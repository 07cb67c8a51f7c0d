"""One power law above an irreducible loss, in parameters, tokens or compute."""

from math import log

import numpyro.distributions as dist

from bayescale.law import Law, Param, stated

FLOOR = stated("L_inf / L0", dist.Beta(2.0, 1.2), lambda share, law, at: share * at.loss)
EXPONENT = dist.LogNormal(log(0.2), 0.7)
REDUCIBLE = dist.LogNormal(log(0.3), 0.8)


class PowerLawN(Law):
    """L(N) = L_inf + (N_c/N)^alpha

    Henighan et al. 2020 (arXiv:2010.14701), eq. 1.1: Kaplan's L(N) with an irreducible loss.
    """

    L_inf: Param = FLOOR
    alpha: Param = EXPONENT
    N_c: Param = stated("(L(N0) - L_inf) / L0", REDUCIBLE, lambda q, law, at: at.N * (q * at.loss) ** (1 / law.alpha))

    def loss(self, N):
        return self.L_inf + (self.N_c / N) ** self.alpha


class PowerLawD(Law):
    """L(D) = L_inf + (D_c/D)^alpha

    Henighan et al. 2020 (arXiv:2010.14701), eq. 1.1: Kaplan's L(D) with an irreducible loss.
    """

    L_inf: Param = FLOOR
    alpha: Param = EXPONENT
    D_c: Param = stated("(L(D0) - L_inf) / L0", REDUCIBLE, lambda q, law, at: at.D * (q * at.loss) ** (1 / law.alpha))

    def loss(self, D):
        return self.L_inf + (self.D_c / D) ** self.alpha


class PowerLawC(Law):
    """L(C) = L_inf + (C_c/C)^alpha

    Henighan et al. 2020 (arXiv:2010.14701), eq. 1.1: Kaplan's L(C) with an irreducible loss.
    """

    L_inf: Param = FLOOR
    alpha: Param = EXPONENT
    C_c: Param = stated("(L(C0) - L_inf) / L0", REDUCIBLE, lambda q, law, at: at.C * (q * at.loss) ** (1 / law.alpha))

    def loss(self, C):
        return self.L_inf + (self.C_c / C) ** self.alpha
