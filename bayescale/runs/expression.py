"""Expressions of columns: ``params (M)*1e6``, ``log(ppl)``, ``steps*batch*1024``, ``1 - score/100``."""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from bayescale.errors import UsageError, did_you_mean
from bayescale.runs.numbers import Array, numbers, size_in

FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "log": np.log, "log2": np.log2, "log10": np.log10, "exp": np.exp, "sqrt": np.sqrt, "abs": np.abs,
}  # fmt: skip
OPERATORS: Mapping[type, Callable[..., Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.Pow: operator.pow, ast.USub: operator.neg, ast.UAdd: operator.pos,
}  # fmt: skip
LONGEST = 500


class Expression:
    """What a standard column is in terms of the table's own.

    Parameters
    ----------
    text : str
        Names of columns, as they are in the table, with numbers, + - * / ** ( ), log, log2, log10, exp, sqrt, abs, and
        size(column): the one number with a suffix in a name, 7e7 of 'pythia-70m'.
    columns : sequence of str
        The table's.

    Raises
    ------
    UsageError
        The text is no expression of these columns.
    """

    def __init__(self, text: str, columns: Sequence[str]) -> None:
        self.text = text
        names: dict[str, str] = {}
        bare = text
        for i, column in enumerate(sorted(filter(None, columns), key=len, reverse=True)):
            pattern = rf"(?<![\w.]){re.escape(column)}(?![\w])"
            changed = re.sub(pattern, f" \ue000{i}\ue001 ", bare)
            if changed != bare:
                names[f"column_{i}_"], bare = column, changed
        try:
            written = re.sub("\ue000([0-9]+)\ue001", r"column_\1_", bare.replace("^", "**"))
            self.tree = ast.parse(written.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            raise self._refused("it cannot be read") from None
        if len(text) > LONGEST:
            raise self._refused("it is too long")
        self.columns = names
        self._check(self.tree, columns)

    def _refused(self, why: str) -> UsageError:
        return UsageError(
            f"the expression {self.text[:80]!r}: {why}; it is made of the table's columns, numbers, + - * / ** ( ), "
            f"{', '.join(FUNCTIONS)} and size, as in 'params (M)*1e6' or 'log(ppl)'",
            code="bad_expression",
        )

    def _check(self, node: ast.expr, columns: Sequence[str]) -> None:
        if isinstance(node, ast.Name):
            if node.id not in self.columns:
                hint = did_you_mean(node.id, columns)
                raise self._refused(f"the table has no column {node.id!r}{hint}")
        elif isinstance(node, ast.Constant):
            if isinstance(node.value, bool) or not isinstance(node.value, int | float):
                raise self._refused(f"{node.value!r} is not a number")
        elif isinstance(node, ast.BinOp | ast.UnaryOp) and type(node.op) in OPERATORS:
            for child in (node.left, node.right) if isinstance(node, ast.BinOp) else (node.operand,):
                self._check(child, columns)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and len(node.args) == 1:
            known = node.func.id in FUNCTIONS or (node.func.id == "size" and isinstance(node.args[0], ast.Name))
            if not known or node.keywords:
                name = self.columns.get(node.func.id, node.func.id)
                raise self._refused(f"there is no function {name}{did_you_mean(name, FUNCTIONS)}")
            self._check(node.args[0], columns)
        else:
            raise self._refused("it holds what is neither a column, a number nor one of these signs")

    def values(self, frame: pd.DataFrame, decimal: str | None = None) -> Array:
        """The expression at every row, shape (row,); NaN where a cell is no number."""

        def value(node: ast.expr) -> Any:
            if isinstance(node, ast.Name):
                return numbers(frame[self.columns[node.id]], decimal=decimal)
            if isinstance(node, ast.Constant):
                return float(node.value)  # type: ignore[arg-type]
            if isinstance(node, ast.BinOp):
                return OPERATORS[type(node.op)](value(node.left), value(node.right))
            if isinstance(node, ast.UnaryOp):
                return OPERATORS[type(node.op)](value(node.operand))
            assert isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
            if node.func.id == "size":
                assert isinstance(node.args[0], ast.Name)
                return frame[self.columns[node.args[0].id]].map(size_in).to_numpy(float)
            return FUNCTIONS[node.func.id](value(node.args[0]))

        with np.errstate(all="ignore"):
            try:
                found = np.asarray(value(self.tree))
            except (OverflowError, ZeroDivisionError) as error:
                raise self._refused(str(error)) from None
        if np.iscomplexobj(found):
            raise self._refused("it is no real number")
        return np.broadcast_to(found.astype(np.float64), (len(frame),)).copy()
