"""What a law is: declare one, evaluate it at points and posterior draws.

A law is a NumPyro model of the expected loss. One short class holds the formula, written for one
point, and a prior for each constant; the base class makes the model from it.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar, dataclass_transform

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
from numpyro.distributions import Distribution

from bayescale.errors import UsageError, did_you_mean
from bayescale.law.own_code import users_code
from bayescale.law.prior_text import checked_prior, distribution_text, number_or, parse_setting
from bayescale.runs.cost import FLOPS_PER_PARAMETER_TOKEN as FLOPS_PER_PARAMETER_TOKEN
from bayescale.runs.features import encoded
from bayescale.runs.inputs import checked_inputs

Param = Any
"""A constant of a law: a distribution (free), a number (pinned), another constant's name (tied), or draws."""

PF_DAY = 8.64e19
"""FLOPs in a petaFLOP/s-day, the unit of compute of Kaplan et al. 2020."""

_ARRAYS = np.ndarray | np.generic | jax.Array

REGISTRY: dict[str, type[Law]] = {}
"""Laws by name, each entered by its declaration; `bayescale.catalogue` looks them up."""


@jax.tree_util.register_pytree_node_class
class Centre:
    """The data's centre, where priors are stated: ``at.N``, ``at.loss``, ...

    Inputs are at their geometric mean; the metric is at its median, which a few odd rows cannot move.
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.values = dict(values)

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["values"][name]
        except KeyError:
            raise AttributeError(
                f"the data's centre has {', '.join(self.__dict__.get('values', {}))}, not {name}"
            ) from None

    def tree_flatten(self) -> tuple[tuple[Any, ...], tuple[str, ...]]:
        """Leaves and names, for JAX."""
        names = tuple(sorted(self.values))
        return tuple(self.values[n] for n in names), names

    @classmethod
    def tree_unflatten(cls, names: tuple[str, ...], leaves: tuple[Any, ...]) -> Centre:
        """The inverse of `tree_flatten`."""
        return cls(dict(zip(names, leaves, strict=True)))


@dataclass(frozen=True, eq=False)
class Stated:
    """A prior stated through what a constant implies at the data's centre.

    Attributes
    ----------
    quantity : str
        What `prior` is a prior of, as a person writes it: ``"A / N0^alpha / L0"``.
    prior : Distribution
        The prior of that quantity.
    constant : callable
        ``constant(q, law, at)`` gives the constant from the quantity, the law with its other
        constants drawn, and the data's `Centre`.
    """

    quantity: str
    prior: Distribution
    constant: Callable[[Any, Any, Centre], Any]


def stated(quantity: str, prior: Distribution, constant: Callable[[Any, Any, Centre], Any]) -> Param:
    """Declare a constant by the prior of what it implies at the data's centre; see `Stated`."""
    return Stated(quantity, prior, constant)


F = TypeVar("F", bound=Callable[..., Any])


def derived(function: F) -> F:
    """Mark a law's method as a quantity to report at every draw, with an interval."""
    function.__derived__ = True  # type: ignore[attr-defined]
    return function


