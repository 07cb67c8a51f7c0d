"""Text <-> priors: what `--set alpha=LogNormal(-1.2, 0.5)` and a saved fit write, read without executing it."""

from __future__ import annotations

import ast
import inspect
import math
import numbers
import weakref
from collections.abc import Callable, Iterable
from typing import Any, TypeGuard

import jax
import numpy as np
import numpyro.distributions as dist
from numpyro.distributions import Distribution, transforms
from numpyro.distributions.constraints import Constraint
from numpyro.distributions.transforms import Transform

from bayescale.errors import UsageError, did_you_mean

_MAKERS: dict[str, Callable[..., Any]] = {
    **{n: getattr(transforms, n) for n in transforms.__all__ if n.endswith("Transform")},
    **{n: getattr(dist, n) for n in dist.__all__ if n[0].isupper() and n != "Distribution"},
}
"""What a prior's text may call."""

_TRUNCATED = [n for n in dist.__all__ if n.startswith(("LeftTruncated", "RightTruncated", "TwoSidedTruncated"))]
_ATTRIBUTES = {"base_distribution": "base_dist"}
"""Arguments that an object keeps under another name."""

_HAVE_TEXT: weakref.WeakKeyDictionary[Distribution, bool] = weakref.WeakKeyDictionary()


def distribution_text(prior: Distribution, *, rounded: bool = False) -> str:
    """A prior as the call that makes it: ``LogNormal(loc=-1.2, scale=0.5)``; with "..." where no text makes it."""
    text = _call_text(prior, (lambda x: f"{x:.6g}") if rounded else repr)
    return text if has_text(prior) else text[:-1] + ("..." if text.endswith("()") else ", ...") + ")"


def has_text(prior: Distribution) -> bool:
    """Whether a prior's text makes the prior again: the same class, parameters and support."""
    if prior not in _HAVE_TEXT:
        try:
            again = _call(ast.parse(_call_text(prior, repr), mode="eval").body)
        except (ValueError, SyntaxError):
            again = None
        _HAVE_TEXT[prior] = _alike(prior, again)
    return _HAVE_TEXT[prior]


def _call_text(made: object, number: Callable[[float], str]) -> str:
    """The call that makes a distribution or a transform, as far as numbers and such calls tell."""
    name = type(made).__name__
    base: Any = getattr(made, "base_dist", None)
    names = inspect.signature(type(made).__init__).parameters
    values = {n: getattr(made, _ATTRIBUTES.get(n, n), None) for n in names}
    if name in _TRUNCATED and type(base) in (dist.Normal, dist.Cauchy, dist.Gamma):
        name = f"Truncated{type(base).__name__}"
        values = {**{n: getattr(base, n) for n in base.arg_constraints}, **values, "base_dist": None}
    texts = {n: _argument_text(v, number) for n, v in values.items()}
    return f"{name}({', '.join(f'{n}={t}' for n, t in texts.items() if t)})"


def _argument_text(value: object, number: Callable[[float], str]) -> str:
    """An argument of such a call, or '' where it has no text."""
    if isinstance(value, Distribution | Transform):
        return _call_text(value, number)
    if isinstance(value, list):
        return f"[{', '.join(_argument_text(v, number) for v in value)}]"
    return number(float(value)) if _is_number(value) else ""


def _is_number(value: object) -> TypeGuard[float]:
    if isinstance(value, numbers.Real):
        return not isinstance(value, bool)
    if not isinstance(value, np.ndarray | jax.Array) or isinstance(value, jax.core.Tracer):
        return False
    return value.ndim == 0 and value.dtype.kind in "fiu"


def _alike(a: Any, b: Any) -> bool:
    """Whether two priors, or two of their parts, are equal; whether they check their arguments does not count."""
    if isinstance(a, Distribution):
        names = {*a.gather_pytree_data_fields(), *a.gather_pytree_aux_fields()} - {"_validate_args"}
        return type(a) is type(b) and all(_alike(vars(a).get(n), vars(b).get(n)) for n in names)
    if isinstance(a, list):
        return isinstance(b, list) and len(a) == len(b) and all(map(_alike, a, b))
    if isinstance(a, Transform | Constraint):
        return type(a) is type(b) and bool(a == b)
    if isinstance(a, np.ndarray | jax.Array) or isinstance(b, np.ndarray | jax.Array):
        return not isinstance(a, jax.core.Tracer) and np.array_equal(a, b)
    return bool(a == b)


