"""Where the posterior of a pooled law is, and the coordinates in which offsets and their spreads do not hang together.

The joint mode of offsets and their spread is no place to start from: it is far from the posterior's mass, or at a
spread of zero. So the law is placed first with all groups alike, and then each spread is found by itself, from its
marginal density given what the rows say of each offset.
"""

from __future__ import annotations

import jax
import numpy as np

from bayescale.posterior.data import Data
from bayescale.posterior.density import Line, Target, in_blocks
from bayescale.posterior.mode import Mode, climb, find_modes, hessian_at

ROUNDS = 12
"""What the rows say of the offsets depends on the rest, and that on the spreads: so they are found in turn."""

SETTLED = 0.04
"""Change of the log of every spread at which they are found."""

RIVAL = 12.0
"""Nats within which a second mode of the law with all groups alike is followed too."""

NEAR = np.linspace(-1.5, 1.5, 101)
"""Steps at which the noise is looked for, in its coordinates."""

GRID = np.linspace(-9.0, 3.0, 481)
"""Logs of spreads, in units of the spreads' prior medians."""


class _Alike:
    """A target with the offsets and their spreads held: the law with all groups alike, in fewer coordinates."""

    def __init__(self, target: Target, held: np.ndarray, free: np.ndarray) -> None:
        self.target, self.held, self.free = target, held, free

    def evaluate(self, z: np.ndarray, data: Data) -> tuple[np.ndarray, np.ndarray]:
        points = np.repeat(self.held[None], len(z), axis=0)
        points[:, self.free] = z
        value, gradient = self.target.evaluate(points, data)
        return value, gradient[:, self.free]


def settled_modes(target: Target, data: Data, prior: np.ndarray) -> list[tuple[Mode, Line]]:
    """The posterior's middles, the heaviest first, each with coordinates in which offsets are free of their spreads.

    Parameters
    ----------
    target : Target
        Of a law with offsets.
    data : Data
    prior : ndarray, shape (draw, d)
        Prior draws in coordinates z.

    Returns
    -------
    list of (Mode, Line)
        A mode has each spread at its marginal mode and the rest at their mode given the spreads, and a Hessian whose
        inverse is the covariance that follows; its point is the same in z and in the coordinates of its line, the
        Hessian is of the latter. The line's directions are still those of the coordinates.
    """
    pooled = np.concatenate([target.offset_index, target.spread_index])
    free = np.setdiff1d(np.arange(target.dimension), pooled)
    alike = np.median(prior, axis=0)
    alike[target.offset_index] = 0.0
    starts = find_modes(_Alike(target, alike, free), data, prior[:, free])  # type: ignore[arg-type]
    found: list[tuple[Mode, Line]] = []
    for start in starts[:3]:
        if start.log_evidence < starts[0].log_evidence - RIVAL:
            break
        z = alike.copy()
        z[free] = start.z
        mode, line = _settled(target, data, z, prior)
        if all(np.abs((mode.z - m.z)[free] / prior.std(axis=0)[free]).max() > 0.1 for m, _ in found):
            found.append((mode, line))
    return sorted(found, key=lambda pair: -pair[0].log_evidence)


def _settled(target: Target, data: Data, z: np.ndarray, prior: np.ndarray) -> tuple[Mode, Line]:
    offsets, spreads = target.offset_index, np.unique(target.spread_index)
    of_law = np.setdiff1d(target.law_index, spreads)
    scale = np.maximum(prior.std(axis=0), 1e-6)
    line = target.as_they_are()
    precision = np.zeros(len(spreads))
    log_spread = _log_spreads(target, z)
    for _ in range(ROUNDS):
        unit = np.exp(log_spread)
        hessian = hessian_at(target, data, z, line)
        # what the rows say of an offset, in units of its spread, of which the prior says 1
        information = np.maximum(-np.diagonal(hessian)[offsets] - 1.0, 1e-9)
        slope = target.evaluate(z[None], data)[1][0][offsets] + z[offsets]
        best, variance = unit * (z[offsets] + slope / information), unit**2 / information
        for i, index in enumerate(spreads):
            of = target.spread_index == index
            z[index], precision[i] = _marginal_mode(target, index, prior[:, index], best[of], variance[of])
        before, log_spread = log_spread, _log_spreads(target, z)
        z[offsets] *= np.exp(before - log_spread)  # stay where they are
        z[of_law] = climb(target, data, z, of_law, scale)
        whole = -hessian[np.ix_(of_law, of_law)] * scale[of_law][:, None] * scale[of_law]
        determined = float(np.clip(1 - 1 / np.maximum(np.linalg.eigvalsh(whole), 1.0), 0, 1).sum())
        moved = _settle_noise(target, data, z, determined)
        if max(moved, np.abs(log_spread - before).max()) < SETTLED:
            break
    information = np.exp(2 * log_spread) / variance
    share = information / (1 + information)
    line = line._replace(share=share, log_spread=log_spread, **_leaning(target, data, z, share))
    return _mode_at(target, data, z, line, spreads, precision, scale), line


def _leaning(target: Target, data: Data, z: np.ndarray, share: np.ndarray) -> dict[str, np.ndarray]:
    """Of factors on the law: how far they give way to it, and where, as a `Line` has it."""
    lean = np.zeros(len(target.offset_index))
    places = np.ones((len(target.law.inputs), len(lean)))
    names = [target.coordinates[i] for i in target.offset_index]
    for site, column in target.law.leaning.items():
        if site not in target.sites or f"{site}[0]" not in names or "schedule" in target.law.inputs:
            continue
        first, size = names.index(f"{site}[0]"), target.sites[site][1]
        codes = np.where(data.mask, data.inputs[column], 0).astype(int)
        for code in range(1, size):  # the last is a new group's, which has no rows
            rows = codes == code
            lean[first + code - 1] = share[first + code - 1]
            for i, name in enumerate(target.law.inputs):
                places[i, first + code - 1] = np.exp(np.mean(np.log(data.inputs[name][rows]))) if rows.any() else 1.0
    line = target.as_they_are()._replace(places=places)
    with jax.enable_x64(True):
        height = np.asarray(jax.jit(target.heights)(jax.numpy.asarray(z), data, line))
    return {"lean": lean, "height": height, "places": places}


