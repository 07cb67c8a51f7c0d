"""Roots of decreasing functions, for laws that define the loss by an equation it appears in on both sides."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from bayescale.arrays import Values

STEPS = 200
"""Bisection alone needs about 60 steps in float64; Newton's steps make it about 6."""


def decreasing_root(f: Callable[..., jax.Array], low: Values, high: Values, *args: Any) -> jax.Array:
    """The x between `low` and `high` where a decreasing function is zero, differentiable in `args`.

    Newton's method inside a bracket, halving where a step leaves it. The derivative is the implicit
    function theorem's, dx/da = -(df/da)/(df/dx): it costs one evaluation of f's derivative, whatever
    the number of steps, in forward and reverse mode and to any order.

    Parameters
    ----------
    f : callable
        ``f(x, *args)``, elementwise in x, differentiable and strictly decreasing in x.
    low, high : array_like
        A bracket: f is positive (or zero) at `low`, negative (or zero) at `high`.
    *args : pytrees of arrays
        What the root is differentiated in.

    Returns
    -------
    Array
        The shape of ``f(low, *args)``; NaN where the bracket does not hold a root.

    Examples
    --------
    >>> import jax
    >>> float(jax.grad(lambda a: decreasing_root(lambda x, a: a - x**2, 0.0, 10.0, a))(4.0))
    0.25
    """
    shape = jnp.shape(jnp.asarray(f(low, *args)) + low + high)
    dtype = jnp.result_type(float, jnp.asarray(low), jnp.asarray(high))
    left, right = (lax.stop_gradient(jnp.broadcast_to(jnp.asarray(x, dtype), shape)) for x in (low, high))

    def of(x: jax.Array) -> jax.Array:
        return f(x, *args)

    def solve(of: Callable[[jax.Array], jax.Array], _: jax.Array) -> jax.Array:
        return _bracketed_newton(of, left, right)

    def tangent(linear: Callable[[jax.Array], jax.Array], y: jax.Array) -> jax.Array:
        return y / linear(jnp.ones_like(y))

    root: jax.Array = lax.custom_root(of, (left + right) / 2, solve, tangent)
    return root


def _bracketed_newton(f: Callable[[jax.Array], jax.Array], low: jax.Array, high: jax.Array) -> jax.Array:
    tolerance = 4 * float(np.finfo(low.dtype).eps)

    def unfinished(state: tuple[Any, ...]) -> Any:
        step, _, _, x, moved = state
        return (step < STEPS) & jnp.any(moved > tolerance * (1 + jnp.abs(x)))

    def narrow(state: tuple[Any, ...]) -> tuple[Any, ...]:
        step, low, high, x, _ = state
        value, slope = jax.jvp(f, (x,), (jnp.ones_like(x),))
        low, high = jnp.where(value >= 0, x, low), jnp.where(value <= 0, x, high)
        newton = x - value / slope
        inside = (newton >= low) & (newton <= high)
        new = jnp.where(inside, newton, (low + high) / 2)
        return step + 1, low, high, new, jnp.abs(new - x)

    bracketed = (f(low) >= 0) & (f(high) <= 0)
    middle = (low + high) / 2
    start = (0, low, high, middle, jnp.where(bracketed, jnp.inf, 0.0).astype(low.dtype))
    return jnp.where(bracketed, lax.while_loop(unfinished, narrow, start)[3], jnp.nan)
