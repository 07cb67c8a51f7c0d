"""The quick posterior: exact where the posterior is normal, honest where it is not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bayescale.posterior.importance import Weighted, importance_sample
from bayescale.posterior.mode import Mode, find_modes


def weigh(exact: Any, mode: Mode, seed: int, **options: int) -> Weighted:
    line = exact.target.as_they_are()
    return importance_sample(exact.target, exact.data, mode, line, np.random.default_rng(seed), **options)


def mode_at(z: np.ndarray, covariance: np.ndarray) -> Mode:
    return Mode(z, 0.0, -np.linalg.inv(covariance), covariance, 0.0)


def test_a_normal_posterior(exact: Any) -> None:
    (mode,) = find_modes(exact.target, exact.data, exact.target.prior_draws(50, 0, exact.data))
    weighted = weigh(exact, mode, 0)
    sd = np.sqrt(np.diag(exact.covariance))
    # 4096 antithetic draws: errors of a mean are below 1/sqrt(4096) of an sd, of a covariance sqrt(2/4096)
    assert np.abs(weighted.location - exact.mean) / sd == pytest.approx(0, abs=4 / 64)
    assert weighted.factor @ weighted.factor.T / np.outer(sd, sd) == pytest.approx(
        exact.covariance / np.outer(sd, sd), abs=4 * np.sqrt(2 / 4096)
    )
    assert weighted.log_evidence == pytest.approx(exact.log_evidence, abs=4 * weighted.log_evidence_se)
    assert 0.001 < weighted.log_evidence_se < 0.02
    assert weighted.k_hat < 0.3 and weighted.weights.sum() == pytest.approx(1.0)


def test_its_error_is_what_it_says(exact: Any) -> None:
    (mode,) = find_modes(exact.target, exact.data, exact.target.prior_draws(50, 0, exact.data))
    runs = [weigh(exact, mode, s, draws=1024) for s in range(40)]
    errors = np.array([(w.log_evidence - exact.log_evidence) / w.log_evidence_se for w in runs])
    # chi squared with 40 degrees of freedom, over 40: 1 +- 0.22
    assert 0.4 < np.mean(errors**2) < 1.9


def test_refits_repair_a_poor_mode(exact: Any) -> None:
    poor = mode_at(exact.mean + np.linalg.cholesky(exact.covariance) @ [1.5, 1.5], exact.covariance * 9)
    rough = weigh(exact, poor, 1, refits=0)
    better = weigh(exact, poor, 1, refits=1)
    assert better.log_evidence_se < rough.log_evidence_se / 2
    assert better.log_evidence == pytest.approx(exact.log_evidence, abs=4 * better.log_evidence_se)


def test_a_proposal_that_misses_says_so(exact: Any) -> None:
    narrow = mode_at(exact.mean, exact.covariance / 400)
    weighted = weigh(exact, narrow, 2, refits=0)
    assert weighted.k_hat > 0.7 or weighted.log_evidence_se > 0.05


def test_resampling_keeps_the_weights(exact: Any) -> None:
    (mode,) = find_modes(exact.target, exact.data, exact.target.prior_draws(50, 0, exact.data))
    weighted = weigh(exact, mode, 3)
    draws = weighted.resample(4000, np.random.default_rng(4))
    assert draws.shape == (4000, 2)
    # systematic resampling: each draw is taken its expected number of times, to within one
    copies = np.array([(draws == row).all(axis=1).sum() for row in weighted.y[:200]])
    assert np.all(np.abs(copies - 4000 * weighted.weights[:200]) <= 1)
    assert np.array_equal(draws, weighted.resample(4000, np.random.default_rng(4)))
