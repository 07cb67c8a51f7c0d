"""Is a sample uniform on (0, 1)? Simultaneous bands of its ECDF, and p-values, both exact.

Säilynoja, Bürkner & Vehtari 2022 (arXiv:2103.10522): at each of some points the number of values below it is
binomial; a band holds all these counts at once with the stated probability. That probability is computed by the
recursion over points of their section 2.2, not simulated, because verdicts on many quantities need small p-values.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

POINTS = 100
"""At most so many points of the ECDF are looked at."""


def points(size: int) -> np.ndarray:
    """Where the ECDF of `size` values is looked at, shape (point,)."""
    parts = min(size, POINTS)
    return np.arange(1, parts) / parts


def ecdf(values: np.ndarray) -> np.ndarray:
    """The ECDF of `values`, shape (n,), at `points`."""
    ordered = np.sort(np.asarray(values, float))
    return np.searchsorted(ordered, points(len(ordered)), side="right") / len(ordered)


def band(size: int, mass: float) -> tuple[np.ndarray, np.ndarray]:
    """The lowest and highest ECDF at `points` of `size` uniform values, at all points at once with probability `mass`.

    Counts are whole numbers, so that the probability is the least one that is at least `mass`.
    """
    low, high = _limits(size, _tail(size, mass))
    return low / size, high / size


def p_value(values: np.ndarray) -> float:
    """The probability that uniform values stray as far as these at the point where these stray most.

    It is below 1 - mass exactly where the ECDF leaves the `band` of that mass.
    """
    size = len(values)
    below, above = _tails(size)
    counts = np.rint(ecdf(values) * size).astype(int)
    at = np.arange(len(counts))
    least = float(np.min(np.minimum(below[at, counts], above[at, counts])))
    return float(np.clip(1.0 - _inside(size, *_limits(size, least, strictly=True)), 0.0, 1.0))


def holm(p: np.ndarray) -> np.ndarray:
    """P-values adjusted for their number (Holm 1979): a right engine has any below x with probability x at most."""
    p = np.asarray(p, float)
    order = np.argsort(p)
    adjusted = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    found = np.empty(len(p))
    found[order] = np.minimum(adjusted, 1.0)
    return found


@lru_cache(maxsize=64)
def _tails(size: int) -> tuple[np.ndarray, np.ndarray]:
    """P(count <= c) and P(count >= c) at each point and for each count c, shape (point, size + 1)."""
    from scipy.special import bdtr, bdtrc

    at, c = points(size)[:, None], np.arange(size + 1.0)[None]
    above = np.ones((len(at), size + 1))
    above[:, 1:] = bdtrc(c[:, 1:] - 1, size, at)
    return np.asarray(bdtr(c, size, at)), above


def _limits(size: int, tail: float, *, strictly: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """The least and the largest count at each point whose tails are both at least (or above) `tail`."""
    below, above = _tails(size)
    slack = 1e-12 * tail  # the same tail computed twice is the same tail
    kept = np.minimum(below, above) > tail + slack if strictly else np.minimum(below, above) >= tail - slack
    return kept.argmax(axis=1), size - kept[:, ::-1].argmax(axis=1)


@lru_cache(maxsize=64)
def _tail(size: int, mass: float) -> float:
    """The largest pointwise tail with which all counts are inside with probability `mass`."""
    low, high = np.log(1e-12), np.log(0.5)
    for _ in range(40):
        middle = (low + high) / 2
        if _inside(size, *_limits(size, np.exp(middle))) >= mass:
            low = middle
        else:
            high = middle
    return float(np.exp(low))


def _inside(size: int, low: np.ndarray, high: np.ndarray) -> float:
    """The probability that uniform values have all their counts within limits."""
    from scipy.special import gammaln

    if np.any(low > high):
        return 0.0
    log_factorial = gammaln(np.arange(size + 1) + 1.0)
    states, chance, reached = np.zeros(1, int), np.ones(1), 0.0
    for at, least, most in zip(points(size), low, high, strict=True):
        # the values above the last point are uniform on what is left
        share = (at - reached) / (1 - reached)
        new = np.arange(least, most + 1)
        jump = new - states[:, None]
        left = size - states[:, None]
        possible = (jump >= 0) & (jump <= left)
        j = np.where(possible, jump, 0)
        log_binomial = log_factorial[left] - log_factorial[j] - log_factorial[left - j]
        step = np.exp(log_binomial + j * np.log(share) + (left - j) * np.log1p(-share))
        chance = chance @ np.where(possible, step, 0.0)
        states, reached = new, at
    return float(chance.sum())
