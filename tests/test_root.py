"""Roots: closed forms, gradients in every mode, and what happens without a root."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bayescale.rootfind import decreasing_root


@pytest.fixture(autouse=True)
def double() -> Iterator[None]:
    with jax.enable_x64(True):
        yield


def square_root(a: jax.Array) -> jax.Array:
    return decreasing_root(lambda x, a: a - x**2, 0.0, 1e6, a)


@pytest.mark.parametrize("transform", [lambda f: f, jax.jit, jax.vmap, lambda f: jax.jit(jax.vmap(jax.vmap(f)))])
def test_closed_forms_elementwise_and_under_jit_and_vmap(transform: Callable[..., Any]) -> None:
    a = jnp.geomspace(1e-6, 1e10, 40).reshape(8, 5)
    np.testing.assert_allclose(transform(square_root)(a), np.sqrt(a), rtol=1e-13)


def test_a_function_that_newton_alone_would_lose() -> None:
    # atan: Newton from afar overshoots further each time
    root = decreasing_root(lambda x, shift: -jnp.arctan(50 * (x - shift)), -1e4, 1e5, 3.25)
    np.testing.assert_allclose(root, 3.25, rtol=1e-13)


def test_derivatives_of_first_and_second_order_in_both_modes() -> None:
    a = 7.3
    np.testing.assert_allclose(jax.grad(square_root)(a), 0.5 * a**-0.5, rtol=1e-12)
    np.testing.assert_allclose(jax.jacfwd(square_root)(a), 0.5 * a**-0.5, rtol=1e-12)
    for second in (
        jax.grad(jax.grad(square_root)),
        jax.jacfwd(jax.grad(square_root)),
        jax.jacfwd(jax.jacfwd(square_root)),
    ):
        np.testing.assert_allclose(second(a), -0.25 * a**-1.5, rtol=1e-10)
    gradients = jax.vmap(jax.grad(square_root))(jnp.array([1.0, 4.0, 9.0]))
    np.testing.assert_allclose(gradients, [0.5, 0.25, 1 / 6], rtol=1e-12)


def test_the_gradient_in_several_arguments_is_that_of_finite_differences() -> None:
    def loss(p: jax.Array) -> jax.Array:
        return decreasing_root(lambda x, p: p[0] + (p[1] / x**4.8) ** p[2] - x, 1e-3, 1e3, p)

    p = jnp.array([2.2, 40.0, 0.76])
    analytic = jax.jit(jax.grad(loss))(p)
    for i, width in enumerate(1e-5 * p):
        step = jnp.zeros(3).at[i].set(width)
        np.testing.assert_allclose(analytic[i], (loss(p + step) - loss(p - step)) / (2 * width), rtol=1e-7)


def test_roots_at_the_ends_and_no_root() -> None:
    np.testing.assert_allclose(decreasing_root(lambda x: 2.0 - x, 2.0, 5.0), 2.0)
    np.testing.assert_allclose(decreasing_root(lambda x: 5.0 - x, 2.0, 5.0), 5.0)
    found = decreasing_root(lambda x, a: a - x, 0.0, 1.0, jnp.array([0.5, 2.0, -1.0]))
    np.testing.assert_allclose(found, [0.5, np.nan, np.nan])
    assert np.isnan(decreasing_root(lambda x: jnp.nan * x, 0.0, 1.0))


def test_single_precision() -> None:
    with jax.enable_x64(False):
        found = square_root(jnp.float32(2.0))
        assert found.dtype == jnp.float32 and abs(float(found) - 2**0.5) < 1e-6
