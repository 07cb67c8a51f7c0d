"""Log evidence against exact answers, its stated error against its spread, and when it is not to be trusted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.special import gammaln
from scipy.stats import gamma, norm

import bayescale as bs
from bayescale.answers.scores.bridge import bridge, enough
from bayescale.answers.scores.evidence import log_evidence
from bayescale.answers.scores.savage_dickey import savage_dickey
from bayescale.errors import UsageError
from bayescale.fit import Fit, fit
from bayescale.likelihood import Normal
from bayescale.models import Chinchilla, Coupled
from bayescale.posterior.sampling import sample

Case = tuple[Callable[[np.ndarray], np.ndarray], np.ndarray, float]


def linear_gaussian(seed: int, correlation: float) -> Case:
    """Bishop 2006, eqs. 3.50 and 3.51: seven coefficients, known noise."""
    rng, d, n = np.random.default_rng(99), 7, 60
    x = rng.normal(size=(n, d))
    y = x @ rng.normal(size=d) + 0.5 * rng.normal(size=n)
    covariance = np.linalg.inv(x.T @ x / 0.25 + np.eye(d))
    mean = covariance @ x.T @ y / 0.25
    marginal = 0.25 * np.eye(n) + x @ x.T
    exact = -0.5 * (y @ np.linalg.solve(marginal, y) + np.linalg.slogdet(marginal)[1] + n * np.log(2 * np.pi))

    def log_density(z: np.ndarray) -> np.ndarray:
        fit = -0.5 * ((y - z @ x.T) ** 2).sum(axis=1) / 0.25 - 0.5 * n * np.log(2 * np.pi * 0.25)
        return fit - 0.5 * (z**2).sum(axis=1) - 0.5 * d * np.log(2 * np.pi)

    return log_density, mean + chains(seed, correlation, d) @ np.linalg.cholesky(covariance).T, float(exact)


def normal_inverse_gamma(seed: int, correlation: float) -> Case:
    """O'Hagan & Forster 2004, section 11: five coefficients, unknown noise, 14 rows: skewed, with heavy tails."""
    rng, d, n = np.random.default_rng(98), 5, 14
    x = rng.normal(size=(n, d))
    y = x @ rng.normal(size=d) + 0.5 * rng.normal(size=n)
    a0, b0, precision = 2.0, 1.0, 0.1 * np.eye(d)
    after = x.T @ x + precision
    mean = np.linalg.solve(after, x.T @ y)
    a, b = a0 + n / 2, b0 + 0.5 * (y @ y - mean @ after @ mean)
    exact = -0.5 * n * np.log(2 * np.pi) + 0.5 * (np.linalg.slogdet(precision)[1] - np.linalg.slogdet(after)[1])
    exact += a0 * np.log(b0) - a * np.log(b) + gammaln(a) - gammaln(a0)

    def log_density(z: np.ndarray) -> np.ndarray:
        beta, log_variance = z[:, :d], z[:, d]
        variance = np.exp(log_variance)
        rows = -0.5 * ((y - beta @ x.T) ** 2).sum(axis=1) / variance - 0.5 * n * (np.log(2 * np.pi) + log_variance)
        prior = -0.05 * (beta**2).sum(axis=1) / variance + 0.5 * d * (np.log(0.1) - np.log(2 * np.pi) - log_variance)
        return rows + prior + a0 * np.log(b0) - gammaln(a0) - a0 * log_variance - b0 / variance

    e = chains(seed, correlation, d + 1)
    variance = b / gamma(a).ppf(norm.cdf(e[..., d]))
    beta = mean + np.sqrt(variance)[..., None] * (e[..., :d] @ np.linalg.cholesky(np.linalg.inv(after)).T)
    return log_density, np.concatenate([beta, np.log(variance)[..., None]], axis=2), float(exact)


def chains(seed: int, correlation: float, d: int) -> np.ndarray:
    """Four chains of a thousand standard normal draws, each an AR(1) process."""
    e = np.random.default_rng(seed).standard_normal((4, 1000, d))
    for t in range(1, 1000) if correlation else ():
        e[:, t] = correlation * e[:, t - 1] + np.sqrt(1 - correlation**2) * e[:, t]
    return e


