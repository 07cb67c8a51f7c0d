"""How much less the rows of a fit say than as many independent ones: what rows of one run share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bayescale.answers.predict import evaluate_draws
from bayescale.errors import DataError
from bayescale.posterior.posterior import Posterior


@dataclass(frozen=True)
class DesignEffect:
    """How much less the rows of a fit say than as many independent ones.

    Attributes
    ----------
    runs, rows : int
    correlation : float
        Of the residuals of two rows of one run (intraclass correlation), at least 0.
    design_effect : float
        By how much the posterior's variance is too small: ``1 + (rows a run - 1) correlation``.
    worth : float
        Rows of the table over `design_effect`.
    points : int
        Rows of each run to keep (`thin_curves`) so that the variance is right, at least 2.
    """

    runs: int
    rows: int
    correlation: float
    design_effect: float
    worth: float
    points: int


def design_effect(fit: Posterior) -> DesignEffect:
    """Measure what rows of one run share, from a fit's residuals (Kish 1965, Survey Sampling, section 5.4).

    Residuals are of log observed about the law's median. Where `design_effect` is well above 1 the intervals are too
    narrow: thin each run to `points` rows and fit again.

    Parameters
    ----------
    fit : Posterior
        To a table with a column run.

    Raises
    ------
    DataError
        The table has no runs, or only one, or one row of each.
    """
    labels = fit.runs.run
    if labels is None:
        raise DataError(f"{fit.runs.source} has no column run, so that it cannot be told which rows share one")
    _, index, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    runs, rows = len(sizes), len(index)
    if runs < 2 or rows <= runs:
        raise DataError(
            f"what rows of a run share is measured on several runs of several rows; found {runs} runs and {rows} rows"
        )
    law = np.median(evaluate_draws(fit, fit.law.metric, fit.runs.inputs), axis=0)
    residual = np.log(fit.runs.observed) - np.log(law)
    means = np.bincount(index, residual) / sizes
    within = ((residual - means[index]) ** 2).sum() / (rows - runs)
    # the law was fitted to these runs, so their means are measured about it and not about their own mean
    between = (sizes * means**2).sum() / max(runs - len(fit.law.free), 1)
    typical = (rows - (sizes**2).sum() / rows) / (runs - 1)
    shared = max(0.0, (between - within) / typical)
    correlation = shared / (shared + within) if shared + within > 0 else 0.0
    effect = 1 + (rows / runs - 1) * correlation
    return DesignEffect(
        runs, rows, float(correlation), float(effect), float(rows / effect), max(2, round(rows / effect / runs))
    )
