"""Find the posterior's modes from many starts, and the curvature at each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from bayescale.posterior.coordinates import Coordinates, Straightening
from bayescale.posterior.data import Data
from bayescale.posterior.density import Target
from bayescale.posterior.rows import some

STARTS = 24
ITERATIONS = 200
MANY = 4096
"""Rows that determine where a mode is well enough to climb on from there."""
WIDEST, NARROWEST = 1e-4, 1e-9
"""Half widths of the gradient's differences, in unconstrained coordinates."""


@dataclass(frozen=True, eq=False)
class Mode:
    """A local maximum of the log density.

    Attributes
    ----------
    z : ndarray, shape (d,)
    log_density : float
    hessian : ndarray, shape (d, d)
        Of the log density at z.
    covariance : ndarray, shape (d, d)
        Inverse of the negative Hessian, its flat directions cut at the prior's spread.
    log_evidence : float
        Laplace's approximation of the log of the mass about this mode.
    """

    z: np.ndarray
    log_density: float
    hessian: np.ndarray
    covariance: np.ndarray
    log_evidence: float

    def moved(self, z: np.ndarray) -> Mode:
        """The mode as the point that it is in other coordinates; its curvature stays that of those it was found in."""
        return replace(self, z=z)


class Density(Protocol):
    """What is climbed: a log density of coordinates, given a table."""

    def evaluate(self, z: np.ndarray, data: Data, /) -> tuple[np.ndarray, np.ndarray]:
        """Its values and gradients at points, shapes (n,) and (n, d)."""


