"""Convergence diagnostics: rank-normalised split R-hat, bulk and tail ESS, Monte Carlo errors, Pareto k-hat.

Vehtari et al. 2021 (arXiv:1903.08008) and Vehtari et al. 2024 (arXiv:1507.02646). ArviZ computes the same
numbers, as the tests check, but takes two seconds to import; these are needed before any result is shown.
"""

from __future__ import annotations

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft

Z90 = (0.05, 0.95)
"""Tail ESS is the smaller one of these two quantiles' ESS."""


def r_hat(draws: np.ndarray) -> float:
    """Rank-normalised split R-hat of draws, shape (chain, draw): the larger of bulk and folded."""
    split = _split(draws)
    folded = np.abs(split - np.median(split))
    return max(_r_hat(_scores(split)), _r_hat(_scores(folded)))


def ess_bulk(draws: np.ndarray) -> float:
    """Bulk effective sample size of draws, shape (chain, draw)."""
    return _ess(_scores(_split(draws)))


def ess_tail(draws: np.ndarray) -> float:
    """Tail effective sample size: the smaller ESS of the 5 % and 95 % quantiles."""
    if np.isnan(draws).any():
        return np.nan
    return min(_ess(_split((draws <= np.quantile(draws, q)).astype(float))) for q in Z90)


def ess_mean(draws: np.ndarray) -> float:
    """Effective sample size for the mean of draws, shape (chain, draw)."""
    return _ess(_split(draws))


def pareto_k(log_weights: np.ndarray) -> float:
    """Pareto k-hat of importance log weights, shape (n,): below 0.5 their mean has a variance to speak of.

    Zhang & Stephens 2009's estimate from the largest min(n/5, 3 sqrt(n)) weights, with the weak prior of
    Vehtari et al. 2024, appendix C. Infinite where fewer than five weights are distinct in the tail.
    """
    n = len(log_weights)
    tail = int(np.ceil(min(0.2 * n, 3 * np.sqrt(n))))
    ordered = np.sort(np.exp(log_weights - np.max(log_weights)))
    excess = ordered[-tail:] - ordered[-tail - 1]
    excess = excess[excess > 0]
    size = len(excess)
    if size < 5:
        return np.inf
    grid = 30 + int(np.sqrt(size))
    b = 1 - np.sqrt(grid / (np.arange(1, grid + 1) - 0.5))
    b = b / (3 * excess[int(size / 4 + 0.5) - 1]) + 1 / excess[-1]
    k = np.mean(np.log1p(-b[:, None] * excess), axis=1)
    profile = size * (np.log(-b / k) - k - 1)
    weights = 1 / np.sum(np.exp(profile - profile[:, None]), axis=1)
    k_hat = np.mean(np.log1p(-np.sum(b * weights) / np.sum(weights) * excess))
    return float((size * k_hat + 10 * 0.5) / (size + 10))


def _split(draws: np.ndarray) -> np.ndarray:
    half = draws.shape[1] // 2
    return np.concatenate([draws[:, :half], draws[:, -half:]])


def _scores(draws: np.ndarray) -> np.ndarray:
    from scipy.special import ndtri

    if np.isnan(draws).any():  # a NaN has no rank
        return np.full(draws.shape, np.nan)
    _, inverse, counts = np.unique(draws, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse].reshape(draws.shape)
    return np.asarray(ndtri((ranks - 3 / 8) / (draws.size + 1 / 4)))


def _r_hat(chains: np.ndarray) -> float:
    length = chains.shape[1]
    within = np.mean(np.var(chains, axis=1, ddof=1))
    between = length * np.var(np.mean(chains, axis=1), ddof=1)
    if within == 0:
        return 1.0 if between == 0 else np.inf
    return float(np.sqrt(((length - 1) / length * within + between / length) / within))


def _ess(chains: np.ndarray) -> float:
    m, n = chains.shape
    if not np.isfinite(chains).all():
        return np.nan
    if np.ptp(chains) < np.finfo(float).resolution:
        return float(m * n)
    centred = chains - chains.mean(axis=1, keepdims=True)
    size = next_fast_len(2 * n)
    spectrum = rfft(centred, size, axis=1)
    autocovariance = irfft(np.abs(spectrum) ** 2, size, axis=1)[:, :n] / n
    within = np.mean(autocovariance[:, 0]) * n / (n - 1)
    total = within * (n - 1) / n + (np.var(chains.mean(axis=1), ddof=1) if m > 1 else 0.0)
    rho = 1 - (within - np.mean(autocovariance, axis=0)) / total
    rho[0] = 1.0
    pairs = rho[: n // 2 * 2].reshape(-1, 2).sum(axis=1)
    # Geyer: sum the pairs up to the first negative one, made monotone
    stop = int(np.argmax(pairs < 0)) if (pairs < 0).any() else len(pairs)
    kept = np.minimum.accumulate(pairs[:stop])
    tau = max(-1 + 2 * kept.sum() + (max(rho[2 * stop], 0.0) if 2 * stop < n else 0.0), 1 / np.log10(m * n))
    return float(m * n / tau)
