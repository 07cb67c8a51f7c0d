"""A law's formula as JavaScript, by way of its jaxpr, so that a page can evaluate any law, a user's own too."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from bayescale.arrays import Numbers, Values
from bayescale.runs.features import numeric

if TYPE_CHECKING:
    from bayescale.fit import Fit

MOST_LINES = 2000
"""Longest function that is worth shipping to a browser."""


EFFECT = "the effect of a group on the law"
"""Stands for it among the names of constants."""


class UntranslatableError(Exception):
    """The formula uses something that this translation does not know; the message names it."""


ELEMENTWISE: dict[str, Callable[..., str]] = {
    "abs": "Math.abs({})".format,
    "add": "{} + {}".format,
    "add_any": "{} + {}".format,
    "and": "{} && {}".format,
    "cbrt": "Math.cbrt({})".format,
    "ceil": "Math.ceil({})".format,
    "clamp": "Math.min(Math.max({1}, {0}), {2})".format,
    "cos": "Math.cos({})".format,
    "div": "{} / {}".format,
    "eq": "{} === {}".format,
    "exp": "Math.exp({})".format,
    "exp2": "Math.pow(2, {})".format,
    "expm1": "Math.expm1({})".format,
    "floor": "Math.floor({})".format,
    "ge": "{} >= {}".format,
    "gt": "{} > {}".format,
    "is_finite": "Number.isFinite({})".format,
    "le": "{} <= {}".format,
    "log": "Math.log({})".format,
    "log1p": "Math.log1p({})".format,
    "logistic": "1 / (1 + Math.exp(-({})))".format,
    "lt": "{} < {}".format,
    "max": "Math.max({}, {})".format,
    "min": "Math.min({}, {})".format,
    "mul": "{} * {}".format,
    "ne": "{} !== {}".format,
    "neg": "-({})".format,
    "not": "!{}".format,
    "or": "{} || {}".format,
    "pow": "Math.pow({}, {})".format,
    "rsqrt": "1 / Math.sqrt({})".format,
    "sign": "Math.sign({})".format,
    "sin": "Math.sin({})".format,
    "sqrt": "Math.sqrt({})".format,
    "square": "({0}) * ({0})".format,
    "sub": "{} - ({})".format,
    "tan": "Math.tan({})".format,
    "tanh": "Math.tanh({})".format,
}
SAME = {"stop_gradient", "copy", "copy_p", "optimization_barrier", "reduce_precision"}
INLINED = {"jit", "pjit", "closed_call", "custom_jvp_call", "custom_vjp_call", "checkpoint", "core_call", "remat"}
FOLDED = {
    "reduce_sum": "{} + {}",
    "reduce_prod": "{} * {}",
    "reduce_max": "Math.max({}, {})",
    "reduce_min": "Math.min({}, {})",
    "reduce_or": "{} || {}",
    "reduce_and": "{} && {}",
}
RESHAPED: dict[str, Callable[..., Any]] = {
    "concatenate": lambda p, *x: np.concatenate(x, axis=p["dimension"]),
    "expand_dims": lambda p, x: np.expand_dims(x, p["dimensions"]),
    "reshape": lambda p, x: x.reshape(p["new_sizes"]),
    "rev": lambda p, x: np.flip(x, p["dimensions"]),
    "slice": lambda p, x: x[tuple(map(slice, p["start_indices"], p["limit_indices"], p["strides"] or [1] * x.ndim))],
    "squeeze": lambda p, x: np.squeeze(x, tuple(p["dimensions"])),
    "stack": lambda p, *x: np.stack(x, axis=p["axis"]),
    "transpose": lambda p, x: np.transpose(x, p["permutation"]),
}


def law_function(fit: Fit, constants: Sequence[str]) -> str:
    """A law's metric at one point as the source of a JavaScript function ``(k, x0, x1, ...) => number``.

    Small arrays inside a formula are taken apart into numbers; loops (of laws that define the loss by an equation)
    become loops.

    Parameters
    ----------
    fit : Fit
    constants : sequence of str
        What the array `k` holds, in order: constants of the law, and `EFFECT` for a factor on it; x0, x1, ... are the
        law's inputs in the order of `fit.law.inputs`.

    Raises
    ------
    UntranslatableError
        The formula uses a primitive that has no translation.
    """

    if not numeric(fit.law.inputs):
        raise UntranslatableError("an input is no number")
    if any(f.bends for f in fit.law.latent):
        raise UntranslatableError("a field bends its inputs")

    def value(k: tuple[Any, ...], *inputs: Values) -> Any:
        own = dict(zip(constants, k, strict=True))
        factor = own.pop(EFFECT, None)
        law = fit.law.law.drawn(own)
        found = getattr(law, law.metric)(*inputs)
        return found if factor is None else found * factor

    with jax.enable_x64(True):
        closed = jax.make_jaxpr(value)((1.0,) * len(constants), *(1.0 for _ in fit.law.inputs))
    if [np.shape(x) for x in closed.out_avals] != [()]:
        raise UntranslatableError("its value at one point is not one number")
    names = [f"k[{i}]" for i in range(len(constants))] + [f"x{i}" for i in range(len(fit.law.inputs))]
    writer = _Writer()
    (result,) = writer.translate(closed.jaxpr, closed.consts, [_scalar(n) for n in names])
    head = ", ".join(["k", *(f"x{i}" for i in range(len(fit.law.inputs)))])
    return "\n".join([f"function ({head}) {{", *writer.lines, f"  return {result.item()};", "}"])


class _Writer:
    """Lines of JavaScript; every value is an array of expressions (names or numbers), one an element."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.count = 0

    def name(self) -> str:
        self.count += 1
        if len(self.lines) > MOST_LINES:
            raise UntranslatableError("its formula is too long")
        return f"t{self.count}"

    def let(self, expression: str) -> str:
        name = self.name()
        self.lines.append(f"  const {name} = {expression};")
        return name

    def translate(self, jaxpr: Any, consts: Sequence[Any], arguments: Sequence[np.ndarray]) -> list[np.ndarray]:
        known: dict[Any, np.ndarray] = dict(zip(jaxpr.constvars, map(_literals, consts), strict=True))
        known.update(zip(jaxpr.invars, arguments, strict=True))

        def read(atom: Any) -> np.ndarray:
            return _literals(atom.val) if hasattr(atom, "val") else known[atom]

        for equation in jaxpr.eqns:
            found = self.equation(equation, [read(a) for a in equation.invars])
            known.update(zip(equation.outvars, found, strict=True))
        return [read(a) for a in jaxpr.outvars]

    def equation(self, equation: Any, given: list[np.ndarray]) -> list[np.ndarray]:
        name, p = equation.primitive.name, equation.params
        if name in SAME:
            return given
        if name in INLINED:
            inner = next(p[k] for k in ("jaxpr", "call_jaxpr", "fun_jaxpr") if k in p)
            return self.translate(getattr(inner, "jaxpr", inner), getattr(inner, "consts", ()), given)
        if name == "while":
            return self.loop(p, given)
        if name in RESHAPED:
            return [RESHAPED[name](p, *given)]
        if name == "broadcast_in_dim":
            shape, axes = p["shape"], p["broadcast_dimensions"]
            placed = given[0].reshape([given[0].shape[axes.index(i)] if i in axes else 1 for i in range(len(shape))])
            return [np.broadcast_to(placed, shape)]
        if name in FOLDED:
            return [self.fold(FOLDED[name], given[0], p["axes"])]
        return [self.elementwise(equation, name, p, given)]

    def elementwise(self, equation: Any, name: str, p: dict[str, Any], given: list[np.ndarray]) -> np.ndarray:
        kinds = [a.aval.dtype.kind for a in equation.invars]
        if name == "convert_element_type":
            kind = np.dtype(p["new_dtype"]).kind
            if kind == kinds[0] or (kind == "f" and kinds[0] in "iu"):
                return given[0]
            template = {"b": "{} !== 0", "f": "Number({})", "i": "Math.trunc({})"}.get(kind)
            build = template.format if template else None
        elif name == "select_n" and kinds[0] == "b" and len(given) == 3:
            build = "{0} ? {2} : {1}".format
        elif name == "integer_pow":
            build = f"Math.pow({{}}, {p['y']})".format
        elif name == "div" and kinds[0] in "iu":
            build = "Math.trunc({} / {})".format
        else:
            build = ELEMENTWISE.get(name)
        if build is None or any(k not in "fiub" for k in kinds):
            raise UntranslatableError(f"its formula uses {name}")
        if name in ("and", "or", "not") and set(kinds) != {"b"}:
            raise UntranslatableError(f"its formula uses {name} on whole numbers")
        if len(given) == 1:
            return _each(lambda x: self.let(build(x)), given[0])
        return _each(lambda *x: self.let(build(*x)), *given)

    def fold(self, template: str, values: np.ndarray, axes: Sequence[int]) -> np.ndarray:
        kept = [i for i in range(values.ndim) if i not in axes]
        rows = np.transpose(values, [*axes, *kept]).reshape(-1, *(values.shape[i] for i in kept))
        total = rows[0]
        for row in rows[1:]:
            total = _each(lambda a, b: self.let(template.format(a, b)), total, row)
        return np.asarray(total, dtype=object)

    def loop(self, p: dict[str, Any], given: list[np.ndarray]) -> list[np.ndarray]:
        of_test, of_body = p["cond_nconsts"], p["cond_nconsts"] + p["body_nconsts"]
        state = []
        for start in given[of_body:]:
            names = _each(lambda _: self.name(), start)
            pairs = zip(names.flat, start.flat, strict=True)
            self.lines += [f"  let {name} = {value};" for name, value in pairs]
            state.append(names)
        self.lines.append("  for (;;) {")
        test, body = p["cond_jaxpr"], p["body_jaxpr"]
        (goes_on,) = self.translate(test.jaxpr, test.consts, [*given[:of_test], *state])
        self.lines.append(f"  if (!{goes_on.item()}) break;")
        new = self.translate(body.jaxpr, body.consts, [*given[of_test:of_body], *state])
        targets = ", ".join(str(n) for s in state for n in s.flat)
        values = ", ".join(str(n) for s in new for n in s.flat)
        self.lines += [f"  [{targets}] = [{values}];", "  }"]
        return state


def _each(function: Callable[..., str], *arrays: np.ndarray) -> np.ndarray:
    return np.asarray(np.vectorize(function, otypes=[object])(*arrays), dtype=object)


def _scalar(text: str) -> np.ndarray:
    return np.array(text, dtype=object)


def _literals(values: Numbers) -> np.ndarray:
    return _each(_literal, np.asarray(values))


def _literal(value: float) -> str:
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    number = float(value)
    if math.isfinite(number):
        return repr(number) if number >= 0 else f"({number!r})"
    return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "(-Infinity)"
