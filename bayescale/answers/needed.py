"""The input that a target needs, by a law of one: the samples for an error rate, the parameters for a loss."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bayescale.arrays import Numbers
from bayescale.compiled import Program
from bayescale.errors import UsageError
from bayescale.law import AnyLaw
from bayescale.law.labels import coded
from bayescale.posterior.posterior import Posterior
from bayescale.runs.features import feature_of

LOG_RANGE = (0.0, np.log(1e45))
"""Where an input is looked for."""
HALVINGS = 45

Arrays = Mapping[str, jax.Array]


def single_input(law: AnyLaw) -> str:
    """The input of a law that has one and falls in it, or ''."""
    inputs = tuple(n for n in law.inputs if feature_of(n).numeric)
    return inputs[0] if len(law.inputs) == len(inputs) == 1 and inputs[0] != "loss" and not law.law.may_rise else ""


def needed_input(fit: Posterior, targets: np.ndarray, fixed: Mapping[str, Any]) -> np.ndarray:
    """The least input at which the mean curve reaches each target at every draw, shape (draw, target).

    Infinite where it never does.

    Parameters
    ----------
    fit : Posterior
        Of a law of one input, see `single_input`.
    targets : ndarray, shape (target,) or (draw, target)
        Of the law's metric.
    fixed : mapping
        Groups of a pooled fit by name.

    Raises
    ------
    UsageError
        Something else than groups is fixed.
    """
    name = single_input(fit.law)
    rest, codes = coded(fit.law, fixed)
    if rest:
        raise UsageError(f"law {fit.law.name} takes {name} alone; {next(iter(rest))} is no input of it")
    return least_input(fit, name, targets, {n: x.astype(float) for n, x in codes.items()})


def least_input(
    fit: Posterior,
    name: str,
    targets: np.ndarray,
    held: Mapping[str, Numbers],
    times: Mapping[str, float] | None = None,
) -> np.ndarray:
    """The least value of one input at which the mean curve reaches targets at every draw, shape (draw, target).

    Infinite where it never does. The metric is taken to fall in the input.

    Parameters
    ----------
    fit : Posterior
    name : str
        The input.
    targets : ndarray, shape (target,) or (draw, target)
    held : mapping
        The law's other inputs and codes of groups, numbers or arrays of the targets' shape.
    times : mapping, optional
        Other inputs that grow with it, as multiples of it.
    """
    programs, constants, tied = fit.target.quantities, fit.thinned(), dict(times or {})
    shape = (len(next(iter(constants.values()))), targets.shape[-1])
    key = "/".join(("needed", name, *tied))
    if key not in programs:

        def of_draw(constants: Arrays, target: jax.Array, held: Arrays, times: Arrays) -> Any:
            law = fit.target.law_at(constants)

            def reaches(x: jax.Array) -> Any:
                return law.at(**{name: x}, **{n: r * x for n, r in times.items()}, **held) <= target

            return _least(reaches)

        programs[key] = Program(jax.vmap(of_draw, in_axes=(0, 0, 0, None)))
    sought = np.broadcast_to(targets, shape)
    given = {n: np.broadcast_to(np.asarray(x, float), shape) for n, x in held.items()}
    ratios = {n: np.float64(x) for n, x in tied.items()}
    found = [
        np.asarray(programs[key](constants, sought[:, i], {n: x[:, i] for n, x in given.items()}, ratios))
        for i in range(shape[1])
    ]
    return np.stack(found, axis=1)


def _least(reaches: Callable[[jax.Array], Any]) -> jax.Array:
    """The least input from which on a target is reached; infinite where it never is."""

    def halve(_: jax.Array, bracket: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        low, high = bracket
        middle = (low + high) / 2
        enough = reaches(jnp.exp(middle))
        return jnp.where(enough, low, middle), jnp.where(enough, middle, high)

    _, high = jax.lax.fori_loop(0, HALVINGS, halve, LOG_RANGE)
    return jnp.where(reaches(jnp.exp(LOG_RANGE[1])), jnp.exp(high), jnp.inf)
