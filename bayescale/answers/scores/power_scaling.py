"""How far the evidence hangs on the priors: every prior density raised to a power, by importance weights."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bayescale.posterior.diagnostics import pareto_k
from bayescale.posterior.importance import student_t
from bayescale.posterior.posterior import Posterior

POWERS = (0.5, 0.5**0.5, 1.0, 2.0**0.5, 2.0)
"""Of the prior density: 0.5 widens a normal prior by the square root of two, 2 narrows it by as much."""

DRAWS = 4096


def evidence_shifts(fit: Posterior, powers: tuple[float, ...] = POWERS) -> tuple[np.ndarray, float]:
    """How the log evidence changes when the density of the priors is raised to a power and normalised again.

    Power-scaling as Kallioinen et al. 2024 (arXiv:2107.14054) do it, here of the joint prior in unconstrained
    coordinates: p(z)^a / integral p^a. The log evidence then moves by log E[p(z)^(a - 1)], the mean being over
    the posterior, less the log of the integral.

    Parameters
    ----------
    fit : Posterior
    powers : tuple of float
        The powers a.

    Returns
    -------
    tuple
        Shifts in nats, shape (power,), and the largest Pareto k-hat of the weights behind them.
    """
    rng = np.random.default_rng((fit.seed, 9))
    # with every row masked, the density is the prior's
    unseen = fit.padded._replace(mask=np.zeros_like(fit.padded.mask))

    def log_prior(z: np.ndarray) -> np.ndarray:
        return fit.target.evaluate(z, unseen)[0]

    z = fit.samples.z.reshape(-1, fit.samples.z.shape[-1])
    z = z[:: max(1, len(z) // DRAWS)]
    at_draws = log_prior(z)
    spread = np.cov(fit.samples.prior.T).reshape(z.shape[1], -1)
    shifts, k_hats = [], [0.0]
    for power in powers:
        if power == 1:
            shifts.append(0.0)
            continue
        log_weights = (power - 1) * at_draws
        k_hats.append(pareto_k(log_weights))
        log_integral = _log_integral(log_prior, fit.samples.prior.mean(axis=0), spread / power, power, rng)
        shifts.append(_log_mean_exp(log_weights) - log_integral)
    return np.array(shifts), float(max(k_hats))


def _log_integral(
    log_prior: Callable[[np.ndarray], np.ndarray],
    location: np.ndarray,
    covariance: np.ndarray,
    power: float,
    rng: np.random.Generator,
) -> float:
    """Log of the integral of p^power, by importance sampling from a Student-t."""
    points, log_proposal = student_t(location, np.linalg.cholesky(covariance), DRAWS, rng)
    return _log_mean_exp(power * log_prior(points) - log_proposal)


def _log_mean_exp(values: np.ndarray) -> float:
    top = np.max(values)
    return float(top + np.log(np.mean(np.exp(values - top))))
