"""Results on disk as they come: a line of settings, then a line for each simulation, each written in one piece."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bayescale.errors import DataError, UsageError
from bayescale.storage.atomic import whole_file
from bayescale.studies.calibrate.ranks import Ranked

FORMAT = 2


def results_path(output: str | Path, law: str) -> Path:
    """The file of a law's results: `output`, or a file of the law's name where it is a folder."""
    path = Path(output).expanduser()
    return path / f"{law}.jsonl" if path.is_dir() else path


def read_results(path: Path, settings: dict[str, Any]) -> list[Ranked]:
    """The simulations that a file of these settings holds; a last line that was cut short is dropped from it.

    Raises
    ------
    UsageError
        The file is of other settings, or is no file of results.
    DataError
        The file is damaged.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read {path}: {getattr(error, 'strerror', None) or 'it is no text'}") from None
    *lines, rest = text.split("\n")
    try:
        header = json.loads(lines[0])["bayescale_calibration"]
    except (IndexError, ValueError, KeyError, TypeError):
        raise UsageError(f"{path} is no file of simulations; name another one to write") from None
    for name, value in settings.items():
        if header.get(name) != value:
            raise UsageError(
                f"{path} holds simulations with {name} = {_short(header.get(name))}, not {_short(value)}; "
                "name another file, or delete it"
            )
    results = []
    for number, line in enumerate(lines[1:], 2):
        try:
            entry = json.loads(line)
            ranks = {str(n): float(x) for n, x in entry["ranks"].items()}
            results.append(
                Ranked(int(entry["simulation"]), ranks, str(entry["method"]), tuple(map(str, entry["failures"])))
            )
        except (ValueError, KeyError, TypeError, AttributeError):
            raise DataError(f"{path}, line {number}: no simulation; delete the line to have it done again") from None
        if not all(0 < x < 1 and math.isfinite(x) for x in ranks.values()):
            raise DataError(f"{path}, line {number}: a rank is not between 0 and 1; delete the line")
    if rest:
        with whole_file(path) as temporary:
            temporary.write_text("\n".join([*lines, ""]), encoding="utf-8")
    return results


def begin_results(path: Path, settings: dict[str, Any]) -> None:
    """Start a file of results."""
    with whole_file(path) as temporary:
        temporary.write_text(json.dumps({"bayescale_calibration": settings}) + "\n", encoding="utf-8")


def append_results(path: Path, results: Iterable[Ranked]) -> None:
    """Add simulations to a file.

    Raises
    ------
    UsageError
        The file cannot be written.
    """
    text = "".join(json.dumps(r._asdict()) + "\n" for r in results)
    try:
        with path.open("ab", buffering=0) as file:
            file.write(text.encode())
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror or error}") from None


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
