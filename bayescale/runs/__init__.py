"""A run table: one row a training run, its columns named, checked and completed through C = 6ND."""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from bayescale.errors import DataError, UsageError, did_you_mean
from bayescale.runs import datasets
from bayescale.runs.columns import ALIASES as ALIASES
from bayescale.runs.columns import COLUMNS as COLUMNS
from bayescale.runs.columns import (
    EVALUATIONS,
    LENIENT,
    Array,
    bad_cells,
    claim,
    listed,
    missing,
    numbers,
    refuse,
    standard_name,
)
from bayescale.runs.reading import Table, frame_table, read_table
from bayescale.runs.schedule import schedule_from

WARNING = "warning: "
SCHEDULE = "learning rates as text, such as '0:0 2000:3e-4 cosine 20000:3e-5'; with_schedules makes it of logged rates"
LABELS = ("group", "run")
COLLINEAR = 0.98  # correlation of two log inputs above which a law's terms cannot be told apart


def read_runs(source: str | Path | pd.DataFrame, *, columns: Mapping[str, str] | None = None) -> pd.DataFrame:
    """Read a table of training runs.

    Parameters
    ----------
    source : str, Path or DataFrame
        A CSV, TSV, Parquet or JSON-lines file, a frame (never changed) or a data set (``"palm2"``).
    columns : mapping, optional
        Standard name -> the table's own name, ``{"N": "params"}``; common aliases are known without it.

    Returns
    -------
    DataFrame
        The standard columns first, in the order of `COLUMNS` (numbers as float64 in the units given there),
        then every other column as it was; the index counts the rows. ``attrs["source"]`` names the table;
        ``attrs["notes"]`` says what was read as what, what was derived and, in the sentences that begin with
        "warning: ", what looks wrong.

    Raises
    ------
    DataError
        A cell of a standard column is missing, not a number, infinite, zero or negative; two columns claim
        one name; the contents are not a table. The message names rows and columns.
    UsageError
        The file cannot be opened or `columns` names something that is not there.

    Examples
    --------
    >>> import pandas as pd
    >>> runs = read_runs(pd.DataFrame({"params": [7e9, 1e9], "tokens": [1.4e11, 2e10], "loss": [2.3, 2.6]}))
    >>> list(runs.columns)
    ['N', 'D', 'C', 'loss']
    >>> runs.attrs["notes"][-1]
    'C derived as 6*N*D'
    """
    return _tidy(table_of(source), columns or {})


def table_of(source: str | Path | pd.DataFrame) -> Table:
    """What `read_runs` takes, as it was found."""
    if isinstance(source, str) and not os.path.isfile(os.path.expanduser(source)):
        if source in datasets.names():
            return frame_table(datasets.table(source))
        if not Path(source).suffix:
            hint = did_you_mean(source, datasets.names())
            raise UsageError(
                f"no file and no data set is called {source!r}{hint}; data sets: {', '.join(datasets.names())}"
            )
    return frame_table(source) if isinstance(source, pd.DataFrame) else read_table(Path(source).expanduser())


def select(runs: pd.DataFrame, where: Mapping[str, str]) -> pd.DataFrame:
    """The rows of `runs` whose columns have the values of `where`, compared as numbers where both are, else as text.

    Raises
    ------
    UsageError
        A column does not exist, or no row has the value.
    """
    kept = runs
    for column, text in where.items():
        if column not in kept.columns:
            raise UsageError(
                f"the table has no column {column!r}{did_you_mean(column, map(str, kept.columns))}; "
                f"it has {', '.join(map(str, kept.columns))}"
            )
        cells = kept[column]
        try:
            same = cells.astype(float) == float(text)
        except (TypeError, ValueError):
            same = cells.astype(str) == text
        if not same.any():
            there = ", ".join(map(str, cells.unique()[:8]))
            raise UsageError(
                f"no row has {column} = {text!r}; {column} is {there}{', ...' if cells.nunique() > 8 else ''}"
            )
        kept = kept[same]
    kept.attrs = {**runs.attrs, "source": runs.attrs.get("source", "a table")}
    if where:
        kept.attrs["source"] += f" where {', '.join(f'{c}={v}' for c, v in where.items())}"
    return kept


