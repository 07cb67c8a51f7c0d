"""Tables whose rows lack some of the columns: each law is given the rows that tell it something."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from bayescale.errors import DataError
from bayescale.runs.columns import listed
from bayescale.runs.filters import Where, conditions, said, select
from bayescale.runs.names import COLUMNS, LABELS
from bayescale.runs.numbers import missing
from bayescale.runs.reading import Source
from bayescale.runs.tables import named, read_runs

DROP = "drop_bad"


def named_runs(
    source: Source, *, columns: Mapping[str, str] | None = None, where: Where = (), drop_bad: bool = False
) -> pd.DataFrame:
    """A table as `read_runs` names its columns, its bad cells left in: for tables with rows that lack some columns.

    Parameters are those of `read_runs`; with `drop_bad`, `filled` leaves out rows of bad cells.

    Raises
    ------
    DataError, UsageError
        As `read_runs`, but for what is wrong with cells.
    """
    table, claims, notes, later = named(source, columns or {}, where)
    used = {c.label for c in claims.values() if not c.expression}
    passed = {x: f"{x}_unused" for x in table.frame.columns if x in claims and x not in used}
    result = table.frame.rename(columns=passed)
    for name, found in claims.items():
        if found.expression:
            result[name] = found.values(table, table.decimal)
            continue
        cells = table.frame[found.label]
        if name not in LABELS and (cells.dtype.kind not in "biuf" or found.meaning.factor != 1 or found.meaning.form):
            values = found.values(table, table.decimal)
            cells = pd.Series(values).where(np.isfinite(values), cells.astype(object))
        result = result.drop(columns=[found.label]).assign(**{name: cells})
    result.attrs = {"source": table.source, "notes": notes, DROP: drop_bad}
    chosen = select(result, [c.text for c in later])
    chosen.attrs["source"] = table.source + said(conditions(where))
    return chosen


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
            f"{source}: there is no column {absent[0]} ({meaning}); the table has {listed(list(runs.columns))}",
            code="missing_column",
        )
    has = ~np.any([missing(runs[n]) for n in names], axis=0)
    if not has.any():
        raise DataError(f"{source}: no row has {', '.join(names)}", code="no_rows")
    part = runs[has]
    gaps = [n for n in COLUMNS if n in part and n not in names and missing(part[n]).any()]
    part = part.drop(columns=gaps)
    part.attrs = dict(runs.attrs)
    return read_runs(part, drop_bad=bool(runs.attrs.get(DROP)))
