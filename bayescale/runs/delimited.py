"""Delimited text: CSV, TSV and their relatives, with European decimals, comments on top and trailing separators."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from functools import cache
from itertools import islice
from typing import Any

import pandas as pd

from bayescale.errors import DataError
from bayescale.runs.numbers import decimal_mark, missing, read_cells
from bayescale.runs.table import Table

SAMPLE = 20  # lines by which the separator is known


def read_exactly(source: Any, **options: Any) -> pd.DataFrame:
    """`pandas.read_csv` that reads every number to the nearest float: what pandas does by itself from 3.1 on."""
    if tuple(int(part) for part in pd.__version__.split(".")[:2]) < (3, 1):
        options["float_precision"] = "round_trip"
    frame: pd.DataFrame = pd.read_csv(source, **options)
    return frame


def delimited(text: str, source: str, ending: str) -> Table:
    """A table of delimited text, each row found by its line.

    Raises
    ------
    DataError
        The text is not a table.
    """
    text, delimiter = _bare(text)
    delimiter = delimiter or _delimiter(text, ending)
    frame = _frame(text, delimiter, source)

    @cache
    def lines() -> list[int]:
        return [line for line, _ in _records(text, delimiter)]

    def where(row: int) -> str:
        known = len(lines()) == len(frame) + 1  # not where a cell of a single column is an empty text in quotes
        return f"line {lines()[row + 1]}" if known else f"row {row + 1}"

    table = Table(frame, where, source)
    return _decimals(table, text, delimiter)


def _frame(text: str, delimiter: str, source: str, **options: Any) -> pd.DataFrame:
    options |= {"sep": delimiter, "skipinitialspace": True, "low_memory": False}
    try:
        _, header = next(_records(text, delimiter), (1, []))
        _check_header(header, source)
        ragged = _ragged(text, delimiter, source) if text.count("\n") else None
        if ragged == "":  # every row ends with a separator more than the header
            options |= {"usecols": range(len(header)), "index_col": False}
        frame = read_exactly(io.StringIO(text, newline=""), **options)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, csv.Error, ValueError, OverflowError) as error:
        if isinstance(error, DataError):
            raise
        fault = _ragged(text, delimiter, source) or f"{source}: not a table ({sentence(error)})"
        raise DataError(fault, code="unreadable") from None
    # pandas takes the first column for an index when every row has a cell more than the header.
    if not isinstance(frame.index, pd.RangeIndex):
        raise DataError(ragged or f"{source}: rows have more cells than the header", code="unreadable")
    return frame


def _bare(text: str) -> tuple[str, str]:
    """The text without what stands above the header, its lines kept, and the separator that it may name."""
    lines = text.split("\n")
    first = next(i for i, line in enumerate(lines) if line.strip())
    if named := re.fullmatch(r"\s*\"?sep=(.)\"?\s*", lines[first]):  # what Excel writes for itself
        lines[first] = ""
        return "\n".join(lines), named[1]
    while first < len(lines) and lines[first].lstrip().startswith("#"):
        below = next((line for line in lines[first + 1 :] if line.strip()), "")
        bare = lines[first].lstrip().removeprefix("#").strip()
        mark = _delimiter(below, ".txt")
        if not below.lstrip().startswith("#") and _width(bare, mark) == _width(below.strip(), mark) > 1:
            if re.match(r"\s*#\s", lines[first]):  # a commented header, as numpy.savetxt writes it
                lines[first] = bare
            break
        if re.match(r"\s*#\S", lines[first]) and _width(bare, mark) > 1:  # a name that begins so
            break
        lines[first] = ""
        first += 1
        while first < len(lines) and not lines[first].strip():
            first += 1
    return "\n".join(lines), ""


def _width(line: str, delimiter: str) -> int:
    return len(next(csv.reader([line], delimiter=delimiter, skipinitialspace=True), []))


def _delimiter(text: str, ending: str) -> str:
    """The separator by which most lines have as many cells as the first."""
    if ending == ".tsv":
        return "\t"
    lines = list(islice((line for line in text.splitlines() if line.strip()), SAMPLE))
    best, score = ",", (0.0, 1)
    for mark in ",\t;|" + " " * (ending in (".txt", ".dat")):
        try:
            widths = [_width(line.strip() if mark == " " else line, mark) for line in lines]
        except csv.Error:
            continue
        if widths and widths[0] > 1 and (mark != " " or score[1] == 1):
            found = (sum(w == widths[0] for w in widths) / len(widths), widths[0])
            best, score = (mark, found) if found > score else (best, score)
    return best


def _decimals(table: Table, text: str, delimiter: str) -> Table:
    """The table with its numbers read by decimal commas, where it is written with them."""
    words = [c for c in table.frame.columns if not pd.api.types.is_numeric_dtype(table.frame[c])]
    if delimiter == "," and '"' not in text:
        return table
    cells = {cell for c in words for cell in table.frame[c] if isinstance(cell, str) and "," in cell}
    mark = decimal_mark(cells)
    if not cells or not (mark == "," or (mark is None and delimiter == ";" and any(_number(x) for x in cells))):
        return table
    frame = table.frame.copy()
    for name, column in _frame(text, delimiter, table.source, dtype=str).items():
        if not column.str.contains("[,.]").any():
            continue
        values, scaled = read_cells(column, decimal=",")
        read = pd.Series(values).notna().to_numpy() | missing(column)
        frame[name] = values if read.all() and not scaled.any() else column
    note = "commas in numbers read as decimal marks"
    return Table(frame, table.where, table.source, (note,), ",")


def _number(text: str) -> bool:
    return re.fullmatch(r"[+-]?[0-9]+,[0-9]+", text.strip()) is not None


def _records(text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the line on which each record starts, and its cells, skipping blank lines as pandas does."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
    start = 1
    for record in reader:
        if len(record) > 1 or (record and record[0].strip()):
            yield start, record
        start = reader.line_num + 1


def _check_header(header: list[str], source: str) -> None:
    names = [name for name in header if name]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(
            f"{source}: the header names {', '.join(map(repr, twice))} twice; rename one of them",
            code="ambiguous_column",
        )
    if names and all(_is_number(name) for name in names):
        raise DataError(
            f"{source}: the first line holds numbers ({', '.join(names[:4])}) in place of names; "
            "add a header line such as N,D,loss",
            code="unreadable",
        )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _ragged(text: str, delimiter: str, source: str) -> str | None:
    """What is wrong with the first row of too many cells; nothing, '', where they are all empty; None if none has."""
    found: str | None = None
    try:
        records = _records(text, delimiter)
        _, header = next(records, (1, []))
        for line, record in records:
            if any(cell.strip() for cell in record[len(header) :]):
                return (
                    f"{source}: line {line} has {len(record)} cells and the header {len(header)}; "
                    "quote cells that hold the separator or correct the line"
                )
            found = "" if len(record) > len(header) else found
    except csv.Error:
        pass
    return found


def sentence(error: BaseException) -> str:
    """What another library says, as a part of one of ours."""
    return " ".join(str(error).split())[:160].rstrip(". ")
