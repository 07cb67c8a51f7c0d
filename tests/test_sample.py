"""The policy: sample, check, sample harder, fall back, and refuse with reasons."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bayescale.datasets import load
from bayescale.fit import fit
from bayescale.models import KaplanN
from bayescale.posterior import samples as samples_module
from bayescale.posterior.samples import Effort, quality, shortfalls
from bayescale.posterior.sampling import sample


def test_a_known_posterior(exact: Any) -> None:
    samples = sample(exact.target, exact.data, seed=1)
    assert samples.failures == () and samples.notes == () and samples.method == "nuts" and len(samples.modes) == 1
    flat = samples.z.reshape(-1, 2)
    sd = np.sqrt(np.diag(exact.covariance))
    ess = min(q["ess_bulk"] for q in samples.diagnostics.values())
    assert ess >= 400
    assert np.abs(flat.mean(axis=0) - exact.mean) / sd == pytest.approx(0, abs=4 / np.sqrt(ess))
    assert flat.std(axis=0) / sd == pytest.approx(1, abs=4 / np.sqrt(2 * ess))
    assert samples.log_evidence == pytest.approx(exact.log_evidence, abs=4 * samples.log_evidence_se)
    assert set(samples.stats) == {"lp", "energy", "n_steps", "acceptance_rate", "diverging", "step_size"}
    assert {x.shape for x in samples.stats.values()} == {(4, 1000)}


def test_quick_draws_of_a_known_posterior(exact: Any) -> None:
    samples = sample(exact.target, exact.data, method="laplace", seed=1)
    assert samples.failures == () and samples.method == "laplace" and samples.k_hat < 0.5
    flat, sd = samples.z.reshape(-1, 2), np.sqrt(np.diag(exact.covariance))
    assert flat.shape == (4000, 2)
    assert np.abs(flat.mean(axis=0) - exact.mean) / sd == pytest.approx(0, abs=4 / 50)


def test_shortfalls_are_named() -> None:
    rng = np.random.default_rng(0)
    good = rng.standard_normal((4, 1000))
    assert shortfalls(quality(KaplanN(), {"E": good}), 0, 4000) == ()
    assert set(quality(KaplanN(), {"E": good})["E"]) == {"r_hat", "ess_bulk", "ess_tail"}
    apart = good + np.arange(4)[:, None]
    walk = np.cumsum(good, axis=1)
    found = shortfalls(quality(KaplanN(), {"E": good, "A": apart, "B": walk}), 3, 4000)
    assert not [f for f in found if f.startswith("E:")]
    assert any(f.startswith("A: split R-hat ") and "is above 1.01" in f for f in found)
    assert any(f.startswith("B: ") and "bulk ESS" in f and "is below 400" in f for f in found)
    assert found[-1] == "3 of 4000 transitions diverged: part of the posterior may be out of reach"
    broken = good.copy()
    broken[0, 0] = np.nan
    assert shortfalls(quality(KaplanN(), {"E": broken}), 0, 4000), "a NaN never passes"


def test_sampling_is_extended_until_it_passes(exact: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bar that 250 draws a chain cannot reach and 1000 can."""
    first = sample(exact.target, exact.data, effort=Effort(draws=250, limit=250))
    monkeypatch.setattr(samples_module, "R_HAT_LIMIT", 2.0)
    monkeypatch.setattr(samples_module, "ESS_LIMIT", 1100.0)
    assert first.z.shape[1] == 250
    extended = sample(exact.target, exact.data, effort=Effort(draws=250, limit=4000))
    assert extended.failures == () and 250 < extended.z.shape[1] <= 4000
    assert {x.shape for x in extended.stats.values()} == {extended.z.shape[:2]}


def test_at_the_limit_it_says_what_failed(exact: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples_module, "ESS_LIMIT", 1e9)
    stages: set[str] = set()
    samples = sample(
        exact.target, exact.data, effort=Effort(draws=250, limit=500), progress=lambda s, d, t: stages.add(s)
    )
    assert samples.z.shape[1] == 500 and samples.method == "nuts (adaptive)"
    assert any(f.startswith("a: bulk ESS ") for f in samples.failures)
    assert any(f.startswith("b: ") and "tail ESS" in f for f in samples.failures)
    assert stages == {"mode", "NUTS"}


def test_twelve_rows_fall_back_and_converge() -> None:
    found = fit("chinchilla", load("palm2"))
    assert found.converged and found.samples.method == "nuts (adaptive)"
    assert found.samples.stats["diverging"].sum() == 0
    for name, q in found.samples.diagnostics.items():
        assert q["r_hat"] <= 1.01 and min(q["ess_bulk"], q["ess_tail"]) >= 400, name


def test_the_quick_mode_refuses_what_it_cannot_do() -> None:
    found = fit("chinchilla", load("palm2"), method="laplace")
    assert not found.converged
    assert any("Pareto k-hat" in f and f.endswith("use method='nuts'") for f in found.failures)


class Bumps:
    """A target with two separate normal bumps, in the clothes of `Target`."""

    dimension = 1
    law = KaplanN()

    def __init__(self, exact: Any) -> None:
        self.exact = exact

    def prepare(self, data: Any) -> None:
        """Nothing to compile."""

    def evaluate(self, z: np.ndarray, data: Any, line: Any = None) -> tuple[np.ndarray, np.ndarray]:
        left, right = -0.5 * (z[:, 0] + 6) ** 2, -0.5 * (z[:, 0] - 6) ** 2 - 0.02
        value = np.logaddexp(left, right)
        gradient = -np.exp(left - value) * (z[:, 0] + 6) - np.exp(right - value) * (z[:, 0] - 6)
        return value, gradient[:, None]

    def straightening(self, *_: Any) -> None:
        """Its coordinates are straight."""

    def bend(self, y: np.ndarray, data: Any, line: Any) -> tuple[np.ndarray, np.ndarray]:
        return y, np.zeros(len(y))

    def prior_draws(self, draws: int, seed: int, data: Any) -> np.ndarray:
        return 6 * np.random.default_rng(seed).standard_normal((draws, 1))

    def constants_at(self, z: np.ndarray, data: Any, seed: int = 0) -> dict[str, np.ndarray]:
        return {"a": z[..., 0]}


def test_several_modes_are_reported(exact: Any) -> None:
    samples = sample(Bumps(exact), exact.data, method="laplace")  # type: ignore[arg-type]
    assert len(samples.modes) == 2
    assert samples.modes[0].log_evidence - samples.modes[1].log_evidence == pytest.approx(0.02, abs=1e-3)
    assert samples.notes[-1] == "the posterior has 2 modes: (a -6; log mass +0.0) and (a 6; log mass -0.0)"


def test_a_density_that_is_nowhere_finite_is_refused(exact: Any) -> None:
    class Nowhere(Bumps):
        def evaluate(self, z: np.ndarray, data: Any, line: Any = None) -> tuple[np.ndarray, np.ndarray]:
            return np.full(len(z), -np.inf), np.zeros_like(z)

    samples = sample(Nowhere(exact), exact.data, method="laplace")  # type: ignore[arg-type]
    assert samples.method == "none" and samples.modes == ()
    assert "the density is not finite at any prior draw" in samples.failures[0]
