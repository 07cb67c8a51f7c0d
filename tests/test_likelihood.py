"""The scatter of observations: densities and draws against SciPy's, tails, measurement error."""

from __future__ import annotations

import jax
import numpy as np
import numpyro.distributions as dist
import pytest
from numpyro import handlers
from scipy import stats

from bayescale.errors import UsageError
from bayescale.likelihood import LIKELIHOODS, Laplace, Likelihood, Normal, Scatter, StudentT, likelihood_from

VALUES = np.array([0.5, 1.9, 2.0, 2.05, 9.0])
RESIDUALS = [
    (1.4, stats.t(1.4)),
    (3.0, stats.t(3.0)),
    (200.0, stats.t(200.0)),
    ("normal", stats.norm()),
    ("laplace", stats.laplace()),
]


@pytest.mark.parametrize(("tails", "standard"), RESIDUALS)
def test_densities_equal_scipys_on_the_values_own_scale(tails: float | str, standard: stats.rv_continuous) -> None:
    with jax.enable_x64(True):
        found = np.asarray(Scatter(np.log(2.0), 0.03, tails).log_prob(VALUES))
    r = (np.log(VALUES) - np.log(2.0)) / 0.03
    assert found == pytest.approx(standard.logpdf(r) - np.log(0.03) - np.log(VALUES), rel=1e-9)


@pytest.mark.parametrize(("tails", "standard"), RESIDUALS)
def test_draws_have_scipys_quantiles(tails: float | str, standard: stats.rv_continuous) -> None:
    n = 40_000
    with jax.enable_x64(True):
        draws = np.asarray(Scatter(np.log(2.0), 0.03, tails).sample(jax.random.key(0), (n,)))
    p = np.array([0.05, 0.25, 0.5, 0.75, 0.95])
    below = (np.log(draws / 2.0)[:, None] / 0.03 < standard.ppf(p)).mean(axis=0)
    assert np.abs(below - p) == pytest.approx(0, abs=4 * np.sqrt(0.25 / n))


def test_shapes_broadcast() -> None:
    scatter = Scatter(np.zeros(5), 0.1, 3.0)
    assert scatter.batch_shape == (5,)
    with jax.enable_x64(True):
        assert scatter.sample(jax.random.key(0), (7,)).shape == (7, 5)
    assert scatter.log_prob(np.ones(5)).shape == (5,)


def test_measurement_error_adds_in_quadrature() -> None:
    scatter = Normal().scatter(np.array([2.0, 2.0]), {"sigma": 0.03}, np.array([0.0, 0.04]))
    assert np.asarray(scatter.scale) == pytest.approx([0.03, 0.05], rel=1e-6)
    assert Normal().scatter(2.0, {"sigma": 0.03}).scale == 0.03


def test_only_some_scatter_has_moments_on_the_metrics_own_scale() -> None:
    few = {"sigma": np.array([0.01, 0.02]), "nu": np.array([50.0, 90.0]), "tau": np.ones(2)}
    found = {n: likelihood_from(n).has_moments(few) for n in LIKELIHOODS}
    assert found == {"student_t": False, "normal": True, "laplace": True, "ar1": False}
    assert not Laplace().has_moments({"sigma": np.array([0.1, 0.6])}) and not StudentT(nu=90).has_moments(few)


def test_the_prior_of_nu_reaches_below_two() -> None:
    nu = StudentT().nu
    mass = [float(stats.lognorm(nu.scale, scale=np.exp(nu.loc)).cdf(x)) for x in (2.0, 30.0)]
    assert mass == pytest.approx([0.18, 0.96], abs=0.005)


def test_noise_constants_are_sampled_or_pinned() -> None:
    with handlers.seed(rng_seed=0), handlers.trace() as trace:
        drawn = StudentT(nu=3).sample()
    assert list(trace) == ["sigma"] and drawn["nu"] == 3.0
    assert StudentT(nu=3).drawn({"sigma": 0.1}) == {"sigma": 0.1, "nu": 3}
    with handlers.seed(rng_seed=0), handlers.trace() as trace:
        StudentT().sample()
    assert list(trace) == ["sigma", "nu"]


def test_noise_constants_may_be_texts_and_numbers_of_any_type() -> None:
    found = StudentT(sigma="TruncatedNormal(0.01, 0.1, low=0)", nu=np.int64(4))
    assert found.nu == 4.0 and type(found.nu) is float
    assert repr(found) == "student_t(sigma=TruncatedNormal(loc=0.01, scale=0.1, low=0.0), nu=4.0)"


@pytest.mark.parametrize(
    "wrong", [-1.0, 0.0, np.inf, True, None, "three", "Normal(0, 1)", dist.Normal(0.0, 1.0), [0.1]]
)
def test_noise_constants_are_positive(wrong: object) -> None:
    with pytest.raises(
        UsageError, match=r"sigma of likelihood student_t( = 'three' is not a number|: its prior|: give)"
    ):
        StudentT(sigma=wrong)


def test_likelihoods_by_name() -> None:
    assert list(LIKELIHOODS) == ["student_t", "normal", "laplace", "ar1"]
    assert type(likelihood_from("laplace")) is type(likelihood_from(Laplace)) is Laplace
    own = Normal(sigma=dist.HalfNormal(0.1))
    assert likelihood_from(own) is own
    assert repr(own) == "normal(sigma=HalfNormal(scale=0.1))"
    with pytest.raises(
        UsageError,
        match=r"no likelihood 'studentt' \(did you mean 'student_t'\?\); there are student_t, normal, laplace, ar1",
    ):
        likelihood_from("studentt")
    with pytest.raises(UsageError, match=r"no likelihood \{\}"):
        likelihood_from({})
    with pytest.raises(NotImplementedError, match=r"^$"):
        Likelihood().tails({})
