"""Every law that ships, held to one standard: priors that mean something, finite gradients, NumPyro's handlers."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import numpy as np
import numpyro
import pytest
from conftest import CENTRES, EVERY, SHIPPED, VALLEYS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from independent import TWINS, Posterior
from numpyro import handlers

from bayescale.catalogue import law_from, laws
from bayescale.compiled import Program
from bayescale.law import Centre, Law, evaluate
from bayescale.likelihood import StudentT
from bayescale.posterior.data import centre_of, padded
from bayescale.posterior.density import Target

quiet = [HealthCheck.too_slow, HealthCheck.data_too_large]

DECADES = 30
POINTS = 4
FUZZED = 32
"""Draws of the constants that are held to thirty decades; the rest of a thousand may overflow there."""
SIGNED = ("transfer_offset",)
"""Laws of a metric that their prior lets go negative, where it has no density."""


class Case(NamedTuple):
    """A law, a thousand draws of its constants from its prior at `CENTRES`, and its values and gradients there.

    The draws are the twin's, made without JAX: a program that draws from a prior takes longer to compile than all else.
    That both priors are the same is `test_agreement.py`'s business.
    """

    law: Law
    constants: dict[str, np.ndarray]
    program: Program

    def at(self, **inputs: Any) -> tuple[np.ndarray, dict[str, np.ndarray], dict[str, np.ndarray]]:
        """The metric at a few points, shape (draw, point), and its gradients by constant and by input."""
        value, gradients = self.program(self.constants, inputs)
        return np.asarray(value), *jax.tree.map(np.asarray, gradients)


@functools.cache
def case(name: str) -> Case:
    law, twin = law_from(name), TWINS[name]
    centre = {n: np.array([CENTRES[n]]) for n in (*law.inputs, law.metric)}
    posterior = Posterior(twin, centre)
    drawn = posterior.constants(np.random.default_rng(1).standard_normal((1000, len(posterior.priors))))

    def value(constants: Any, point: Any) -> Any:
        return getattr(type(law), law.metric)(law.drawn(constants), **point)

    points = jax.vmap(jax.value_and_grad(value, argnums=(0, 1)), in_axes=(None, 0))
    program = Program(jax.vmap(points, in_axes=(0, None)), fast_code=False)
    return Case(law, {n: x for n, x in drawn.items() if n in law.fields}, program)


def point_of(law: Law) -> dict[str, float]:
    return {n: CENTRES[n] for n in law.inputs}


@pytest.mark.parametrize("name", SHIPPED)
def test_prior_predictive_losses_look_like_losses(name: str) -> None:
    """And other metrics stay within two decades of what was observed."""
    law = case(name).law
    metric, *_ = case(name).at(**{n: np.full(POINTS, x) for n, x in point_of(law).items()})
    assert np.isfinite(metric).all()
    low, high = np.quantile(metric[:, 0] / CENTRES[law.metric], [0.05, 0.95])
    span = 5 if law.metric == "loss" else 100
    assert 1 / span < low < 1 < high < span


@pytest.mark.parametrize("name", [n for n in SHIPPED if laws()[n].metric == "loss" and n not in VALLEYS])
def test_more_of_an_input_never_hurts(name: str) -> None:
    law = case(name).law
    for moving in law.inputs:
        x = np.split(CENTRES[moving] * np.logspace(-2, 3, 4 * POINTS), 4)
        blocks = [{**{n: np.full(POINTS, c) for n, c in point_of(law).items()}, moving: part} for part in x]
        loss = np.concatenate([case(name).at(**block)[0] for block in blocks], axis=1)
        rounding = 1e-12 * loss[:, 1:]  # of a loss that has reached its floor
        assert np.all(np.diff(loss, axis=1) <= rounding) and np.mean(loss[:, -1] < loss[:, 0]) > 0.5


@pytest.mark.parametrize("name", SHIPPED)
@settings(max_examples=10, deadline=None, suppress_health_check=quiet)
@given(data=st.data())
def test_a_law_is_sound_over_thirty_decades(name: str, data: st.DataObject) -> None:
    """Finite, positive, falling where more cannot hurt, with finite gradients, at prior draws and any inputs."""
    law = case(name).law
    metric = law.metric == "loss"
    exponent = st.floats(-DECADES / 2, DECADES / 2) if metric else st.floats(-2, 2)
    points = {
        n: CENTRES[n] * 10 ** np.array(data.draw(st.lists(exponent, min_size=POINTS, max_size=POINTS), label=n))
        for n in law.inputs
    }
    value, by_constant, by_input = jax.tree.map(lambda x: x[:FUZZED], case(name).at(**points))
    assert np.isfinite(value).all(), (points, value)
    if name not in SIGNED:
        assert (value >= 0).all()
    for n, gradient in {**by_constant, **by_input}.items():
        assert np.isfinite(gradient).all(), (n, points)
    if metric and name not in VALLEYS:
        for n in law.inputs:
            assert (by_input[n] <= 0).all(), (n, "more of an input never hurts")
            more = {m: x * (10.0 if m == n else 1.0) for m, x in points.items()}
            assert (case(name).at(**more)[0][:FUZZED] <= value * (1 + 1e-12)).all(), n


@pytest.mark.parametrize("name", SHIPPED)
def test_laws_are_pytrees(name: str) -> None:
    found, _, _ = case(name)
    draws = {n: x[:3] for n, x in case(name).constants.items()}
    law = found.drawn(draws)
    leaves, structure = jax.tree.flatten(law)
    again = jax.tree.unflatten(structure, leaves)
    assert type(again) is type(law) and dict(again.items()).keys() == set(law.fields)
    one = jax.tree.map(lambda leaf: leaf[1] if np.ndim(leaf) else leaf, law)
    numbers = found.replace(**{n: float(x[1]) for n, x in draws.items()})
    assert float(evaluate(one, **point_of(found))) == float(numbers(**point_of(found)))


@pytest.mark.parametrize("name", SHIPPED)
def test_numpyros_handlers_work_on_the_model(name: str) -> None:
    law = law_from(name)
    rows = {n: np.full(4, x) for n, x in point_of(law).items()}
    observed = np.full(4, CENTRES[law.metric])
    data = padded(rows, observed, None, centre_of(rows, law.metric, observed), law.metric)
    target = Target(law, StudentT())
    with jax.enable_x64(True):
        trace = handlers.trace(handlers.seed(target.model, 0)).get_trace(data)
        latent = {n: s["value"] for n, s in trace.items() if s["type"] == "sample" and not s["is_observed"]}
        assert set(latent) == set(target.sites) and trace[law.metric]["is_observed"]
        again = handlers.trace(handlers.substitute(target.model, data=latent)).get_trace(data)
        predictive = numpyro.infer.Predictive(target.model, num_samples=3)
        drawn = jax.eval_shape(lambda key: predictive(key, data, observe=False), jax.random.key(0))
    for n in law.fields:  # a stated constant is a deterministic site under its own name
        if n in trace:
            assert np.all(again[n]["value"] == trace[n]["value"])
            assert drawn[n].shape == (3,)


@pytest.mark.parametrize("name", SHIPPED)
def test_the_prior_of_a_stated_constant_moves_with_the_centre(name: str) -> None:
    """Scaling an input's unit changes critical constants, never the losses that they imply."""
    law = law_from(name)
    moved = {n: v * (1e3 if n in ("N", "D", "C", "U") else 1.0) for n, v in CENTRES.items()}
    losses = []
    for centre in (CENTRES, moved):
        with jax.enable_x64(True), handlers.seed(rng_seed=5):
            drawn = law.sample(Centre({n: centre[n] for n in (*law.inputs, law.metric)}))
            losses.append(float(evaluate(drawn, **{n: centre[n] for n in law.inputs})))
    assert losses[0] == pytest.approx(losses[1], rel=1e-9)


@pytest.mark.parametrize("name", EVERY)
def test_every_law_says_where_it_is_from(name: str) -> None:
    cls = laws()[name]
    assert "arXiv" in cls.source() or "Kaplan et al. 2020" in cls.source() or "McCandlish et al. 2018" in cls.source()
    left = cls.formula().split(" = ")[0]
    assert all({"loss": "L"}.get(n, n) in left for n in cls.inputs)
    assert all(set(values) <= set(cls.fields) for values in cls.published.values())
