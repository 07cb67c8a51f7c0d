"""Shapes of a curve of loss against data: Alabdulmohsin et al.'s M3 and M4, broken power laws."""

from math import log

import jax.numpy as jnp
import numpyro.distributions as dist
from jax.nn import sigmoid, softplus

from bayescale.law import Law, Param, stated
from bayescale.models.kaplan import AT_CENTRE
from bayescale.models.power_law import EXPONENT, FLOOR, REDUCIBLE
from bayescale.rootfind import decreasing_root

SLOPE = dist.Normal(0.2, 0.3)
SHARPNESS = dist.LogNormal(log(0.5), 0.8)


class M3(Law):
    """L(D) = beta (1/D + gamma)^c

    Alabdulmohsin et al. 2022 (arXiv:2209.06640), M3: a power law of slope c that turns, near D = 1/gamma, to a floor.

    The floor is beta gamma^c, which is approached as 1/D. M1 is `kaplan_d`, M2 `power_law_d`; M4 is `m4`.
    """

    c: Param = EXPONENT
    gamma: Param = stated(
        "beta gamma^c / L(D0)", FLOOR.prior, lambda share, law, at: odds(jnp.log(share) / law.c) / at.D
    )
    beta: Param = stated(
        "L(D0) / L0", AT_CENTRE, lambda q, law, at: q * at.loss * jnp.exp(-law.c * jnp.log(1 / at.D + law.gamma))
    )

    by_name_only = True

    def loss(self, D):
        return self.beta * jnp.exp(self.c * jnp.log(1 / D + self.gamma))


class M4(Law):
    """(L(D) - eps_inf) / (eps_0 - L(D))^alpha = beta / D^c

    Alabdulmohsin et al. 2022 (arXiv:2209.06640), M4: from the loss eps_0 of a guess to the floor eps_inf.

    L is on both sides. alpha = 0 is M2, `power_law_d`, cut off at eps_0; M1 is `kaplan_d`. Pin eps_0 where it is known:
    log V for the log loss of V tokens, 1 - 1/K for the error rate in K classes. Without losses near eps_0 neither it
    nor alpha can be told from the data.
    """

    eps_0: Param = stated("eps_0 / L0 - 1", dist.LogNormal(0.0, 1.0), lambda q, law, at: (1 + q) * at.loss)
    eps_inf: Param = stated(
        "eps_inf / min(L0, eps_0)", FLOOR.prior, lambda share, law, at: share * jnp.minimum(at.loss, law.eps_0)
    )
    alpha: Param = dist.LogNormal(log(0.7), 0.8)
    c: Param = EXPONENT
    beta: Param = stated(
        "(L(D0) - eps_inf) / L0 * (eps_0 - eps_inf) / (eps_0 - L(D0))",
        REDUCIBLE,
        lambda q, law, at: law.beta_of(q * at.loss / (law.eps_0 - law.eps_inf), at.D),
    )

    by_name_only = True

    def beta_of(self, odds, D):
        """beta of the odds (L - eps_inf) / (eps_0 - L) at D."""
        span = self.eps_0 - self.eps_inf
        return jnp.exp(jnp.log(odds) + (1 - self.alpha) * (jnp.log(span) - jnp.log1p(odds)) + self.c * jnp.log(D))

    def loss(self, D):
        span = self.eps_0 - self.eps_inf
        alpha = jnp.maximum(self.alpha, 1e-9)

        def excess(s, alpha, level):
            """What the log of the left-hand side lacks at log odds s of the way from eps_inf to eps_0."""
            return level - _side(s, alpha)

        level = jnp.log(self.beta) - self.c * jnp.log(D) + (alpha - 1) * jnp.log(span)
        # the bend lies between (alpha - 1) log 2 and 0
        bend = (alpha - 1) * log(2.0)
        low, high = (_unbent(level - x, alpha) for x in (jnp.maximum(bend, 0.0), jnp.minimum(bend, 0.0)))
        slack = 1e-9 * (1 + jnp.abs(low) + jnp.abs(high))
        return self.eps_inf + span * sigmoid(decreasing_root(excess, low - slack, high + slack, alpha, level))


