"""One power law above an irreducible loss, in parameters, tokens or compute."""

from math import log

import numpyro.distributions as dist

from bayescale.law import PF_DAY, Law, Param, stated

FLOOR = stated("L_inf / L0", dist.Beta(2.0, 1.2), lambda share, law, at: share * at.loss)
EXPONENT = dist.LogNormal(log(0.2), 0.7)
REDUCIBLE = dist.LogNormal(log(0.3), 0.8)


class PowerLawN(Law):
    """L(N) = L_inf + (N_c/N)^alpha

    Henighan et al. 2020 (arXiv:2010.14701), eq. 1.1, Table 1: Kaplan's L(N) with an irreducible loss.

    N counts parameters without embeddings; loss is in nats a token of the modality.
    """

    L_inf: Param = FLOOR
    alpha: Param = EXPONENT
    N_c: Param = stated("(L(N0) - L_inf) / L0", REDUCIBLE, lambda q, law, at: at.N * (q * at.loss) ** (1 / law.alpha))

    published = {
        "Henighan et al. 2020, image 8x8": {"L_inf": 3.12, "alpha": 0.24, "N_c": 80},
        "Henighan et al. 2020, image 16x16": {"L_inf": 2.64, "alpha": 0.22, "N_c": 280},
        "Henighan et al. 2020, image 32x32": {"L_inf": 2.2, "alpha": 0.13, "N_c": 63},
        "Henighan et al. 2020, image VQ 16x16": {"L_inf": 3.99, "alpha": 0.13, "N_c": 27000},
        "Henighan et al. 2020, image VQ 32x32": {"L_inf": 3.07, "alpha": 0.14, "N_c": 19000},
        "Henighan et al. 2020, text to image, image": {"L_inf": 2.0, "alpha": 0.16, "N_c": 5100},
        "Henighan et al. 2020, image to text, image": {"L_inf": 2.0, "alpha": 0.15, "N_c": 5500},
        "Henighan et al. 2020, video VQ 16x16x16": {"L_inf": 1.01, "alpha": 0.24, "N_c": 37000},
        "Henighan et al. 2020, math": {"L_inf": 0.28, "alpha": 0.16, "N_c": 11000},
    }

    def loss(self, N):
        return self.L_inf + (self.N_c / N) ** self.alpha


class PowerLawD(Law):
    """L(D) = L_inf + (D_c/D)^alpha

    Henighan et al. 2020 (arXiv:2010.14701), eq. 1.1: Kaplan's L(D) with an irreducible loss.

    M2 of Alabdulmohsin et al. 2022 (arXiv:2209.06640); `m3` and `m4` are their other shapes of a curve.
    """

    L_inf: Param = FLOOR
    alpha: Param = EXPONENT
    D_c: Param = stated("(L(D0) - L_inf) / L0", REDUCIBLE, lambda q, law, at: at.D * (q * at.loss) ** (1 / law.alpha))

    def loss(self, D):
        return self.L_inf + (self.D_c / D) ** self.alpha


class PowerLawC(Law):
    """L(C) = L_inf + (C_c/C)^alpha

    Henighan et al. 2020 (arXiv:2010.14701), eq. 1.1, Table 1: Kaplan's L(C) with an irreducible loss.

    The loss of the best model that C FLOPs train; Baichuan 2 (arXiv:2309.10305) states the same form as a C^b + L_inf.
    """

    L_inf: Param = FLOOR
    alpha: Param = EXPONENT
    C_c: Param = stated("(L(C0) - L_inf) / L0", REDUCIBLE, lambda q, law, at: at.C * (q * at.loss) ** (1 / law.alpha))

    published = {
        "Henighan et al. 2020, image 8x8": {"L_inf": 3.13, "alpha": 0.19, "C_c": 1.8e-8 * PF_DAY},
        "Henighan et al. 2020, image 16x16": {"L_inf": 2.64, "alpha": 0.16, "C_c": 1.6e-8 * PF_DAY},
        "Henighan et al. 2020, image 32x32": {"L_inf": 2.21, "alpha": 0.1, "C_c": 3.6e-9 * PF_DAY},
        "Henighan et al. 2020, image VQ 16x16": {"L_inf": 4.09, "alpha": 0.11, "C_c": 6.1e-7 * PF_DAY},
        "Henighan et al. 2020, image VQ 32x32": {"L_inf": 3.17, "alpha": 0.12, "C_c": 2.6e-6 * PF_DAY},
        "Henighan et al. 2020, text to image, image": {"L_inf": 1.93, "alpha": 0.15, "C_c": 1.5e-6 * PF_DAY},
        "Henighan et al. 2020, image to text, image": {"L_inf": 1.97, "alpha": 0.16, "C_c": 1.5e-6 * PF_DAY},
        "Henighan et al. 2020, video VQ 16x16x16": {"L_inf": 0.95, "alpha": 0.14, "C_c": 2.2e-5 * PF_DAY},
        "Henighan et al. 2020, math": {"L_inf": 0.14, "alpha": 0.17, "C_c": 1.4e-5 * PF_DAY},
    }

    def loss(self, C):
        return self.L_inf + (self.C_c / C) ** self.alpha
