"""Estimates: a posterior's draws as median, mean, sd and interval, in tables, in text and in JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bayescale.errors import UsageError, printable

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
        would be those of the few largest.

    Returns
    -------
    dict
        'median', 'mean', 'sd', 'low', 'high', each of shape (...).
    """
    tail = (1 - mass) / 2
    ordered = np.sort(draws, axis=0)
    low, median, high = _quantiles(ordered, (tail, 0.5, 1 - tail))
    if moments:
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
        # written so that equal neighbours, infinite ones too, give themselves
        step = np.where(ordered[above] == ordered[below], 0.0, ordered[above] - ordered[below])
        found.append(ordered[below] + (at - below) * step)
    return found


def as_json(estimate: Any) -> dict[str, Any]:
    """One estimate as the command line's JSON writes it."""
    values = {k: float(estimate[k]) for k in COLUMNS}
    return {
        "median": values["median"],
        "mean": values["mean"],
        "sd": values["sd"],
        "interval": [values["low"], values["high"]],
        **{k: float(estimate[k]) for k in ("sd_within", "sd_between") if k in estimate},
    }


def figures(value: float, spread: float, extra: int = 2) -> str:
    """`value` with the digits that `spread` resolves: 1.8064 with spread 0.015 is '1.806'."""
    if value is None or not np.isfinite(value):
        return str(value)
    if value == 0:
        return "0"
    magnitude = np.floor(np.log10(abs(value)))
    resolved = np.floor(np.log10(spread)) if np.isfinite(spread) and spread > 0 else magnitude - 3
    digits = int(np.clip(magnitude - resolved + extra, 2, 8))
    if -4 <= magnitude < 6:
        decimals = max(digits - 1 - int(magnitude), 0)
        return f"{value:.{decimals}f}"
    return f"{value:.{digits - 1}e}".replace("e+0", "e").replace("e+", "e").replace("e-0", "e-")


def interval_text(estimate: Mapping[Any, Any]) -> tuple[str, str]:
    """An estimate as two columns of text: the median, and the interval 'low to high'."""
    median, low, high = (float(estimate[k]) for k in ("median", "low", "high"))
    spread = (high - low) / 4
    return figures(median, spread), f"{figures(low, spread)} to {figures(high, spread)}"


def aligned(rows: Sequence[tuple[str, ...]], header: tuple[str, ...], left: int = 1) -> list[str]:
    """Rows of text under a header, in columns: the first `left` of them flush left, the others right."""
    lines = [tuple(printable(c) for c in r) for r in (header, *rows)]
    widths = [max(len(r[i]) for r in lines) for i in range(len(header))]
    cells = [
        [c.ljust(w) if i < left else c.rjust(w) for i, (c, w) in enumerate(zip(r, widths, strict=True))] for r in lines
    ]
    return ["  ".join(c).rstrip() for c in cells]
