"""Evidence and weights of a comparison."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator

from bayescale.errors import UsageError
from bayescale.plot import style
from bayescale.studies.compare import Comparison

RULES = {"probability": "evidence", "weight": "stacking", "weight_holdout": "holdout"}
"""Columns of weights in a comparison's table, and what they come from."""
MARKS = (("o", style.POSTERIOR), ("s", style.FURTHER[1]), ("^", style.FURTHER[0]))


def comparison(compared: Comparison, ax: style.AxesLike = None) -> np.ndarray:
    """Log evidence of each law below the best one's, and its weights by evidence, stacking and holdout.

    The grey bar is how far the log evidence moves as the priors are power-scaled. Laws that have not converged, or
    could not be fitted, are listed without values; an evidence that is not to be trusted is an open circle.

    Parameters
    ----------
    compared : Comparison
    ax : sequence of two Axes, optional
        For the evidence and for the weights.

    Returns
    -------
    ndarray of Axes, shape (2,)
    """
    if not isinstance(compared, Comparison):
        raise UsageError(
            f"this plot is of a comparison (bayescale.studies.compare), not of a {type(compared).__name__.lower()}"
        )
    table, shifts = compared.table, compared.sensitivity
    names = [str(n) for n in table.index]
    y = np.arange(len(names))[::-1]
    axes = style.panels(ax, 2, size=(style.PANEL[0], 1.5 + 0.34 * len(names)))
    left, right = axes
    best = table["log_evidence"].max()
    drop = (table["log_evidence"] - best).to_numpy(float)
    for place, name, value, se, trusted in zip(y, names, drop, table["log_evidence_se"], table["trusted"], strict=True):
        if not np.isfinite(value):
            left.text(0.02, place, "not converged", transform=left.get_yaxis_transform(), va="center", fontsize="small")
            continue
        if name in shifts.index:
            moved = value + np.array([0.0, *shifts.loc[name].to_numpy(float)])
            left.plot(
                [moved.min(), moved.max()], [place, place], color="0.75", linewidth=5, solid_capstyle="butt",
                label="priors power-scaled", zorder=1,
            )  # fmt: skip
        left.errorbar(
            value, place, xerr=se, fmt="o", color=style.POSTERIOR, capsize=2.5, markersize=5,
            markerfacecolor=style.POSTERIOR if trusted else "white",
            label="log evidence" if trusted else "not to be trusted",
        )  # fmt: skip
    _symmetric_log(left, drop[np.isfinite(drop)])
    left.set(xlabel="log evidence below the best (nats)", yticks=y, ylim=(-0.6, len(names) - 0.4))
    left.set_yticklabels([style.escape(n) for n in names])
    left.set_title(f"evidence of {compared.rows} rows", fontsize="medium")
    style.legend(left, ncols=2, **style.BELOW)
    for offset, (mark, color), (column, rule) in zip((0.18, 0.0, -0.18), MARKS, RULES.items(), strict=True):
        weights = table[column].to_numpy(float)
        there = np.isfinite(weights)
        right.hlines(y[there] + offset, 0, weights[there], color=color, linewidth=1)
        right.plot(weights[there], y[there] + offset, mark, color=color, markersize=5, label=rule, clip_on=False)
    right.set(xlabel="weight", yticks=y, xlim=(0, 1), ylim=(-0.6, len(names) - 0.4))
    right.set_yticklabels([])
    right.set_title("weights by", fontsize="medium")
    style.legend(right, ncols=3, **style.BELOW)
    return np.array(axes, dtype=object)


def _symmetric_log(axis: Axes, drop: np.ndarray) -> None:
    """Evidence differences span from tenths to hundreds of nats: linear to ten, logarithmic beyond."""
    if drop.min() < -30:
        axis.set_xscale("symlog", linthresh=10, linscale=1.5)
        ticks = [0, -5, -10, *(-(10.0**k) for k in range(2, int(np.ceil(np.log10(-drop.min()))) + 1))]
        axis.set_xticks(ticks, [f"{t:g}" for t in ticks])
        axis.xaxis.set_minor_locator(NullLocator())
    axis.axvline(0, color="0.6", linewidth=0.8, zorder=0)