@dataclass_transform(kw_only_default=True, frozen_default=True)
class Law:
    """Base of every law: fields are the constants, the method named by `metric` is the formula.

    A field holds a distribution (free), a `stated` prior (free, given through what it implies at the
    data's centre), a number (pinned), the name of another field (tied to it), or an array of draws.

    Class attributes
    ----------------
    metric : str
        The column that the law predicts and the name of the method that computes it, ``"loss"``.
    published : dict
        Published constants: source -> {field: value}.
    caution : str
        What a user of the law's allocation should know, or ''.
    by_name_only : bool
        Left out where all suitable laws are compared: it restates another, or is of runs chosen for it.
    may_rise : bool
        The metric need not fall in every input: a valley, a broken law. Of other laws a table that rises is refused.
    """

    metric: ClassVar[str] = "loss"
    published: ClassVar[Mapping[str, Mapping[str, float]]] = {}
    caution: ClassVar[str] = ""
    by_name_only: ClassVar[bool] = False
    may_rise: ClassVar[bool] = False
    name: ClassVar[str] = ""
    inputs: ClassVar[tuple[str, ...]] = ()
    fields: ClassVar[tuple[str, ...]] = ()
    # a law by itself has no fields and no groups; see `bayescale.law.varying`
    latent: ClassVar[tuple[Any, ...]] = ()
    columns: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    effects: ClassVar[tuple[str, ...]] = ()
    vectors: ClassVar[Mapping[str, Any]] = {}
    spreads: ClassVar[Mapping[str, Any]] = {}

    def __init_subclass__(cls, register: bool = True) -> None:
        own = [n for n, kind in inspect.get_annotations(cls).items() if kind is Param or kind == "Param"]
        cls.fields = tuple(dict.fromkeys((*cls.fields, *own)))
        if missing := [n for n in own if n not in cls.__dict__]:
            raise UsageError(
                f"law {cls.__name__}: {', '.join(missing)} has no prior; write `{missing[0]}: Param = <prior>`"
            )
        formula = getattr(cls, cls.metric, None)
        if not callable(formula):
            raise UsageError(f"law {cls.__name__} predicts {cls.metric!r} but has no method of that name")
        cls.inputs = tuple(inspect.signature(formula).parameters)[1:]
        cls.name = cls.__dict__.get("name") or re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", cls.__name__).lower()
        jax.tree_util.register_pytree_node(cls, _flatten, lambda aux, leaves: _unflatten(cls, aux, leaves))
        if register:
            _register(cls)

    def __init__(self, **constants: Param) -> None:
        for name in constants:
            if name not in self.fields:
                hint = did_you_mean(name, self.fields)
                raise UsageError(
                    f"law {self.name} has no constant {name!r}{hint}; its constants are {', '.join(self.fields)}"
                )
        for name in self.fields:
            value = constants.get(name, getattr(type(self), name))
            object.__setattr__(self, name, _constant(self, name, value))
        for name in self.fields:
            self.tied_to(name)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"laws are immutable; use law.replace({name}=...)")

    def __repr__(self) -> str:
        changed = {n: v for n, v in self.items() if v is not getattr(type(self), n)}
        texts = {n: setting_text(v, rounded=False) for n, v in changed.items()}
        return f"{type(self).__name__}({', '.join(f'{n}={t}' for n, t in texts.items())})"

    def __call__(self, **inputs: Any) -> Any:
        """The law's value at `inputs` (numbers or arrays that broadcast), in float64; every constant a number.

        Raises
        ------
        UsageError
            Where a constant is still free, or an input is missing, unknown or not positive.
        """
        if self.free:
            raise UsageError(
                f"law {self.name} still has free constants: {', '.join(self.free)}; fit it, or give them numbers"
            )
        return np.asarray(evaluate(self, **inputs))[()]

    def items(self) -> Iterator[tuple[str, Any]]:
        """Pairs (constant, value) in the order of declaration."""
        return ((n, getattr(self, n)) for n in self.fields)

    def varied(self, column: str) -> tuple[str, ...]:
        """What varies by a column: nothing."""
        return ()

    @property
    def law(self) -> Law:
        """The law without its fields: itself."""
        return self

    @property
    def free(self) -> tuple[str, ...]:
        """The constants that have a prior, in the order of declaration."""
        return tuple(n for n, v in self.items() if isinstance(v, Distribution | Stated))

    def tied_to(self, name: str) -> str:
        """The constant at the end of a chain of ties; itself where it is not tied.

        Raises
        ------
        UsageError
            The chain is a circle.
        """
        seen = [name]
        while isinstance(value := getattr(self, seen[-1]), str):
            if value in seen:
                raise UsageError(
                    f"law {self.name}: {' = '.join([*seen, value])} is a circle; pin one or give it a prior"
                )
            seen.append(value)
        return seen[-1]

    def at(self, **inputs: Any) -> Any:
        """The metric at one point; traceable, no checks."""
        return getattr(self, self.metric)(**inputs)

    def replace(self, **constants: Param) -> Any:
        """A copy with some constants replaced: a prior, a number, another constant's name, or draws."""
        return type(self)(**{**dict(self.items()), **constants})

    def sample(self, at: Centre) -> Any:
        """The law with every free constant drawn: NumPyro's model of the constants.

        A law whose priors depend on one another overrides this with `numpyro.sample` statements of its
        own and returns ``self.replace(...)``.
        """
        values = dict(self.items())
        for name, value in values.items():
            if isinstance(value, Distribution):
                values[name] = numpyro.sample(name, value)
        for name, value in values.items():
            if isinstance(value, Stated):
                quantity = numpyro.sample(f"{name}_stated", value.prior)
                resolved = self.drawn({n: v for n, v in tied(values).items() if not isinstance(v, Stated | str)})
                with users_code(self.name, f"the stated prior of {name}"):
                    constant = value.constant(quantity, resolved, at)
                values[name] = numpyro.deterministic(name, constant)
        return self.drawn(tied(values))

    def drawn(self, constants: Mapping[str, Any]) -> Any:
        """The law with `constants` for its own, traced or not, unchecked; pinned ones stay."""
        new = object.__new__(type(self))
        pinned = {n: v for n, v in self.items() if isinstance(v, float)}
        new.__dict__.update({**pinned, **constants})
        return new

    @classmethod
    def formula(cls) -> str:
        """The formula, as the first line of the law's own docstring states it."""
        return _paragraphs(cls)[0].splitlines()[0].strip()

    @classmethod
    def source(cls) -> str:
        """Where the law is from: the second paragraph of the docstring, as one line."""
        return " ".join(" ".join(_paragraphs(cls)[1:2]).split())

    @classmethod
    def remarks(cls) -> list[str]:
        """What else the docstring says: its paragraphs after the source."""
        return [" ".join(p.split()) for p in _paragraphs(cls)[2:]]

    @classmethod
    def quantities(cls) -> dict[str, tuple[str, ...]]:
        """Quantities marked `derived`: name -> the inputs that they need."""
        methods = ((n, getattr(cls, n)) for n in dir(cls) if not n.startswith("_"))
        return {n: tuple(inspect.signature(m).parameters)[1:] for n, m in methods if hasattr(m, "__derived__")}