def parse_setting(text: str, fields: Iterable[str], where: str) -> Any:
    """A constant's setting from text: a number (pins it), another constant's name (ties it), or a prior.

    Priors are calls of a NumPyro distribution with numbers: ``LogNormal(-1.2, 0.5)``, ``TruncatedNormal(0.3, 0.1,
    low=0)``, or with distributions and transforms that are written so: ``FoldedDistribution(Normal(0.3, 0.1))``.
    ``log(0.3)`` is allowed as a number.

    Raises
    ------
    UsageError
        Where the text is none of these.
    """
    fields = tuple(fields)
    text = text.strip()
    if text in fields:
        return text
    accepted = "a number, another constant's name, or a prior such as LogNormal(-1.2, 0.5)"
    try:
        node = ast.parse(text, mode="eval").body
        if isinstance(node, ast.Call) and not (isinstance(node.func, ast.Name) and node.func.id == "log"):
            prior = _call(node)
            if not has_text(prior):
                raise UsageError(f"{type(prior).__name__} cannot be written back as text.")
            return prior
        return _number(node)
    except UsageError as error:
        raise UsageError(f"{where} = {text!r}: {error}") from None
    except (SyntaxError, ValueError, OverflowError, RecursionError, MemoryError):
        hint = did_you_mean(text, fields)
        raise UsageError(f"{where} = {text!r} is not {accepted}{hint}") from None


def _call(node: ast.expr) -> Distribution:
    prior = _made(node)
    if not isinstance(prior, Distribution):
        raise UsageError(f"{type(prior).__name__} is no prior.")
    return checked_prior(prior, type(prior).__name__)


def checked_prior(prior: Distribution, where: str) -> Distribution:
    """A prior that has draws and a density of one real number, or an error that says of what there is none."""
    without = isinstance(prior, dist.Delta | dist.ImproperUniform) or prior.support is None
    if without or prior.batch_shape or prior.event_shape or prior.support.is_discrete:
        raise UsageError(f"{where} is not a continuous prior of one number.")
    low, high = bounds(prior)
    if not low < high:
        raise UsageError(f"{where} is a prior of no numbers: none is between {low:g} and {high:g}.")
    return prior


def bounds(prior: Distribution) -> tuple[float, float]:
    """The ends of a prior's support."""
    low, high = getattr(prior.support, "lower_bound", -math.inf), getattr(prior.support, "upper_bound", math.inf)
    return float(low), float(high)


def positive_setting(value: Any, where: str, example: str) -> Any:
    """The setting of a scale: a prior of positive numbers, its text, or a positive number that pins it.

    Raises
    ------
    UsageError
        It is none of these.
    """
    if isinstance(value, str):
        value = parse_setting(value, (), where)
    if isinstance(value, Distribution):
        if bounds(checked_prior(value, f"{where} = {distribution_text(value)}"))[0] < 0:
            text = distribution_text(value, rounded=True)
            raise UsageError(f"{where}: its prior must be of positive numbers, not {text}; write {example}")
        return value
    if not _is_number(value) or not (np.isfinite(value) and value > 0):
        raise UsageError(f"{where}: give a prior such as {example}, or a positive number, not {value!r}")
    return float(value)


def number_or(value: Any) -> Any:
    """A single number of any type, such as a table's cell, as a float; anything else as it is."""
    return float(value) if _is_number(value) else value


def _made(node: ast.expr) -> Any:
    """The distribution or transform that a call makes, looked up by name among NumPyro's."""
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
        raise UsageError("a prior is written as its name and numbers, such as LogNormal(-1.2, 0.5).")
    name = node.func.id
    if name not in _MAKERS:
        raise UsageError(f"{name!r} is no distribution of NumPyro{did_you_mean(name, _MAKERS)}")
    arguments = [_argument(a) for a in node.args]
    named = {str(k.arg): _argument(k.value) for k in node.keywords}
    checks = {"validate_args": True} if "validate_args" in inspect.signature(_MAKERS[name]).parameters else {}
    try:
        return _MAKERS[name](*arguments, **named, **checks)
    except Exception as error:  # NumPyro raises several types for a wrong signature or a value outside its domain
        said = f" ({str(error).splitlines()[0]})" if str(error) else ""
        raise UsageError(f"{name} does not take these numbers{said}.") from None


def _argument(node: ast.expr) -> Any:
    if isinstance(node, ast.List):
        return [_argument(x) for x in node.elts]
    if isinstance(node, ast.Call) and not (isinstance(node.func, ast.Name) and node.func.id == "log"):
        return _made(node)
    return _number(node)


def _number(node: ast.expr) -> float:
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        value = _number(node.operand)
        return -value if isinstance(node.op, ast.USub) else value
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "log" and len(node.args) == 1:
        return math.log(_number(node.args[0]))
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float) and not isinstance(node.value, bool):
        return float(node.value)
    raise ValueError("not a number")
