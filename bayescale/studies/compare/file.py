"""Comparisons as NetCDF files: the table and the verdict as text, every fit as a tree of its own; never code."""

from __future__ import annotations

from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bayescale.answers.scores.evidence import Evidence
from bayescale.catalogue import LawLike
from bayescale.fit import Fit
from bayescale.storage.fit import check_writable, fits_of, tree_of
from bayescale.storage.netcdf import write_tree
from bayescale.studies.compare.compared import Compared
from bayescale.studies.compare.table import COLUMNS, as_table

if TYPE_CHECKING:
    import xarray


def save_comparison(comparison: Compared, path: str | Path) -> None:
    """Write a comparison and its fits to a NetCDF file; an existing one is replaced only once the new one is whole.

    Raises
    ------
    UsageError
        The folder does not exist or cannot be written to, or a prior was given that no text makes.
    """
    check_writable(comparison.fits.values())
    content = {
        "fits": list(comparison.fits),
        "laws": list(comparison.table.index),
        "table": {c: _plain(comparison.table[c].tolist()) for c in COLUMNS},
        "evidence": {n: {k: _plain([v])[0] for k, v in asdict(e).items()} for n, e in comparison.evidence.items()},
        "sensitivity": {
            "laws": list(comparison.sensitivity.index),
            "powers": list(comparison.sensitivity.columns),
            "shifts": [_plain(row) for row in comparison.sensitivity.to_numpy().tolist()],
        },
        "verdict": comparison.verdict,
        "warnings": list(comparison.warnings),
        "checks": list(comparison.checks),
    }
    write_tree(tree_of((f.data for f in comparison.fits.values()), {"comparison": content}), path)


def rebuild_comparison(tree: xarray.DataTree, content: dict[str, Any], given: LawLike | None) -> Compared:
    """A comparison from the tree that `save_comparison` wrote.

    Parameters
    ----------
    tree : DataTree
    content : dict
        The JSON text of its attribute, read.
    given : str, Law or type, optional
        A law that does not ship.
    """
    fits = dict(zip(content["fits"], map(Fit.of, fits_of(tree, given)), strict=True))
    names = {f.name for f in fields(Evidence)}
    evidence = {}
    for name, entry in content["evidence"].items():
        values: dict[str, Any] = {k: np.nan if v is None else v for k, v in entry.items() if k in names}
        evidence[name] = Evidence(**(values | {"warnings": tuple(entry["warnings"])}))
    shifts = content["sensitivity"]
    return Compared(
        table=as_table({n: {c: content["table"][c][i] for c in COLUMNS} for i, n in enumerate(content["laws"])}),
        fits=fits,
        evidence=evidence,
        sensitivity=pd.DataFrame(
            np.array(shifts["shifts"], float).reshape(len(shifts["laws"]), len(shifts["powers"])),
            index=shifts["laws"],
            columns=shifts["powers"],
        ),
        verdict=content["verdict"],
        warnings=tuple(content["warnings"]),
        checks=tuple(content.get("checks", ())),
    )


def _plain(values: list[Any]) -> list[Any]:
    return [None if isinstance(v, float) and not np.isfinite(v) else v for v in values]
