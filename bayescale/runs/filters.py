"""Conditions on rows: ``State = finished``, ``D > 1e9``, ``mix != web``."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import pandas as pd

from bayescale.errors import UsageError, did_you_mean, in_words
from bayescale.runs.columns import Claim, listed, own_label
from bayescale.runs.names import COLUMNS
from bayescale.runs.numbers import Mask, missing, numbers, quantity
from bayescale.runs.table import Table

Where: TypeAlias = str | Mapping[str, object] | Iterable[str]
"""Conditions that all hold: one text, several, or a mapping of columns to values."""

COMPARISONS: Mapping[str, Callable[[Any, Any], Any]] = {
    "<=": operator.le, ">=": operator.ge, "!=": operator.ne, "==": operator.eq, "=": operator.eq, "<": operator.lt,
    ">": operator.gt,
}  # fmt: skip
_SIGN = re.compile("|".join(COMPARISONS))


class Condition(NamedTuple):
    """A condition as it was written, and the ways to read it: a column, a sign and a value each."""

    text: str
    readings: tuple[tuple[str, str, str], ...]


def conditions(where: Where) -> list[Condition]:
    """Conditions from what a user gives.

    Raises
    ------
    UsageError
        One is none.
    """
    if isinstance(where, Mapping):
        return [Condition(f"{name}={value}", ((str(name), "=", str(value)),)) for name, value in where.items()]
    return [_condition(text) for text in ([where] if isinstance(where, str) else where)]


def _condition(text: str) -> Condition:
    found = [(text[: m.start()].strip(), m[0], _value(text[m.end() :])) for m in _SIGN.finditer(str(text))]
    readings = tuple(reading for reading in found if reading[0] and reading[2])
    if not readings:
        raise UsageError(
            f"{in_words('where', '--where')} {text!r}: a condition is a column, one of = != < <= > >=, and a value, as "
            "in 'State = finished' or 'D > 1e9'",
            code="bad_condition",
        )
    return Condition(str(text), readings)


def _value(text: str) -> str:
    text = text.strip()
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"" else text


def pick(table: Table, claims: Mapping[str, Claim], asked: Sequence[Condition]) -> tuple[Table, list[Condition]]:
    """The rows of a table that fulfil conditions on its own cells, and the conditions on columns that it has not."""
    left = []
    for condition in asked:
        names = [*map(str, table.frame.columns), *claims]
        reading = next((r for r in condition.readings if _known(table.frame, claims, r[0])), None)
        if reading is None:
            if not any(name in COLUMNS for name, *_ in condition.readings):
                raise _no_column(condition.readings[0][0], names)
            left.append(condition)
            continue
        name, sign, value = reading
        label = own_label(list(table.frame.columns), name)
        read = claims.get(name)
        number = quantity(value)
        if read is not None and (number is not None or read.expression):
            cells = pd.Series(read.values(table, table.decimal))
        else:
            cells = table.frame[read.label if read is not None else label]
        holds = _holds(cells, sign, value)
        if not holds.any():
            raise _nothing(condition, name, cells)
        if not holds.all():
            table = table.take(np.flatnonzero(holds))
    return table, left


def select(runs: pd.DataFrame, where: Where) -> pd.DataFrame:
    """The rows of `runs` that fulfil conditions, compared as numbers where both sides are, else as text.

    Raises
    ------
    UsageError
        A column does not exist, or no row is left.
    """
    kept, asked = runs.copy(deep=False), conditions(where)
    for condition in asked:
        columns = list(kept.columns)
        reading = next((r for r in condition.readings if own_label(columns, r[0]) is not None), None)
        if reading is None:
            raise _no_column(condition.readings[0][0], list(map(str, columns)))
        name, sign, value = reading
        cells = kept[own_label(columns, name)]
        holds = _holds(cells, sign, value)
        if not holds.any():
            raise _nothing(condition, name, cells)
        kept = kept[holds]
    kept.attrs = {**runs.attrs, "source": runs.attrs.get("source", "a table")}
    if asked:
        kept.attrs["source"] += said(asked)
    return kept


def said(asked: Sequence[Condition]) -> str:
    """Conditions as the name of a table states them."""
    return f" where {', '.join(c.text for c in asked)}" if asked else ""


def _known(frame: pd.DataFrame, claims: Mapping[str, Claim], name: str) -> bool:
    return name in claims or own_label(list(frame.columns), name) is not None


def _holds(cells: pd.Series, sign: str, value: str) -> Mask:
    """Which cells fulfil a comparison; an empty one only that it is not something."""
    number, empty = quantity(value), missing(cells)
    values = numbers(cells) if number is not None else np.full(len(cells), np.nan)
    text = np.array(["" if nothing else str(cell).strip() for cell, nothing in zip(cells, empty, strict=True)], object)
    if number is not None and np.isfinite(values).any():
        by_number = _compare(values, sign, number.value)
        if sign not in ("=", "==", "!="):
            return by_number & ~empty
        same = np.where(np.isfinite(values), by_number, COMPARISONS[sign](text, value))
        return same.astype(bool) & (~empty | (sign == "!="))
    if pd.api.types.is_bool_dtype(cells) and value.lower() in ("true", "false"):
        value = value.capitalize()
    return np.asarray(COMPARISONS[sign](text, value), bool) & (~empty | (sign == "!="))


def _compare(values: np.ndarray, sign: str, number: float) -> Mask:
    with np.errstate(invalid="ignore"):
        return np.asarray(COMPARISONS[sign](values, number), bool)


def _no_column(name: str, names: Sequence[str]) -> UsageError:
    return UsageError(
        f"the table has no column {name!r}{did_you_mean(name, names)}; it has {listed(list(dict.fromkeys(names)))}",
        code="unknown_column",
    )


def _nothing(condition: Condition, name: str, cells: pd.Series) -> UsageError:
    values = cells.unique()
    there = ", ".join(map(str, values[:8])) or "empty"
    text = condition.text
    for column, sign, value in condition.readings:
        if column == name:
            text = f"{column} {sign} {value!r}"
    return UsageError(
        f"no row has {text}; {name} is {there}{', ...' if len(values) > 8 else ''}", code="nothing_selected"
    )