@pytest.mark.parametrize("model", [linear_gaussian, normal_inverse_gamma])
@pytest.mark.parametrize("correlation", [0.0, 0.7])
def test_bridge_gives_the_exact_answer_and_an_honest_error(
    model: Callable[[int, float], Case], correlation: float
) -> None:
    errors, stated = [], []
    for seed in range(80):
        log_density, draws, exact = model(seed, correlation)
        value, se = bridge(log_density, draws, seed=seed)
        errors.append(value - exact)
        stated.append(se)
    assert abs(np.mean(errors)) <= 4.5 * np.std(errors) / np.sqrt(80)
    assert np.quantile(np.abs(errors), 0.9) <= 0.01
    # the spread of 80 errors is itself known to 8 %
    assert 0.66 <= np.std(errors) / np.mean(stated) <= 1.36


def test_through_the_engine_on_a_conjugate_law(exact: Any) -> None:
    samples = sample(exact.target, exact.data)
    value, se = bridge(lambda z: exact.target.evaluate(z, exact.data)[0], samples.z)
    assert abs(value - exact.log_evidence) <= 0.01 and se <= 0.005
    assert abs(samples.log_evidence - exact.log_evidence) <= 4 * samples.log_evidence_se


def test_through_a_fit_of_a_conjugate_law(exact: Any) -> None:
    rows = exact.data.mask
    table = pd.DataFrame({"x": exact.data.inputs["x"][rows], "loss": exact.data.observed[rows]})
    found = fit(exact.target.law, table, likelihood=Normal(sigma=0.3)).evidence()
    assert found.trusted and found.method == "bridge" and found.agreement == "agree"
    assert abs(found.log_evidence - exact.log_evidence) <= 0.01


def test_too_few_draws_are_refused() -> None:
    with pytest.raises(UsageError, match="needs at least 60 draws; found 40"):
        bridge(lambda z: -0.5 * (z**2).sum(axis=1), np.zeros((4, 10, 3)))


def standard_normal(z: np.ndarray) -> np.ndarray:
    return -0.5 * (z**2).sum(axis=1) - 0.5 * z.shape[1] * np.log(2 * np.pi)


def test_a_bridge_in_many_dimensions_takes_the_draws_that_it_needs() -> None:
    draws = np.random.default_rng(0).standard_normal((4, 10_000, 250))
    some = enough(draws)
    assert some.shape == (4, 6250, 250) and enough(draws[:, :, :7]).shape == (4, 1000, 7)
    value, se = bridge(standard_normal, some)
    assert abs(value) <= 0.01 and se <= 0.01


def test_draws_that_lie_in_a_plane_are_refused() -> None:
    draws = np.random.default_rng(0).standard_normal((4, 1000, 2))
    draws[..., 1] = draws[..., 0]
    with pytest.raises(UsageError, match="covariance of 2000 of them is singular"):
        bridge(standard_normal, draws)


def test_a_bridge_that_does_not_settle_says_so() -> None:
    draws = np.random.default_rng(0).standard_normal((4, 1000, 2))
    with pytest.raises(UsageError, match="has not settled after 1000 rounds"):
        bridge(lambda z: np.full(len(z), -np.inf), draws, log_density_at_draws=np.zeros((4, 1000)))


def test_a_fit_without_a_bridge_has_no_evidence_and_says_why(small_fit: Fit) -> None:
    few = replace(small_fit.samples, z=small_fit.samples.z[:, :5])
    found = log_evidence(replace(small_fit, samples=few))
    assert np.isnan(found.log_evidence) and found.method == "none" and not found.trusted
    assert "it has no log evidence: bridge sampling in 7 dimensions needs at least 140 draws" in found.warnings[0]


def test_a_fit_says_how_its_estimates_agree(small_fit: Fit) -> None:
    found = small_fit.evidence()
    assert found.trusted and not found.warnings and found.agreement == "agree"
    assert abs(found.log_evidence - found.importance) <= 4 * np.hypot(found.se, found.importance_se)
    assert "agree" in repr(found)


def test_estimators_that_disagree_are_not_trusted(small_fit: Fit) -> None:
    samples = replace(small_fit.samples, log_evidence=small_fit.samples.log_evidence + 1.0)
    found = log_evidence(replace(small_fit, samples=samples))
    assert not found.trusted and found.agreement == "disagree"
    assert any("misses part of the posterior" in w for w in found.warnings)


