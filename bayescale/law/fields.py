"""Fields: what varies beyond a law's constants. Each is a latent vector with a scale of its own and a place to enter.

A field is `size` standard normal numbers, multiplied by a scale that is learned, and a way into the law: as a constant
of each group of runs, as a factor on the law, or as a bend of one of its axes. Where the table has nothing to say - a
group it lacks, an axis beyond its end - a field goes on with `fresh` standard normal numbers of the same scale.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist
from numpyro.distributions import Distribution

from bayescale.arrays import Values
from bayescale.errors import printable

UNSEEN = "unseen"
"""The name of a group that the table lacks."""


@dataclass(frozen=True, eq=False)
class Field:
    """A vector of normal numbers with mean zero and a common scale that is learned.

    Attributes
    ----------
    name : str
        Of the site of its standard normal numbers, and of what it gives among a law's constants.
    scale : str
        Of the site of the scale.
    prior : Distribution or float
        Of the scale; a number pins it.
    """

    name: str
    scale: str
    prior: Distribution | float

    @property
    def size(self) -> int:
        """How many numbers the table determines."""
        raise NotImplementedError

    @property
    def fresh(self) -> int:
        """How many more there are where the table has nothing to say."""
        raise NotImplementedError

    @property
    def dimension(self) -> str:
        """What its numbers are counted by: a column, or an axis."""
        raise NotImplementedError

    @property
    def members(self) -> tuple[str, ...]:
        """A name for each of its numbers, fresh ones too."""
        raise NotImplementedError

    @property
    def key(self) -> tuple[Any, ...]:
        """What tells two fields apart, their priors aside."""
        raise NotImplementedError

    @property
    def separate(self) -> str | None:
        """The column whose groups each have numbers of their own that share no row with the others'; None if none."""
        return None

    @property
    def bends(self) -> bool:
        """Whether it moves the law's inputs, and with them its optimum."""
        return False

    def sample(self, fresh: jax.Array | None = None) -> tuple[Any, Any]:
        """Draw the scale and the vector, of `fresh` standard normal numbers too where they are given."""
        scale = self.sample_scale()
        return scale, self.sample_vector(scale, fresh)

    def sample_scale(self) -> Any:
        """Draw the scale."""
        return numpyro.sample(self.scale, self.prior) if isinstance(self.prior, Distribution) else self.prior

    def sample_vector(self, scale: Values, fresh: jax.Array | None = None) -> Any:
        """Draw the vector, shape (size,), or (size + fresh,) where fresh standard normal numbers are given."""
        unit = numpyro.sample(self.name, dist.Normal(0.0, 1.0).expand([self.size]).to_event(1))
        return scale * (unit if fresh is None else jnp.concatenate([unit, fresh]))

    def given(self, vector: jax.Array) -> Any:
        """What the field is among a law's constants."""
        return vector

    def bent(self, values: Mapping[str, Any], inputs: dict[str, Any]) -> dict[str, Any]:
        """The law's inputs, each of shape (row,), as the field has them."""
        return inputs

    def log_factor(self, values: Mapping[str, Any], inputs: Mapping[str, Any]) -> Any:
        """Log of a factor on the law, shape (row,) or a number."""
        return 0.0


@dataclass(frozen=True, eq=False)
class OfGroups(Field):
    """A field with a number for each group of a column.

    Attributes
    ----------
    column : str
        Of the table. Rows say their group by a code: 1, 2, ... in the order of `labels`, then `unseen`, then `typical`.
    labels : tuple of str
        The groups, as the table names them.
    constant : str
        What varies by them: a constant of the law, or its metric for a factor on the law.
    """

    column: str
    labels: tuple[str, ...]
    constant: str

    @property
    def size(self) -> int:
        """How many groups the table has."""
        return len(self.labels)

    @property
    def fresh(self) -> int:
        """One group that it lacks."""
        return 1

    @property
    def dimension(self) -> str:
        """The column."""
        return self.column

    @property
    def members(self) -> tuple[str, ...]:
        """The labels, and a group that is not in the table."""
        return (*map(printable, self.labels), UNSEEN)

    @property
    def key(self) -> tuple[Any, ...]:
        """What tells two fields apart, their priors aside."""
        return type(self).__name__, self.column, self.labels, self.constant

    @property
    def separate(self) -> str | None:
        """The column."""
        return self.column


class Offsets(OfGroups):
    """A constant of each group: the population's, moved by an offset in the coordinate in which its prior lives.

    Groups with few rows are drawn to the population by as much as the groups agree (Gelman & Hill 2007, Data Analysis
    Using Regression and Multilevel/Hierarchical Models, chapters 12 and 13).
    """


class Effects(OfGroups):
    """A factor on the law that all rows of a group share: the exponential of a normal effect."""

    def given(self, vector: jax.Array) -> Any:
        """The factors."""
        return jnp.exp(vector)

    def log_factor(self, values: Mapping[str, Any], inputs: Mapping[str, Any]) -> Any:
        """The effect of each row's group; none where no group is named, and none for a typical one."""
        if self.column not in inputs:
            return 0.0
        effects = jnp.log(values[self.name])
        return at_code(jnp.concatenate([effects, jnp.zeros(1)]), inputs[self.column])


def at_code(values: jax.Array, code: Values) -> Any:
    """The values, shape (group,), of the groups with these codes, which count from 1."""
    return values[jnp.asarray(code - 1, int)]
