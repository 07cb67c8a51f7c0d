"""Partial pooling: which constants of a law vary by which column of the table, as the law's fields."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
import numpyro.distributions as dist
from numpyro import handlers
from numpyro.distributions import Distribution, biject_to

from bayescale.compiled import TRACING
from bayescale.errors import UsageError, did_you_mean
from bayescale.law.fields import UNSEEN, Effects, Offsets
from bayescale.law.law import Centre, Law, Stated
from bayescale.law.own_code import users_code
from bayescale.law.prior_text import positive_setting
from bayescale.law.varying import Varying, by

EFFECT = 0.1
"""Scale of the prior of the spread of effects on the law itself: seeds differ by a per cent, recipes by tens."""

SHARE = 0.5
"""Of a constant's prior spread, the scale of its spread between groups: groups differ by less than we know of any."""

DRAWS = 2**16
"""Draws of a prior whose quantiles have no formula."""


class Grouping(NamedTuple):
    """A column of the table and what varies by it.

    Attributes
    ----------
    column : str
    labels : tuple of str
        The groups, as the table names them.
    constants : tuple of str
        What varies by them: constants of the law; its metric stands for a factor on the law itself.
    """

    column: str
    labels: tuple[str, ...]
    constants: tuple[str, ...]


def spread(constant: str) -> str:
    """The name of the spread of a constant between groups."""
    return f"tau_{constant}"


def pooled(law: Law, groupings: Sequence[Grouping], spreads: Mapping[str, Any] | None = None) -> Varying:
    """A law whose constants vary by groups of runs, made from a law.

    Parameters
    ----------
    law : Law
        With the population's priors.
    groupings : sequence of Grouping
        Columns, their groups and what varies by them; a constant varies by one column at most.
    spreads : mapping, optional
        Constant -> prior of its spread between groups (a distribution, its text, or a number that pins it), instead of
        a half-normal whose scale is half the constant's own prior spread in the coordinate in which the prior lives
        (log, logit, ...); of the metric, 0.1.

    Raises
    ------
    UsageError
        A name is none of a free constant of the law or its metric, or is given twice.
    """
    accepted = (*_drawn_by_themselves(law), law.metric)
    seen: dict[str, str] = {}
    for column, _, constants in groupings:
        for name in constants:
            if name not in accepted:
                raise UsageError(_why_not(law, name, accepted))
            if name in seen:
                both = column if seen[name] == column else f"{seen[name]} and by {column}"
                raise UsageError(f"pool: {name} is given twice, by {both}; a constant varies by one column")
            seen[name] = column
    latent = tuple(
        (Effects if n == law.metric else Offsets)(
            by(n, column), spread(n), _spread_prior(law, n, (spreads or {}).get(n)), column, labels, n
        )
        for column, labels, constants in groupings
        for n in constants
    )
    found = Varying(law, latent)
    _check_names(found)
    return found


def _check_names(law: Varying) -> None:
    for column, labels in law.columns.items():
        members = next(f.members for f in law.latent if f.separate == column)
        if len(set(members)) < len(members):
            twice = next(m for m in members if members.count(m) > 1)
            raise UsageError(
                f"two groups of {column} would both be called {twice!r} ({UNSEEN!r} is a group that the table lacks); "
                "rename one in the table"
            )
        if len(set(labels)) < len(labels):
            raise UsageError(f"a group of {column} is given twice: {', '.join(labels)}")
    if clash := [n for n in law.fields if n not in law.law.fields and hasattr(law.law, n)]:
        raise UsageError(f"law {law.law.name} has a constant or method {clash[0]} of its own and cannot be pooled so")


def _drawn_by_themselves(law: Law) -> tuple[str, ...]:
    """The free constants that the law's model draws under their names: all, unless the law has a model of its own."""
    if type(law).sample is Law.sample:
        return law.free
    found: set[str] = set()

    def visit() -> None:
        names = (*law.inputs, law.metric)
        with handlers.trace() as trace, handlers.seed(rng_seed=0), users_code(law.name, "sample"):
            law.sample(Centre(dict.fromkeys(names, 1.0)))
        found.update(n.removesuffix("_stated") for n, site in trace.items() if site["type"] == "sample")

    with TRACING, jax.enable_x64(True):
        jax.eval_shape(visit)
    return tuple(n for n in law.free if n in found)


def _why_not(law: Law, name: str, accepted: Sequence[str]) -> str:
    can = f"what can vary by group: {', '.join(accepted)}"
    if name not in law.fields:
        return f"pool: law {law.name} has no constant {name!r}{did_you_mean(name, accepted)}; {can}"
    value = getattr(law, name)
    if isinstance(value, str):
        return f"pool: {name} of law {law.name} is tied to {value} and follows it; {can}"
    if isinstance(value, float):
        return f"pool: {name} of law {law.name} is pinned at {value:g}; {can}"
    return f"pool: law {law.name} does not draw {name} by itself; {can}"


def _spread_prior(law: Law, name: str, given: object) -> Distribution | float:
    """The prior of a spread: as given, or half-normal with a scale that the constant's own prior sets."""
    if given is None:
        return dist.HalfNormal(EFFECT if name == law.metric else float(f"{SHARE * _prior_spread(law, name):.2g}"))
    return positive_setting(given, spread(name), "HalfNormal(0.1)")


def _prior_spread(law: Law, name: str) -> float:
    """Half the central 68 % of a constant's prior, or of what it is stated through, in its coordinate."""
    setting = getattr(law, name)
    prior = setting.prior if isinstance(setting, Stated) else setting
    with jax.enable_x64(True):
        try:
            ends = prior.icdf(np.array([0.16, 0.84]))
        except (NotImplementedError, TypeError, ImportError):
            ends = np.quantile(prior.sample(jax.random.PRNGKey(0), (DRAWS,)), [0.16, 0.84])
        low, high = np.asarray(biject_to(prior.support).inv(ends))
    return float((high - low) / 2)
