"""One law for several groups of runs: constants that vary by group about a population's, and effects of runs.

`pooled` makes a law from a law. Its constants are the population's, a spread `tau_<constant>` for each that varies, and
each group's own. In the coordinate u in which a constant's prior is unconstrained, group g has u + tau z_g with z_g
standard normal: groups with few rows are drawn to the population, by as much as the groups agree (Gelman & Hill 2007,
Data Analysis Using Regression and Multilevel Models, chapters 12 and 13).
"""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from numpyro import handlers
from numpyro.distributions import Distribution, biject_to

from bayescale.errors import UsageError, did_you_mean, printable
from bayescale.law.law import Centre, Law, Stated, _tied
from bayescale.law.own_code import users_code
from bayescale.law.prior_text import positive_setting
from bayescale.posterior.compiled import TRACING, Program

EFFECT = 0.1
"""Scale of the prior of the spread of effects on the law itself: seeds differ by a per cent, recipes by tens."""

SHARE = 0.5
"""Of a constant's prior spread, the scale of its spread between groups: groups differ by less than we know of any."""


@dataclass(frozen=True)
class Grouping:
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

    @property
    def members(self) -> tuple[str, ...]:
        """Names of the groups in the names of constants: the labels, and a group that is not in the table."""
        return (*map(printable, self.labels), f"new {printable(self.column)}")

    @property
    def new(self) -> int:
        """The code of a group that is not in the table; those of the groups are 1, 2, ..."""
        return len(self.labels) + 1

    @property
    def typical(self) -> int:
        """The code of such a group as the mean curve has it: constants of its own, but no effect on the law itself."""
        return len(self.labels) + 2


class Varies:
    """The setting of a group's constant: drawn about the population's."""

    def __init__(self, column: str) -> None:
        self.column = column

    def __repr__(self) -> str:
        return f"of its {printable(self.column)}"


def spread(constant: str) -> str:
    """The name of the spread of a constant between groups."""
    return f"tau_{constant}"


def _offset(constant: str, grouping: Grouping) -> str:
    """The name of the latent vector of a constant's offsets."""
    return f"{constant} by {grouping.column}"


