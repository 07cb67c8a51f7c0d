"""Records: JSON documents and Python's lists and dicts, in the shapes that people and trackers write."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from bayescale.errors import DataError
from bayescale.runs.delimited import sentence
from bayescale.runs.names import meaning
from bayescale.runs.table import Table

SHAPES = (
    "a list of objects such as {\"N\": 7e9, \"D\": 1.4e11, \"loss\": 2.3}, an object of columns, "
    '{"N": [...], "loss": [...]}, or an object of runs, {"run1": {"N": ...}}'
)  # fmt: skip


def json_table(text: str, source: str, *, lines: bool) -> Table:
    """A table of a JSON document, or of one a line.

    Raises
    ------
    DataError
        The text is not JSON or has not the shape of a table.
    """
    try:
        content = json.loads(text, object_pairs_hook=_object)
    except (ValueError, RecursionError) as error:
        several = isinstance(error, json.JSONDecodeError) and error.msg == "Extra data"
        if lines or (several and text.lstrip()[:1] == "{"):
            return _json_lines(text, source)
        raise DataError(f"{source}: not a JSON document ({sentence(error)})", code="unreadable") from None
    if lines and not (isinstance(content, list) and all(isinstance(x, dict) for x in content)):
        return _json_lines(text, source)
    return records_table(content, source, lambda row: f"object {row + 1}")


def _json_lines(text: str, source: str) -> Table:
    rows: list[dict[str, Any]] = []
    lines: list[int] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line, object_pairs_hook=_object)
        except (ValueError, RecursionError) as error:
            raise DataError(
                f"{source}: line {number} is not one JSON object ({sentence(error)})", code="unreadable"
            ) from None
        if not isinstance(row, dict):
            raise DataError(
                f"{source}: line {number} is a JSON {type(row).__name__}; each must be an object "
                'such as {"N": 7e9, "D": 1.4e11, "loss": 2.3}',
                code="unreadable",
            )
        rows.append(row)
        lines.append(number)
    return Table(_frame(map(flat, rows)), lambda row: f"line {lines[row]}", source)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the name {next(n for n in names if names.count(n) > 1)!r} occurs twice")
    return row


def records_table(content: object, source: str, where: Callable[[int], str]) -> Table:
    """A table of lists and mappings.

    A list of mappings has a row each; a list of lists has a header first. A mapping may hold columns, or runs with a
    mapping or a list of mappings each; with one such thing inside, beside other entries, that is the table.

    Raises
    ------
    DataError
        The content has none of these shapes.
    """
    if isinstance(content, Mapping):
        return _of_mapping(content, source, where)
    if not _is_list(content):
        raise DataError(
            f"{source}: holds what is of type {type(content).__name__}; a table is {SHAPES}", code="unreadable"
        )
    rows: Sequence[Any] = content  # type: ignore[assignment]
    if not len(rows):
        raise DataError(f"{source}: the table has no rows; one row a training run is expected", code="no_rows")
    if all(isinstance(row, Mapping) for row in rows):
        return Table(_frame(flat(row) for row in rows), where, source)
    if len(rows) > 1 and all(_is_list(row) for row in rows) and all(isinstance(cell, str) for cell in rows[0]):
        header = list(rows[0])
        if len(set(header)) < len(header) or any(len(row) != len(header) for row in rows):
            raise DataError(f"{source}: the lists are not all of the header's {len(header)} names", code="unreadable")
        return Table(pd.DataFrame(list(map(list, rows[1:])), columns=header), where, source)
    odd = next(i for i, row in enumerate(rows) if not isinstance(row, Mapping))
    raise DataError(
        f"{source}: {where(odd)} is of type {type(rows[odd]).__name__}; a table is {SHAPES}", code="unreadable"
    )


def _of_mapping(content: Mapping[Any, Any], source: str, where: Callable[[int], str]) -> Table:
    values = list(content.values())
    if set(content) >= {"columns", "data"} and _is_list(content["data"]):  # pandas, orient="split"
        return records_table([list(content["columns"]), *content["data"]], source, where)
    if values and all(isinstance(v, Mapping) for v in values):
        by_column = any(meaning(str(name)) for name in content)
        if by_column:  # pandas, orient="columns"
            frame = pd.DataFrame({str(n): dict(v) for n, v in content.items()})
            return Table(frame.reset_index(drop=True), where, source)
        return _by_run([(str(run), [row]) for run, row in content.items()], source)
    lists = {name: v for name, v in content.items() if _is_list(v)}
    tables = {n: v for n, v in lists.items() if len(v) and all(isinstance(row, Mapping) for row in v)}
    if len(tables) == len(content) > 1:
        return _by_run([(str(run), list(rows)) for run, rows in tables.items()], source)
    if len(tables) == 1:
        name, rows = next(iter(tables.items()))
        note = f"the table is the list {str(name)!r}"
        return Table(_frame(flat(row) for row in rows), where, source, (note,))
    if lists and (len(lists) == len(content) or (not tables and len({len(v) for v in lists.values()}) == 1)):
        lengths = {str(name): len(v) for name, v in lists.items()}
        if len(set(lengths.values())) > 1:
            shown = ", ".join(f"{name} has {n}" for name, n in list(lengths.items())[:8])
            raise DataError(f"{source}: the columns have not one length: {shown}", code="unreadable")
        frame = pd.DataFrame({str(name): pd.Series(list(v)) for name, v in lists.items()})
        return Table(frame, where, source)
    if any(isinstance(v, Mapping) for v in values) and not any(_is_list(v) for v in values):
        return Table(_frame([flat(content)]), where, source)  # one run
    if values and not any(isinstance(v, Mapping) or _is_list(v) for v in values):
        return Table(_frame([dict(content)]), where, source)
    raise DataError(f"{source}: has not the shape of a table: {SHAPES}", code="unreadable")


def _by_run(runs: Sequence[tuple[str, Sequence[Mapping[str, Any]]]], source: str) -> Table:
    """Rows of named runs, with a column for the name where there is none."""
    rows = [(run, flat(row)) for run, part in runs for row in part]
    named = any("run" in row for _, row in rows)
    frame = _frame(row if named else {"run": run, **row} for run, row in rows)
    return Table(frame, lambda row: f"{rows[row][0]!r}", source)


def flat(row: Mapping[Any, Any], prefix: str = "", depth: int = 0) -> dict[str, Any]:
    """A row whose mappings are unpacked to names with paths: ``config.model.n_params``."""
    found: dict[str, Any] = {}
    for name, value in row.items():
        path = f"{prefix}{name}"
        if isinstance(value, Mapping) and depth < 20:
            found |= flat(value, f"{path}.", depth + 1)
        else:
            found[path] = value
    return found


def unpacked(frame: pd.DataFrame) -> pd.DataFrame:
    """A frame whose cells that are mappings, or the text of one, are columns of their own.

    A tracker's own way to export runs writes ``config`` and ``summary`` as the text of a Python dict.
    """
    parts: list[pd.DataFrame] = []
    for name in frame.columns:
        column = frame[name]
        there = column.dropna()
        first = there.iloc[0] if len(there) else None
        looks = isinstance(first, Mapping) or (isinstance(first, str) and first.lstrip()[:1] == "{")
        if looks and column.dtype.kind not in "biufcmM":
            cells = [_mapping(cell) for cell in column]
            if any(cells) and all(c is not None for c, x in zip(cells, column.isna(), strict=True) if not x):
                parts.append(_frame(flat(c or {}, f"{name}.") for c in cells).set_index(frame.index))
                continue
        parts.append(column.to_frame())
    if all(len(p.columns) == 1 for p in parts) and [p.columns[0] for p in parts] == list(frame.columns):
        return frame
    result = pd.concat(parts, axis=1)
    return result.loc[:, ~result.columns.duplicated()]


def _mapping(cell: object) -> Mapping[Any, Any] | None:
    if isinstance(cell, Mapping):
        return cell
    if not isinstance(cell, str) or cell.strip()[:1] != "{":
        return None
    for text, read in ((cell, json.loads), (re.sub(r"(?<![\w'\"])(?:nan|inf)(?![\w'\"])", "None", cell), _literal)):
        try:
            found = read(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        if isinstance(found, Mapping):
            return found
    return None


def _literal(text: str) -> Any:
    return ast.literal_eval(text.strip())


def _frame(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Rows as a frame; a number beyond 64 bits stays what it is."""
    frame = pd.DataFrame(list(rows))
    return frame.set_axis([str(c) for c in frame.columns], axis=1)


def _is_list(value: object) -> bool:
    return isinstance(value, Sequence | np.ndarray | pd.Series) and not isinstance(value, str | bytes)
