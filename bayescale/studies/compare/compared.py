"""`Compared`: what a comparison found, of which it makes averages, words and files."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from bayescale.answers.scores.evidence import Evidence
from bayescale.fit import Fit


@dataclass(frozen=True, eq=False)
class Compared:
    """Several laws beside one another, on the same rows.

    Attributes
    ----------
    table : DataFrame
        One row a law, the best supported first. Columns: log_evidence and its standard error (nats);
        log_bayes_factor, natural, against the first row; probability, posterior with the prior weights;
        elpd_loo and its standard error (of rows left out one at a time, or of runs where the rows of one law's
        runs follow one another); weight, by stacking; elpd_holdout, the log predictive density of all rows of the
        largest budgets together given the others, its Monte Carlo error, and weight_holdout, stacked on these
        rows one by one; sigma and nu, posterior medians; r2 of log losses; seconds, fit and scores; converged;
        trusted, whether the evidence is. A law that has not converged has NaN for every score.
    fits : dict of Fit
        By the table's index; a law that could not be fitted is absent.
    evidence : dict of Evidence
        Of the laws that converged; of one that has none, it says why.
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
