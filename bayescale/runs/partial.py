"""Tables whose rows lack some of the columns: each law is given the rows that tell it something."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from bayescale.errors import DataError
from bayescale.runs import COLUMNS, read_runs, table_of
from bayescale.runs.columns import claim, listed, missing


def named_runs(source: str | Path | pd.DataFrame, *, columns: Mapping[str, str] | None = None) -> pd.DataFrame:
    """A table as `read_runs` names its columns, its cells unread: for tables with rows that lack some of them.

    Raises
    ------
    DataError, UsageError
        As `read_runs`, but for what is wrong with cells.
    """
    table = table_of(source)
    claims = claim(table, columns or {})
    names = {label: name for name, label in claims.items()}
    labels = [names.get(x, f"{x}_unused" if x in claims else x) for x in table.frame.columns]
    result = table.frame.set_axis(labels, axis=1).reset_index(drop=True)
    notes = [f"column {str(found)!r} read as {name}" for name, found in claims.items() if found != name]
    result.attrs = {"source": table.source, "notes": [*map(str, table.frame.attrs.get("notes", [])), *notes]}
    return result


def filled(runs: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """The rows of a `named_runs` table that have all of `names`, read; other standard columns with gaps are left out.

    Raises
    ------
    DataError
        A name is no column of the table, no row has them all, or a cell is wrong, as for `read_runs`.
    """
    source = runs.attrs["source"]
    if absent := [n for n in names if n not in runs]:
        meaning = COLUMNS.get(absent[0], "a column of that name")
        raise DataError(
            f"{source}: there is no column {absent[0]} ({meaning}); the table has {listed(list(runs.columns))}"
        )
    has = ~np.any([missing(runs[n]) for n in names], axis=0)
    if not has.any():
        raise DataError(f"{source}: no row has {', '.join(names)}")
    part = runs[has]
    gaps = [n for n in COLUMNS if n in part and n not in names and missing(part[n]).any()]
    part = part.drop(columns=gaps)
    part.attrs = dict(runs.attrs)
    return read_runs(part)
