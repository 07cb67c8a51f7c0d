"""A posterior as a table of its constants and derived quantities, and what to distrust of it."""

from __future__ import annotations

from typing import Any

import pandas as pd

from bayescale import intervals
from bayescale.answers.groups import group_quantity, large_effects
from bayescale.answers.identifiability import Identifiability
from bayescale.answers.predict import evaluate_every_draw
from bayescale.law.varying import scalars
from bayescale.posterior.posterior import Posterior


def summary(fit: Posterior, interval: float = intervals.INTERVAL) -> pd.DataFrame:
    """Constants and derived quantities of every draw, with intervals and diagnostics.

    Of a fit with `pool` the constants are the population's, with the spread tau_<constant> between groups, then each
    group's, ``E[c4]``, and that of one that the table lacks, ``E[unseen]``; those of the metric, ``loss[run 3]``, are
    factors on the law.

    Parameters
    ----------
    fit : Posterior
    interval : float
        Mass of the equal-tailed interval.

    Returns
    -------
    DataFrame
        Index: constants of the law, of the noise, and derived quantities that need no inputs. Columns:
        median, mean, sd, low, high, r_hat, ess_bulk, ess_tail (NaN for derived quantities and what the table lacks).
    """
    intervals.checked_interval(interval)
    rows: dict[str, dict[str, Any]] = {}
    for name, draws in scalars(fit.law, fit.flat()).items():
        rows[name] = {**intervals.summarise(draws, interval), **fit.samples.diagnostics.get(name, {})}
    for name, needs in fit.law.quantities().items():
        if not needs:
            of_each = {name: evaluate_every_draw(fit, name, {}), **group_quantity(fit, name)}
            rows |= {n: intervals.summarise(draws, interval) for n, draws in of_each.items()}
    return pd.DataFrame.from_dict(rows, orient="index").astype(float)


def cautions(fit: Posterior, told: Identifiability) -> tuple[str, ...]:
    """What to distrust: failures, the posterior's notes, what the data leave open, the table's oddities."""
    told_of = (*fit.failures, *fit.samples.notes, *large_effects(fit), *told.sentences, *fit.runs.warnings)
    return (*told_of, f"this fit cannot be saved: {fit.unwritable}") if fit.unwritable else told_of