def find_modes(target: Density, data: Data, starts: np.ndarray, climbs: int = STARTS) -> list[Mode]:
    """Climb from `climbs` of `starts`, shape (n, d), and return the distinct modes, the heaviest first.

    Two thirds of them are the best starts; the others are any, for a mode that few prior draws are near. On a table of
    many rows the long climbs see some of them, and only their ends are climbed from on all.
    """
    if data.mask.sum() > MANY:
        scale = np.maximum(starts.std(axis=0), 1e-6)
        rough = find_modes(target, some(data, MANY), starts, climbs)
        near = np.stack([mode.z for mode in rough]) if rough else starts[:climbs]
        return _distinct(*_climb(lambda z: target.evaluate(z, data), near, scale), scale)
    value, _ = target.evaluate(starts, data)
    order = np.argsort(-value)
    order = order[np.isfinite(value[order])]
    best, rest = np.split(order, [2 * climbs // 3])
    best = np.concatenate([best, rest[:: max(1, 3 * len(rest) // climbs)][: climbs // 3]])
    scale = np.maximum(starts.std(axis=0), 1e-6)  # the prior's spread: a natural unit for steps
    return _distinct(*_climb(lambda z: target.evaluate(z, data), starts[best], scale), scale)


def mode_near(target: Target, data: Data, y: np.ndarray, at: Coordinates, scale: np.ndarray) -> Mode:
    """The nearest mode to y, shape (d,), in the coordinates `at`; `scale` is a natural unit of each, shape (d,)."""
    found = _climb(lambda y: target.evaluate(y, data, at), y[None], scale)
    return _distinct(*found, scale)[0]


def straightened(target: Target, data: Data, mode: Mode, at: Straightening, scale: np.ndarray) -> Mode:
    """The mode of the density in straightened coordinates, near a mode in z.

    It is another point: the Jacobian of the coordinates moves it to a larger scale of the scatter.
    """
    return mode_near(target, data, mode.z, at, scale)


Evaluate = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
Climbed = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def _climb(evaluate: Evaluate, z: np.ndarray, scale: np.ndarray) -> Climbed:
    """Climb from n points at once: where each ends, and the log density, its gradient and its Hessian there.

    Damped Newton, with the Hessian by differences of the gradient and its eigenvalues made positive, so
    that saddles and plateaus are left behind.
    """
    z = z.copy()
    value, gradient = evaluate(z)
    damping = np.full(len(z), 1e-2)
    width = np.full(z.shape, WIDEST)
    active = np.isfinite(value)
    for _ in range(ITERATIONS):
        if not active.any():
            break
        hessian = _hessians(evaluate, z[active], width[active])
        width[active] = _widths(hessian)
        step = _newton_step(hessian, gradient[active], damping[active], scale)
        trial = z[active] + step
        new_value, new_gradient = evaluate(trial)
        better = new_value > value[active]
        rows = np.flatnonzero(active)
        gain = np.where(better, new_value - value[active], np.inf)
        z[rows[better]], value[rows[better]] = trial[better], new_value[better]
        gradient[rows[better]] = new_gradient[better]
        damping[rows] = np.where(better, damping[rows] / 5, damping[rows] * 6)
        # the density of a large table is a large number, of which less is left after rounding
        done = 1e-9 * np.maximum(1.0, 1e-3 * np.abs(value[rows]))
        active[rows[(gain < done) | (damping[rows] > 1e8)]] = False
    return z, value, gradient, _hessians(evaluate, z, width)


def _hessians(evaluate: Evaluate, z: np.ndarray, width: np.ndarray) -> np.ndarray:
    """Hessians at n points, shape (n, d, d), by central differences of half width `width`, shape (n, d)."""
    n, d = z.shape
    offsets = np.eye(d) * width[:, None]
    points = np.concatenate([z[:, None] + offsets, z[:, None] - offsets], axis=1).reshape(-1, d)
    gradient = evaluate(points)[1].reshape(n, 2, d, d)
    hessian = (gradient[:, 0] - gradient[:, 1]) / (2 * width[:, :, None])
    return np.asarray((hessian + np.swapaxes(hessian, 1, 2)) / 2)


def _widths(hessian: np.ndarray) -> np.ndarray:
    """A hundredth of each coordinate's conditional spread: narrow posteriors need narrow differences."""
    curvature = np.abs(np.diagonal(hessian, axis1=1, axis2=2))
    return np.asarray(np.clip(1e-2 / np.sqrt(np.maximum(curvature, 1e-12)), NARROWEST, WIDEST))


def _newton_step(hessian: np.ndarray, gradient: np.ndarray, damping: np.ndarray, scale: np.ndarray) -> np.ndarray:
    curvature = -hessian * scale[:, None] * scale
    eigenvalues, vectors = np.linalg.eigh(np.nan_to_num(curvature))
    slope = np.einsum("nij,ni->nj", vectors, gradient * scale)
    step = np.einsum("nij,nj->ni", vectors, slope / (np.abs(eigenvalues) + damping[:, None]))
    length = np.linalg.norm(step, axis=1, keepdims=True)
    return np.asarray(step / np.maximum(length / 3.0, 1.0) * scale)


def _distinct(
    z: np.ndarray, value: np.ndarray, gradient: np.ndarray, hessian: np.ndarray, scale: np.ndarray
) -> list[Mode]:
    order = np.argsort(-value)
    modes: list[Mode] = []
    for i in order[np.isfinite(value[order])]:
        h = -hessian[i]
        if any(abs(value[i] - m.log_density) < 1e-3 and np.max(np.abs(z[i] - m.z) / scale) < 0.05 for m in modes):
            continue
        scaled = h * scale[:, None] * scale
        eigenvalues, vectors = np.linalg.eigh(scaled)
        summit = eigenvalues[0] > 1e-3
        eigenvalues = eigenvalues if summit else np.maximum(eigenvalues, 1e-1)
        still_to_climb = np.sum((vectors.T @ (gradient[i] * scale)) ** 2 / eigenvalues) / 2
        if modes and not (summit and still_to_climb < 1e-2):
            continue  # a climb that got stuck is no mode
        covariance = (vectors / eigenvalues) @ vectors.T * scale[:, None] * scale
        log_det = np.linalg.slogdet(covariance)[1]
        evidence = value[i] + 0.5 * (len(z[i]) * np.log(2 * np.pi) + log_det)
        modes.append(Mode(z[i], float(value[i]), hessian[i], covariance, float(evidence)))
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