def test_rival_modes_are_not_trusted(small_fit: Fit) -> None:
    mode = small_fit.samples.modes[0]
    rival = replace(mode, z=mode.z + 1, log_evidence=mode.log_evidence - 1.0)
    found = log_evidence(replace(small_fit, samples=replace(small_fit.samples, modes=(mode, rival))))
    assert not found.trusted
    assert any("2 modes rival each other (log mass +0.0, -1.0)" in w for w in found.warnings)


def test_draws_that_failed_are_not_trusted(small_fit: Fit) -> None:
    found = log_evidence(replace(small_fit, samples=replace(small_fit.samples, failures=("chains disagree",))))
    assert not found.trusted and "chains disagree" in found.warnings[0]


def test_a_quick_fit_has_the_quick_estimate(simulate: Callable[..., pd.DataFrame], small_fit: Fit) -> None:
    found = fit("chinchilla", simulate(30), method="laplace").evidence()
    assert found.method == "importance" and found.agreement == "unchecked"
    assert abs(found.log_evidence - small_fit.evidence().log_evidence) <= 0.2


def test_the_families_evidence_on_real_runs(epoch_fit: Fit) -> None:
    found = epoch_fit.evidence()
    assert found.trusted and found.se <= 0.01 and found.k_hat < 0.7
    # benchmarks/evidence.py: nested sampling and long importance runs
    assert abs(found.log_evidence - 628.93) <= 0.04


def test_members_of_the_family_contain_one_another() -> None:
    constants = {"E": 1.8, "A": 480.0, "alpha": 0.35, "B": 2000.0, "beta": 0.36}
    points = {"N": np.array([1e8, 1e10]), "D": np.array([1e10, 1e12])}
    whole = Chinchilla(**constants)(**points)
    assert np.allclose(Coupled(**constants, k=1.0)(**points), whole, rtol=1e-12)
    assert np.allclose(bs.models.ChinchillaNoFloor(**constants | {"E": 0.0})(**points), whole - 1.8, rtol=1e-12)
    tied = {n: v for n, v in constants.items() if n != "beta"}
    assert np.allclose(bs.models.ChinchillaTied(**tied)(**points), Chinchilla(**tied, beta=0.35)(**points), rtol=1e-12)


def test_coupling_moves_neither_optimum_nor_split() -> None:
    constants = {"E": 1.7, "A": 1564.0, "alpha": 0.405, "B": 6168.0, "beta": 0.41, "k": 0.8}
    law = Coupled(**constants)
    best = law.optimum(1e23)
    N = best["N"] * np.exp(np.linspace(-0.5, 0.5, 2001))
    losses = law(N=N, D=1e23 / (6 * N))
    assert abs(np.log(N[np.argmin(losses)] / best["N"])) <= 1e-3
    at = [law(N=law.optimum(c)["N"], D=law.optimum(c)["D"]) - 1.7 for c in (1e20, 1e24)]
    assert np.isclose(np.log(at[0] / at[1]) / np.log(1e4), law.gamma(), rtol=1e-9)


@pytest.fixture(scope="module")
def coupled(simulate: Callable[..., pd.DataFrame]) -> tuple[Fit, Fit]:
    """The coupled law and the same with k = 1, on runs for which k is 1."""
    runs = simulate(60, seed=3)
    return fit("coupled", runs), fit(Coupled(k=1.0), runs)


def test_savage_dickey_agrees_with_the_bridge(coupled: tuple[Fit, Fit]) -> None:
    free, pinned = coupled
    a, b = free.evidence(), pinned.evidence()
    ratio, se = savage_dickey(free, "k", 1.0)
    assert abs(ratio - (b.log_evidence - a.log_evidence)) <= 4 * np.hypot(se, np.hypot(a.se, b.se)) + 0.01
    assert se <= 0.05


def test_savage_dickey_says_where_it_does_not_reach(coupled: tuple[Fit, Fit]) -> None:
    assert savage_dickey(coupled[0], "k", 6.0)[1] == np.inf


def test_savage_dickey_refuses_what_it_cannot_do(coupled: tuple[Fit, Fit]) -> None:
    with pytest.raises(UsageError, match="no constant 'A' with a prior of its own"):
        savage_dickey(coupled[0], "A", 1.0)
    with pytest.raises(UsageError, match="no constant 'q'"):
        savage_dickey(coupled[0], "q", 1.0)
    with pytest.raises(UsageError, match="edge of, the support"):
        savage_dickey(coupled[0], "k", 0.0)
