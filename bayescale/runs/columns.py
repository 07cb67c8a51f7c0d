"""Which of a table's columns is which standard one, and what of their cells can be used."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bayescale.errors import DataError, UsageError, did_you_mean, in_words
from bayescale.runs.expression import Expression
from bayescale.runs.names import COLUMNS, EVALUATIONS, LABELS, Meaning, meaning
from bayescale.runs.names import standard_name as standard_name
from bayescale.runs.numbers import KINDS, NUMERIC, Array, Mask, quantity, read_cells
from bayescale.runs.numbers import missing as missing
from bayescale.runs.table import Table

LENIENT = (*EVALUATIONS, "E")  # of some runs only: any number or no cell, checked where a law needs them
CORE = ("N", "D", "C", "loss")
"""Columns that must not be mistaken: of others that two could be, none is read."""

SHOWN = 5  # offending cells that a message lists
SAID = {"log": "its logarithm", "bits": "bits turned into nats"}


@dataclass(frozen=True, eq=False)
class Claim:
    """How a standard column is read from the table.

    Attributes
    ----------
    name : str
        The standard column.
    label : Hashable
        The table's, or the expression as it was written.
    meaning : Meaning
        The units and the form of its cells.
    expression : Expression or None
        What is computed, where it is not one column.
    """

    name: str
    label: Hashable
    meaning: Meaning
    expression: Expression | None = None

    @property
    def note(self) -> str:
        """What was read as what; '' of a column with its own name."""
        if self.expression:
            return f"{self.name} is {str(self.label)!r}"
        if self.label == self.name and not self.meaning.form and self.meaning.factor == 1:
            return ""
        how = [SAID[self.meaning.form]] if self.meaning.form else []
        if self.meaning.factor != 1:
            unit = self.meaning.unit
            how.append(
                f"in {unit}" if "per cent" in unit else f"times {self.meaning.factor:g}, as its name says ({unit})"
            )
        if self.meaning.training:
            how.append("a loss on the training data, since none is held out")
        return f"column {str(self.label)!r} read as {self.name}{': ' * bool(how)}{', '.join(how)}"

    def values(self, table: Table, decimal: str | None) -> Array:
        """The column in standard units, shape (row,); NaN where a cell is not a number."""
        if self.expression:
            return self.expression.values(table.frame, decimal)
        form = self.meaning.form
        cells, scaled = read_cells(table.frame[self.label], "" if form == "log" else self.name, decimal)
        factor = self.meaning.factor * (np.log(2) if form == "bits" else 1.0)
        values = np.where(scaled, cells, cells * factor) if factor != 1 else cells
        if form == "log":
            with np.errstate(all="ignore"):
                values = np.log(values)
        return values


def claim(table: Table, columns: Mapping[str, str]) -> tuple[dict[str, Claim], list[str]]:
    """Which of the table's columns is read as which standard one, and notes on those that could have been."""
    labels = list(table.frame.columns)
    claims = {name: _asked(table, name, found, labels) for name, found in columns.items()}
    taken = {c.label for c in claims.values()}
    free = [label for label in labels if label not in taken]
    claims |= {str(x): Claim(str(x), x, Meaning(str(x))) for x in free if x in COLUMNS and x not in claims}
    candidates: dict[str, list[Claim]] = {}
    for label in free:
        found = meaning(str(label))
        if found and label not in COLUMNS:
            candidates.setdefault(found.name, []).append(Claim(found.name, label, found))
    notes = []
    for name, several in candidates.items():
        if name in claims:
            if name == "loss" and str(claims[name].label) == "loss" and name not in columns:
                own = table.frame["loss"]
                unlike = [c for c in several if not (c.meaning.training or _alike(own, table.frame[c.label]))]
                others = " and ".join(repr(str(c.label)) for c in unlike)
                notes += [f"column 'loss' is the loss; {others} is not used"] if others else []
            continue
        chosen, note = _choose(table, name, several)
        notes += [note] if note else []
        if chosen:
            claims[name] = chosen
    return {name: claims[name] for name in COLUMNS if name in claims}, notes


def _asked(table: Table, name: str, found: str, labels: Sequence[Hashable]) -> Claim:
    """The claim that the user makes: a column, one by the last part of its name, or an expression."""
    where = in_words("columns", "--column")
    if name not in COLUMNS:
        raise UsageError(
            f"{where} maps standard names to the table's own; {name!r} is no standard name"
            f"{did_you_mean(name, COLUMNS)}; these are {', '.join(COLUMNS)}"
        )
    label = own_label(labels, found)
    if label is not None:
        known = meaning(str(label))
        return Claim(name, label, known if known and known.name == name else Meaning(name))
    if re.search(r"[-+*/^(]", str(found)) or re.fullmatch(r"[0-9.]+(e\+?[0-9]+)?", str(found), re.I):
        known_names = [str(x) for x in labels]
        parts = re.split(r"[-+*/^()\s]+", str(found))
        if any(str(x) in str(found) for x in labels if str(x)) or len([p for p in parts if p]) < 2 or "(" in str(found):
            return Claim(name, found, Meaning(name), Expression(str(found), known_names))
    raise UsageError(
        f"{table.source}: {where} maps {name} to {found!r}, which is not in the table"
        f"{did_you_mean(str(found), labels)}; it has {listed(labels)}",
        code="unknown_column",
    )


