"""Error rates of downstream tasks as a function of the loss: the second of two steps, from a run to what it can do."""

from math import log

import numpyro.distributions as dist
from jax.numpy import arcsinh, exp
from jax.scipy.special import expit

from bayescale.law import Law, Param, derived, stated

WORST = dist.Beta(4.0, 1.5)
SMALLEST = 1e-4
"""Where an error that the formula takes through zero bends away from it: at 0.01 it is 1e-4 of itself too high."""


def positive(error):
    """`error` where it is well above `SMALLEST`, and above zero everywhere: (error + sqrt(error^2 + 4 s^2)) / 2."""
    return SMALLEST * exp(arcsinh(error / (2 * SMALLEST)))


class ErrorExponential(Law):
    """error(L) = epsilon - k exp(-gamma L)

    Gadre et al. 2024 (arXiv:2403.08540), eq. 5: the average top-1 error of tasks from the loss of the run.

    L is of one evaluation set, the same for all runs; accuracy is 1 - error. The formula crosses zero at a low loss;
    this one bends to stay above it, below errors of about 0.001. Runs that are all near chance leave k and gamma open.
    """

    metric = "error"
    epsilon: Param = WORST
    k: Param = stated(
        "1 - error(L0) / epsilon",
        dist.Beta(1.5, 3.0),
        lambda share, law, at: share * law.epsilon * exp(law.gamma * at.loss),
    )
    gamma: Param = dist.LogNormal(0.0, 0.7)

    published = {
        "Gadre et al. 2024, C4, 17 tasks": {"epsilon": 0.850, "k": 2.08, "gamma": 0.756},
        "Gadre et al. 2024, RedPajama, 17 tasks": {"epsilon": 0.857, "k": 2.21, "gamma": 0.715},
        "Gadre et al. 2024, RefinedWeb, 17 tasks": {"epsilon": 0.865, "k": 2.21, "gamma": 0.707},
        "Gadre et al. 2024, C4, 46 tasks": {"epsilon": 0.759, "k": 1.289, "gamma": 0.972},
        "Gadre et al. 2024, RedPajama, 46 tasks": {"epsilon": 0.761, "k": 1.323, "gamma": 0.891},
        "Gadre et al. 2024, RefinedWeb, 46 tasks": {"epsilon": 0.768, "k": 1.128, "gamma": 0.822},
    }

    def error(self, loss):
        return positive(self.epsilon - self.k * exp(-self.gamma * loss))

    @derived
    def accuracy(self, loss):
        """1 - error."""
        return 1 - self.error(loss)


class ErrorSigmoid(Law):
    """error(L) = floor + (chance - floor) / (1 + exp(-k (L - L_mid)))

    Bhagia et al. 2024 (arXiv:2412.04403), step 2 of the model ladder, written for errors; Llama 3 (arXiv:2407.21783),
    section 3.2.1, predicts benchmarks likewise.

    L is the loss of the run, or of the correct answers, in any one unit. chance is the error of guessing: pin it where
    it is known, ErrorSigmoid(chance=0.75) of four choices. Runs that are all near chance leave floor and L_mid open.
    """

    metric = "error"
    chance: Param = WORST
    floor: Param = stated("floor / chance", dist.Beta(1.0, 3.0), lambda share, law, at: share * law.chance)
    k: Param = dist.LogNormal(log(2.0), 0.7)
    L_mid: Param = stated("L_mid / L0", dist.LogNormal(log(0.9), 0.3), lambda q, law, at: q * at.loss)

    def error(self, loss):
        return self.floor + (self.chance - self.floor) * expit(self.k * (loss - self.L_mid))

    @derived
    def accuracy(self, loss):
        """1 - error."""
        return 1 - self.error(loss)
