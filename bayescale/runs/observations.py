"""Observations: what a law is fitted to, taken from a run table that can determine it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from bayescale.errors import DataError, UsageError, in_words
from bayescale.runs.columns import bad_cells, listed, own_label, refuse
from bayescale.runs.cost import Cost, table_cost
from bayescale.runs.features import QUANTITY, feature_of
from bayescale.runs.metrics import refuse_rising
from bayescale.runs.names import COLUMNS, LABELS, standard_name
from bayescale.runs.notes import warnings_among
from bayescale.runs.numbers import Array, numbers
from bayescale.runs.schedule import schedule_from
from bayescale.runs.tables import read_runs
from bayescale.runs.taken import Checkpoints

SCHEDULE = "learning rates as text, such as '0:0 2000:3e-4 cosine 20000:3e-5'; with_schedules makes it of logged rates"
COLLINEAR = 0.98  # correlation of two log inputs above which a law's terms cannot be told apart


@dataclass(frozen=True, eq=False)
class Observations:
    """What a law is fitted to: its inputs and the observed metric, row by row.

    Attributes
    ----------
    inputs : dict of ndarray, each (rows,)
        The law's inputs by name, in the units of `COLUMNS`.
    metric : str
        What the law predicts.
    observed : ndarray (rows,)
        Its values, positive.
    se : ndarray (rows,) or None
        Their standard errors, in the metric's own units.
    labels : ndarray (rows,)
        The index labels of the rows.
    group, run : ndarray of str (rows,) or None
        What each row belongs to.
    warnings : tuple of str
        What to distrust in the table.
    source : str
        What the table is called.
    cost : Cost
        What a run costs, by the table's own count of FLOPs where it has one.
    checkpoints : Checkpoints or None
        What they are of their runs, where runs have several rows.
    """

    inputs: dict[str, Array]
    metric: str
    observed: Array
    se: Array | None
    labels: npt.NDArray[Any]
    group: npt.NDArray[np.str_] | None
    run: npt.NDArray[np.str_] | None
    warnings: tuple[str, ...]
    source: str
    cost: Cost = field(default_factory=Cost)
    checkpoints: Checkpoints | None = None

    @property
    def rows(self) -> int:
        """How many rows were observed."""
        return len(self.observed)


def observations(
    frame: pd.DataFrame,
    *,
    inputs: Sequence[str],
    metric: str = "loss",
    column: str | None = None,
    constants: int,
    law: str,
    may_rise: bool = False,
    cost: Cost | None = None,
) -> Observations:
    """Take from a run table what a law needs, and refuse a table that cannot determine it.

    Parameters
    ----------
    frame : DataFrame
        From `read_runs`, whole or some of its rows; any other frame is read first.
    inputs : sequence of str
        The law's inputs, ``("N", "D")``.
    metric : str
        What the law predicts; its standard error is read from ``<metric>_se`` where there is one.
    column : str, optional
        The column that it is in the table, "error" for a law of the loss that is fitted to error rates.
    constants : int
        How many free constants the law has.
    law : str
        The law's name, for messages.
    may_rise : bool
        Whether the metric may rise with the inputs by the law.
    cost : Cost, optional
        What a run costs, in place of what the table's C says.

    Raises
    ------
    DataError
        A column is missing or holds cells that cannot be used; an input takes one value only; the rows, or
        the distinct values of the inputs, are fewer than the law's constants require; a loss or an error rises with
        the inputs.
    UsageError
        There is no such `column`.
    """
    runs = read_runs(frame)
    runs, shown = _as_metric(runs, metric, column)
    own = {standard_name(n): n for n in (*inputs, metric) if n not in runs}  # a law may call a column by an alias
    runs = runs.rename(columns={n: alias for n, alias in own.items() if n in runs})
    source, labels = str(runs.attrs["source"]), frame.index
    error = f"{metric}_se"
    names = [*inputs, metric, *([error] if error in runs else [])]
    texts = [n for n in inputs if not feature_of(n).numeric]
    absent = [name for name in names if name not in runs]
    if absent:
        raise _missing(absent[0], law, source, list(runs.columns))
    values = {name: _schedules(runs[name], labels, source) if name in texts else numbers(runs[name]) for name in names}
    bad = []
    for name, value in values.items():
        if name in texts:
            continue
        usable = QUANTITY.usable if name == metric else feature_of(name).usable
        wrong = ~np.isfinite(value) | (value < 0) if name == error else ~usable(value)
        bad += bad_cells(runs[name], wrong, shown if name == metric else name, name, lambda row: f"row {labels[row]}")
    refuse(bad, source)
    if "error" in (metric, shown) and (high := values[metric] > 1).any():
        raise DataError(
            f"{source}: error is above 1 in {high.sum()} rows (first row {labels[int(np.argmax(high))]}); it is a rate "
            "between 0 and 1: divide percentages by 100",
            code="bad_cells",
        )

    points = {name: values[name] for name in inputs}
    if not may_rise:
        refuse_rising(points, metric, values[metric], _written(runs, shown), law, source)
    _enough(points, constants, law, source)
    warnings = warnings_among(runs.attrs["notes"])
    if shown != metric:
        warnings.insert(0, f"what {law} calls {metric} is the table's {shown}")
    if cost is None:
        splits = {"N", "D"} <= set(inputs) and "C" not in inputs
        cost, odd = table_cost(runs) if splits else (Cost(), "")
        warnings += [odd] if odd else []
    text = {name: runs[name].to_numpy(str) if name in runs else None for name in LABELS}
    return Observations(
        inputs=points, metric=metric, observed=values[metric], se=values.get(error), labels=labels.to_numpy(),
        group=text["group"], run=text["run"], warnings=(*warnings, *_collinear(points, law)), source=source, cost=cost,
    )  # fmt: skip


def _as_metric(runs: pd.DataFrame, metric: str, column: str | None) -> tuple[pd.DataFrame, str]:
    """The table with another of its columns as the metric, and the name of that column."""
    if column is None or column == metric:
        return runs, metric
    label = own_label(list(runs.columns), standard_name(column))
    label = own_label(list(runs.columns), column) if label is None else label
    if label is None:
        raise UsageError(
            f"{in_words('metric', '--metric')} {column!r}: the table has no such column; it has "
            f"{listed(list(runs.columns))}",
            code="unknown_column",
        )
    others = [n for n in (metric, f"{metric}_se") if n in runs]
    result = runs.drop(columns=others).assign(**{metric: numbers(runs[label])})
    if f"{label}_se" in runs:
        result[f"{metric}_se"] = runs[f"{label}_se"]
    result.attrs = dict(runs.attrs)
    return result, str(label)


def _missing(name: str, law: str, source: str, columns: list[Any]) -> DataError:
    meaning = {**COLUMNS, "schedule": SCHEDULE}.get(name, "a column of that name")
    way = in_words(f"columns={{{name!r}: 'its name in the table'}}", f"--column '{name}=its name in the table'")
    also = ""
    if name == "loss" and "error" in columns:
        also = "; the law can be fitted to the error rates: " + in_words("metric='error'", "--metric error")
    if name == "N" and "run" in columns:
        sized = in_words("columns={'N': 'size(run)'}", "--column 'N=size(run)'")
        also = f"; if the names of runs hold their sizes, as pythia-70m does: {sized}"
    return DataError(
        f"{source}: {law} needs the column {name} ({meaning}); the table has {listed(columns)}. Name the column "
        f"{name}, or say which it is: {way}{also}",
        code="missing_column",
    )


def _written(runs: pd.DataFrame, metric: str) -> str:
    """What the table calls a metric, by the notes on how it was read."""
    told = (re.match(rf"column '(.+)' read as {metric}\b", str(note)) for note in runs.attrs["notes"])
    return next((found[1] for found in told if found), metric)


def _schedules(cells: pd.Series, labels: pd.Index, source: str) -> npt.NDArray[Any]:
    """The texts of schedules, each of which can be read."""
    for text, rows in cells.astype(str).groupby(cells.astype(str)).groups.items():
        try:
            schedule_from(str(text))
        except UsageError as error:
            raise DataError(f"{source}: row {labels[cells.index.get_loc(rows[0])]}: {error}") from None
    return cells.astype(str).to_numpy(object)


def _enough(points: Mapping[str, Array], constants: int, law: str, source: str) -> None:
    rows = len(next(iter(points.values())))
    has = f"{law} has {constants} constants"
    if rows < constants + 1:
        raise DataError(
            f"{source}: {has}; the table has {rows} row{'s' * (rows != 1)} and at least "
            f"{constants + 1} are needed. Add runs, or pin constants of the law",
            code="too_few_rows",
        )
    if len(points) > 1:
        for name, value in points.items():
            if feature_of(name).numeric and (value == value[0]).all():
                raise DataError(
                    f"{source}: {name} is {value[0]:g} in every row, so a term of {law} in it "
                    f"cannot be told from a constant. Add runs at another {name}, or use a law without it",
                    code="undetermined",
                )
    distinct = len(pd.DataFrame(dict(points)).drop_duplicates())
    if distinct < constants:
        raise DataError(
            f"{source}: {has}; the table has {distinct} distinct values of "
            f"({', '.join(points)}) and at least {constants} are needed. Add runs elsewhere, or pin constants",
            code="too_few_rows",
        )


def _collinear(points: Mapping[str, Array], law: str) -> list[str]:
    """Warn where the log inputs lie so close to a plane that terms of the law trade off freely."""
    logs = {name: np.log(value) for name, value in points.items() if feature_of(name).numeric and (value > 0).all()}
    logs = {name: value - value.mean() for name, value in logs.items() if np.ptp(value) > 0}
    if len(logs) < 2:
        return []
    names = list(logs)
    correlation = np.corrcoef(np.stack(list(logs.values())))
    pairs = [(i, j) for i, j in combinations(range(len(names)), 2) if abs(correlation[i, j]) > COLLINEAR]
    found = [f"{names[i]} and {names[j]} move together (correlation of logs {correlation[i, j]:.4g})" for i, j in pairs]
    if not pairs and np.linalg.eigvalsh(correlation)[0] < 1 - COLLINEAR:
        found = [f"{', '.join(names)} move together (one is nearly a product of powers of the others)"]
    end = f"these rows cannot tell the terms of {law} in them apart, so the prior decides"
    return [f"{sentence}: {end}" for sentence in found]
