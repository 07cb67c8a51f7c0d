"""A table as it was found: cells, and where a person finds each row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from bayescale.errors import DataError


@dataclass(frozen=True, eq=False)
class Table:
    """A table as it was found, before its columns have a meaning.

    Attributes
    ----------
    frame : pandas.DataFrame
        The cells; the index counts the rows.
    where : callable
        Position of a row -> how a person finds it ("line 3" of a file, header first; "row 7" of a frame).
    source : str
        What to call the table in messages.
    notes : tuple of str
        How it was read, where that could have been otherwise.
    decimal : {'.', ','} or None
        The decimal mark of cells that are text, where the file tells.
    """

    frame: pd.DataFrame
    where: Callable[[int], str]
    source: str
    notes: tuple[str, ...] = ()
    decimal: str | None = None

    def take(self, rows: Sequence[int] | npt.NDArray[np.int_]) -> Table:
        """Some of its rows, found where they were."""
        kept = np.asarray(rows, dtype=int)
        return self.of(self.frame.iloc[kept].reset_index(drop=True), kept)

    def of(self, frame: pd.DataFrame, rows: npt.NDArray[np.int_], note: str = "") -> Table:
        """Another frame made of this table, each of its rows out of one of `rows`."""
        before = self.where
        notes = (*self.notes, note) if note else self.notes
        return replace(self, frame=frame, where=lambda row: before(int(rows[row])), notes=notes)


def frame_table(frame: pd.DataFrame) -> Table:
    """Take a frame for a table, its rows found by their index labels."""
    if frame.columns.nlevels > 1:
        raise DataError("the frame's columns have several levels; flatten them to one name a column", code="unreadable")
    if not frame.columns.is_unique:
        twice = sorted({str(name) for name in frame.columns[frame.columns.duplicated()]})
        raise DataError(
            f"the frame names {', '.join(map(repr, twice))} more than once; rename one of them", code="ambiguous_column"
        )
    index = frame.index
    source = str(frame.attrs.get("source", "a DataFrame"))
    return Table(frame.reset_index(drop=True), lambda row: f"row {index[row]}", source)
