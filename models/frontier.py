"""Chinchilla's law for those who think in allocations: its constants are those of the compute-optimal frontier."""

from math import log

import numpyro.distributions as dist

from bayescale.law import FLOPS_PER_PARAMETER_TOKEN, Law, Param, derived, stated


class Frontier(Law):
    """L(N, D) = E + R [a (N_ref/N)^(gamma/a) + (1 - a) (D_ref/D)^(gamma/(1 - a))]

    Hoffmann et al. 2022 (arXiv:2203.15556), eq. 2, in other constants: N_ref is N_opt at C_ref FLOPs, D_ref the tokens
    that are left, R the reducible loss there, a the exponent of N_opt(C), gamma that of the reducible loss.

    The loss is Chinchilla's with alpha = gamma/a and beta = gamma/(1 - a); the priors are of what an allocation is made
    of. C_ref is a budget of one's choice: Frontier(C_ref=1e24, a="Beta(20, 20)").
    """

    E: Param = stated("E / L0", dist.Beta(2.0, 1.2), lambda share, law, at: share * at.loss)
    gamma: Param = dist.LogNormal(log(0.16), 0.4)
    a: Param = dist.Beta(12.0, 12.0)
    R: Param = stated(
        "(L_opt(C0) - E) / L0",
        dist.LogNormal(log(0.3), 0.8),
        lambda q, law, at: q * at.loss * (budget(at) / law.C_ref) ** law.gamma,
    )
    N_ref: Param = stated(
        "N_opt(C0) / N0", dist.LogNormal(0.0, 1.0), lambda q, law, at: q * at.N * (law.C_ref / budget(at)) ** law.a
    )
    C_ref: Param = 1e21

    by_name_only = True

    def loss(self, N, D):
        of_N = self.a * (self.N_ref / N) ** (self.gamma / self.a)
        of_D = (1 - self.a) * (self.D_ref() / D) ** (self.gamma / (1 - self.a))
        return self.E + self.R * (of_N + of_D)

    def optimum(self, C):
        grown = C / self.C_ref
        return {"N": self.N_ref * grown**self.a, "D": self.D_ref() * grown ** (1 - self.a)}

    @derived
    def D_ref(self):
        """Tokens that C_ref FLOPs leave for N_ref parameters."""
        return self.C_ref / FLOPS_PER_PARAMETER_TOKEN / self.N_ref

    @derived
    def b(self):
        """Exponent of D_opt(C)."""
        return 1 - self.a

    @derived
    def alpha(self):
        """Chinchilla's exponent of N."""
        return self.gamma / self.a

    @derived
    def beta(self):
        """Chinchilla's exponent of D."""
        return self.gamma / (1 - self.a)


def budget(at):
    """FLOPs at the data's centre."""
    return FLOPS_PER_PARAMETER_TOKEN * at.N * at.D
