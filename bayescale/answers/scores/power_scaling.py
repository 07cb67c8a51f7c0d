"""How far the evidence hangs on the priors: every prior density raised to a power, by importance weights."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.special import logsumexp

from bayescale.posterior.diagnostics import pareto_k
from bayescale.posterior.importance import student_t
from bayescale.posterior.posterior import Posterior
from bayescale.posterior.rows import unseen

POWERS = (0.5, 0.5**0.5, 1.0, 2.0**0.5, 2.0)
"""Of the prior density: 0.5 widens a normal prior by the square root of two, 2 narrows it by as much."""

DRAWS = 4096


def evidence_shifts(fit: Posterior, powers: tuple[float, ...] = POWERS) -> tuple[np.ndarray, float]:
    """How the log evidence changes when the density of the priors is raised to a power and normalised again.

    Power-scaling as Kallioinen et al. 2024 (arXiv:2107.14054) do it, here of the joint prior in unconstrained
    coordinates: p(z)^a / integral p^a. The log evidence then moves by log E[p(z)^(a - 1)], the mean being over
    the posterior, less the log of the integral. Priors are those of the law's and the scatter's
    constants and of the scales of its fields; what a field's numbers are drawn from, given their scale, is part of the
    model and stays.

    Parameters
    ----------
    fit : Posterior
    powers : tuple of float
        The powers a.

    Returns
    -------
    tuple
        Shifts in nats, shape (power,), and the largest Pareto k-hat of the weights behind them; both NaN where the
        density of the priors is not finite at the draws.
    """
    rng = np.random.default_rng((fit.seed, 9))
    of_priors = _of_priors(fit)
    prior_only = unseen(fit.padded)
    at_middle = np.zeros(fit.target.dimension)

    def log_prior(top: np.ndarray) -> np.ndarray:
        z = np.repeat(at_middle[None], len(top), axis=0)
        z[:, of_priors] = top
        value, _ = fit.target.evaluate(z, prior_only)
        # less the density of the fields' standard normal numbers, which are at zero
        return np.asarray(value + 0.5 * np.sum(~of_priors) * np.log(2 * np.pi))

    z = fit.samples.z.reshape(-1, fit.samples.z.shape[-1])[:, of_priors]
    z = z[:: max(1, len(z) // DRAWS)]
    at_draws = log_prior(z)
    prior = fit.samples.prior[:, of_priors]
    spread = np.cov(prior.T).reshape(z.shape[1], -1)
    if not np.isfinite(at_draws).all():
        return np.full(len(powers), np.nan), float("nan")
    shifts, k_hats = [], [0.0]
    for power in powers:
        if power == 1:
            shifts.append(0.0)
            continue
        log_weights = (power - 1) * at_draws
        k_hats.append(pareto_k(log_weights))
        log_integral = _log_integral(log_prior, prior.mean(axis=0), spread / power, power, rng)
        shifts.append(_log_mean_exp(log_weights) - log_integral)
    return np.array(shifts), float(max(k_hats))


def _of_priors(fit: Posterior) -> np.ndarray:
    """Which coordinates have a prior of their own, shape (d,): all but the numbers of the law's fields."""
    units = {f.name for f in fit.law.latent}
    return np.concatenate([np.full(size, n not in units) for n, (_, size) in fit.target.sites.items()])


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
    return float(logsumexp(values) - np.log(len(values)))
