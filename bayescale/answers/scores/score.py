"""All scores of one fit: evidence and how it hangs on the priors, leave-one-out, hold-out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bayescale.answers.scores.evidence import Evidence, log_evidence
from bayescale.answers.scores.holdout import Holdout, holdout, no_holdout
from bayescale.answers.scores.loo import Loo, loo
from bayescale.answers.scores.power_scaling import POWERS, evidence_shifts
from bayescale.errors import DataError
from bayescale.posterior.importance import K_HAT_LIMIT
from bayescale.posterior.posterior import Posterior


@dataclass(frozen=True, eq=False)
class Score:
    """What is known of a fit by which it can be held against others.

    Attributes
    ----------
    evidence : Evidence
    shifts : ndarray, shape (power,)
        Change of the log evidence as the density of the priors is raised to each of `POWERS`; NaN where not known.
    loo : Loo or None
        None where nothing can be left out.
    holdout : Holdout
    warnings : tuple of str
        What to distrust in any of them.
    """

    evidence: Evidence
    shifts: np.ndarray
    loo: Loo | None
    holdout: Holdout
    warnings: tuple[str, ...]


def score(fit: Posterior, *, runs: np.ndarray | None = None) -> Score:
    """Score a fit that has converged; what cannot be scored is NaN, and a warning says why.

    Parameters
    ----------
    fit : Posterior
    runs : ndarray, shape (row,), optional
        Names of the runs, to leave whole runs out instead of rows.
    """
    evidence = log_evidence(fit)
    warnings = list(evidence.warnings)
    shifts, k_hat = np.full(len(POWERS), np.nan), np.nan
    if np.isfinite(evidence.log_evidence):
        shifts, k_hat = evidence_shifts(fit)
        if not np.isfinite(shifts).all():
            warnings.append("how its evidence hangs on the priors is not known: their density is not finite at draws")
        elif k_hat > K_HAT_LIMIT:
            warnings.append(f"how its evidence hangs on the priors is known roughly (k-hat {k_hat:.2f})")
    left_out: Loo | None = None
    try:
        left_out = loo(fit, runs=runs)
        warnings += left_out.warnings
    except DataError as error:
        warnings.append(str(error))
    try:
        forecast = holdout(fit)
    except DataError as error:
        forecast = no_holdout(np.zeros(fit.runs.rows, bool), str(error))
    return Score(evidence, shifts, left_out, forecast, (*warnings, *forecast.warnings))