def own_label(labels: Sequence[Hashable], name: str) -> Hashable | None:
    """The column of that name, or the only one whose path ends in it ('mix' finds 'config.data.mix')."""
    for label in labels:
        if label == name or str(label) == name:
            return label
    ends = [x for x in labels if len(name) > 1 and re.search(rf"(?:^|[/.]|\s-\s){re.escape(name)}$", str(x))]
    return ends[0] if len(ends) == 1 else None


def _choose(table: Table, name: str, several: list[Claim]) -> tuple[Claim | None, str]:
    """Of columns that could be one, that which is held out and plain; with a note on one that was passed over."""
    usable = [c for c in several if not c.meaning.weak or _every_cell(table, c)]
    if not usable:
        return None, ""
    order = {c: (c.meaning.training, bool(c.meaning.form)) for c in usable}
    best = [c for c in usable if order[c] == min(order.values())]
    first = table.frame[best[0].label]
    best = [best[0], *(c for c in best[1:] if not _alike(first, table.frame[c.label]))]
    if len(best) > 1 and name in LABELS:
        best = best[:1]
    if name in LABELS and missing(table.frame[best[0].label]).any():
        return None, ""
    if len(best) > 1:
        both = " and ".join(repr(str(c.label)) for c in best)
        which = str(best[0].label)
        say = in_words(f"columns={{{name!r}: {which!r}}}", f"--column '{name}={which}'")
        if name in CORE:
            raise DataError(
                f"{table.source}: the columns {both} both read as {name} ({COLUMNS[name]}); "
                f"rename one of them to {name}, or say which: {say}",
                code="ambiguous_column",
            )
        return None, f"columns {both} could both be {name} and neither is read as it; {say} says which"
    held_out = [c for c in usable if c.meaning.training and not best[0].meaning.training]
    passed = " and ".join(repr(str(c.label)) for c in held_out)
    note = f"{passed} is a loss on the training data and is not used" if passed else ""
    return best[0], note


def _every_cell(table: Table, found: Claim) -> bool:
    values = found.values(table, table.decimal)
    return bool((np.isfinite(values) & (values > 0)).all())


def _alike(a: pd.Series, b: pd.Series) -> bool:
    return bool(((a == b) | (a.isna() & b.isna())).all())


def listed(labels: Sequence[object]) -> str:
    """Names as one text, the first twenty of them."""
    text = ", ".join(map(str, labels[:20]))
    return text + (f" and {len(labels) - 20} more" if len(labels) > 20 else "")


def bad_cells(
    cells: pd.Series,
    wrong: Mask,
    name: str,
    label: Hashable,
    where: Callable[[int], str],
) -> list[tuple[int, str]]:
    """The `wrong` cells of a column as (row, what is wrong there); the first few have a text."""
    column = f"column {name}" if label == name else f"column {str(label)!r} ({name})"
    rows = np.flatnonzero(wrong).tolist()
    shown = [(row, f"{where(row)}, {column}: {_fault(cells.iloc[row], name)}") for row in rows[:SHOWN]]
    return shown + [(row, "") for row in rows[SHOWN:]]


def _fault(cell: Any, name: str) -> str:
    text = cell.strip() if isinstance(cell, str) else cell
    scalar = pd.api.types.is_scalar(text)
    if (scalar and pd.isna(text)) or (isinstance(cell, str) and missing(pd.Series([cell], dtype=object))[0]):
        return "missing or NaN"
    shown = repr(text) if isinstance(text, str) else str(text)
    shown = shown if len(shown) <= 40 else shown[:37] + "..."
    if isinstance(text, str) and re.fullmatch(r"[+-]?[0-9]{1,3},[0-9]{3}", text):
        return f"{shown} could be {text.replace(',', '')} or {text.replace(',', '.')} (write the one that it is)"
    if isinstance(text, str) and (read := quantity(text)) and read.unit and read.unit not in KINDS.get(name, ()):
        return f"{shown} is in {read.unit}, and {name} counts {COLUMNS.get(name, 'something else')}"
    number = read_cells(pd.Series([cell], dtype=object))[0][0] if isinstance(cell, NUMERIC) else np.nan
    if np.isnan(number) or isinstance(cell, bool):
        return f"{shown} is not a number"
    if np.isinf(number):
        return f"{shown} is infinite"
    if name == "loss" and number > 0:
        return f"{shown} is a perplexity of 1 or less, whose logarithm is not positive"
    return f"{shown} is not positive"


def refuse(bad: list[tuple[int, str]], source: str, *, advice: str = "") -> None:
    """Raise one `DataError` for all bad cells, if there are any."""
    if bad:
        plural = "cell" if len(bad) == 1 else "cells"
        drop = in_words("read_runs(..., drop_bad=True)", "--drop-bad")
        raise DataError(
            f"{source}: {len(bad)} {plural} cannot be used: {cells_text(bad)}. Every cell must be filled, and a number "
            f"positive and finite (a standard error may be 0): correct them or delete their rows ({drop} leaves them "
            f"out){advice}",
            code="bad_cells",
        )


def cells_text(bad: list[tuple[int, str]]) -> str:
    """The first bad cells, and how many more there are."""
    shown = [text for _, text in sorted(bad, key=lambda cell: (not cell[1], cell[0]))[:SHOWN] if text]
    more = f"; and {len(bad) - len(shown)} more" if len(bad) > len(shown) else ""
    return f"{'; '.join(shown)}{more}"
