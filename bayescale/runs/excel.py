"""Excel workbooks: one sheet as a table, its rows found by their numbers."""

from __future__ import annotations

import io
from typing import Any

import pandas as pd

from bayescale.errors import DataError, UsageError, did_you_mean, needs_extra
from bayescale.runs.delimited import sentence
from bayescale.runs.table import Table


def excel_table(content: bytes, source: str, sheet: str | None) -> Table:
    """The first sheet of a workbook that has a table, or the one that is named.

    Raises
    ------
    UsageError
        openpyxl is not installed, or there is no such sheet.
    DataError
        The file is no workbook or has no table.
    """
    try:
        import openpyxl
    except ImportError:
        raise needs_extra(f"{source}: Excel files need openpyxl", "excel", ", or save the sheet as CSV") from None
    try:
        book = openpyxl.load_workbook(io.BytesIO(content), read_only=True, data_only=True)
        sheets = {page.title: [list(row) for row in page.iter_rows(values_only=True)] for page in book.worksheets}
    except Exception as error:  # whatever a parser of other people's bytes comes upon
        raise DataError(f"{source}: not a readable Excel workbook ({sentence(error)})", code="unreadable") from None
    if sheet is not None and sheet not in sheets:
        raise UsageError(
            f"{source} has no sheet {sheet!r}{did_you_mean(sheet, sheets)}; it has {', '.join(sheets)}", code="no_file"
        )
    filled = [name for name, rows in sheets.items() if any(cell is not None for row in rows for cell in row)]
    if not filled or (sheet is not None and sheet not in filled):
        raise DataError(f"{source}: the sheet is empty; a row of names and one row a run are expected", code="no_rows")
    name = sheet or filled[0]
    others = [other for other in filled if other != name]
    note = f"the sheet {name!r} was read; {source}:{others[0]} reads another" if others and sheet is None else ""
    table = _table(sheets[name], source)
    return Table(table.frame, table.where, source, (note,) if note else ())


def _table(rows: list[list[Any]], source: str) -> Table:
    """Rows under the first that has more than one name; a title above it is passed over."""
    full = [i for i, row in enumerate(rows) if any(cell is not None for cell in row)]
    wide = [i for i in full if sum(cell is not None for cell in rows[i]) > 1] or full
    top, below = wide[0], [i for i in full if i > wide[0]]
    width = max(len(rows[i]) for i in (top, *below))
    header = [*rows[top], *[None] * (width - len(rows[top]))]
    kept = [j for j in range(width) if header[j] is not None or any(_cell(rows[i], j) is not None for i in below)]
    names = [f"Unnamed: {j}" if header[j] is None else str(header[j]).strip() for j in kept]
    if twice := sorted({n for n in names if names.count(n) > 1}):
        raise DataError(
            f"{source}: the header names {', '.join(map(repr, twice))} twice; rename one of them",
            code="ambiguous_column",
        )
    frame = pd.DataFrame([[_cell(rows[i], j) for j in kept] for i in below], columns=names)
    return Table(frame.infer_objects(), lambda row: f"row {below[row] + 1}", source)


def _cell(row: list[Any], j: int) -> Any:
    return row[j] if j < len(row) else None
