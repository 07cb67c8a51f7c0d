"""`load`: whatever `save` wrote, by the kind of what is in the file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from bayescale.catalogue import LawLike
from bayescale.fit import Fit
from bayescale.storage.fit import fits_of, rebuild_fit, rebuilt
from bayescale.studies.compare import Comparison
from bayescale.studies.compare.file import rebuild_comparison
from bayescale.studies.downstream import Downstream

if TYPE_CHECKING:
    import xarray

Answer: TypeAlias = Fit | Comparison | Downstream
"""What a file holds: whatever predicts."""


def load(path: str | Path, *, law: LawLike | None = None) -> Answer:
    """Read a fit, a comparison or two fits joined by `Downstream` that `save` wrote. Nothing in the file is executed.

    Parameters
    ----------
    path : str or Path
    law : str, Law or type, optional
        The law, where it is not one that ships: as for `fit`.

    Raises
    ------
    UsageError
        The file is missing, not a fit, damaged, of a newer format, or its law is not at hand or has changed.
    """

    def build(tree: xarray.DataTree, content: dict[str, Any]) -> Answer:
        if "comparison" in content:
            return Comparison.of(rebuild_comparison(tree, content["comparison"], law))
        if "downstream" in content:
            return Downstream(*(Fit.of(found) for found in fits_of(tree, law)))
        return Fit.of(rebuild_fit(tree, content, law))

    return rebuilt(path, build)
