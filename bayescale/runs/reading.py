"""Tables wherever they are: a file of any format, compressed or not, a frame of any library, lists and dicts."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import re
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Protocol, TypeAlias

import pandas as pd

from bayescale.errors import DataError, UsageError, did_you_mean, needs_extra
from bayescale.runs import datasets
from bayescale.runs.delimited import delimited, sentence
from bayescale.runs.excel import excel_table
from bayescale.runs.records import json_table, records_table
from bayescale.runs.table import Table, frame_table

DELIMITED = (".csv", ".tsv", ".txt", ".dat")
JSON = (".json", ".jsonl", ".ndjson")
PARQUET = (".parquet", ".pq")
EXCEL = (".xlsx", ".xlsm")
COMPRESSED = (".gz", ".bz2", ".xz", ".zip")


class HasToPandas(Protocol):
    """A frame of another library: polars, Arrow, ..."""

    def to_pandas(self) -> pd.DataFrame:
        """As a pandas frame."""


Source: TypeAlias = (
    str | os.PathLike[str] | pd.DataFrame | HasToPandas | Mapping[str, object] | Sequence[Mapping[str, object]]
)
"""What a table may be: a file, a data set's name, a frame of any library, a dict of columns, a list of rows."""


def table_of(source: object) -> Table:
    """What `read_runs` takes, as it was found."""
    if isinstance(source, pd.DataFrame):
        return frame_table(source)
    if isinstance(source, str) and not os.path.isfile(os.path.expanduser(source)):
        if source in datasets.names():
            return frame_table(datasets.table(source))
        if not Path(source).suffix:
            hint = did_you_mean(source, datasets.names())
            raise UsageError(
                f"no file and no data set is called {source!r}{hint}; data sets: {', '.join(datasets.names())}",
                code="no_file",
            )
    if isinstance(source, str | os.PathLike):
        return read_table(Path(source).expanduser())
    if (frame := _pandas(source)) is not None:
        return frame_table(frame)
    return records_table(source, f"a {type(source).__name__}", lambda row: f"row {row}")


def _pandas(source: object) -> pd.DataFrame | None:
    """A frame of another library as pandas', by whichever way out it has."""
    for way in ("to_pandas", "to_dataframe"):
        if callable(convert := getattr(source, way, None)):
            try:
                frame = convert()
            except ImportError as error:
                raise UsageError(
                    f"a {type(source).__name__} becomes a pandas frame only with another package ({sentence(error)})",
                    code="missing_package",
                ) from None
            return frame if isinstance(frame, pd.DataFrame) else pd.DataFrame(frame)
    if hasattr(source, "__arrow_c_stream__"):
        import pyarrow

        arrow: pd.DataFrame = pyarrow.table(source).to_pandas()
        return arrow
    if hasattr(source, "__dataframe__"):
        import pyarrow.interchange

        exchanged: pd.DataFrame = pyarrow.interchange.from_dataframe(source).to_pandas()
        return exchanged
    return None


def read_table(path: Path) -> Table:
    """Read a table file; the format follows from the name's ending, ``runs.xlsx:Sheet2`` names a sheet.

    Raises
    ------
    UsageError
        The file cannot be opened or its ending is not known.
    DataError
        The contents are not a table.
    """
    sheet = None
    if (named := re.fullmatch(r"(.+\.xls[xm]):(.+)", str(path), re.I)) and not path.exists():
        path, sheet = Path(named[1]), named[2]
    name = path.name.lower()
    packed = next((end for end in COMPRESSED if name.endswith(end)), "")
    ending = Path(name.removesuffix(packed)).suffix
    known = DELIMITED + JSON + PARQUET + EXCEL
    if ending not in known and not (packed == ".zip" and not ending):
        raise UsageError(
            f"{path}: cannot tell the format from the name; accepted endings are {', '.join(known)}, and "
            f"{', '.join(COMPRESSED)} after one of them{_instead(ending)}",
            code="unknown_format",
        )
    try:
        content = path.read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"cannot read {path}: {reason}", code="no_file") from None
    if packed:
        content, inner = _unpacked(content, packed, path, known)
        ending = inner or ending
    source = str(path)
    if ending in PARQUET:
        return _parquet(content, source)
    if ending in EXCEL:
        return excel_table(content, source, sheet)
    text, note = _text(content, path)
    if ending in JSON:
        table = json_table(text, source, lines=ending != ".json")
    else:
        table = delimited(text, source, ending)
    return table if not note else Table(table.frame, table.where, source, (note, *table.notes), table.decimal)


def _instead(ending: str) -> str:
    if ending in (".xls", ".xlsb", ".ods"):
        return "; save the sheet as .xlsx or .csv"
    if ending in (".pkl", ".pickle"):
        return "; a pickle may run anything: read it yourself, and give the frame"
    return ""


def _unpacked(content: bytes, packed: str, path: Path, known: tuple[str, ...]) -> tuple[bytes, str]:
    """What a compressed file holds, and the ending of the name inside, where there is one."""
    try:
        if packed == ".gz":
            return gzip.decompress(content), ""
        if packed == ".bz2":
            return bz2.decompress(content), ""
        if packed == ".xz":
            return lzma.decompress(content), ""
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = [n for n in archive.namelist() if PurePosixPath(n.lower()).suffix in known and "__MACOSX" not in n]
            if len(names) != 1:
                shown = ", ".join(names[:8]) or "none"
                raise DataError(f"{path}: an archive must hold one table; it holds {shown}", code="unreadable")
            return archive.read(names[0]), PurePosixPath(names[0].lower()).suffix
    except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, RuntimeError,
            NotImplementedError, KeyError) as error:  # fmt: skip
        if isinstance(error, DataError):
            raise
        kind = {".gz": "gzip", ".bz2": "bzip2", ".xz": "xz", ".zip": "zip"}[packed]
        raise DataError(f"{path}: not a readable {kind} file; compress the table again", code="unreadable") from None


def _text(content: bytes, path: Path) -> tuple[str, str]:
    """Bytes as text, and a note where the encoding is not UTF-8."""
    note = ""
    if content[:2] in (b"\xff\xfe", b"\xfe\xff") and len(content) % 2 == 0:
        text = content.decode("utf-16", errors="replace").removeprefix("\ufeff")
        note = "read as UTF-16 text"
    else:
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            try:
                text = content.decode("cp1252")
                note = "read as Windows-1252 text"
            except UnicodeDecodeError:
                raise DataError(
                    f"{path}: byte {error.start} is not UTF-8 text; save the table as UTF-8", code="unreadable"
                ) from None
    if "\0" in text:
        raise DataError(f"{path}: holds NUL bytes, so it is not a text table; save it as UTF-8 CSV", code="unreadable")
    if note and re.search(r"[\x01-\x08\x0b\x0e-\x1a\x1c-\x1f\ufffd]", text):
        raise DataError(f"{path}: holds control characters, so it is not UTF-8 text or a table", code="unreadable")
    if not text.strip():
        raise DataError(f"{path}: the file is empty; a header line and one line a run are expected", code="no_rows")
    return text, note


def _parquet(content: bytes, source: str) -> Table:
    try:
        frame = pd.read_parquet(io.BytesIO(content))
    except ImportError:
        raise needs_extra(f"{source}: Parquet files need pyarrow", "parquet") from None
    except (ValueError, OSError, TypeError, KeyError, NotImplementedError) as error:
        raise DataError(f"{source}: not a readable Parquet table ({sentence(error)})", code="unreadable") from None
    found = frame_table(frame)
    return Table(found.frame, lambda row: f"row {row + 1}", source)