def shares_seen(target: Target, data: Data, z: np.ndarray, line: Line) -> np.ndarray:
    """The shares of a `Line` that make draws z, shape (n, d), nearest to normal; shape (o,).

    Of each offset and its spread: the least Kullback-Leibler divergence from the draws to a normal distribution of the
    coordinates, over a grid of shares.
    """
    unshared = target.as_they_are()._replace(
        log_spread=line.log_spread, lean=line.lean, height=line.height, places=line.places
    )
    offsets = in_blocks(target.straighten, z, data, unshared)[:, target.offset_index]
    with jax.enable_x64(True):
        log_spread = np.asarray(jax.jit(jax.vmap(target.log_spreads))(z))
    grid = np.linspace(0.0, 1.0, 21)
    found = np.zeros(offsets.shape[1])
    for j in range(offsets.shape[1]):
        t = log_spread[:, j] - line.log_spread[j]
        fits = [np.linalg.slogdet(np.cov(offsets[:, j] * np.exp(s * t), t))[1] / 2 - s * t.mean() for s in grid]
        found[j] = grid[int(np.argmin(fits))]
    return found


def _settle_noise(target: Target, data: Data, z: np.ndarray, determined: float) -> float:
    """Move the coordinates of the noise to their maximum, in place; returns how far they moved.

    The scatter is that of as many rows as are left beside the directions that they determine: where groups have few
    rows, the joint mode would have no scatter at all.
    """
    moved = 0.0
    for index in np.setdiff1d(np.arange(target.dimension), target.law_index):
        points = np.repeat(z[None], len(NEAR), axis=0)
        points[:, index] += NEAR
        value = target.evaluate(points, data)[0]
        if index == target.scale_index:
            value = value + determined * NEAR
        best = float(NEAR[np.argmax(value)])
        z[index] += best
        moved = max(moved, abs(best))
    return moved


def _mode_at(
    target: Target, data: Data, z: np.ndarray, line: Line, spreads: np.ndarray, precision: np.ndarray, scale: np.ndarray
) -> Mode:
    """The normal distribution of given marginal `precision` of the spreads and, given them, of the curvature at z."""
    rest = np.setdiff1d(np.arange(target.dimension), spreads)
    curvature = -hessian_at(target, data, z, line)
    eigenvalues, vectors = np.linalg.eigh(curvature[np.ix_(rest, rest)] * scale[rest][:, None] * scale[rest])
    eigenvalues = np.maximum(eigenvalues, 1e-1)
    inverse = (vectors / eigenvalues) @ vectors.T * scale[rest][:, None] * scale[rest]
    cross = curvature[np.ix_(spreads, rest)]
    curvature[np.ix_(rest, rest)] = (vectors * eigenvalues) @ vectors.T / scale[rest][:, None] / scale[rest]
    curvature[np.ix_(spreads, spreads)] = np.diag(precision) + cross @ inverse @ cross.T
    slopes = -inverse @ cross.T
    covariance = np.zeros_like(curvature)
    covariance[np.ix_(spreads, spreads)] = np.diag(1 / precision)
    covariance[np.ix_(rest, spreads)] = slopes / precision
    covariance[np.ix_(spreads, rest)] = (slopes / precision).T
    covariance[np.ix_(rest, rest)] = inverse + (slopes / precision) @ slopes.T
    value = float(target.evaluate(z[None], data, line)[0][0])
    log_det = np.linalg.slogdet(inverse)[1] - np.log(precision).sum()
    log_mass = value + 0.5 * (len(z) * np.log(2 * np.pi) + log_det)
    return Mode(z, value, -curvature, (covariance + covariance.T) / 2, float(log_mass))


def _log_spreads(target: Target, z: np.ndarray) -> np.ndarray:
    with jax.enable_x64(True):
        return np.asarray(target.log_spreads(jax.numpy.asarray(z)))


def _marginal_mode(
    target: Target, index: int, prior: np.ndarray, best: np.ndarray, variance: np.ndarray
) -> tuple[float, float]:
    """Mode of a spread's coordinate and the precision there, given offsets measured as `best` with a variance each."""
    name = target.coordinates[index]
    transform, setting = target.sites[name][0], getattr(target.law, name)
    with jax.enable_x64(True):
        middle = float(np.log(np.asarray(transform(np.median(prior)))))
        u = np.asarray(transform.inv(np.exp(middle + GRID)))
        u = u[np.isfinite(u)]
        spread = np.asarray(transform(u))
        log_prior = np.asarray(setting.log_prob(spread) + transform.log_abs_det_jacobian(u, spread))
    total = spread[:, None] ** 2 + variance
    value = log_prior - 0.5 * (np.log(total) + best**2 / total).sum(axis=1)
    top = int(np.clip(np.nanargmax(value), 1, len(u) - 2))
    weight = np.exp(value - np.nanmax(value)) * np.gradient(u)
    weight = np.nan_to_num(weight / np.nansum(weight))
    mean = float(weight @ u)
    return float(u[top]), float(1 / max(weight @ (u - mean) ** 2, 1e-4))
