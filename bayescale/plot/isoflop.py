"""IsoFLOP profiles: loss against model size at fixed budgets."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from matplotlib.axes import Axes

from bayescale import intervals
from bayescale.arrays import Numbers
from bayescale.plot import style
from bayescale.plot.subject import Plotted, Subject, Weights, require_split, subject
from bayescale.runs.inputs import checked_inputs
from bayescale.studies.approaches import shared_budgets

POINTS = 81
SAME_BUDGET, LEAST_RUNS = 0.1, 3
"""Runs within so many powers of ten of a budget belong to it, and how many make one."""
WIDE = (5.9, 3.3)
"""Of a new figure, inches: a panel with its legend beside it."""
MOST = 9
"""Budgets that get a curve each, where none are given."""


def isoflop(
    fit: Plotted,
    ax: style.AxesLike = None,
    *,
    C: Numbers | None = None,
    interval: float = intervals.INTERVAL,
    weights: Weights | None = None,
    **held: Numbers,
) -> Axes | np.ndarray:
    """Loss against N at fixed budgets: the runs of each, the mean curve, and where its optimum lies.

    A budget beyond the runs' is dashed. Runs that belong to no budget shown are small and grey.

    Parameters
    ----------
    fit : Fit or Comparison
        Of laws of N and D.
    ax : Axes, optional
        One for each group of a pooled fit.
    C : array_like, optional
        Budgets in FLOPs; by default those that several runs share.
    interval : float
        Mass of the equal-tailed intervals, of the mean curve and of the optimal N.
    weights
        Of a comparison; see `Comparison.weights`.
    **held : float
        Values of the law's further inputs, the runs' geometric means by default; groups of a pooled fit, or all.

    Returns
    -------
    Axes, or ndarray of Axes, shape (group,)
    """
    of = subject(fit, weights, held)
    fixed = of.further(require_split(of, "an isoFLOP plot"), of.held(held))
    axes = style.panels(ax, len(of.groups), columns=2, size=WIDE)
    for axis, group in zip(axes, of.groups, strict=True):
        _profiles(axis, replace(of, groups=(group,)), fixed, C, interval)
    return axes[0] if len(axes) == 1 else np.array(axes, dtype=object)


def _profiles(axis: Axes, of: Subject, fixed: dict[str, float], C: Numbers | None, interval: float) -> None:
    """The profiles of one group."""
    compute, N, observed = of.compute(), of.runs.inputs["N"], of.runs.observed
    budgets = _budgets(compute) if C is None else np.sort(checked_inputs("isoflop", ("C",), {"C": C})["C"].ravel())
    low, high = style.padded(N, 0.06, log=True)
    best = of.allocate(budgets, fixed, interval)
    high = max(high, float(best["N"]["high"].max()) * 1.5)
    low = min(low, float(best["N"]["low"].min()) / 1.5)
    x = np.geomspace(low, high, POINTS)
    nearest = np.abs(np.log10(compute[:, None] / budgets)).argmin(axis=1)
    inside = np.abs(np.log10(compute / budgets[nearest])) < SAME_BUDGET

    mine = of.rows(of.groups[0])
    inside &= mine
    if not inside.all():
        style.data(axis, N[~inside], observed[~inside], color="0.7", text="other runs", markersize=2, zorder=2)
    shown = [observed[mine] if mine.any() else observed]
    for i, (budget, color) in enumerate(zip(budgets, style.sequence(len(budgets)), strict=True)):
        there = inside & (nearest == i)
        beyond = budget > compute.max() * 10**SAME_BUDGET or budget < compute.min() / 10**SAME_BUDGET
        D = of.runs.cost.tokens(budget, x)
        mean, _ = of.predict({"N": x, "D": D, **fixed}, interval)
        style.band(axis, x, mean, color)
        axis.plot(x, mean["median"], color=color, linestyle="--" if beyond else "-", label=style.number(budget))
        if there.any():
            style.data(axis, N[there], observed[there], color=color, text=None)
        at = {n: best[n]["median"][i] for n in ("N", "loss")}
        span = [[at["N"] - best["N"]["low"][i]], [best["N"]["high"][i] - at["N"]]]
        axis.errorbar(
            at["N"], at["loss"], xerr=span, color=style.OPTIMUM, marker="D", markersize=4, capsize=2.5, linewidth=1.2,
            zorder=4, label=f"optimal N, {interval:.0%}" if i == len(budgets) - 1 else None,
        )  # fmt: skip
        # a profile rises steeply away from its valley: the plot is of the valleys and the runs
        shown.append(np.array([at["loss"], *mean["median"][(x >= N.min()) & (x <= N.max())]]))
    least = min(float(s.min()) for s in shown)
    top = max(float(shown[0].max()), float(np.quantile(np.concatenate(shown[1:]), 0.7)))
    log = style.is_log([least, top], 2.0)
    style.scale(axis, "x", low, high, log=True)
    style.scale(axis, "y", *style.padded([least, top], log=log), log=log)
    style.shade_beyond(axis, N)
    axis.set(xlabel=style.label("N"), ylabel=style.label(of.law.metric))
    text = "".join(f", {n} = {style.number(v)}" for n, v in fixed.items())
    axis.set_title(f"isoFLOP profiles, {of.title}{text}", fontsize="medium")
    style.legend(axis, title="C (FLOPs)", title_fontsize="small", **style.BESIDE)


def _budgets(compute: np.ndarray) -> np.ndarray:
    """Budgets that runs share, or else some that span the runs', FLOPs."""
    found = shared_budgets(compute, LEAST_RUNS, SAME_BUDGET, MOST)
    if len(found) > 1:
        return found
    low, high = np.quantile(np.log10(compute), [0.1, 0.9])
    return np.asarray(10 ** np.linspace(low, high, 4))
