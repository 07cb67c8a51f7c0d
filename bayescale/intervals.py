"""Estimates: a posterior's draws as median, mean, sd and interval, in tables and in JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from bayescale.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd

INTERVAL = 0.9
"""Mass of the equal-tailed intervals unless another is asked for."""

COLUMNS = ("median", "mean", "sd", "low", "high")


def checked_interval(mass: float) -> float:
    """`mass` if it is one of an interval, or an error."""
    if not 0 < mass < 1:
        raise UsageError(f"an interval's mass is between 0 and 1 (0.9 for 90 %), not {mass}")
    return float(mass)


def summarise(draws: np.ndarray, mass: float = INTERVAL, *, moments: bool = True) -> dict[str, np.ndarray]:
    """Median, mean, sd and equal-tailed interval of draws along the first axis.

    Parameters
    ----------
    draws : ndarray, shape (draw, ...)
    mass : float
        Mass of the interval.
    moments : bool
        Whether what the draws are of has a mean and an sd; where it has none they are NaN, for averages of draws
        would be those of the few largest. So they are for a single draw.

    Returns
    -------
    dict
        'median', 'mean', 'sd', 'low', 'high', each of shape (...).
    """
    tail = (1 - mass) / 2
    ordered = np.sort(draws, axis=0)
    low, median, high = _quantiles(ordered, (tail, 0.5, 1 - tail))
    if moments and len(ordered) > 1:
        with np.errstate(over="ignore", invalid="ignore"):  # astronomical numbers have quantiles but no moments
            mean, sd = ordered.mean(axis=0), ordered.std(axis=0, ddof=1)
    else:
        mean = sd = np.full(np.shape(median), np.nan)
    return {"median": median, "mean": mean, "sd": sd, "low": low, "high": high}


def _quantiles(ordered: np.ndarray, probabilities: tuple[float, ...]) -> list[np.ndarray]:
    last = len(ordered) - 1
    found = []
    for p in probabilities:
        at = p * last
        below = int(at)
        above = min(below + 1, last)
        if at == below:
            found.append(ordered[below])
            continue
        # written so that equal neighbours, infinite ones too, give themselves
        with np.errstate(invalid="ignore"):
            step = np.where(ordered[above] == ordered[below], 0.0, ordered[above] - ordered[below])
        found.append(ordered[below] + (at - below) * step)
    return found


def as_json(estimate: Mapping[str, float] | pd.Series) -> dict[str, Any]:
    """One estimate as the command line's JSON writes it."""
    values = {k: float(estimate[k]) for k in COLUMNS}
    return {
        "median": values["median"],
        "mean": values["mean"],
        "sd": values["sd"],
        "interval": [values["low"], values["high"]],
        **{k: float(estimate[k]) for k in ("sd_within", "sd_between") if k in estimate},
    }
