"""`Compared`: what a comparison found, of which it makes averages, words and files."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from bayescale.answers.scores.evidence import Evidence
from bayescale.fit import Fit

COLUMNS = (
    "log_evidence",
    "log_evidence_se",
    "log_bayes_factor",
    "probability",
    "elpd_loo",
    "elpd_loo_se",
    "weight",
    "elpd_lfo",
    "elpd_lfo_se",
    "weight_lfo",
    "sigma",
    "nu",
    "r2",
    "seconds",
    "converged",
    "trusted",
)


@dataclass(frozen=True, eq=False)
class Compared:
    """Several laws beside one another, on the same rows.

    Attributes
    ----------
    table : DataFrame
        One row a law, the best supported first. Columns: log_evidence and its standard error (nats);
        log_bayes_factor, natural, against the first row; probability, posterior with the prior weights;
        elpd_loo and its standard error; weight, by stacking; elpd_lfo, the log predictive density of the
        largest budgets given the others, its standard error and weight_lfo, stacked on it; sigma and nu,
        posterior medians; r2 of log losses; seconds, fit and scores; converged; trusted, whether the
        evidence is. A law that has not converged has NaN for every score.
    fits : dict of Fit
        By the table's index; a law that could not be fitted is absent.
    evidence : dict of Evidence
    sensitivity : DataFrame
        Change of each law's log evidence (nats) when the density of its priors is raised to the power in
        the column's name.
    verdict : str
        One sentence.
    warnings : tuple of str
        What to distrust.
    checks : tuple of str
        The Savage-Dickey ratio beside the evidences, for each pair of laws of which one pins a constant of the other.
    """

    table: pd.DataFrame
    fits: dict[str, Fit]
    evidence: dict[str, Evidence]
    sensitivity: pd.DataFrame
    verdict: str
    warnings: tuple[str, ...]
    checks: tuple[str, ...] = ()

    @property
    def rows(self) -> int:
        """How many rows the laws were fitted to."""
        return next(iter(self.fits.values())).runs.rows

    @property
    def metric(self) -> str:
        """What the laws predict."""
        return next(iter(self.fits.values())).law.metric

    @property
    def converged(self) -> bool:
        """Whether any law has."""
        return any(fit.converged for fit in self.fits.values())

    @property
    def failures(self) -> tuple[str, ...]:
        """Why no law's draws are to be trusted, where that is so."""
        return () if self.converged else self.warnings
