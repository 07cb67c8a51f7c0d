"""What rows tell of constants: closed forms of a linear-normal law, and the sentences of real fits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pandas as pd
import pytest

from bayescale.answers.identifiability import Identifiability
from bayescale.fit import Fit, fit
from bayescale.law import Law, Param
from bayescale.likelihood import Normal
from bayescale.models import Chinchilla


class Line(Law):
    """log L = a + b x

    A check.
    """

    a: Param = dist.Normal(0.0, 1.0)
    b: Param = dist.Normal(0.0, 0.5)

    def loss(self, x: Any) -> Any:
        return jnp.exp(self.a + self.b * x)


def test_closed_forms() -> None:
    """Posterior and prior are normal: contraction, distance, the derivative of power-scaling and the rank are known."""
    x, scale, prior = np.linspace(1.0, 1.4, 12), 0.3, np.array([1.0, 0.25])
    log_y = 2.5 - 0.2 * x + scale * np.random.default_rng(0).standard_normal(12)
    found = fit(Line(), pd.DataFrame({"x": x, "loss": np.exp(log_y)}), likelihood=Normal(sigma=scale))
    design = np.stack([np.ones(12), x], axis=1)

    def posterior(power: float) -> tuple[np.ndarray, np.ndarray]:
        covariance = np.linalg.inv(design.T @ design / scale**2 + np.diag(power / prior))
        return covariance @ design.T @ log_y / scale**2, covariance

    mean, covariance = posterior(1.0)
    step = 1e-4
    slope = (posterior(1 + step)[0] - posterior(1 - step)[0]) / (2 * step)
    told: Identifiability = found.identifiability
    assert list(told.table.index) == ["a", "b"]
    assert told.table["contraction"].to_numpy() == pytest.approx(1 - np.diag(covariance) / prior, abs=0.05)
    assert told.table["distance"].to_numpy() == pytest.approx(np.abs(mean) / np.sqrt(prior), abs=0.1)
    assert told.table["pull"].to_numpy() == pytest.approx(slope / np.sqrt(np.diag(covariance)), abs=0.25)
    left = np.linalg.eigvals(np.diag(1 / prior) @ covariance)
    assert told.rank == pytest.approx(float((1 - left).sum()), abs=0.05) and told.rank < 1.8


def test_many_rows_determine_every_constant(small_fit: Fit) -> None:
    told = small_fit.identifiability
    assert told.rank > 4.5 and (told.table["contraction"] > 0.5).all()
    assert f"the rows determine {told.rank:.1f} of the law's 5 constants." in str(small_fit)


def test_prior_and_data_that_disagree_are_named(simulate: Callable[..., pd.DataFrame]) -> None:
    found = fit(Chinchilla(alpha=dist.LogNormal(np.log(0.9), 0.1)), simulate(40))
    named = [w for w in found.warnings if w.startswith("prior and data disagree on alpha")]
    assert named and "check the units, or give it another prior" in named[0]


def test_a_constant_that_hangs_on_its_prior_is_named() -> None:
    table = pd.DataFrame({"contraction": [0.99, 0.8], "distance": [0.5, 2.5], "pull": [0.1, -0.8]}, index=["a", "b"])
    assert Identifiability(table, 1.8).sentences == (
        "these hang on their priors: squaring the priors' density moves b by 0.8 posterior sds",
    )
