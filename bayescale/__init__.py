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
    from bayescale import datasets, models, plot
    from bayescale.errors import BayescaleError, DataError, UsageError
    from bayescale.fit import Fit, fit
    from bayescale.law import Law, Param, derived, evaluate, laws, stated
    from bayescale.law.prior_text import law_from
    from bayescale.loading import load
    from bayescale.report import report
    from bayescale.runs import read_runs
    from bayescale.runs.embeddings import embedding_scale, non_embedding_parameters, total_parameters
    from bayescale.studies.approaches import Approaches, approaches
    from bayescale.studies.calibrate import Calibration, calibrate
    from bayescale.studies.compare import Comparison, compare
    from bayescale.studies.downstream import Downstream, fit_downstream

_HOMES = {
    "Approaches": "studies.approaches",
    "BayescaleError": "errors",
    "Calibration": "studies.calibrate",
    "Comparison": "studies.compare",
    "DataError": "errors",
    "Downstream": "studies.downstream",
    "Fit": "fit",
    "Law": "law",
    "Param": "law",
    "UsageError": "errors",
    "approaches": "studies.approaches",
    "calibrate": "studies.calibrate",
    "compare": "studies.compare",
    "datasets": "",
    "derived": "law",
    "embedding_scale": "runs.embeddings",
    "evaluate": "law",
    "fit": "fit",
    "fit_downstream": "studies.downstream",
    "law_from": "law.prior_text",
    "laws": "law",
    "load": "loading",
    "models": "",
    "non_embedding_parameters": "runs.embeddings",
    "plot": "",
    "read_runs": "runs",
    "report": "report",
    "stated": "law",
    "total_parameters": "runs.embeddings",
}

__all__ = [
    "Approaches",
    "BayescaleError",
    "Calibration",
    "Comparison",
    "DataError",
    "Downstream",
    "Fit",
    "Law",
    "Param",
    "UsageError",
    "approaches",
    "calibrate",
    "compare",
    "datasets",
    "derived",
    "embedding_scale",
    "evaluate",
    "fit",
    "fit_downstream",
    "law_from",
    "laws",
    "load",
    "models",
    "non_embedding_parameters",
    "plot",
    "read_runs",
    "report",
    "stated",
    "total_parameters",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'bayescale' has no attribute {name!r}")
    home = _HOMES[name]
    module = importlib.import_module(f"bayescale.{home or name}")
    value = getattr(module, name) if home else module
    globals()[name] = value
    return value


class _Package(ModuleType):
    """Keeps `bayescale.fit` the function: importing the module of that name would put itself in its place."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (isinstance(value, ModuleType) and _HOMES.get(name)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __dir__() -> list[str]:
    return sorted(__all__)
