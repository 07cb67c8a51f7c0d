"""The input that a target needs, by a law of one: the samples for an error rate, the parameters for a loss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bayescale.compiled import Program
from bayescale.errors import UsageError
from bayescale.law import AnyLaw
from bayescale.law.labels import coded
from bayescale.posterior.posterior import Posterior
from bayescale.runs.features import feature_of

LOG_RANGE = (0.0, np.log(1e45))
"""Where an input is looked for."""
HALVINGS = 45


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
    targets : ndarray, shape (target,)
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
    programs = fit.target.quantities
    if "needed" not in programs:

        def of_draw(constants: Mapping[str, jax.Array], targets: jax.Array, fixed: Mapping[str, jax.Array]) -> Any:
            law = fit.target.law_at(constants)
            return jax.vmap(lambda target: _least(law, name, target, fixed))(targets)

        programs["needed"] = Program(jax.vmap(of_draw, in_axes=(0, None, None)))
    member = {n: np.asarray(float(x)) for n, x in codes.items()}
    found = [programs["needed"](fit.thinned(), targets[i : i + 1], member) for i in range(len(targets))]
    return np.concatenate([np.asarray(x) for x in found], axis=1)


def _least(law: AnyLaw, name: str, target: jax.Array, fixed: Mapping[str, jax.Array]) -> jax.Array:
    """The least input that reaches a target by a law that falls; infinite where none does."""

    def reaches(log_input: Any) -> Any:
        return law.at(**{name: jnp.exp(log_input)}, **fixed) <= target

    def halve(_: jax.Array, bracket: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        low, high = bracket
        middle = (low + high) / 2
        enough = reaches(middle)
        return jnp.where(enough, low, middle), jnp.where(enough, middle, high)

    _, high = jax.lax.fori_loop(0, HALVINGS, halve, LOG_RANGE)
    return jnp.where(reaches(LOG_RANGE[1]), jnp.exp(high), jnp.inf)