def _tidy(table: Table, columns: Mapping[str, str]) -> pd.DataFrame:
    if table.frame.empty:
        raise DataError(f"{table.source}: the table has no rows; one row a training run is expected")
    claims = claim(table, columns)
    for name in LENIENT:  # an "error" that is text is none
        if name in claims and name not in columns and not _measured(table.frame[claims[name]]):
            del claims[name]
    earlier = table.frame.attrs.get("notes", [])
    notes = [str(note) for note in earlier if not str(note).startswith(WARNING)]
    notes += [f"column {str(found)!r} read as {name}" for name, found in claims.items() if found != name]

    runs: dict[Hashable, Any] = {}
    bad: list[tuple[int, str]] = []
    for name, label in claims.items():
        cells = table.frame[label].reset_index(drop=True)
        empty = missing(cells)
        if empty.all():
            notes.append(f"column {str(label)!r} is empty and was left out")
        elif name in LABELS:
            bad += bad_cells(cells, empty, name, label, table.where)
            runs[name] = cells.astype(str)
        elif name in LENIENT:
            runs[name] = numbers(cells)
        else:
            runs[name] = numbers(cells)
            wrong = ~np.isfinite(runs[name]) | (runs[name] < 0 if name == "loss_se" else runs[name] <= 0)
            bad += bad_cells(cells, wrong, name, label, table.where)
    refuse(bad, table.source)

    used = set(claims.values())
    _derive(runs, notes)
    ordered = {name: runs[name] for name in COLUMNS if name in runs}
    rest = table.frame.loc[:, [label not in used for label in table.frame.columns]].reset_index(drop=True)
    # A column that `columns` passed over keeps its cells but not a name that now means something else.
    rest = rest.rename(columns={label: f"{label}_unused" for label in rest.columns if label in ordered})
    result = pd.concat([pd.DataFrame(ordered, index=rest.index), rest], axis=1)
    notes += [WARNING + sentence for sentence in _suspicions(ordered, table.where)]
    result.attrs = {"source": table.source, "notes": notes}
    return result


def _derive(runs: dict[Hashable, Any], notes: list[str]) -> None:
    if "D" not in runs and "S" in runs and "B" in runs:
        runs["D"] = runs["B"] * runs["S"]
        notes.append("D derived as B*S")
    if "accuracy" in runs and "error" not in runs and np.nanmax(runs["accuracy"]) <= 1:
        runs["error"] = 1 - runs["accuracy"]
        notes.append("error derived as 1 - accuracy")
    if "N" not in runs or ("C" in runs) == ("D" in runs):
        return
    if "D" in runs:
        runs["C"] = 6 * runs["N"] * runs["D"]
        notes.append("C derived as 6*N*D")
    else:
        runs["D"] = runs["C"] / (6 * runs["N"])
        notes.append("D derived as C/(6*N)")


def _measured(cells: pd.Series) -> bool:
    """Whether all cells that are filled are numbers, and some are."""
    values = numbers(cells)
    return bool(np.isfinite(values).any() and (np.isfinite(values) | missing(cells)).all())


def _suspicions(runs: Mapping[str, Any], where: Callable[[int], str]) -> list[str]:
    """Say what looks wrong in a table that can be read: units, budgets, repeats."""
    found = []
    if "N" in runs and (low := runs["N"] < 1e3).any():
        row = int(np.argmin(runs["N"]))
        found.append(
            f"N is below 1e3 in {low.sum()} rows (least {runs['N'][row]:g}, {where(row)}): are "
            "these billions? N counts parameters"
        )
    if "D" in runs and runs["D"].max() < 1e6:
        found.append(
            f"D looks like it is in millions or billions of tokens (greatest {runs['D'].max():g}): D counts tokens"
        )
    if {"N", "D", "C"} <= runs.keys():
        ratio = np.log(runs["C"]) - np.log(6) - np.log(runs["N"]) - np.log(runs["D"])
        if (off := np.abs(ratio) > np.log(2) + 1e-9).any():
            row = int(np.argmax(np.abs(ratio)))
            found.append(
                f"C differs from 6ND by more than a factor 2 in {off.sum()} rows "
                f"(worst {where(row)}, C/(6ND) = {np.exp(ratio[row]):.3g})"
            )
    if (repeated := pd.DataFrame(dict(runs)).duplicated().to_numpy()).any():
        row = int(np.argmax(repeated))
        found.append(f"{repeated.sum()} rows repeat an earlier row exactly (first {where(row)})")
    for name in EVALUATIONS:
        if name in runs and (high := np.nan_to_num(runs[name]) > 1).any():
            found.append(
                f"{name} is above 1 in {high.sum()} rows (first {where(int(np.argmax(high)))}): is this per cent? "
                f"{name} is between 0 and 1"
            )
    if "loss" in runs:
        if (high := runs["loss"] > 20).any():
            found.append(
                f"loss is above 20 in {high.sum()} rows (first {where(int(np.argmax(high)))}): is "
                "this perplexity? loss is in nats per token"
            )
        if (runs["loss"] < 0.05).all():
            greatest = runs["loss"].max()
            found.append(f"every loss is below 0.05 (greatest {greatest:g}): loss is in nats per token")
    return found


