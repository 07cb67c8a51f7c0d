"""Changes of variables after which a posterior is near normal: what scales do to the rest is divided out."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import solve_triangular

RIDGE = 1e-9
"""Added to a precision's diagonal, in units of it: rounding must not make it indefinite."""


class Straightening(NamedTuple):
    """Coordinates y in which a law's constants do not narrow as the scatter shrinks.

    With few rows the scale of the scatter is uncertain and the law's constants are known in proportion to
    it: a funnel, on which a single metric fails. In direction i, an eigenvector of the data's information in
    units of the prior's spread, the posterior reaches 1/sqrt(information_i (scale_mode/scale)^2 + 1) when
    linear; y divides that out. Directions that only the prior holds stay as they are.

    Attributes
    ----------
    centre : ndarray, shape (p,)
        The law's coordinates at the mode.
    basis, inverse : ndarray, shape (p, p)
        The directions, as columns in coordinates z, and the inverse of that matrix.
    log_information : ndarray, shape (p,)
        Log of the data's information along each, at the mode's scale.
    log_scale : float
        Log of the scatter's scale at the mode.
    """

    centre: np.ndarray
    basis: np.ndarray
    inverse: np.ndarray
    log_information: np.ndarray
    log_scale: Any


class Conditioning(NamedTuple):
    """Coordinates y in which constants and fields are standard normal given all scales, if the law is linear in them.

    The law is linearised about a point: then, given the scale of the scatter and those of the fields, constants and
    fields are jointly normal, with a precision ``information / scatter^2 + prior``, of which y is the whitening and the
    standardised distance from the conditional mean. A field that the rows determine comes out centred and one that they
    do not non-centred, in every direction by itself, so that no funnel is left (Gorinova, Moore & Hoffman 2020,
    arXiv:1906.03028, find such a mixture one coordinate at a time; Stan's guide calls the extremes by these names).

    Coefficients are in their natural units: standard normal numbers times their scale. Those of groups that share no
    row (g groups of k each) are eliminated first, so that the cost is linear in g; the rest, m of them, are the law's p
    coordinates and the other fields.

    Attributes
    ----------
    on : float
        1, or 0 to leave coordinates as they are.
    information, cross, own : ndarray, shapes (m, m), (g, k, m), (g, k, k)
        What the rows say, at a scatter of one: of the rest, of groups with the rest, of each group.
    pull, own_pull : ndarray, shapes (m,), (g, k)
        The information times what they say it of.
    mean, precision : ndarray, shape (p,)
        Of the law's coordinates a priori.
    """

    on: Any
    information: np.ndarray
    cross: np.ndarray
    own: np.ndarray
    pull: np.ndarray
    own_pull: np.ndarray
    mean: np.ndarray
    precision: np.ndarray


Coordinates = Straightening | Conditioning


class Whitening(NamedTuple):
    """The Cholesky factor of a precision, groups first, and the conditional mean in its units."""

    own: jax.Array  # (g, k, k)
    across: jax.Array  # (g, k, m)
    rest: jax.Array  # (m, m)
    own_mean: jax.Array  # (g, k)
    mean: jax.Array  # (m,)

    @property
    def log_det(self) -> jax.Array:
        """Log of the volume that a unit of y has in coefficients."""
        own = jnp.log(jnp.diagonal(self.own, axis1=1, axis2=2)).sum()
        return -own - jnp.log(jnp.diagonal(self.rest)).sum()

    def coefficients(self, y: jax.Array, own_y: jax.Array) -> tuple[jax.Array, jax.Array]:
        """From y, shapes (m,) and (g, k), to the coefficients."""
        rest = solve_triangular(self.rest, y + self.mean, trans=1, lower=True)
        right = own_y + self.own_mean - self.across @ rest
        own = jax.vmap(lambda factor, b: solve_triangular(factor, b, trans=1, lower=True))(self.own, right)
        return rest, own

    def whitened(self, rest: jax.Array, own: jax.Array) -> tuple[jax.Array, jax.Array]:
        """The inverse of `coefficients`."""
        own_y = jnp.einsum("gji,gj->gi", self.own, own) + self.across @ rest - self.own_mean
        return self.rest.T @ rest - self.mean, own_y


def whitening(c: Conditioning, weight: jax.Array, precision: jax.Array, own_precision: jax.Array) -> Whitening:
    """The whitening at a scatter and at scales of fields.

    Parameters
    ----------
    c : Conditioning
    weight : float
        One over the variance of the scatter.
    precision, own_precision : array, shapes (m,), (g, k)
        One over the variance of each coefficient a priori.
    """
    p = len(c.mean)
    own = _cholesky(weight * c.own + jax.vmap(jnp.diag)(own_precision))
    across = jax.vmap(lambda factor, b: solve_triangular(factor, b, lower=True))(own, weight * c.cross)
    rest = _cholesky(weight * c.information + jnp.diag(precision) - jnp.einsum("gki,gkj->ij", across, across))
    own_mean = jax.vmap(lambda factor, b: solve_triangular(factor, b, lower=True))(own, weight * c.own_pull)
    prior = jnp.zeros(len(precision)).at[:p].set(c.mean * c.precision)
    right = weight * c.pull + prior - jnp.einsum("gki,gk->i", across, own_mean)
    return Whitening(own, across, rest, own_mean, solve_triangular(rest, right, lower=True))


def _cholesky(matrix: jax.Array) -> Any:
    diagonal = jnp.diagonal(matrix, axis1=-2, axis2=-1)
    return jnp.linalg.cholesky(matrix + RIDGE * diagonal[..., None] * jnp.eye(matrix.shape[-1]))
