"""Agreement with every law written again in NumPy: the same density, and the same posterior by emcee on five shapes."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pandas as pd
import pytest
from conftest import EVERY
from independent import TWINS, Beta, HalfNormal, Normal, Posterior
from randomness import WITHIN, mean_error
from scipy import special, stats

from bayescale.catalogue import laws
from bayescale.compiled import Program
from bayescale.fit import fit
from bayescale.likelihood import likelihood_from
from bayescale.posterior.data import centre_of, padded
from bayescale.posterior.density import Target

PRECISE = 0.06
"""Of a posterior sd: a comparison whose errors are larger could not tell two posteriors apart."""


def test_every_law_has_a_twin() -> None:
    assert set(EVERY) == set(TWINS), "write a law's formula and priors again in tests/independent.py"
    for name in EVERY:
        law, twin = laws()[name](), TWINS[name]
        assert (law.metric, set(law.inputs), set(law.free)) == (twin.metric, set(twin.design), set(twin.priors)), name


def coordinates(target: Any, posterior: Posterior, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The engine's coordinates of the twin's, and log |dz/du|."""
    z, log_jacobian = np.empty_like(u), np.zeros(len(u))
    order = [site.removesuffix("_stated") for site in target.sites]
    assert sorted(order) == sorted(posterior.priors)
    for i, (name, prior) in enumerate(posterior.priors.items()):
        q = prior.quantity(u[:, i])
        if isinstance(prior, Beta):
            z[:, order.index(name)] = special.logit(q)
            # dq/du = phi(u) / density(q), dz/dq = 1 / (q (1 - q))
            log_jacobian += stats.norm.logpdf(u[:, i]) - stats.beta.logpdf(q, prior.a, prior.b) - np.log(q * (1 - q))
        elif isinstance(prior, Normal):
            z[:, order.index(name)] = q
            log_jacobian += np.log(prior.s)
        elif isinstance(prior, HalfNormal):
            z[:, order.index(name)] = np.log(q)
            log_jacobian += stats.norm.logpdf(u[:, i]) - stats.halfnorm.logpdf(q, scale=prior.s) - np.log(q)
        else:
            z[:, order.index(name)] = np.log(q)
            log_jacobian += np.log(prior.s)
    return z, log_jacobian


@pytest.mark.parametrize(
    ("name", "likelihood"),
    [*((name, "student_t") for name in TWINS), ("chinchilla", "normal"), ("batch_sweep", "laplace")],
)
def test_the_densities_are_the_same_function(name: str, likelihood: str) -> None:
    twin = TWINS[name]
    table = twin.table(3)
    if likelihood == "normal":
        table[f"{twin.metric}_se"] = 0.01 * table[twin.metric] * np.linspace(0.1, 3, len(table[twin.metric]))
    posterior = Posterior(twin, table, likelihood)
    inputs, observed = posterior.inputs, table[twin.metric]
    target = Target(laws()[name](), likelihood_from(likelihood))
    at = centre_of(inputs, twin.metric, observed)
    data = padded(inputs, observed, table.get(f"{twin.metric}_se"), at, twin.metric)
    u = np.random.default_rng(5).normal(0, 0.8, (256, len(posterior.priors)))
    z, log_jacobian = coordinates(target, posterior, u)
    value, gradient, constants = everything(target)(z, data)
    ours, theirs = np.asarray(value) + log_jacobian, posterior.log_posterior(u)
    finite = np.isfinite(theirs)  # a metric's law may go negative, where it has no density
    assert np.array_equal(finite, np.isfinite(ours)) and finite.mean() >= (1.0 if twin.metric == "loss" else 0.3)
    difference = (ours - theirs)[finite]
    np.testing.assert_allclose(difference, difference[0], rtol=0, atol=1e-8 * np.abs(theirs[finite]).max())
    assert np.isfinite(np.asarray(gradient)[finite]).all() and np.all(np.any(np.asarray(gradient)[finite] != 0, axis=0))
    here = posterior.constants(u)
    for constant, there in constants.items():
        np.testing.assert_allclose(here[constant], there, rtol=1e-9, err_msg=constant)


def everything(target: Target) -> Program:
    """The log density, its gradient and the constants at n points, as one program: each law has to compile it."""

    def one(z: Any, data: Any) -> Any:
        return *jax.value_and_grad(target.log_density)(z, data), target.constrain((z, np.zeros(0)), data)

    return Program(jax.vmap(one, in_axes=(0, None)), fast_code=False)


def test_the_twins_scatter_is_scipys() -> None:
    from independent import log_scatter

    residual, scale, nu = np.linspace(-3, 3, 13), 0.4, 2.7
    scipys = {
        "student_t": stats.t(nu, scale=scale),
        "normal": stats.norm(scale=scale),
        "laplace": stats.laplace(scale=scale),
    }
    for name, distribution in scipys.items():
        np.testing.assert_allclose(log_scatter(residual, scale, nu, name), distribution.logpdf(residual), rtol=1e-12)


SHAPES: list[tuple[str, dict[str, Any]]] = [
    ("chinchilla", {"likelihood": "normal"}),
    ("power_law_n", {"likelihood": "laplace"}),
    ("kaplan_nd", {"se": True}),
    ("error_sigmoid", {}),
    ("m4", {}),
]
"""A curved ridge, a density with edges, errors of rows, a floor and a ceiling, a law that is an equation's solution.

That the engine's density is each law's is shown above: what is left to show is that its draws follow a density.
"""


@pytest.mark.slow
@pytest.mark.parametrize(("name", "change"), SHAPES, ids=[n for n, _ in SHAPES])
def test_the_posteriors_agree(name: str, change: dict[str, Any]) -> None:
    """Means, variances and 5 and 95 % quantiles of every constant, within the Monte Carlo errors of both."""
    twin, likelihood = TWINS[name], change.get("likelihood", "student_t")
    table = twin.table(1)
    if "se" in change:
        table["loss_se"] = table["loss"] * np.linspace(0.001, 0.02, len(table["loss"]))
    found = fit(name, pd.DataFrame(table), likelihood=likelihood)
    assert found.converged, found.failures
    ensemble = Posterior(twin, table, likelihood).sample(0)
    assert set(ensemble.draws) >= set(found.constants) - {"beta"}
    compared = {}
    for constant, theirs in ensemble.draws.items():
        ours = found.constants[constant]
        if (ours > 0).all() and (theirs > 0).all():
            ours, theirs = np.log(ours), np.log(theirs)
        unit, middle = theirs.std(), theirs.mean()
        statistics = {
            "mean": lambda x, c=middle, s=unit: (x - c) / s,
            "variance": lambda x, c=middle, s=unit: ((x - c) / s) ** 2,
        }
        for q in (0.05, 0.95):
            cut = float(np.quantile(theirs, q))
            statistics[f"{q:.0%}"] = lambda x, c=cut: (x < c).astype(float)
        for label, of in statistics.items():
            here, there = of(ours), of(theirs)
            mean, error = ensemble.mean(there)
            total = np.hypot(error, mean_error(here))
            if label == "mean":
                assert total < PRECISE, (constant, total)
            compared[constant, label] = (here.mean() - mean) / total
    assert all(abs(z) < WITHIN for z in compared.values()), {
        k: round(float(z), 1) for k, z in compared.items() if abs(z) > 3
    }
