"""Table files: CSV, TSV, Parquet and JSON lines into a frame whose rows can be found again in the file."""

from __future__ import annotations

import csv
import gzip
import io
import json
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

from bayescale.errors import DataError, UsageError, needs_extra

DELIMITED = (".csv", ".tsv", ".txt")
JSON_LINES = (".jsonl", ".ndjson")
PARQUET = (".parquet", ".pq")


@dataclass(frozen=True, eq=False)
class Table:
    """A table as it was found, before its columns have a meaning.

    Attributes
    ----------
    frame : pandas.DataFrame
        The cells.
    where : callable
        Position of a row -> how a person finds it ("line 3" of a file, header first; "row 7" of a frame).
    source : str
        What to call the table in messages.
    """

    frame: pd.DataFrame
    where: Callable[[int], str]
    source: str


def read_exactly(source: Any, **options: Any) -> pd.DataFrame:
    """`pandas.read_csv` that reads every number to the nearest float: what pandas does by itself from 3.1 on."""
    if tuple(int(part) for part in pd.__version__.split(".")[:2]) < (3, 1):
        options["float_precision"] = "round_trip"
    frame: pd.DataFrame = pd.read_csv(source, **options)
    return frame


def read_table(path: Path) -> Table:
    """Read a table file; the format follows from the name's ending (text formats may end in ``.gz``).

    Raises
    ------
    UsageError
        The file cannot be opened or its ending is not known.
    DataError
        The contents are not a table.
    """
    name = path.name.lower()
    ending = Path(name.removesuffix(".gz")).suffix
    if ending not in DELIMITED + JSON_LINES and (name.endswith(".gz") or ending not in PARQUET):
        accepted = ", ".join(DELIMITED + JSON_LINES + PARQUET)
        raise UsageError(
            f"{path}: cannot tell the format from the name; accepted endings are {accepted} and .gz after a text format"
        )
    try:
        content = path.read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"cannot read {path}: {reason}") from None
    if ending in PARQUET:
        return _parquet(content, str(path))
    text = _text(content, path)
    return _json_lines(text, str(path)) if ending in JSON_LINES else _delimited(text, str(path), ending)


def frame_table(frame: pd.DataFrame) -> Table:
    """Take a frame for a table, its rows found by their index labels."""
    if frame.columns.nlevels > 1:
        raise DataError("the frame's columns have several levels; flatten them to one name a column")
    if not frame.columns.is_unique:
        twice = sorted({str(name) for name in frame.columns[frame.columns.duplicated()]})
        raise DataError(f"the frame names {', '.join(map(repr, twice))} more than once; rename one of them")
    index = frame.index
    return Table(frame, lambda row: f"row {index[row]}", str(frame.attrs.get("source", "a DataFrame")))


def _text(content: bytes, path: Path) -> str:
    try:
        if path.name.lower().endswith(".gz"):
            content = gzip.decompress(content)
        text = content.decode("utf-8-sig")
    except (OSError, EOFError, zlib.error):
        raise DataError(f"{path}: not a readable gzip file; compress the table again") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: byte {error.start} is not UTF-8 text; save the table as UTF-8") from None
    if "\0" in text:
        raise DataError(f"{path}: holds NUL bytes, so it is not a text table; save it as UTF-8 CSV")
    if not text.strip():
        raise DataError(f"{path}: the file is empty; a header line and one line a run are expected")
    return text


def _parquet(content: bytes, source: str) -> Table:
    try:
        frame = pd.read_parquet(io.BytesIO(content))
    except ImportError:
        raise needs_extra(f"{source}: Parquet files need pyarrow", "parquet") from None
    except (ValueError, OSError, TypeError, KeyError, NotImplementedError) as error:
        raise DataError(f"{source}: not a readable Parquet table ({_sentence(error)})") from None
    return Table(frame, lambda row: f"row {row + 1}", source)


def _json_lines(text: str, source: str) -> Table:
    rows: list[dict[str, Any]] = []
    lines: list[int] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line, object_pairs_hook=_object)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{source}: line {number} is not one JSON object ({_sentence(error)})") from None
        if not isinstance(row, dict):
            raise DataError(
                f"{source}: line {number} is a JSON {type(row).__name__}; each must be an object "
                'such as {"N": 7e9, "D": 1.4e11, "loss": 2.3}'
            )
        rows.append(row)
        lines.append(number)
    return Table(pd.DataFrame(rows), lambda row: f"line {lines[row]}", source)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the name {next(n for n in names if names.count(n) > 1)!r} occurs twice")
    return row


def _delimited(text: str, source: str, ending: str) -> Table:
    first = next(line for line in text.splitlines() if line.strip())
    delimiter = "\t" if ending == ".tsv" else max(",\t;", key=first.count)
    try:
        _, header = next(_records(text, delimiter), (1, []))
        _check_header(header, source)
        frame = read_exactly(
            io.StringIO(text, newline=""), sep=delimiter, skipinitialspace=True, low_memory=False,
        )  # fmt: skip
    except (pd.errors.ParserError, pd.errors.EmptyDataError, csv.Error, ValueError, OverflowError) as error:
        if isinstance(error, DataError):
            raise
        fault = _ragged(text, delimiter, source) or f"{source}: not a table ({_sentence(error)})"
        raise DataError(fault) from None
    # pandas takes the first column for an index when every row has a cell more than the header.
    if not isinstance(frame.index, pd.RangeIndex):
        raise DataError(_ragged(text, delimiter, source) or f"{source}: rows have more cells than the header")

    @cache
    def lines() -> list[int]:
        return [line for line, _ in _records(text, delimiter)]

    return Table(frame, lambda row: f"line {lines()[row + 1]}", source)


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
        raise DataError(f"{source}: the header names {', '.join(map(repr, twice))} twice; rename one of them")
    if names and all(_is_number(name) for name in names):
        raise DataError(
            f"{source}: the first line holds numbers ({', '.join(names[:4])}) in place of names; "
            "add a header line such as N,D,loss"
        )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _ragged(text: str, delimiter: str, source: str) -> str | None:
    try:
        records = _records(text, delimiter)
        _, header = next(records, (1, []))
        for line, record in records:
            if len(record) > len(header):
                return (
                    f"{source}: line {line} has {len(record)} cells and the header {len(header)}; "
                    "quote cells that hold the separator or correct the line"
                )
    except csv.Error:
        pass
    return None


def _sentence(error: BaseException) -> str:
    return " ".join(str(error).split())[:160].rstrip(". ")
