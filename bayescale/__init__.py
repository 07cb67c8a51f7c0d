"""bayescale: neural scaling laws with posteriors.

`fit` a law to a table of runs, then `predict`, `allocate` and compare. Importing the package imports
neither JAX nor NumPyro: each name below loads what it needs when it is first used. The first fit sets
JAX's compilation cache to the user's cache folder, unless one is configured (BAYESCALE_CACHE=off: none).
"""

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bayescale import datasets as datasets
    from bayescale import models as models
    from bayescale import plot as plot
    from bayescale.catalogue import law_from as law_from
    from bayescale.catalogue import laws as laws
    from bayescale.errors import BayescaleError as BayescaleError
    from bayescale.errors import DataError as DataError
    from bayescale.errors import UsageError as UsageError
    from bayescale.fit import Fit as Fit
    from bayescale.fit import fit as fit
    from bayescale.law import Law as Law
    from bayescale.law import Param as Param
    from bayescale.law import derived as derived
    from bayescale.law import evaluate as evaluate
    from bayescale.law import stated as stated
    from bayescale.loading import load as load
    from bayescale.report import report as report
    from bayescale.runs import read_runs as read_runs
    from bayescale.runs.embeddings import embedding_scale as embedding_scale
    from bayescale.runs.embeddings import non_embedding_parameters as non_embedding_parameters
    from bayescale.runs.embeddings import total_parameters as total_parameters
    from bayescale.studies.approaches import Approaches as Approaches
    from bayescale.studies.approaches import approaches as approaches
    from bayescale.studies.calibrate import Calibration as Calibration
    from bayescale.studies.calibrate import calibrate as calibrate
    from bayescale.studies.compare import Comparison as Comparison
    from bayescale.studies.compare import compare as compare
    from bayescale.studies.downstream import Downstream as Downstream
    from bayescale.studies.downstream import fit_downstream as fit_downstream
    from bayescale.studies.multiplier import multiplier as multiplier

# the same for a running program, which loads them late: module -> its public names, '' where it is public itself
_PUBLIC = {
    "catalogue": "law_from laws",
    "datasets": "",
    "errors": "BayescaleError DataError UsageError",
    "fit": "Fit fit",
    "law": "Law Param derived evaluate stated",
    "loading": "load",
    "models": "",
    "plot": "",
    "report": "report",
    "runs": "read_runs",
    "runs.embeddings": "embedding_scale non_embedding_parameters total_parameters",
    "studies.approaches": "Approaches approaches",
    "studies.calibrate": "Calibration calibrate",
    "studies.compare": "Comparison compare",
    "studies.downstream": "Downstream fit_downstream",
    "studies.multiplier": "multiplier",
}
_HOMES = {name: home for home, names in _PUBLIC.items() for name in names.split() or [home]}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'bayescale' has no attribute {name!r}")
    module = importlib.import_module(f"bayescale.{_HOMES[name]}")
    value = getattr(module, name) if _PUBLIC[_HOMES[name]] else module
    globals()[name] = value
    return value


class _Package(ModuleType):
    """Keeps `bayescale.fit` the function: importing the module of that name would put itself in its place."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (isinstance(value, ModuleType) and _PUBLIC.get(_HOMES.get(name, ""))):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __dir__() -> list[str]:
    return sorted(__all__)
