"""Where the posterior of a law with fields is, and the coordinates in which constants, fields and scales come apart.

The joint mode of a field and its scale is no place to start from: it is far from the posterior's mass, or at a scale of
zero, or at no scatter at all. In coordinates that are conditioned on the scales the mode is that of the scales'
marginal density, as far as the law is linear. So the law is placed first without its fields, and from there the mode is
found in conditioned coordinates, which are made anew about each mode until it stays where it is.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from bayescale.posterior.coordinates import Conditioning
from bayescale.posterior.data import Data
from bayescale.posterior.density import Target
from bayescale.posterior.mode import Mode, find_modes, mode_near

ROUNDS = 8
SETTLED = 0.1
"""Change, in conditional standard deviations, at which a mode stays where it is."""

RIVAL = 12.0
"""Nats within which a second mode of the law without its fields is followed too."""

FOLLOWED = 3


class WithoutFields:
    """A target whose fields are zero and whose scales are held: the law by itself, in fewer coordinates."""

    def __init__(self, target: Target, held: np.ndarray) -> None:
        of_fields = [target.place[n] for f in target.law.latent for n in (f.name, f.scale) if n in target.place]
        self.target, self.held = target, held
        self.free = np.setdiff1d(np.arange(target.dimension), np.concatenate(of_fields))

    def whole(self, z: np.ndarray) -> np.ndarray:
        """Points in all coordinates, shape (n, d)."""
        points = np.repeat(self.held[None], len(z), axis=0)
        points[:, self.free] = z
        return points

    def evaluate(self, z: np.ndarray, data: Data) -> tuple[np.ndarray, np.ndarray]:
        """As `Target.evaluate`."""
        value, gradient = self.target.evaluate(self.whole(z), data)
        return value, gradient[:, self.free]


def settled_modes(target: Target, data: Data, prior: np.ndarray) -> list[tuple[Mode, Conditioning]]:
    """The posterior's middles, the heaviest first, each with the coordinates in which it was found.

    Parameters
    ----------
    target : Target
        Of a law with fields.
    data : Data
    prior : ndarray, shape (draw, d)
        Prior draws in coordinates z.

    Returns
    -------
    list of (Mode, Conditioning)
        The modes are in coordinates y.
    """
    alone = np.median(prior, axis=0)
    alone[target.unit_index] = 0.0
    without = WithoutFields(target, alone)
    starts = find_modes(without, data, prior[:, without.free])
    found: list[tuple[Mode, Conditioning]] = []
    for start in starts[:FOLLOWED]:
        if start.log_evidence < starts[0].log_evidence - RIVAL:
            break
        mode, at = settled(target, data, without.whole(start.z[None])[0], prior)
        distinct = all(abs(mode.log_density - m.log_density) > 0.5 for m, _ in found)
        if distinct and np.isfinite(mode.log_density):
            found.append((mode, at))
    return sorted(found, key=lambda pair: -pair[0].log_evidence)


def settled(target: Target, data: Data, z: np.ndarray, prior: np.ndarray) -> tuple[Mode, Conditioning]:
    """The mode in conditioned coordinates, near z, and those coordinates, made about it."""
    white = np.concatenate([target.rest_index, target.own_index.ravel()])
    scale = np.maximum(prior.std(axis=0), 1e-6)
    scale[white] = 1.0
    for _ in range(ROUNDS):
        at = conditioning(target, z, prior, data)
        y = np.asarray(target.straighten(z[None], data, at))[0]
        mode = mode_near(target, data, y, at, scale)
        z = np.asarray(target.bend(mode.z[None], data, at)[0])[0]
        if np.abs((mode.z - y) / scale).max() < SETTLED:
            break
    return mode, at


def conditioning(target: Target, z: np.ndarray, prior: np.ndarray, data: Data) -> Conditioning:
    """Conditioned coordinates, linearised at z, shape (d,); `prior` are prior draws, shape (draw, d)."""
    mean, slope, weight = (np.asarray(x) for x in target.linear(z, data))
    with jax.enable_x64(True):
        unit = np.asarray(target.unit_scales(jnp.asarray(z)))
        weight = weight * float(target.variance(jnp.asarray(z), data))
    m, (g, k) = len(target.rest_index), target.own_index.shape
    natural = (z * unit)[np.concatenate([target.rest_index, target.own_index.ravel()])]
    said = np.where(data.mask, np.log(data.observed) - mean, 0.0) + slope @ natural
    information, pull = slope.T @ (weight[:, None] * slope), slope.T @ (weight * said)
    groups = np.arange(g)
    whole = information[m:, m:].reshape(g, k, g, k)
    of_law = prior[:, target.law_index]
    return Conditioning(
        on=np.float64(1.0),
        information=information[:m, :m],
        cross=information[m:, :m].reshape(g, k, m),
        own=whole[groups, :, groups, :],
        pull=pull[:m],
        own_pull=pull[m:].reshape(g, k),
        mean=of_law.mean(axis=0),
        precision=1 / np.maximum(of_law.var(axis=0), 1e-12),
    )