@dataclass(frozen=True, eq=False)
class Observations:
    """What a law is fitted to: its inputs and the observed metric, row by row.

    Attributes
    ----------
    inputs : dict of ndarray, each (rows,)
        The law's inputs by name, in the units of `COLUMNS`.
    metric : str
        The column that the law predicts.
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

    @property
    def rows(self) -> int:
        """How many rows were observed."""
        return len(self.observed)


def observations(
    frame: pd.DataFrame, *, inputs: Sequence[str], metric: str = "loss", constants: int, law: str
) -> Observations:
    """Take from a run table what a law needs, and refuse a table that cannot determine it.

    Parameters
    ----------
    frame : DataFrame
        From `read_runs`, whole or some of its rows; any other frame is read first.
    inputs : sequence of str
        The law's inputs, ``("N", "D")``.
    metric : str
        The column that the law predicts; its standard error is read from ``<metric>_se`` where there is one.
    constants : int
        How many free constants the law has.
    law : str
        The law's name, for messages.

    Raises
    ------
    DataError
        A column is missing or holds cells that cannot be used; an input takes one value only; the rows, or
        the distinct values of the inputs, are fewer than the law's constants require.
    """
    runs = read_runs(frame)
    own = {standard_name(n): n for n in (*inputs, metric) if n not in runs}  # a law may call a column by an alias
    runs = runs.rename(columns={n: alias for n, alias in own.items() if n in runs})
    source, labels = str(runs.attrs["source"]), frame.index
    error = f"{metric}_se"
    names = [*inputs, metric, *([error] if error in runs else [])]
    texts = [n for n in inputs if n == "schedule"]
    absent = [name for name in names if name not in runs]
    if absent:
        meaning = {**COLUMNS, "schedule": SCHEDULE}.get(absent[0], "a column of that name")
        raise DataError(
            f"{source}: {law} needs the column {absent[0]} ({meaning}); the table has "
            f"{listed(list(runs.columns))}. Name the column {absent[0]}, or say which it is: "
            f"columns={{{absent[0]!r}: 'its name in the table'}}"
        )
    values = {name: _schedules(runs[name], labels, source) if name in texts else numbers(runs[name]) for name in names}
    bad = []
    for name, value in values.items():
        if name in texts:
            continue
        free = name != metric and name not in COLUMNS  # an input of the law's own may be zero or negative
        low = np.zeros(len(value), bool) if free else value < 0 if name == error else value <= 0
        bad += bad_cells(runs[name], ~np.isfinite(value) | low, name, name, lambda row: f"row {labels[row]}")
    refuse(bad, source)
    if metric == "error" and (high := values[metric] > 1).any():
        raise DataError(
            f"{source}: error is above 1 in {high.sum()} rows (first row {labels[int(np.argmax(high))]}); it is a rate "
            "between 0 and 1: divide percentages by 100"
        )

    points = {name: values[name] for name in inputs}
    _enough(points, constants, law, source)
    warnings = [note.removeprefix(WARNING) for note in runs.attrs["notes"] if note.startswith(WARNING)]
    text = {name: runs[name].to_numpy(str) if name in runs else None for name in LABELS}
    return Observations(
        inputs=points, metric=metric, observed=values[metric], se=values.get(error), labels=labels.to_numpy(),
        group=text["group"], run=text["run"], warnings=(*warnings, *_collinear(points, law)), source=source,
    )  # fmt: skip


def _schedules(cells: pd.Series, labels: Any, source: str) -> npt.NDArray[Any]:
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
            f"{constants + 1} are needed. Add runs, or pin constants of the law"
        )
    if len(points) > 1:
        for name, value in points.items():
            if name != "schedule" and (value == value[0]).all():
                raise DataError(
                    f"{source}: {name} is {value[0]:g} in every row, so a term of {law} in it "
                    f"cannot be told from a constant. Add runs at another {name}, or use a law without it"
                )
    distinct = len(pd.DataFrame(dict(points)).drop_duplicates())
    if distinct < constants:
        raise DataError(
            f"{source}: {has}; the table has {distinct} distinct values of "
            f"({', '.join(points)}) and at least {constants} are needed. Add runs elsewhere, or pin constants"
        )


def _collinear(points: Mapping[str, Array], law: str) -> list[str]:
    """Warn where the log inputs lie so close to a plane that terms of the law trade off freely."""
    logs = {name: np.log(value) for name, value in points.items() if name != "schedule" and (value > 0).all()}
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