def odds(log_share):
    """p / (1 - p) of a log probability."""
    return jnp.exp(log_share) / -jnp.expm1(log_share)


def _side(s, alpha):
    """Log of M4's left-hand side at log odds s of (L - eps_inf) / span, less that of span^(1 - alpha)."""
    return jnp.where(s < 0, s, alpha * s) + (alpha - 1) * jnp.log1p(jnp.exp(-jnp.abs(s)))


def _unbent(side, alpha):
    """Where the first term of `_side`, without its bend at 0, is `side`."""
    return jnp.where(side < 0, side, side / alpha)


class BNSL(Law):
    """L(D) = a + b D^-c_0 (1 + (D/d_1)^(1/f_1))^(-c_1 f_1)

    Caballero et al. 2022 (arXiv:2210.14891), one break: about D = d_1 the slope turns from c_0 to c_0 + c_1.

    f_1 is how gradual the turn is, over some 4 f_1 natural logs of D. Slopes may be negative: the loss may rise. A
    break is found by runs on both sides of it; one beyond the runs is only as likely as its prior.
    """

    a: Param = stated("a / L0", FLOOR.prior, FLOOR.constant)
    c_0: Param = SLOPE
    c_1: Param = stated("c_0 + c_1", SLOPE, lambda slope, law, at: slope - law.c_0)
    d_1: Param = stated("d_1 / D0", dist.LogNormal(0.0, 2.0), lambda q, law, at: q * at.D)
    f_1: Param = SHARPNESS
    b: Param = stated(
        "(L(D0) - a) / L0", REDUCIBLE, lambda q, law, at: q * at.loss * jnp.exp(-law.log_shape(jnp.log(at.D)))
    )

    by_name_only = may_rise = True

    def log_shape(self, x):
        """Log of (L - a) / b at log D = x."""
        return -self.c_0 * x - turn(x, self.c_1, self.d_1, self.f_1)

    def loss(self, D):
        return self.a + jnp.exp(jnp.log(self.b) + self.log_shape(jnp.log(D)))


class BNSL2(Law):
    """L(D) = a + b D^-c_0 (1 + (D/d_1)^(1/f_1))^(-c_1 f_1) (1 + (D/d_2)^(1/f_2))^(-c_2 f_2)

    Caballero et al. 2022 (arXiv:2210.14891), two breaks, d_1 < d_2.

    Two breaks take runs before, between and beyond them, several for each of the nine constants.
    """

    name = "bnsl_2"

    a: Param = BNSL.a
    c_0: Param = BNSL.c_0
    c_1: Param = BNSL.c_1
    d_1: Param = BNSL.d_1
    f_1: Param = BNSL.f_1
    c_2: Param = stated("c_0 + c_1 + c_2", SLOPE, lambda slope, law, at: slope - law.c_0 - law.c_1)
    d_2: Param = stated("log(d_2 / d_1)", dist.HalfNormal(3.0), lambda q, law, at: law.d_1 * jnp.exp(q))
    f_2: Param = SHARPNESS
    b: Param = BNSL.b

    by_name_only = may_rise = True

    def log_shape(self, x):
        """Log of (L - a) / b at log D = x."""
        return -self.c_0 * x - turn(x, self.c_1, self.d_1, self.f_1) - turn(x, self.c_2, self.d_2, self.f_2)

    def loss(self, D):
        return self.a + jnp.exp(jnp.log(self.b) + self.log_shape(jnp.log(D)))


def turn(x, change, place, width):
    """Log of what a break takes off at log D = x: nothing before the place, a slope of `change` after it."""
    return change * width * softplus((x - jnp.log(place)) / width)
