"""Find the posterior's modes from many starts, and the curvature at each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bayescale.posterior.target import Data, Target

STARTS = 24
ITERATIONS = 120


@dataclass(frozen=True, eq=False)
class Mode:
    """A local maximum of the log density.

    Attributes
    ----------
    z : ndarray, shape (d,)
    log_density : float
    covariance : ndarray, shape (d, d)
        Inverse of the negative Hessian at z.
    log_evidence : float
        Laplace's approximation of the log of the mass about this mode.
    """

    z: np.ndarray
    log_density: float
    covariance: np.ndarray
    log_evidence: float


def find_modes(target: Target, data: Data, starts: np.ndarray) -> list[Mode]:
    """Climb from the best of `starts`, shape (n, d), and return the distinct modes, the heaviest first.

    Damped Newton on all starts at once, with the Hessian by differences of the gradient and its
    eigenvalues made positive, so that saddles and plateaus are left behind.
    """
    value, gradient = target.evaluate(starts, data)
    best = np.argsort(-value)[:STARTS]
    z, value, gradient = starts[best], value[best], gradient[best]
    scale = np.maximum(starts.std(axis=0), 1e-6)  # the prior's spread: a natural unit for steps
    damping = np.full(len(z), 1e-2)
    active = np.isfinite(value)
    for _ in range(ITERATIONS):
        if not active.any():
            break
        step = _newton_step(target, data, z[active], gradient[active], damping[active], scale)
        trial = z.copy()
        trial[active] += step
        new_value, new_gradient = target.evaluate(trial[active], data)
        better = new_value > value[active]
        rows = np.flatnonzero(active)
        gain = np.where(better, new_value - value[active], np.inf)
        z[rows[better]], value[rows[better]] = trial[rows[better]], new_value[better]
        gradient[rows[better]] = new_gradient[better]
        damping[rows] = np.where(better, damping[rows] / 5, damping[rows] * 6)
        active[rows[(gain < 1e-9) | (damping[rows] > 1e8)]] = False
    return _distinct(target, data, z, value, scale)


def hessians(target: Target, data: Data, z: np.ndarray, width: np.ndarray | float = 1e-5) -> np.ndarray:
    """Hessians of the log density at n points, shape (n, d, d), by central differences of the gradient."""
    n, d = z.shape
    offsets = np.eye(d) * width
    points = np.concatenate([z[:, None] + offsets, z[:, None] - offsets], axis=1).reshape(-1, d)
    gradient = target.evaluate(points, data)[1].reshape(n, 2, d, d)
    hessian = (gradient[:, 0] - gradient[:, 1]) / (2 * np.diagonal(offsets))[:, None]
    return np.asarray((hessian + np.swapaxes(hessian, 1, 2)) / 2)


def _newton_step(
    target: Target, data: Data, z: np.ndarray, gradient: np.ndarray, damping: np.ndarray, scale: np.ndarray
) -> np.ndarray:
    curvature = -hessians(target, data, z) * scale[:, None] * scale
    eigenvalues, vectors = np.linalg.eigh(np.nan_to_num(curvature))
    slope = np.einsum("nij,ni->nj", vectors, gradient * scale)
    step = np.einsum("nij,nj->ni", vectors, slope / (np.abs(eigenvalues) + damping[:, None]))
    length = np.linalg.norm(step, axis=1, keepdims=True)
    return np.asarray(step / np.maximum(length / 3.0, 1.0) * scale)


def _distinct(target: Target, data: Data, z: np.ndarray, value: np.ndarray, scale: np.ndarray) -> list[Mode]:
    order = np.argsort(-value)
    order = order[np.isfinite(value[order])]
    curvature = -hessians(target, data, z[order]) if len(order) else np.empty((0, z.shape[1], z.shape[1]))
    modes: list[Mode] = []
    for i, h in zip(order, curvature, strict=True):
        if any(abs(value[i] - m.log_density) < 1e-3 and np.max(np.abs(z[i] - m.z) / scale) < 0.05 for m in modes):
            continue
        scaled = h * scale[:, None] * scale
        eigenvalues, vectors = np.linalg.eigh(scaled)
        if eigenvalues[0] < 1e-3:  # a saddle, or a direction flat beyond the prior's spread
            eigenvalues = np.maximum(eigenvalues, 1e-1)
        covariance = (vectors / eigenvalues) @ vectors.T * scale[:, None] * scale
        log_det = np.linalg.slogdet(covariance)[1]
        evidence = value[i] + 0.5 * (len(z[i]) * np.log(2 * np.pi) + log_det)
        modes.append(Mode(z[i], float(value[i]), covariance, float(evidence)))
    # climbs that ended early at a place a nearby better mode explains are no modes of their own
    kept: list[Mode] = []
    for m in sorted(modes, key=lambda m: -m.log_density):
        near = any(_distance(m.z, k) < 3.0 for k in kept)
        if not near:
            kept.append(m)
    return sorted(kept, key=lambda m: -m.log_evidence)


def _distance(z: np.ndarray, mode: Mode) -> float:
    """Mahalanobis distance per root dimension of z from a mode."""
    delta = z - mode.z
    return float(np.sqrt(delta @ np.linalg.solve(mode.covariance, delta) / len(z)))
