"""Text <-> priors: what `--set alpha=LogNormal(-1.2, 0.5)` and a saved fit write, read without executing it."""

from __future__ import annotations

import ast
import inspect
import math
from collections.abc import Iterable
from typing import Any

import numpyro.distributions as dist
from numpyro.distributions import Distribution

from bayescale.errors import UsageError, did_you_mean


def distribution_text(prior: Distribution, *, rounded: bool = False) -> str:
    """A prior as the call that makes it: ``LogNormal(loc=-1.2, scale=0.5)``."""
    names = [n for n in inspect.signature(type(prior).__init__).parameters if n in prior.arg_constraints]
    values = {n: getattr(prior, n) for n in names}
    try:
        texts = {n: f"{float(v):.6g}" if rounded else repr(float(v)) for n, v in values.items()}
        return f"{type(prior).__name__}({', '.join(f'{n}={t}' for n, t in texts.items())})"
    except (TypeError, ValueError):
        return f"{type(prior).__name__}(...)"


def parse_setting(text: str, fields: Iterable[str], where: str) -> Any:
    """A constant's setting from text: a number (pins it), another constant's name (ties it), or a prior.

    Priors are calls of a NumPyro distribution with numbers: ``LogNormal(-1.2, 0.5)``, ``Uniform(low=1, high=2)``;
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
            return _call(node)
        return _number(node)
    except UsageError as error:
        raise UsageError(f"{where} = {text!r}: {error}") from None
    except (SyntaxError, ValueError, OverflowError):
        hint = did_you_mean(text, fields)
        raise UsageError(f"{where} = {text!r} is not {accepted}{hint}") from None


def _call(node: ast.Call) -> Distribution:
    if not isinstance(node.func, ast.Name):
        raise UsageError("a prior is written as its name and numbers, such as LogNormal(-1.2, 0.5).")
    name = node.func.id
    cls: Any = vars(dist).get(name)
    if not (isinstance(cls, type) and issubclass(cls, Distribution)):
        classes = [n for n in dist.__all__ if isinstance(vars(dist)[n], type)]
        raise UsageError(f"{name!r} is no class of NumPyro's distributions{did_you_mean(name, classes)}")
    arguments = [_number(a) for a in node.args]
    named = {str(k.arg): _number(k.value) for k in node.keywords}
    try:
        prior = cls(*arguments, **named, validate_args=True)
    except Exception as error:  # NumPyro raises several types for a wrong signature or a value outside its domain
        raise UsageError(f"{name} does not take these numbers ({str(error).splitlines()[0]}).") from None
    if prior.batch_shape or prior.event_shape or prior.is_discrete:
        raise UsageError(f"{name} is not a continuous prior of one number.")
    return prior


def _number(node: ast.expr) -> float:
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        value = _number(node.operand)
        return -value if isinstance(node.op, ast.USub) else value
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "log" and len(node.args) == 1:
        return math.log(_number(node.args[0]))
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float) and not isinstance(node.value, bool):
        return float(node.value)
    raise ValueError("not a number")
