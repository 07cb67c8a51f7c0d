"""The posterior as a density: the right number at every point, and padding that does not count."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from numpyro.distributions.transforms import ExpTransform
from scipy import stats

from bayescale.likelihood import Normal, StudentT
from bayescale.models import Chinchilla
from bayescale.posterior import density
from bayescale.posterior.data import centre_of, padded, padded_size
from bayescale.posterior.density import Target, target_of


def test_the_density_is_prior_times_likelihood(exact: Any) -> None:
    z = np.random.default_rng(0).standard_normal((300, 2))  # more than a batch
    value, gradient = exact.target.evaluate(z, exact.data)
    posterior = stats.multivariate_normal(exact.mean, exact.covariance)
    assert value == pytest.approx(posterior.logpdf(z) + exact.log_evidence, rel=1e-9)
    assert gradient == pytest.approx(-np.linalg.solve(exact.covariance, (z - exact.mean).T).T, rel=1e-8)


def test_the_jacobian_of_constrained_constants_counts() -> None:
    """log sigma has density p(sigma) sigma: with no data the prior in z integrates to one."""
    law = Chinchilla(E=1.7, A=400.0, alpha=0.34, B=400.0, beta=0.28)
    target = Target(law, Normal(sigma=dist.LogNormal(-4.0, 0.5)))
    rows = {"N": np.full(1, 1e9), "D": np.full(1, 1e10)}
    data = padded(rows, np.array([2.0]), None, centre_of(rows, "loss", np.array([2.0])), "loss")
    data = data._replace(mask=np.zeros_like(data.mask))
    z = np.linspace(-8, 0, 400)
    density = np.exp(target.evaluate(z[:, None], data)[0])
    assert density == pytest.approx(stats.norm(-4.0, 0.5).pdf(z), abs=1e-9)


def test_padding_does_not_count(table: Any) -> None:
    x = {n: table[n].to_numpy() for n in ("N", "D")}
    y = table["loss"].to_numpy()
    target = target_of(Chinchilla(), StudentT())
    few = padded(x, y, None, centre_of(x, "loss", y), "loss")
    z = target.prior_draws(20, 0, few)
    assert len(few.mask) == 32 and few.mask.sum() == 30
    more = few._replace(
        inputs={n: np.concatenate([v, np.full(16, v[0])]) for n, v in few.inputs.items()},
        observed=np.concatenate([few.observed, np.full(16, 3.0)]),
        log_se=np.concatenate([np.asarray(few.log_se), np.zeros(16)]),
        mask=np.concatenate([few.mask, np.zeros(16, bool)]),
    )
    for a, b in zip(target.evaluate(z, few), target.evaluate(z, more), strict=True):
        assert a == pytest.approx(b, rel=1e-10)


class Own(dist.LogNormal):  # type: ignore[misc]
    """A prior of a user's, that no text makes."""


PAIRS = {
    "truncated": [dist.TruncatedNormal(m, 0.1, low=0.0) for m in (0.3, 0.9)],
    "folded": [dist.FoldedDistribution(dist.Normal(m, 0.1)) for m in (0.3, 0.9)],
    "transformed": [dist.TransformedDistribution(dist.Normal(m, 0.1), [ExpTransform()]) for m in (0.3, 0.9)],
    "mixed": [dist.MixtureGeneral(dist.Categorical(np.ones(2) / 2), [dist.HalfNormal(m)] * 2) for m in (0.3, 0.9)],
    "a user's": [Own(0.3, 0.1), Own(0.3, 0.1)],  # who knows what it does
}


@pytest.mark.parametrize("kind", PAIRS)
def test_a_fit_gets_its_own_priors(kind: str) -> None:
    first, second = PAIRS[kind]
    of_law = [target_of(Chinchilla(alpha=prior), StudentT()) for prior in (first, second)]
    of_noise = [target_of(Chinchilla(), StudentT(nu=prior)) for prior in (first, second)]
    assert [t.law.alpha for t in of_law] == [first, second]
    assert [t.likelihood.nu for t in of_noise] == [first, second]
    assert target_of(Chinchilla(alpha=first), StudentT()) is of_law[0]


def test_equal_priors_share_their_programs() -> None:
    first, second = (Chinchilla(alpha=dist.TruncatedNormal(0.3, 0.1, low=low)) for low in (0, 0.0))
    assert target_of(first, StudentT()) is target_of(second, StudentT(nu="LogNormal(log(5), 1)"))


