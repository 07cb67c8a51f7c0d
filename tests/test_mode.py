"""Modes: found from far away, told apart, and measured."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import optimize, stats

from bayescale.catalogue import laws
from bayescale.likelihood import StudentT
from bayescale.posterior.data import Data, centre_of, padded
from bayescale.posterior.density import target_of
from bayescale.posterior.mode import MANY, find_modes, straightened

ANY = Data(inputs={}, observed=np.ones(1), log_se=None, mask=np.ones(1, bool), centre=None)  # type: ignore[arg-type]
"""Data that a stand-in does not look at."""


class Mixture:
    """Two normal bumps: what a target looks like to the search."""

    def __init__(self, means: list[list[float]], log_weights: list[float], scale: float = 1.0) -> None:
        self.means, self.log_weights, self.scale = np.array(means), np.array(log_weights), scale
        self.dimension = self.means.shape[1]

    def evaluate(self, z: np.ndarray, data: Any) -> tuple[np.ndarray, np.ndarray]:
        delta = z[:, None] - self.means
        parts = self.log_weights - 0.5 * (delta**2).sum(axis=2) / self.scale**2
        value = np.logaddexp.reduce(parts, axis=1)
        share = np.exp(parts - value[:, None])
        return value, -(share[..., None] * delta).sum(axis=1) / self.scale**2


def test_a_normal_posterior_is_found_exactly(exact: Any) -> None:
    starts = exact.target.prior_draws(100, 0, exact.data)
    (mode,) = find_modes(exact.target, exact.data, starts)
    assert mode.z == pytest.approx(exact.mean, abs=1e-7)
    assert mode.covariance == pytest.approx(exact.covariance, rel=1e-5)
    assert mode.hessian == pytest.approx(-np.linalg.inv(exact.covariance), rel=1e-5)
    assert mode.log_evidence == pytest.approx(exact.log_evidence, abs=1e-5)


def test_two_modes_are_reported_the_heavier_first() -> None:
    mixture = Mixture([[0.0, 0.0], [8.0, 8.0]], [0.0, 1.0])
    starts = np.random.default_rng(0).uniform(-3, 11, (200, 2))
    heavy, light = find_modes(mixture, ANY, starts)  # type: ignore[arg-type]
    assert heavy.z == pytest.approx([8, 8], abs=1e-4) and light.z == pytest.approx([0, 0], abs=1e-4)
    assert heavy.log_evidence - light.log_evidence == pytest.approx(1.0, abs=1e-3)


def test_one_mode_is_reported_once() -> None:
    starts = np.random.default_rng(0).normal(0, 30, (500, 3))
    (mode,) = find_modes(Mixture([[1.0, 2.0, 3.0]], [0.0]), ANY, starts)  # type: ignore[arg-type]
    assert mode.z == pytest.approx([1, 2, 3], abs=1e-4) and mode.log_density == pytest.approx(0.0, abs=1e-8)


def test_nothing_finite_has_no_mode() -> None:
    class Nowhere(Mixture):
        def evaluate(self, z: np.ndarray, data: Any) -> tuple[np.ndarray, np.ndarray]:
            return np.full(len(z), -np.inf), np.zeros_like(z)

    assert find_modes(Nowhere([[0.0]], [0.0]), ANY, np.ones((30, 1))) == []  # type: ignore[arg-type]


def test_the_search_finds_what_scipy_finds(small_fit: Any) -> None:
    """From the prior's own centre, SciPy climbs no higher."""
    target, data = small_fit.target, small_fit.padded
    start = small_fit.samples.z.reshape(-1, target.dimension).mean(axis=0)

    def negative(z: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = target.evaluate(z[None], data)
        return -value[0], -gradient[0]

    found = optimize.minimize(negative, start, jac=True, method="BFGS", options={"gtol": 1e-6})
    mode = small_fit.samples.modes[0]
    assert -found.fun == pytest.approx(mode.log_density, abs=1e-6)
    assert np.abs(found.x - mode.z) / np.sqrt(np.diag(mode.covariance)) == pytest.approx(0, abs=1e-3)
    assert stats.chi2(target.dimension).cdf(2 * (mode.log_density - small_fit.samples.stats["lp"].max())) < 0.05


def test_a_mode_in_straightened_coordinates(small_fit: Any) -> None:
    """It is a maximum of the density there: the gradient vanishes."""
    target, data, mode = small_fit.target, small_fit.padded, small_fit.samples.modes[0]
    spread = small_fit.samples.prior.std(axis=0)
    line = target.straightening(mode.z, mode.hessian, spread, data)
    there = straightened(target, data, mode, line, spread)
    _, gradient = target.evaluate(there.z[None], data, line)
    assert np.abs(gradient[0]) * np.sqrt(np.diag(there.covariance)) == pytest.approx(0, abs=1e-3)


@pytest.mark.slow
def test_many_rows_have_the_mode_of_all_of_them(simulate: Any) -> None:
    runs = simulate(MANY + 500)
    inputs, loss = {n: runs[n].to_numpy() for n in ("N", "D")}, runs["loss"].to_numpy()
    target = target_of(laws()["chinchilla"](), StudentT())
    data = padded(inputs, loss, None, centre_of(inputs, "loss", loss), "loss")
    (mode,) = find_modes(target, data, target.prior_draws(200, 0, data))
    value, gradient = target.evaluate(mode.z[None], data)
    assert value[0] == mode.log_density
    # what Newton's step would still gain, in nats
    assert abs(gradient[0] @ np.linalg.solve(mode.hessian, gradient[0])) / 2 < 1e-4
