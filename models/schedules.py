"""Loss along a whole training run, from the learning rates that it had: a schedule's decays add to what steps bring.

S is a step and ``schedule`` the run's schedule as text (`bayescale.runs.schedule`). At the centre, eta0 is the
geometric mean of the schedules' peaks and S1_0 = eta0 S0. Formulas sum over the changes of the rate before the step:
it falls by drop to rate, and since then the rates sum to since and n steps were made.
"""

from math import log

import jax.numpy as jnp
import numpyro.distributions as dist

from bayescale.law import Law, Param, derived, stated

DECAY = dist.LogNormal(log(0.03), 0.8)


class Annealed(Law, register=False):
    """L(S, schedule) = L_0 + A S1^-alpha - gain: what steps bring, and what the falls of the rate add."""

    L_0: Param = stated("L_0 / L0", dist.Beta(4.0, 1.2), lambda share, law, at: share * at.loss)
    A: Param = stated(
        "A S1_0^-alpha / L0",
        dist.LogNormal(log(0.15), 0.8),
        lambda share, law, at: share * at.loss * (at.schedule * at.S) ** law.alpha,
    )
    alpha: Param = dist.LogNormal(log(0.5), 0.5)

    by_name_only = True

    def loss(self, S, schedule):
        return self.L_0 + self.A * schedule[0, 2] ** -self.alpha - self.gain(S, schedule, schedule[:, 0])

    def gain(self, S, schedule, drop):
        """What falls of the rate by `drop` have gained up to step S, nats/token."""
        raise NotImplementedError

    @derived
    def annealed(self, S, schedule):
        """What the falls of the rate, without its rises, have gained up to step S, nats/token."""
        return self.gain(S, schedule, jnp.maximum(schedule[:, 0], 0.0))


class Annealing(Annealed):
    """L(S, schedule) = L_0 + A S1^-alpha - C S2

    Tissue et al. 2024 (arXiv:2408.11029), eq. 1: S1 is the sum of the learning rates so far and S2 that of their falls,
    each of which goes on acting with a memory of lam from step to step.

    A fall of the rate by d, n steps ago, adds d (1 - lam^n)/(1 - lam) to S2; the rise of a warm-up takes away as much,
    so that a constant rate approaches L_0 + C rate/(1 - lam). C and lam need a decay, and lam rows soon after it: with
    a constant rate alone they stay as their priors have them.
    """

    lam: Param = stated("1/(1 - lam)", dist.LogNormal(log(1000.0), 1.0), lambda memory, law, at: memory / (1 + memory))
    C: Param = stated(
        "C eta0/(1 - lam) / L0", DECAY, lambda share, law, at: share * at.loss * (1 - law.lam) / at.schedule
    )

    def gain(self, S, schedule, drop):
        n = jnp.maximum(S - schedule[:, 3], 0.0)
        return self.C * jnp.sum(drop * -jnp.expm1(n * jnp.log(self.lam))) / (1 - self.lam)


class MultiPower(Annealed):
    """L(S, schedule) = L_0 + A S1^-alpha - B sum(drop (1 - (1 + C rate^-gamma since)^-beta))

    Luo et al. 2025 (arXiv:2503.12811), eq. 5: the multi-power law. S1 is the sum of the learning rates so far, warm-up
    included.

    The rise of the warm-up counts as a negative fall, so that a constant rate approaches L_0 + B rate. B, C, beta and
    gamma need decays; to tell them apart takes two schedules that fall differently.
    """

    B: Param = stated("B eta0 / L0", DECAY, lambda share, law, at: share * at.loss / at.schedule)
    gamma: Param = dist.LogNormal(log(0.6), 0.4)
    C: Param = stated(
        "eta0^(gamma - 1) / C",
        dist.LogNormal(log(20.0), 1.5),
        lambda steps, law, at: at.schedule ** (law.gamma - 1) / steps,
    )
    beta: Param = dist.LogNormal(log(0.6), 0.4)

    published = {
        "Luo et al. 2025, 25M": {
            "L_0": 3.040, "A": 0.525, "alpha": 0.508, "B": 363.788, "gamma": 0.641, "C": 2.066, "beta": 0.583,
        },
        "Luo et al. 2025, 100M": {
            "L_0": 2.651, "A": 0.601, "alpha": 0.453, "B": 437.946, "gamma": 0.655, "C": 2.132, "beta": 0.598,
        },
        "Luo et al. 2025, 400M": {
            "L_0": 2.375, "A": 0.654, "alpha": 0.429, "B": 523.425, "gamma": 0.635, "C": 2.025, "beta": 0.594,
        },
    }  # fmt: skip

    def gain(self, S, schedule, drop):
        rate, since = schedule[:, 1], schedule[:, 2]
        return self.B * jnp.sum(drop * -jnp.expm1(-self.beta * jnp.log1p(self.C * rate**-self.gamma * since)))