def test_targets_are_found_from_several_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    class Slow(dict[Any, Any]):
        """A cache whose keys are seen a while before they are used."""

        def __iter__(self) -> Any:
            keys = list(super().__iter__())
            time.sleep(0.002)
            return iter(keys)

    monkeypatch.setattr(density, "_CACHED", Slow())
    monkeypatch.setattr(density, "KEPT", 2)
    laws = [Chinchilla(E=1.0 + i) for i in range(16)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda law: target_of(law, StudentT()), laws))
    assert [t.law.E for t in found] == [law.E for law in laws] and len(density._CACHED) == 2


def test_size_classes() -> None:
    assert [padded_size(n) for n in (1, 32, 33, 48, 49, 64, 65, 240, 245, 256, 257, 1000)] == [
        32, 32, 48, 48, 64, 64, 96, 256, 256, 256, 384, 1024,
    ]  # fmt: skip


def test_constants_are_those_of_the_law(table: Any) -> None:
    x = {n: table[n].to_numpy() for n in ("N", "D")}
    data = padded(x, table["loss"].to_numpy(), None, centre_of(x, "loss", table["loss"].to_numpy()), "loss")
    target = target_of(Chinchilla(), StudentT())
    z = target.prior_draws(1500, 1, data)  # more than a block of 1000
    constants = target.constants_at(z.reshape(3, 500, -1), data)
    assert list(constants)[:5] == ["E", "A", "alpha", "B", "beta"] and set(constants) - set(target.law.fields) == {
        "sigma",
        "nu",
    }
    assert {v.shape for v in constants.values()} == {(3, 500)}
    at = data.centre
    quantity = {
        "E": stats.beta(2, 1.2).cdf(constants["E"] / at.loss),
        "A": stats.lognorm(0.8, scale=0.15).cdf(constants["A"] / at.N ** constants["alpha"] / at.loss),
        "alpha": stats.lognorm(0.5, scale=0.3).cdf(constants["alpha"]),
        "B": stats.lognorm(0.8, scale=0.15).cdf(constants["B"] / at.D ** constants["beta"] / at.loss),
        "sigma": stats.lognorm(1.0, scale=0.01).cdf(constants["sigma"]),
        "nu": stats.lognorm(1.0, scale=5.0).cdf(constants["nu"]),
    }
    for name, uniform in quantity.items():
        assert stats.kstest(uniform.ravel(), "uniform").pvalue > 1e-3, name


def test_a_density_that_is_not_finite_is_minus_infinity(exact: Any) -> None:
    value, gradient = exact.target.evaluate(np.array([[1e200, 0.0], [0.0, 0.0]]), exact.data)
    assert value[0] == -np.inf and np.all(gradient[0] == 0) and np.isfinite(value[1])


def test_one_target_for_one_law_and_likelihood() -> None:
    assert target_of(Chinchilla(), StudentT()) is target_of(Chinchilla(), StudentT())
    assert target_of(Chinchilla(E=1.7), StudentT()) is not target_of(Chinchilla(), StudentT())
    assert target_of(Chinchilla(), Normal()) is not target_of(Chinchilla(), StudentT())
    assert target_of(Chinchilla(alpha="LogNormal(-1, 1)"), Normal()) is target_of(
        Chinchilla(alpha="LogNormal(-1.0, 1)"), Normal()
    )


def test_straightened_coordinates_are_a_change_of_variables(small_fit: Any) -> None:
    """They go there and back, and their Jacobian is that of the map."""
    target, data, mode = small_fit.target, small_fit.padded, small_fit.samples.modes[0]
    line = target.straightening(mode.z, mode.hessian, small_fit.samples.prior.std(axis=0), data)
    z = small_fit.samples.z[:, ::100].reshape(-1, target.dimension)
    y = np.asarray(target.straighten(z, data, line))
    assert np.asarray(target.bend(y, data, line)[0]) == pytest.approx(z, rel=1e-9)
    assert target.evaluate(z, data, target.as_they_are())[0] == pytest.approx(target.evaluate(z, data)[0], rel=1e-12)
    with jax.enable_x64(True):
        jacobian = jax.jacfwd(lambda at: target._bend(at, data, line)[0])(jnp.asarray(y[3]))
    expected = target.evaluate(z[3:4], data)[0] + np.linalg.slogdet(np.asarray(jacobian))[1]
    assert target.evaluate(y[3:4], data, line)[0] == pytest.approx(expected, rel=1e-9)
    # at the mode's own scale they are the same point
    at_mode = np.asarray(target.straighten(mode.z[None], data, line))[0]
    assert at_mode == pytest.approx(mode.z, abs=1e-9)
