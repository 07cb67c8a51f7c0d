"""A comparison's tables as text: the laws with their scores, and how they hang on the priors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from bayescale.studies.compare import Comparison

NOTE = (
    "Log evidence and elpd in nats; log BF is the natural log Bayes factor against the first; elpd is the log "
    "predictive density of rows left out one at a time, with its standard error, and of the largest budgets together "
    "given the others, with its Monte Carlo error; weights are stacked. sigma and nu are the scatter's scale and "
    "tails, R² is of log losses."
)


def laws(comparison: Comparison) -> dict[str, Any]:
    """The table of laws."""
    header = [
        "law",
        "log evidence",
        "log BF",
        "probability",
        "elpd, one out",
        "elpd, holdout",
        "stacking",
        "sigma",
        "nu",
        "R²",
    ]
    rows = []
    for name, row in comparison.table.iterrows():
        if not row.converged:
            rows.append([str(name), "not converged", *[""] * (len(header) - 2)])
            continue
        rows.append(
            [
                str(name),
                _evidence(row),
                "" if np.isnan(row.log_bayes_factor) else f"{row.log_bayes_factor:.2f}",
                "" if np.isnan(row.probability) else f"{row.probability:.3f}",
                "" if np.isnan(row.elpd_loo) else f"{row.elpd_loo:.1f} ± {row.elpd_loo_se:.1f}",
                "" if np.isnan(row.elpd_holdout) else f"{row.elpd_holdout:.1f} ± {row.elpd_holdout_se:.1f}",
                "" if np.isnan(row.weight) else f"{row.weight:.2f}",
                f"{row.sigma:.3g}",
                "" if np.isnan(row.nu) else f"{row.nu:.2g}",
                f"{row.r2:.4f}",
            ]
        )
    return {"header": header, "rows": rows, "note": NOTE}


def _evidence(row: pd.Series) -> str:
    if np.isnan(row.log_evidence):
        return "none"
    return f"{row.log_evidence:.2f} ± {row.log_evidence_se:.2f}{'' if row.trusted else ' (not trusted)'}"


def sensitivity(comparison: Comparison) -> dict[str, Any] | None:
    """The table of shifts of the log evidence as the priors are power-scaled, or None where there is none."""
    found = comparison.sensitivity
    if found.empty:
        return None
    rows = [
        [str(n), *("not known" if np.isnan(x) else f"{x:+.2f}" if x else "0" for x in row)]
        for n, row in zip(found.index, found.to_numpy(), strict=True)
    ]
    return {"header": ["law", *map(str, found.columns)], "rows": rows}
