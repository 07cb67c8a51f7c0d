"""A law with fields: constants that vary by group of runs about a population's, effects of runs, axes that bend."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
from numpyro import handlers
from numpyro.distributions import Distribution, biject_to

from bayescale.arrays import Values
from bayescale.errors import printable
from bayescale.law.fields import Field, Offsets, OfGroups, at_code
from bayescale.law.law import Centre, Law, Stated, at_point, at_rows, tied


@dataclass(frozen=True, eq=False)
class Varying:
    """A law together with its fields: as a prior, or at a draw.

    Attributes
    ----------
    law : Law
        With the population's priors.
    latent : tuple of Field
        What varies, and by what.
    values : mapping
        At a draw: the constants of the population, the scales of the fields, and what each field gives, by its name; a
        constant of each group, shape (group,), those that are tied to it too. Empty where priors are meant.
    """

    law: Law
    latent: tuple[Field, ...]
    values: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The law's name, and the columns that it varies by."""
        columns = ", ".join(map(printable, self.columns))
        return f"{self.law.name} by {columns}" if columns else self.law.name

    @property
    def metric(self) -> str:
        """What the law predicts."""
        return self.law.metric

    @property
    def inputs(self) -> tuple[str, ...]:
        """The law's own inputs; a group is named beside them."""
        return self.law.inputs

    @property
    def spreads(self) -> dict[str, Distribution | float]:
        """What varies by groups -> the prior of its scale."""
        return {f.constant: f.prior for f in self.latent if isinstance(f, OfGroups)}

    @cached_property
    def columns(self) -> dict[str, tuple[str, ...]]:
        """Columns of groups -> their labels."""
        return {f.column: f.labels for f in self.latent if isinstance(f, OfGroups)}

    def varied(self, column: str) -> tuple[str, ...]:
        """What varies by a column: constants of the law, or its metric."""
        return tuple(f.constant for f in self.latent if isinstance(f, OfGroups) and f.column == column)

    @property
    def effects(self) -> tuple[str, ...]:
        """Columns whose groups have a factor on the law."""
        return tuple(c for c in self.columns if self.metric in self.varied(c))

    @cached_property
    def vectors(self) -> dict[str, Field]:
        """What each field gives, by name, with the constants that are tied to those of groups."""
        found = {f.name: f for f in self.latent}
        for f in self.latent:
            if isinstance(f, Offsets):
                found |= {by(n, f.column): f for n in self.followers(f.constant)}
        return found

    def followers(self, constant: str) -> tuple[str, ...]:
        """The constants that are tied to one, directly or by way of another."""
        return tuple(n for n, v in self.law.items() if isinstance(v, str) and self.law.tied_to(n) == constant)

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of all constants: the law's, the scales of the fields, and what these give."""
        return (*self.law.fields, *(f.scale for f in self.latent), *self.vectors)

    @property
    def free(self) -> tuple[str, ...]:
        """The constants and scales that have a prior."""
        return (*self.law.free, *(f.scale for f in self.latent if not isinstance(f.prior, float)))

    def items(self) -> Iterator[tuple[str, Any]]:
        """Pairs (constant, value): settings of the law and priors of scales, or what they are at a draw."""
        if self.values:
            return iter(self.values.items())
        return iter([*self.law.items(), *((f.scale, f.prior) for f in self.latent)])

    def __repr__(self) -> str:
        varying = {c: list(self.varied(c)) for c in self.columns}
        text = repr(self.law)[len(type(self.law).__name__) + 1 : -1]
        return f"{type(self.law).__name__}({text}{', ' if text else ''}pool={varying})"

    def formula(self) -> str:
        """The law's formula."""
        return self.law.formula()

    def quantities(self) -> dict[str, tuple[str, ...]]:
        """Derived quantities of the law: name -> the inputs that they need."""
        return self.law.quantities()

    def sample(self, at: Centre, fresh: Mapping[str, Any] | None = None) -> Varying:
        """The law with every constant drawn: the population's as its own model draws them, then each field.

        Parameters
        ----------
        at : Centre
        fresh : mapping, optional
            Field -> standard normal numbers with which it goes on beyond the table, shape (fresh,).
        """
        with handlers.trace() as sites:
            population = self.law.sample(at)
        found = dict(population.items())
        for f in self.latent:
            if f.scale not in found:  # several fields may share one
                found[f.scale] = f.sample_scale()
        drawn = {f.name: f.sample_vector(found[f.scale], (fresh or {}).get(f.name)) for f in self.latent}
        for column in self.columns:
            found |= self._of_groups(column, population, sites, drawn, at)
        rest = {f.name: f.given(drawn[f.name]) for f in self.latent if f.name not in found}
        return self.drawn({**found, **rest})

    def _of_groups(
        self, column: str, population: Law, sites: Mapping[str, Any], drawn: Mapping[str, Any], at: Centre
    ) -> dict[str, Any]:
        """The constants of a column's groups, each of shape (group,)."""
        offsets = {f.constant: drawn[f.name] for f in self.latent if isinstance(f, Offsets) and f.column == column}
        if not offsets:
            return {}
        found = jax.vmap(lambda o: _moved(self.law, population, sites, o, at))(offsets)
        names = dict.fromkeys(m for n in offsets for m in (n, *self.followers(n)))
        return {by(n, column): found[n] for n in names}

    def drawn(self, values: Mapping[str, Any]) -> Varying:
        """The law at a draw of everything, unchecked."""
        return Varying(self.law, self.latent, values)

    def population(self) -> Any:
        """The law itself at a draw, with the population's constants."""
        return self.law.drawn({n: self.values[n] for n in self.law.fields if n in self.values})

    def split(self, inputs: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Inputs of the law, and codes of groups, told apart."""
        codes = {n: x for n, x in inputs.items() if n in self.columns}
        return {n: x for n, x in inputs.items() if n not in codes}, codes

    def constants_of(self, codes: Mapping[str, Any], *, unseen: bool) -> dict[str, Any]:
        """The constants that differ from the population's for groups with these codes, each of the codes' shape.

        Of a column without a code they are those of an `unseen` group, or the population's.
        """
        found = {}
        for name, f in self.vectors.items():
            if isinstance(f, Offsets):
                values = self.values[name]
                if f.column in codes:  # a typical group is an unseen one
                    found[name.removesuffix(_end(f.column))] = at_code(
                        jnp.concatenate([values, values[-1:]]), codes[f.column]
                    )
                elif unseen:
                    found[name.removesuffix(_end(f.column))] = values[-1]
        return found

    def member(self, codes: Mapping[str, Any]) -> Any:
        """The law itself at a draw, of the groups with these codes."""
        return self.law.drawn({**dict(self.population().items()), **self.constants_of(codes, unseen=True)})

    def at_rows(self, inputs: Mapping[str, Any], method: str | None = None) -> Any:
        """A method of the law at each row of inputs and codes, shape (row,); its metric with what the fields add."""
        rest, codes = self.split(inputs)
        of_law = method is None or method == self.metric
        rows = len(next(iter(inputs.values())))
        own = {
            n: jnp.broadcast_to(x, rows) for n, x in self.constants_of(codes, unseen=of_law or method == "at").items()
        }
        shared = dict(self.population().items())

        def at_row(own: dict[str, Any], row: dict[str, Any]) -> Any:
            return at_point(self.law.drawn({**shared, **own}), method or self.metric, **row)

        if not of_law:
            return jax.vmap(at_row, axis_size=rows)(own, rest)
        log_factor: Any = 0.0
        for f in self.latent:
            log_factor = log_factor + f.log_factor(self.values, inputs)
        bent = rest
        for f in self.latent:
            bent = f.bent(self.values, bent)
        return jax.vmap(at_row, axis_size=rows)(own, bent) * jnp.exp(log_factor)

    def at(self, **inputs: Values) -> Any:
        """The law at one point."""
        return at_rows(self, {n: jnp.reshape(jnp.asarray(x, float), (1,)) for n, x in inputs.items()})[0]


def scalars(law: Law | Varying, values: Mapping[str, Any], *, fresh: bool = True) -> dict[str, Any]:
    """Constants one by one: arrays of shape (..., member) as arrays of shape (...), ``E[c4]``.

    Parameters
    ----------
    law : Law or Varying
    values : mapping
        Constants of it, and others, which stay.
    fresh : bool
        Whether to give those that lie beyond the table too.
    """
    found: dict[str, Any] = {}
    for name, x in values.items():
        if name not in law.vectors:
            found[name] = x
            continue
        f = law.vectors[name]
        members = f.members if fresh else f.members[: f.size]
        found |= {member_name(name, f, m): x[..., i] for i, m in enumerate(members)}
    return found


def member_name(name: str, f: Field, member: str) -> str:
    """The name of one of the numbers that a field gives: ``E[c4]``."""
    return f"{name.removesuffix(_end(f.dimension))}[{member}]"


AnyLaw = Law | Varying
"""A law, with or without fields."""


def by(constant: str, column: str) -> str:
    """The name of what a constant is for each group of a column."""
    return f"{constant}{_end(column)}"


def _end(column: str) -> str:
    return f" by {column}"


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
        found = tied(found | ties)
        found[name] = getattr(settings, name).constant(moved(name, f"{name}_stated"), settings.drawn(found), at)
    found = tied(found | ties)
    return {n: found[n] for n in settings.fields if n in offsets or ties.get(n)}
