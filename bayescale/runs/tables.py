"""`read_runs`: from any table to one row a training run, its columns named, checked and completed."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from bayescale.errors import DataError
from bayescale.runs.columns import LENIENT, Claim, bad_cells, cells_text, claim, refuse
from bayescale.runs.cost import DERIVED_C, DERIVED_D, Cost
from bayescale.runs.filters import Where, conditions, pick, said, select
from bayescale.runs.metrics import in_per_cent, negative_advice
from bayescale.runs.names import COLUMNS, EVALUATIONS, LABELS
from bayescale.runs.notes import DROPPED, WARNING, kept
from bayescale.runs.numbers import decimal_mark, missing, read_cells
from bayescale.runs.reading import Source, table_of
from bayescale.runs.records import unpacked
from bayescale.runs.suspicions import suspicions
from bayescale.runs.table import Table
from bayescale.runs.wide import as_rows


def read_runs(
    source: Source,
    *,
    columns: Mapping[str, str] | None = None,
    where: Where = (),
    drop_bad: bool = False,
    needs: Sequence[str] = (),
) -> pd.DataFrame:
    """Read a table of training runs.

    Parameters
    ----------
    source : str, Path, DataFrame, mapping or sequence
        A CSV, TSV, Excel, Parquet or JSON file, compressed or not; a frame of any library (never changed), a list of
        dicts, a dict of lists; or a data set (``"palm2"``).
    columns : mapping, optional
        Standard name -> the table's own name, ``{"N": "params"}``, or an expression of the table's columns,
        ``{"N": "params (M)*1e6", "loss": "log(ppl)"}``; common aliases, paths before them (``eval/loss``) and units
        after them (``tokens (B)``) are known without it.
    where : str, sequence of str or mapping
        Only the rows that fulfil conditions, ``"State = finished"``, ``["D > 1e9", "mix != web"]``, before any cell
        is checked; names are the table's or standard ones, numbers of standard columns are in their units.
    drop_bad : bool
        Leave out rows with a cell that cannot be used, in place of refusing the table; they are counted in the notes.
    needs : sequence of str
        Standard columns that are checked in every row, beside N, D, C and the loss: error, accuracy and E may
        otherwise have empty cells.

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
        The file cannot be opened or `columns` or `where` names something that is not there.

    Examples
    --------
    >>> import pandas as pd
    >>> runs = read_runs(pd.DataFrame({"params": ["7B", "1B"], "tokens": [1.4e11, 2e10], "loss": [2.3, 2.6]}))
    >>> list(runs.columns)
    ['N', 'D', 'C', 'loss']
    >>> runs.attrs["notes"][-1]
    'C derived as 6*N*D'
    """
    table, claims, notes, later = named(source, columns or {}, where)
    runs, bad, said_of = _cells(table, claims, needs)
    notes += said_of
    rest = _rest(table, claims)
    if bad and drop_bad:
        table, runs, rest, note = _dropped(table, runs, rest, bad)
        notes.append(note)
    elif bad:
        negative = "loss" in runs and not claims["loss"].meaning.form and np.nanmin(runs["loss"], initial=1.0) < 0
        refuse(bad, table.source, advice=negative_advice(runs["loss"], str(claims["loss"].label)) if negative else "")
    others: dict[Hashable, Any] = {name: rest[name] for name in rest}
    _derive(runs, notes, others)
    ordered = {name: runs[name] for name in COLUMNS if name in runs}
    result = pd.concat([pd.DataFrame(ordered, index=rest.index), pd.DataFrame(others, index=rest.index)], axis=1)
    asked = conditions(where)
    if later:  # conditions on what was derived
        result.attrs = {"source": ""}
        chosen = select(result, [c.text for c in later])
        at = np.flatnonzero(result.index.isin(chosen.index))
        table, result = table.take(at), chosen.reset_index(drop=True)
        ordered = {n: x[at] if isinstance(x, np.ndarray) else x.iloc[at].reset_index(drop=True)
                   for n, x in ordered.items()}  # fmt: skip
    labels = {n: str(c.label) for n, c in claims.items() if not c.expression and c.meaning.factor == 1}
    notes += [WARNING + sentence for sentence in suspicions(ordered, table.where, labels)]
    result.attrs = {"source": table.source + said(asked), "notes": list(dict.fromkeys(notes))}
    return result


def indexed(source: Source) -> pd.DataFrame:
    """What `read_runs` makes of a table, its rows called as a frame calls them."""
    runs = read_runs(source)
    if isinstance(source, pd.DataFrame) and len(source) == len(runs):
        runs.index = source.index
    return runs


def named(
    source: Source, columns: Mapping[str, str], where: Where
) -> tuple[Table, dict[str, Claim], list[str], list[Any]]:
    """A table with a row a run, what of it is read as what, notes, and conditions on columns that are yet to come.

    Raises
    ------
    DataError, UsageError
        As `read_runs`, but for what is wrong with cells.
    """
    found = table_of(source)
    earlier = kept(found.frame.attrs.get("notes", []))
    if found.frame.empty:
        raise DataError(f"{found.source}: the table has no rows; one row a training run is expected", code="no_rows")
    table = as_rows(Table(unpacked(found.frame), found.where, found.source, found.notes, found.decimal))
    claims, could = claim(table, columns)
    if table.decimal is None:
        texts = {x for c in claims.values() if not c.expression and table.frame[c.label].dtype.kind not in "biuf"
                 for x in table.frame[c.label] if isinstance(x, str)}  # fmt: skip
        table = Table(table.frame, table.where, table.source, table.notes, decimal_mark(texts))
    could += in_per_cent(claims, table)
    table, later = pick(table, claims, conditions(where))
    for name in LENIENT:  # an "error" that is text is none
        if name in claims and name not in columns and not _measured(claims[name], table):
            del claims[name]
    return table, claims, [*earlier, *table.notes, *could, *(c.note for c in claims.values() if c.note)], later


def _cells(
    table: Table, claims: Mapping[str, Claim], needs: Sequence[str]
) -> tuple[dict[Hashable, Any], list[tuple[int, str]], list[str]]:
    """The standard columns in their units, the cells that cannot be used, and notes."""
    runs: dict[Hashable, Any] = {}
    bad: list[tuple[int, str]] = []
    notes: list[str] = []
    decimal = table.decimal
    derived = {"error": "accuracy"} if "error" not in claims else {}
    needed = {derived.get(name, name) for name in needs}
    for name, found in claims.items():
        cells = table.frame[found.label] if not found.expression else pd.Series(found.values(table, decimal))
        empty = missing(cells)
        if empty.all() and not found.expression:
            notes.append(f"column {str(found.label)!r} is empty and was left out")
        elif name in LABELS:
            bad += bad_cells(cells, empty, name, found.label, table.where)
            runs[name] = cells.astype(str)
        else:
            runs[name] = found.values(table, decimal)
            wrong = ~np.isfinite(runs[name]) | (runs[name] < 0 if name == "loss_se" else runs[name] <= 0)
            if name not in LENIENT or name in needed:
                wrong = ~np.isfinite(runs[name]) if name == "accuracy" else wrong
                bad += bad_cells(cells, wrong, name, found.label, table.where)
    form = claims["loss"].meaning.form if "loss" in runs else ""
    if form and "loss_se" in runs and not claims["loss_se"].expression and not claims["loss_se"].meaning.form:
        # of the perplexity, or in bits, as the loss itself
        runs["loss_se"] = runs["loss_se"] * (np.log(2) if form == "bits" else np.exp(-runs["loss"]))
        notes.append(f"loss_se {'turned into nats' if form == 'bits' else 'divided by the perplexity'}")
    return runs, bad, notes


def _rest(table: Table, claims: Mapping[str, Claim]) -> pd.DataFrame:
    """The columns that are no standard ones, their cells as they were."""
    used = {c.label for c in claims.values() if not c.expression}
    rest = table.frame.loc[:, [label not in used for label in table.frame.columns]].reset_index(drop=True)
    # A column that `columns` passed over keeps its cells but not a name that now means something else.
    rest = rest.rename(columns={label: f"{label}_unused" for label in rest.columns if label in claims})
    for name in EVALUATIONS:  # standard errors are in the units of what they are of
        if f"{name}_se" in rest and name in claims and claims[name].meaning.factor != 1:
            rest[f"{name}_se"] = read_cells(rest[f"{name}_se"])[0] * claims[name].meaning.factor
    return rest


def _dropped(
    table: Table, runs: Mapping[Hashable, Any], rest: pd.DataFrame, bad: list[tuple[int, str]]
) -> tuple[Table, dict[Hashable, Any], pd.DataFrame, str]:
    """What is left without the rows of bad cells."""
    rows = len(table.frame)
    lost = {row for row, _ in bad}
    at = np.array([row for row in range(rows) if row not in lost], dtype=int)
    if not len(at):
        raise DataError(f"{table.source}: every row has a cell that cannot be used: {cells_text(bad)}", code="no_rows")
    note = f"{DROPPED}{len(lost)} of {rows} rows have cells that cannot be used and were left out: {cells_text(bad)}"
    left = {n: x[at] if isinstance(x, np.ndarray) else x.iloc[at].reset_index(drop=True) for n, x in runs.items()}
    return table.take(at), left, rest.iloc[at].reset_index(drop=True), note


def _derive(runs: dict[Hashable, Any], notes: list[str], rest: dict[Hashable, Any]) -> None:
    if "D" not in runs and "S" in runs and "B" in runs:
        runs["D"] = runs["B"] * runs["S"]
        notes.append("D derived as B*S")
        if (low := np.median(runs["B"])) < 1e4:
            notes.append(
                f"{WARNING}B is {low:g} in the middle row: are these sequences? B counts tokens a batch, and D is B*S"
            )
    if "accuracy" in runs and "error" not in runs and np.nanmax(runs["accuracy"]) <= 1:
        runs["error"] = 1 - runs["accuracy"]
        notes.append("error derived as 1 - accuracy")
        if "accuracy_se" in rest and "error_se" not in rest:
            rest["error_se"] = rest["accuracy_se"]
    if "N" not in runs or ("C" in runs) == ("D" in runs):
        return
    if "D" in runs:
        runs["C"] = Cost().flops(runs["N"], runs["D"])
        notes.append(DERIVED_C)
    else:
        runs["D"] = runs["C"] / (6 * runs["N"])
        notes.append(DERIVED_D)


def _measured(found: Claim, table: Table) -> bool:
    """Whether all cells that are filled are numbers, and some are."""
    if found.expression:
        return True
    cells = table.frame[found.label]
    values = read_cells(cells, found.name, table.decimal)[0]
    return bool(np.isfinite(values).any() and (np.isfinite(values) | missing(cells)).all())
