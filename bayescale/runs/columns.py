"""The columns of a run table: their standard names, the aliases they go by and what a cell may hold."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from bayescale.errors import DataError, UsageError, did_you_mean
from bayescale.runs.reading import Table

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

COLUMNS = {
    "N": "parameters",
    "D": "training tokens",
    "C": "training FLOPs",
    "S": "optimiser steps",
    "B": "tokens a batch",
    "U": "unique tokens",
    "E": "experts a routed layer, 1 of a dense model",
    "loss": "nats per token",
    "loss_se": "standard error of the loss, nats per token",
    "error": "error rate of tasks, 0 to 1",
    "accuracy": "accuracy on tasks, 0 to 1",
    "group": "what the run belongs to: a corpus, a family, a set-up",
    "run": "name of the training run; rows of one run are correlated",
}
LABELS = ("group", "run")
EVALUATIONS = ("error", "accuracy")
LENIENT = (*EVALUATIONS, "E")  # of some runs only: any number or no cell, checked where a law needs them

ALIASES = {
    "N": "params, parameters, n_params, num_params, num_parameters, n_parameters, model_size",
    "D": "tokens, n_tokens, num_tokens, train_tokens, training_tokens, dataset_size",
    "C": "flops, flop, compute, train_flops, training_flops, training_flop",
    "S": "steps, n_steps, num_steps, training_steps",
    "B": "batch, batch_size, batch_tokens, tokens_per_batch",
    "U": "unique_tokens, n_unique_tokens",
    "E": "experts, n_experts, num_experts",
    "loss": "val_loss, valid_loss, validation_loss, final_loss, eval_loss, test_loss, nll",
    "loss_se": "se, stderr, std_err, loss_stderr, loss_std_err, loss_sem",
    "error": "error_rate, err, top1_error",
    "accuracy": "acc, top1_accuracy",
    "group": "family, corpus",
    "run": "run_name, run_id",
}

NUMERIC = (str, int, float, np.integer, np.floating, Decimal)  # what a cell of an object column may be
SHOWN = 5  # offending cells that a message lists


def _plain(name: object) -> str:
    return re.sub(r"[\s_-]+", "", str(name)).lower()


_MEANING = {_plain(alias): name for name, text in ALIASES.items() for alias in (name, *text.split(","))}


def standard_name(column: str) -> str:
    """The standard name of a column that goes by one of its aliases, else its own."""
    return _MEANING.get(_plain(column), column)


def claim(table: Table, columns: Mapping[str, str]) -> dict[str, Hashable]:
    """Which of the table's columns is read as which standard one."""
    labels = list(table.frame.columns)
    claims: dict[str, Hashable] = {}
    for name, found in columns.items():
        if name not in COLUMNS:
            raise UsageError(
                f"columns maps standard names to the table's own; {name!r} is no standard name"
                f"{did_you_mean(name, COLUMNS)}; these are {', '.join(COLUMNS)}"
            )
        if found not in labels:
            raise UsageError(
                f"{table.source}: columns maps {name} to {found!r}, which is not in the table"
                f"{did_you_mean(str(found), labels)}; it has {listed(labels)}"
            )
        claims[name] = found
    free = [label for label in labels if label not in set(claims.values())]
    claims |= {str(label): label for label in free if label in COLUMNS and label not in claims}
    aliases: dict[str, list[Hashable]] = {}
    for label in free:
        name = _MEANING.get(_plain(label), "")
        if name and name not in claims and label not in COLUMNS:
            aliases.setdefault(name, []).append(label)
    for name, found_labels in aliases.items():
        if len(found_labels) > 1:
            both = " and ".join(repr(str(label)) for label in found_labels)
            raise DataError(
                f"{table.source}: the columns {both} both read as {name} ({COLUMNS[name]}); "
                f"rename one of them to {name}, or say which: columns={{{name!r}: {str(found_labels[0])!r}}}"
            )
        claims[name] = found_labels[0]
    return {name: claims[name] for name in COLUMNS if name in claims}


def listed(labels: Sequence[object]) -> str:
    """Names as one text, the first twenty of them."""
    text = ", ".join(map(str, labels[:20]))
    return text + (f" and {len(labels) - 20} more" if len(labels) > 20 else "")


def missing(cells: pd.Series[Any]) -> Mask:
    """Which cells hold nothing: NaN, None or blank text."""
    blank = cells.isna()
    if not pd.api.types.is_numeric_dtype(cells):
        blank |= cells.map(lambda cell: isinstance(cell, str) and not cell.strip()).astype(bool)
    return blank.to_numpy(bool)


def numbers(cells: pd.Series[Any]) -> Array:
    """Convert cells to float64, NaN where a cell is not a number."""
    kind = pd.api.types
    if kind.is_bool_dtype(cells) or kind.is_complex_dtype(cells):
        return np.full(len(cells), np.nan)
    if kind.is_numeric_dtype(cells):
        return cells.to_numpy(np.float64, na_value=np.nan)
    if not (kind.is_object_dtype(cells) or kind.is_string_dtype(cells)):
        return np.full(len(cells), np.nan)
    cells = cells.astype(object)
    written = cells.map(lambda cell: isinstance(cell, NUMERIC) and not isinstance(cell, bool)).to_numpy(bool)
    return pd.to_numeric(cells.where(written), errors="coerce").to_numpy(np.float64)


def bad_cells(
    cells: pd.Series[Any],
    wrong: Mask,
    name: str,
    label: Hashable,
    where: Callable[[int], str],
) -> list[tuple[int, str]]:
    """The `wrong` cells of a column as (row, what is wrong there); the first few have a text."""
    column = f"column {name}" if label == name else f"column {str(label)!r} ({name})"
    rows = np.flatnonzero(wrong).tolist()
    shown = [(row, f"{where(row)}, {column}: {_fault(cells.iloc[row])}") for row in rows[:SHOWN]]
    return shown + [(row, "") for row in rows[SHOWN:]]


def _fault(cell: Any) -> str:
    text = cell.strip() if isinstance(cell, str) else cell
    if (isinstance(text, str) and not text) or (pd.api.types.is_scalar(text) and pd.isna(text)):
        return "missing or NaN"
    shown = repr(text) if isinstance(text, str) else str(text)
    shown = shown if len(shown) <= 40 else shown[:37] + "..."
    if isinstance(text, str) and re.fullmatch(r"[+-]?\d{1,3}(,\d{3})+(\.\d*)?", text):
        return f"{shown} has thousands separators (write {text.replace(',', '')})"
    number = numbers(pd.Series([cell], dtype=object))[0]
    if np.isnan(number):
        return f"{shown} is not a number"
    return f"{shown} is infinite" if np.isinf(number) else f"{shown} is not positive"


def refuse(bad: list[tuple[int, str]], source: str) -> None:
    """Raise one `DataError` for all bad cells, if there are any."""
    if bad:
        shown = [text for _, text in sorted(bad, key=lambda cell: (not cell[1], cell[0]))[:SHOWN] if text]
        more = f"; and {len(bad) - len(shown)} more" if len(bad) > len(shown) else ""
        plural = "cell" if len(bad) == 1 else "cells"
        raise DataError(
            f"{source}: {len(bad)} {plural} cannot be used: {'; '.join(shown)}{more}. "
            "Every cell must be filled, and a number positive and finite (7e10, not 70,000,000,000; a "
            "standard error may be 0): correct them or delete their rows"
        )
