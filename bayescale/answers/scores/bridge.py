"""Warp-III bridge sampling: the normalising constant of a density from draws of it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bayescale.errors import UsageError
from bayescale.posterior.diagnostics import ess_mean

HALVES_CORRELATE = 0.25
"""Of the two halves' errors, each half being fitted on the other: 0 for skewed posteriors, 0.46 for normal ones."""

DRAWS, PER_DIMENSION = 4000, 100
"""Draws used at most, all chains together, whichever is more: others cost more time than they take off the error."""

ROUNDS = 1000
"""Of the iteration for the constant, which settles in tens where the densities overlap."""


def enough(draws: np.ndarray) -> np.ndarray:
    """As many evenly spaced draws, shape (chain, draw, d), as a bridge makes use of."""
    chains, length, d = draws.shape
    most = -(-max(DRAWS, PER_DIMENSION * d) // chains)
    return draws if length <= most else draws[:, np.linspace(0, length - 1, most).astype(int)]


def bridge(
    log_density: Callable[[np.ndarray], np.ndarray],
    draws: np.ndarray,
    *,
    log_density_at_draws: np.ndarray | None = None,
    seed: int = 0,
) -> tuple[float, float]:
    """Log of the normalising constant of a density, from draws of it, by warp-III bridge sampling.

    The density is centred, whitened and made symmetric by the mean and covariance of one half of the draws
    and bridged to a standard normal with the other half; then the halves swap roles.

    Parameters
    ----------
    log_density : callable
        Log of the unnormalised density at points, (n, d) -> (n,); -inf where it vanishes.
    draws : ndarray, shape (chain, draw, d)
        Draws of the density; neighbours within a chain may be correlated.
    log_density_at_draws : ndarray, shape (chain, draw), optional
        Where it is known already.
    seed : int
        Of the normal's draws.

    Returns
    -------
    tuple of float
        The log normalising constant and its standard error: the relative mean squared error of Gronau et al.
        2017 (eq. 16) with the effective size of the draws' own terms of it.

    Raises
    ------
    UsageError
        The draws are too few to fit a covariance to each half, lie in a plane of fewer dimensions, or do not overlap
        with the normal.
    """
    chains, length, d = draws.shape
    half = length // 2
    if chains * half < 10 * d:
        raise UsageError(
            f"bridge sampling in {d} dimensions needs at least {20 * d} draws; found {chains * length}: fit with more"
        )
    if log_density_at_draws is None:
        log_density_at_draws = log_density(draws.reshape(-1, d)).reshape(chains, length)
    rng = np.random.default_rng((seed, 7))
    parts = [slice(0, half), slice(half, 2 * half)]
    runs = [
        _bridge_half(log_density, draws[:, fit], draws[:, use], log_density_at_draws[:, use], rng)
        for fit, use in (parts, parts[::-1])
    ]
    (first, first_se), (second, second_se) = runs
    variance = first_se**2 + second_se**2 + 2 * HALVES_CORRELATE * first_se * second_se
    return (first + second) / 2, float(np.sqrt(variance)) / 2


def _bridge_half(
    log_density: Callable[[np.ndarray], np.ndarray],
    fitted: np.ndarray,
    used: np.ndarray,
    at_used: np.ndarray,
    rng: np.random.Generator,
) -> tuple[float, float]:
    chains, length, d = used.shape
    flat = fitted.reshape(-1, d)
    try:
        location, factor = flat.mean(axis=0), np.linalg.cholesky(np.cov(flat.T).reshape(d, d))
    except np.linalg.LinAlgError:
        raise UsageError(
            f"bridge sampling needs draws that spread in all {d} dimensions; the covariance of {len(flat)} of them is "
            "singular: fit with more draws"
        ) from None
    log_det = float(np.log(np.diag(factor)).sum())
    normal = rng.standard_normal((chains * length, d))
    white = np.linalg.solve(factor, (used.reshape(-1, d) - location).T).T

    def log_ratio(w: np.ndarray, at_plus: np.ndarray, at_minus: np.ndarray) -> np.ndarray:
        log_warped = np.logaddexp(at_plus, at_minus) - np.log(2.0) + log_det
        return np.asarray(log_warped + 0.5 * (w**2).sum(axis=1) + 0.5 * d * np.log(2 * np.pi))

    w = np.concatenate([-white, normal, -normal])
    mirrored, plus, minus = np.split(log_density(location + w @ factor.T), 3)
    of_draws = log_ratio(white, at_used.reshape(-1), mirrored)
    of_normal = log_ratio(normal, plus, minus)
    top = float(np.median(of_draws))
    log_p, log_q = of_draws - top, of_normal - top
    share = min(ess_mean(at_used), 1.0 * log_p.size)
    share /= share + log_q.size
    log_r, a, b = _settled(log_p, log_q, share)
    effective = min(ess_mean(b.reshape(chains, length)), 1.0 * b.size)
    variance = a.var() / a.mean() ** 2 / a.size + b.var() / b.mean() ** 2 / effective
    return top + log_r, float(np.sqrt(variance))


def _settled(log_p: np.ndarray, log_q: np.ndarray, share: float) -> tuple[float, np.ndarray, np.ndarray]:
    """The log ratio of constants at which both samples agree, and the terms of its numerator and denominator.

    `log_p` and `log_q` are log ratios of the densities at draws of either, `share` is the draws' share of all.
    """
    log_r = 0.0
    for _ in range(ROUNDS):
        # both terms as shares of the pooled density: neither can overflow
        a = np.exp(log_q - np.logaddexp(np.log(share) + log_q, np.log1p(-share) + log_r))
        b = np.exp(log_r - np.logaddexp(np.log(share) + log_p, np.log1p(-share) + log_r))
        if not (a.mean() > 0 and b.mean() > 0):
            break
        step = float(np.log(a.mean() / b.mean()))
        log_r += step
        if abs(step) <= 1e-10:
            return log_r, a, b
    raise UsageError(
        f"bridge sampling has not settled after {ROUNDS} rounds: the draws and the normal fitted to them hardly overlap"
    )
