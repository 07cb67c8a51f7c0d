"""The quick posterior: importance sampling with a Student-t proposal fitted to the mode's curvature."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bayescale.posterior.coordinates import Coordinates
from bayescale.posterior.data import Data
from bayescale.posterior.density import Target
from bayescale.posterior.diagnostics import pareto_k
from bayescale.posterior.mode import Mode

DEGREES = 5.0
"""Of the proposal: heavier tails than the posterior's, so that weights stay bounded."""

K_HAT_LIMIT = 0.7
"""Pareto k-hat above which an importance estimate has no error worth the name (Vehtari et al. 2024)."""

DRAWS, FEW = 4096, 1024
MANY_ROWS = 100_000
"""A table of more rows gets few draws: each costs a pass over it, and its posterior is near the proposal."""


@dataclass(frozen=True, eq=False)
class Weighted:
    """Weighted draws of the posterior.

    Attributes
    ----------
    y : ndarray, shape (n, d)
        In the coordinates `at`.
    at : Coordinates
    log_weights : ndarray, shape (n,)
        Log of posterior density over proposal density, unnormalised.
    location, factor : ndarray, shape (d,), (d, d)
        Mean and Cholesky factor of the covariance that the draws imply.
    k_hat : float
        Pareto k-hat of the weights.
    log_evidence, log_evidence_se : float
        Log of the mean weight and its standard error.
    """

    y: np.ndarray
    at: Coordinates
    log_weights: np.ndarray
    location: np.ndarray
    factor: np.ndarray
    k_hat: float
    log_evidence: float
    log_evidence_se: float

    @property
    def weights(self) -> np.ndarray:
        """Normalised weights, shape (n,)."""
        w = np.exp(self.log_weights - np.max(self.log_weights))
        return np.asarray(w / w.sum())

    def resample(self, draws: int, rng: np.random.Generator) -> np.ndarray:
        """Draws of equal weight by systematic resampling, in random order, shape (draws, d)."""
        edges = np.cumsum(self.weights)
        picks = np.searchsorted(edges, (np.arange(draws) + rng.random()) / draws * edges[-1])
        return np.asarray(self.y[rng.permutation(np.minimum(picks, len(edges) - 1))])


def importance_sample(
    target: Target,
    data: Data,
    mode: Mode,
    at: Coordinates,
    rng: np.random.Generator,
    draws: int = DRAWS,
    refits: int = 1,
) -> Weighted:
    """Draw from a Student-t about a mode, weight by the posterior, and refit the proposal `refits` times.

    The mode is one in the coordinates `at`. Above `MANY_ROWS` rows there are `FEW` draws.
    """
    location, factor = mode.z, np.linalg.cholesky(mode.covariance)
    draws = min(draws, FEW) if len(data.mask) > MANY_ROWS else draws
    for refit in range(refits + 1):
        size = draws if refit == refits else min(draws // 2, FEW)
        weighted = _weigh(target, data, at, location, factor, rng, size)
        location, factor = weighted.location, weighted.factor
    return weighted


def _weigh(
    target: Target,
    data: Data,
    at: Coordinates,
    location: np.ndarray,
    factor: np.ndarray,
    rng: np.random.Generator,
    draws: int,
) -> Weighted:
    d, half = len(location), draws // 2
    y, log_proposal = student_t(location, factor, draws, rng)
    log_weights = target.evaluate(y, data, at)[0] - log_proposal
    top = np.max(log_weights)
    w = np.exp(log_weights - top)
    pairs = (w[:half] + w[half:]) / 2
    p = w / w.sum()
    mean = p @ y
    centred = y - mean
    covariance = (p[:, None] * centred).T @ centred
    if 1 / (p**2).sum() > 10 * d:
        new_factor = np.linalg.cholesky(covariance + 1e-12 * np.diag(np.diag(covariance)))
    else:  # too few effective draws to learn a covariance from
        mean, new_factor = location, factor
    return Weighted(
        y,
        at,
        log_weights,
        mean,
        new_factor,
        pareto_k(log_weights),
        float(top + np.log(w.mean())),
        float(pairs.std(ddof=1) / np.sqrt(half) / w.mean()),
    )


def student_t(
    location: np.ndarray, factor: np.ndarray, draws: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draws of a Student-t proposal, shape (draw, d), and the log of its density there, shape (draw,).

    `factor` is the Cholesky factor of its scale matrix. Draws come in antithetic pairs, the second half
    mirroring the first: the odd part of the error cancels.
    """
    from scipy.special import gammaln

    d = len(location)
    t = rng.standard_normal((draws // 2, d)) / np.sqrt(rng.chisquare(DEGREES, (draws // 2, 1)) / DEGREES)
    t = np.concatenate([t, -t])
    log_norm = gammaln((DEGREES + d) / 2) - gammaln(DEGREES / 2) - d / 2 * np.log(DEGREES * np.pi)
    log_norm -= np.log(np.diag(factor)).sum()
    return location + t @ factor.T, log_norm - (DEGREES + d) / 2 * np.log1p((t**2).sum(axis=1) / DEGREES)