def evaluate(law: Law, quantity: str | None = None, /, **inputs: Any) -> jax.Array:
    """A law's metric, or another of its methods, at points.

    Parameters
    ----------
    law : Law
        With numbers for constants.
    quantity : str, optional
        The method to evaluate; the law's metric when None.
    **inputs : array_like
        One array for each argument of the method; they broadcast to the result's shape.

    Raises
    ------
    UsageError
        Where an input is missing, unknown, not finite or not positive.
    """
    method = quantity or law.metric
    names = tuple(inspect.signature(getattr(type(law), method)).parameters)[1:]
    arrays = checked_inputs(law.name, names, inputs)
    if any(isinstance(v, str) for _, v in law.items()):
        law = law.drawn(tied(dict(law.items())))
    with jax.enable_x64(True):
        if not names:
            return jnp.asarray(at_point(law, method))
        points = [a.ravel() for a in np.broadcast_arrays(*arrays.values())]
        shape = np.broadcast_shapes(*(a.shape for a in arrays.values()))
        numbers = encoded(dict(zip(names, points, strict=True)))
        return at_rows(law, {n: jnp.asarray(x, float) for n, x in numbers.items()}, method).reshape(shape)


def at_rows(law: Any, inputs: Mapping[str, Any], method: str | None = None) -> jax.Array:
    """The law at each row of `inputs` (arrays of one length); traceable, no checks."""
    if law.latent:
        found: jax.Array = law.at_rows(inputs, method)
        return found

    def at_row(law: Law, row: dict[str, Any]) -> Any:
        return at_point(law, method or law.metric, **row)

    values: jax.Array = jax.vmap(at_row, in_axes=(None, 0))(law, dict(inputs))
    return values


def at_point(law: Law, method: str, **inputs: Any) -> Any:
    """The number that a law's method gives at one point; traceable.

    Raises
    ------
    UsageError
        The method fails, or gives something else than one number.
    """
    with users_code(law.name, method):
        value = getattr(law, method)(**inputs)
    if not isinstance(value, _ARRAYS | float | int) or jnp.shape(value) or jnp.result_type(value).kind not in "fiu":
        found = f"an array of shape {jnp.shape(value)}" if isinstance(value, _ARRAYS) else type(value).__name__
        raise UsageError(f"{method} of law {law.name} gives {found}; it must return one number for one point")
    return value


def _paragraphs(cls: type[Law]) -> list[str]:
    """A law's own docstring, which another class's does not replace: it may be of another formula."""
    return (inspect.cleandoc(cls.__doc__ or "") or f"{cls.metric}({', '.join(cls.inputs)})").split("\n\n")


def _register(cls: type[Law]) -> None:
    present = REGISTRY.get(cls.name)
    if (
        present is not None
        and present.__module__.startswith("bayescale.models")
        and cls.__module__ != present.__module__
    ):
        raise UsageError(f"{cls.name!r} is the name of a law that ships; call the class {cls.__name__} something else")
    REGISTRY[cls.name] = cls


def _constant(law: Law, name: str, value: Any) -> Any:
    where = f"{law.name}.{name}"
    value = number_or(parse_setting(value, law.fields, where) if isinstance(value, str) else value)
    if isinstance(value, Distribution | Stated):
        checked_prior(value.prior if isinstance(value, Stated) else value, f"{where} = {setting_text(value)}")
    elif isinstance(value, float) and not np.isfinite(value):
        raise UsageError(f"{where} must be finite, not {value}")
    elif isinstance(value, _ARRAYS) and value.dtype.kind in "fiu":
        pass  # draws
    elif not isinstance(value, str | float) and value is not getattr(type(law), name):
        raise UsageError(f"{where} must be a prior, a number or another constant's name, not {value!r}")
    return value


def tied(values: dict[str, Any]) -> dict[str, Any]:
    """Constants with the value of the one that they are tied to, where that is so."""

    def value(name: str) -> Any:
        return value(values[name]) if isinstance(values[name], str) else values[name]

    return {n: value(n) for n in values}


def setting_text(value: Any, *, rounded: bool = True) -> str:
    """A constant's setting as a person reads it: a prior, a stated prior, a number or the name it is tied to."""
    if isinstance(value, Distribution):
        return distribution_text(value, rounded=rounded)
    if isinstance(value, Stated):
        return f"{value.quantity} ~ {distribution_text(value.prior, rounded=rounded)}"
    return value if isinstance(value, str) else repr(value)


def _flatten(law: Law) -> tuple[tuple[Any, ...], tuple[str, ...]]:
    return tuple(law.__dict__.values()), tuple(law.__dict__)


def _unflatten(cls: type[Law], names: tuple[str, ...], leaves: tuple[Any, ...]) -> Law:
    new = object.__new__(cls)
    new.__dict__.update(zip(names, leaves, strict=True))
    return new