class Pooled:
    """What a pooled law does besides being its law; `pooled` makes the classes.

    Its metric, `optimum` and derived quantities take, besides the law's inputs, a code for each column (see
    `Grouping`). Without one the metric and `optimum` are those of a new group's mean curve, and derived quantities are
    the population's.
    """

    base: ClassVar[type[Law]]
    groupings: ClassVar[tuple[Grouping, ...]]
    followers: ClassVar[Mapping[str, tuple[str, ...]]]

    def population(self) -> Any:
        """The law itself, with the population's constants, priors or draws."""
        new = object.__new__(self.base)
        new.__dict__.update({n: self.__dict__[n] for n in self.base.fields})
        return new

    def member(self, codes: Mapping[str, Any], *, new: bool) -> Any:
        """The law of the groups that `codes` names; of a column without a code a `new` group, or the population."""
        found = dict(self.population().items())
        for grouping in self.groupings:
            for name in _followed(grouping, self.base, self.followers):
                if grouping.column in codes:
                    values = [self.__dict__[f"{name}[{m}]"] for m in grouping.members]
                    found[name] = _choose([*values, values[-1]], codes[grouping.column])
                elif new:
                    found[name] = self.__dict__[f"{name}[{grouping.members[-1]}]"]
        law = object.__new__(self.base)
        law.__dict__.update(found)
        return law

    def effect(self, codes: Mapping[str, Any]) -> Any:
        """The factor on the law of the groups that `codes` names; 1 where none does."""
        factor: Any = 1.0
        for grouping in self.groupings:
            name = self.base.metric
            if name in grouping.constants and grouping.column in codes:
                values = [self.__dict__[f"{name}[{m}]"] for m in grouping.members]
                factor = factor * _choose([*values, jnp.ones_like(values[-1])], codes[grouping.column])
        return factor

    def split(self, inputs: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Inputs of the law, and codes, told apart."""
        columns = {g.column for g in self.groupings}
        codes = {n: x for n, x in inputs.items() if n in columns}
        return {n: x for n, x in inputs.items() if n not in columns}, codes

    def sample(self, at: Centre) -> Any:
        """The law with every constant drawn: the population's as its own model draws them, then each group's."""
        settings = self.population()
        with handlers.trace() as sites:
            population = settings.sample(at)
        found = dict(population.items())
        for grouping in self.groupings:
            for name in map(spread, grouping.constants):
                value = getattr(self, name)
                found[name] = numpyro.sample(name, value) if isinstance(value, Distribution) else value
        for grouping in self.groupings:
            offsets = {}
            for name in grouping.constants:
                unit = dist.Normal(0.0, 1.0).expand([grouping.new]).to_event(1)
                offsets[name] = found[spread(name)] * numpyro.sample(_offset(name, grouping), unit)
            factors = offsets.pop(self.base.metric, None)
            of_groups = jax.vmap(lambda o: _moved(settings, population, sites, o, at))(offsets) if offsets else {}
            if factors is not None:
                of_groups[self.base.metric] = jnp.exp(factors)
            for name in (*_followed(grouping, self.base, self.followers), self.base.metric):
                if name in of_groups:
                    found |= {f"{name}[{m}]": of_groups[name][i] for i, m in enumerate(grouping.members)}
        return self.drawn(found)  # type: ignore[attr-defined]

    def __repr__(self) -> str:
        varying = {g.column: list(g.constants) for g in self.groupings}
        text = repr(self.population())[len(self.base.__name__) + 1 : -1]
        return f"{self.base.__name__}({text}{', ' if text else ''}pool={varying})"


def _choose(values: Sequence[Any], code: Any) -> Any:
    return jnp.stack([jnp.asarray(v) for v in values])[jnp.asarray(code - 1, int)]


def _followed(grouping: Grouping, base: type[Law], followers: Mapping[str, tuple[str, ...]]) -> list[str]:
    """The constants of the law that a grouping varies, and those tied to them, in the order of declaration."""
    moved = {m for n in grouping.constants for m in (n, *followers.get(n, ()))}
    return [n for n in base.fields if n in moved]


def _moved(settings: Law, population: Law, sites: Mapping[str, Any], offsets: Mapping[str, Any], at: Centre) -> Any:
    """A group's constants: those of the population with some of them moved by `offsets` in their coordinates."""
    ties = {n: v for n, v in settings.items() if isinstance(v, str)}
    found = dict(population.items())

    def moved(name: str, site: str) -> Any:
        transform = biject_to(sites[site]["fn"].support)
        return transform(transform.inv(sites[site]["value"]) + offsets[name])

    stated = [n for n in settings.fields if n in offsets and isinstance(getattr(settings, n), Stated)]
    for name in offsets:
        if name not in stated:
            found[name] = moved(name, name)
    for name in stated:
        found = _tied(found | ties)
        found[name] = getattr(settings, name).constant(moved(name, f"{name}_stated"), settings.drawn(found), at)
    found = _tied(found | ties)
    return {n: found[n] for n in settings.fields if n in offsets or ties.get(n)}


def base_of(law: Law) -> type[Law]:
    """The class that declares a law, pooled or not."""
    return law.base if isinstance(law, Pooled) else type(law)


def pooled(law: Law, groupings: Sequence[Grouping], spreads: Mapping[str, Any] | None = None) -> Any:
    """A law whose constants vary by groups of runs, made from a law.

    Parameters
    ----------
    law : Law
        With the population's priors.
    groupings : sequence of Grouping
        Columns, their groups and what varies by them; a constant varies by one column at most.
    spreads : mapping, optional
        Constant -> prior of its spread between groups (a distribution, its text, or a number that pins it), instead of
        a half-normal whose scale is half the constant's own prior spread in the coordinate u; of the metric, 0.1.

    Returns
    -------
    Law
        An instance of a class of its own, the same class each time for the same law, ties, columns and groups.

    Raises
    ------
    UsageError
        A name is none of a free constant of the law or its metric, or is given twice.
    """
    groupings = tuple(groupings)
    accepted = (*_drawn_by_themselves(law), law.metric)
    seen: dict[str, str] = {}
    for grouping in groupings:
        for name in grouping.constants:
            if name not in accepted:
                raise UsageError(_why_not(law, name, accepted))
            if name in seen:
                both = grouping.column if seen[name] == grouping.column else f"{seen[name]} and by {grouping.column}"
                raise UsageError(f"pool: {name} is given twice, by {both}; a constant varies by one column")
            seen[name] = grouping.column
    ends = {n: _end_of_ties(law, n) for n, v in law.items() if isinstance(v, str)}
    followers = tuple((n, tuple(m for m in ends if ends[m] == n)) for n in seen)
    made: Any = _class_of(type(law), groupings, followers)  # type: ignore[arg-type]
    given = {spread(n): _spread_prior(law, n, (spreads or {}).get(n)) for n in seen}
    return made(**dict(law.items()), **given)


def _end_of_ties(law: Law, name: str) -> str:
    while isinstance(value := getattr(law, name), str):
        name = value
    return name


def _drawn_by_themselves(law: Law) -> tuple[str, ...]:
    """The free constants that the law's model draws under their names: all, unless the law has a model of its own."""
    if type(law).sample is Law.sample:
        return law.free
    found: set[str] = set()

    def visit() -> None:
        names = (*law.inputs, law.metric)
        with handlers.trace() as trace, handlers.seed(rng_seed=0), users_code(law, "sample"):
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


def _spread_prior(law: Law, name: str, given: Any) -> Any:
    """The prior of a spread: as given, or half-normal with a scale that the constant's own prior sets."""
    if given is None:
        return dist.HalfNormal(EFFECT if name == law.metric else float(f"{SHARE * _prior_spread(law, name):.2g}"))
    return positive_setting(given, spread(name), "HalfNormal(0.1)")


def _prior_spread(law: Law, name: str) -> float:
    """Half the central 68 % of a constant's prior, or of what it is stated through, in its coordinate u."""
    setting = getattr(law, name)
    prior = setting.prior if isinstance(setting, Stated) else setting
    log_density = Program(lambda u: coordinate_log_density(prior, u))
    u = np.sinh(np.linspace(-20.0, 20.0, 10_001))
    for _ in range(3):  # on a grid that closes in on it
        found = np.asarray(log_density(u))
        found = np.where(np.isfinite(found), found, -np.inf)
        mass = np.exp(found - found.max()) * np.gradient(u)
        below = np.cumsum(mass) - mass / 2
        first, low, high, last = np.interp(np.array([0.0001, 0.16, 0.84, 0.9999]) * mass.sum(), below, u)
        u = np.linspace(first, last, len(u)) if last > first else u
    return float((high - low) / 2)


def coordinate_log_density(prior: Distribution, u: Any) -> Any:
    """Log density of a prior in the coordinate u on the real line."""
    transform = biject_to(prior.support)
    value = transform(u)
    return prior.log_prob(value) + transform.log_abs_det_jacobian(u, value)


@functools.cache
def _class_of(
    base: type[Law], groupings: tuple[Grouping, ...], followers: tuple[tuple[str, tuple[str, ...]], ...]
) -> type[Any]:
    """The class of a pooled law. JAX knows classes for good, so that there is one for each pooling."""
    following = dict(followers)
    settings: dict[str, Any] = {}
    for grouping in groupings:
        settings |= {spread(n): Varies(grouping.column) for n in grouping.constants}
    for grouping in groupings:
        varies = Varies(grouping.column)
        moved = (*_followed(grouping, base, following), *(n for n in grouping.constants if n == base.metric))
        names = [f"{n}[{m}]" for n in moved for m in grouping.members]
        if clash := [n for n in names if n in settings or n in base.fields or names.count(n) > 1]:
            raise UsageError(
                f"two groups of {grouping.column} would both be called {clash[0]}; rename one in the table"
            )
        settings |= dict.fromkeys(names, varies)
    if clash := [n for n in settings if hasattr(base, n)]:
        raise UsageError(f"law {base.name} has a constant or method {clash[0]} of its own and cannot be pooled so")
    methods = {base.metric: _of_groups(base, base.metric, new=True)}
    methods |= {n: _of_groups(base, n, new=False) for n in base.quantities()}
    if hasattr(base, "optimum"):
        methods["optimum"] = _of_groups(base, "optimum", new=True)

    def body(namespace: dict[str, Any]) -> None:
        namespace.update(settings)
        namespace.update(methods)
        namespace.update(
            __doc__=base.__doc__,
            __module__=base.__module__,
            __annotations__=dict.fromkeys(settings, Any),
            name=f"{base.name} by {', '.join(printable(g.column) for g in groupings)}",
            base=base,
            groupings=groupings,
            offsets={_offset(n, g): spread(n) for g in groupings for n in g.constants},
            leaning={_offset(n, g): g.column for g in groupings for n in g.constants if n == base.metric},
            followers=types.MappingProxyType(following),
        )

    return types.new_class(base.__name__, (Pooled, base), {"register": False}, body)


def _of_groups(base: type[Law], method: str, *, new: bool) -> Callable[..., Any]:
    """A method of the law as one that also takes codes."""

    @functools.wraps(getattr(base, method))
    def of_groups(self: Any, *args: Any, **inputs: Any) -> Any:
        rest, codes = self.split(inputs)
        value = getattr(self.member(codes, new=new), method)(*args, **rest)
        return value * self.effect(codes) if method == base.metric else value

    return of_groups
