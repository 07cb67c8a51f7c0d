"""Convergence diagnostics equal ArviZ's, which took another road to the same formulas."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from arviz_stats.base import array_stats

from bayescale.posterior import diagnostics

Chains = np.ndarray


def ar1(rng: np.random.Generator, rho: float, shape: tuple[int, int]) -> Chains:
    noise = rng.standard_normal(shape)
    x = np.empty(shape)
    x[:, 0] = noise[:, 0]
    for t in range(1, shape[1]):
        x[:, t] = rho * x[:, t - 1] + np.sqrt(1 - rho**2) * noise[:, t]
    return x


KINDS: dict[str, Callable[[np.random.Generator], Chains]] = {
    "independent": lambda rng: rng.standard_normal((4, 1000)),
    "odd length": lambda rng: rng.standard_normal((4, 333)),
    "many short chains": lambda rng: rng.standard_normal((16, 50)),
    "heavy tails": lambda rng: rng.standard_cauchy((4, 500)),
    "slow": lambda rng: ar1(rng, 0.95, (4, 1000)),
    "antithetic": lambda rng: ar1(rng, -0.6, (4, 1000)),
    "tied": lambda rng: rng.integers(0, 5, (4, 500)).astype(float),
    "a chain elsewhere": lambda rng: rng.standard_normal((4, 500)) + np.array([[0.0], [0.0], [0.0], [3.0]]),
    "two scales": lambda rng: rng.standard_normal((4, 500)) * np.array([[1.0], [1.0], [1.0], [4.0]]),
    "drifting": lambda rng: rng.standard_normal((4, 500)) + np.linspace(0, 2, 500),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_equal_to_arviz(kind: str, seed: int) -> None:
    draws = KINDS[kind](np.random.default_rng(seed))
    assert diagnostics.r_hat(draws) == pytest.approx(
        float(array_stats.rhat(draws, chain_axis=0, draw_axis=1)), rel=1e-9
    )
    for ours, theirs in (
        (diagnostics.ess_bulk, "bulk"),
        (diagnostics.ess_tail, "tail"),
        (diagnostics.ess_mean, "mean"),
    ):
        kwargs = {"prob": diagnostics.Z90} if theirs == "tail" else {}
        expected = float(array_stats.ess(draws, chain_axis=0, draw_axis=1, method=theirs, **kwargs))
        # where autocorrelations stay positive to the end of a chain, ArviZ leaves out the last pair
        stuck = kind in ("slow", "a chain elsewhere", "two scales", "drifting")
        assert ours(draws) == pytest.approx(expected, rel=0.03 if stuck else 1e-9), theirs


def test_they_say_what_they_should() -> None:
    rng = np.random.default_rng(5)
    assert diagnostics.r_hat(KINDS["independent"](rng)) < 1.01
    assert diagnostics.r_hat(KINDS["a chain elsewhere"](rng)) > 1.3
    assert diagnostics.r_hat(KINDS["two scales"](rng)) > 1.1  # one location: only the folded half sees it
    assert diagnostics.ess_bulk(KINDS["slow"](rng)) == pytest.approx(4000 * 0.05 / 1.95, rel=0.5)


def test_constant_and_broken_chains() -> None:
    still = np.full((4, 100), 2.0)
    assert diagnostics.r_hat(still) == 1.0 and diagnostics.ess_bulk(still) == 400.0
    apart = still + np.arange(4)[:, None]
    assert diagnostics.r_hat(apart) > 1e6
    broken = np.random.default_rng(0).standard_normal((4, 1000))
    broken[2, 7] = np.nan
    for statistic in (diagnostics.r_hat, diagnostics.ess_bulk, diagnostics.ess_tail, diagnostics.ess_mean):
        assert np.isnan(statistic(broken)), statistic


@pytest.mark.parametrize("shape", [0.2, 0.5, 0.9, 1.5])
@pytest.mark.parametrize("n", [200, 4096])
def test_pareto_k_equals_arviz(shape: float, n: int) -> None:
    log_weights = shape * np.random.default_rng(3).standard_exponential(n)
    smoothed = array_stats.psislw(-log_weights)  # it negates its argument
    assert diagnostics.pareto_k(log_weights) == pytest.approx(float(smoothed[1]), abs=2e-3)
    assert diagnostics.pareto_k(log_weights + 700) == pytest.approx(diagnostics.pareto_k(log_weights), abs=1e-9)


def test_pareto_k_grows_with_the_tail() -> None:
    exponential = np.random.default_rng(4).standard_exponential(4096)
    found = [diagnostics.pareto_k(shape * exponential) for shape in (0.3, 0.7, 1.2)]
    assert found == pytest.approx([0.3, 0.7, 1.2], abs=0.25) and found == sorted(found)


def test_pareto_k_of_degenerate_weights() -> None:
    assert diagnostics.pareto_k(np.zeros(1000)) == np.inf
    one = np.full(1000, -50.0)
    one[0] = 0.0
    assert diagnostics.pareto_k(one) == np.inf
