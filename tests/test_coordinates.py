"""Conditioned coordinates: the whitening of a normal distribution given its scales, groups eliminated first."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bayescale.posterior.coordinates import Conditioning, whitening

GROUPS, EACH, REST, LAW = 5, 2, 4, 3
SIZE = REST + GROUPS * EACH


class Case(NamedTuple):
    at: Conditioning
    dense: np.ndarray
    pull: np.ndarray


@pytest.fixture
def case() -> Case:
    """A linear model whose rows each belong to one group."""
    rng = np.random.default_rng(4)
    slope = rng.standard_normal((60, SIZE))
    own = slope[:, REST:].reshape(60, GROUPS, EACH)
    own[np.arange(60)[:, None] % GROUPS != np.arange(GROUPS)] = 0.0
    slope[:, REST:] = own.reshape(60, -1)
    dense, pull = slope.T @ slope, slope.T @ rng.standard_normal(60)
    whole = dense[REST:, REST:].reshape(GROUPS, EACH, GROUPS, EACH)
    at = Conditioning(
        np.float64(1.0),
        dense[:REST, :REST],
        dense[REST:, :REST].reshape(GROUPS, EACH, REST),
        whole[np.arange(GROUPS), :, np.arange(GROUPS), :],
        pull[:REST],
        pull[REST:].reshape(GROUPS, EACH),
        rng.standard_normal(LAW),
        np.exp(rng.standard_normal(LAW)),
    )
    return Case(at, dense, pull)


def test_y_is_the_standardised_distance_from_the_conditional_mean(case: Case) -> None:
    rng = np.random.default_rng(1)
    precision = np.exp(rng.standard_normal(SIZE))
    precision[:LAW] = case.at.precision
    weight = 3.7
    whole = weight * case.dense + np.diag(precision)
    prior = np.zeros(SIZE)
    prior[:LAW] = case.at.mean * case.at.precision
    mean = np.linalg.solve(whole, weight * case.pull + prior)
    q = mean + rng.standard_normal(SIZE)
    with jax.enable_x64(True):
        white = whitening(case.at, weight, jnp.asarray(precision[:REST]), precision[REST:].reshape(GROUPS, EACH))

        def back(y: Any) -> Any:
            rest, own = white.coefficients(y[:REST], y[REST:].reshape(GROUPS, EACH))
            return jnp.concatenate([rest, own.ravel()])

        rest, own = white.whitened(jnp.asarray(q[:REST]), jnp.asarray(q[REST:].reshape(GROUPS, EACH)))
        y = np.concatenate([rest, own.ravel()])
        again, jacobian = np.asarray(back(jnp.asarray(y))), np.asarray(jax.jacfwd(back)(jnp.asarray(y)))
        log_det = float(white.log_det)
    assert y @ y == pytest.approx((q - mean) @ whole @ (q - mean), rel=1e-6)
    assert again == pytest.approx(q, rel=1e-7)
    assert log_det == pytest.approx(np.linalg.slogdet(jacobian)[1], rel=1e-9)
    assert log_det == pytest.approx(-0.5 * np.linalg.slogdet(whole)[1], rel=1e-6)


def test_a_law_without_groups_of_its_own(case: Case) -> None:
    none = case.at._replace(cross=np.zeros((0, 1, REST)), own=np.zeros((0, 1, 1)), own_pull=np.zeros((0, 1)))
    with jax.enable_x64(True):
        white = whitening(none, 2.0, jnp.ones(REST), jnp.zeros((0, 1)))
        rest, own = white.coefficients(jnp.ones(REST), jnp.zeros((0, 1)))
        y, _ = white.whitened(rest, own)
    assert np.asarray(y) == pytest.approx(np.ones(REST), rel=1e-9) and own.shape == (0, 1)
