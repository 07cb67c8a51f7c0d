"""The metric over two inputs, with the runs and the compute-optimal frontier."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from bayescale import intervals
from bayescale.answers.predict import evaluate_draws
from bayescale.arrays import Numbers
from bayescale.errors import UsageError
from bayescale.fit import Fit
from bayescale.plot import style
from bayescale.plot.kinds import has_allocation, refused
from bayescale.plot.subject import Subject, checked, subject
from bayescale.runs.features import numeric

POINTS = 41
LEVELS = 12


def surface(
    fit: Fit,
    ax: style.AxesLike = None,
    *,
    beyond: float = 0.5,
    interval: float = intervals.INTERVAL,
    **held: Numbers,
) -> Axes | np.ndarray:
    """The posterior median of the metric over the law's first two inputs: contours, the runs, the frontier.

    What lies outside the runs' range of either input is paler.

    Parameters
    ----------
    fit : Fit
        Of a law of two inputs or more.
    ax : Axes, optional
        One for each group of a pooled fit.
    beyond : float
        Powers of ten to go on beyond the runs, either way.
    interval : float
        Mass of the frontier's interval.
    **held : float
        Values of the law's further inputs, the runs' geometric means by default; groups of a pooled fit, or all.

    Returns
    -------
    Axes, or ndarray of Axes, shape (group,)
    """
    of = subject(checked(fit), held=held)
    if not numeric(of.law.inputs):
        raise refused(of.law, f"a surface is of two numbers; {of.law.name} takes a schedule")
    if len(of.law.inputs) < 2:
        raise refused(of.law, f"a surface is of two inputs; {of.law.name} has {of.law.inputs[0]} alone")
    if beyond < 0:
        raise UsageError(f"beyond is how many powers of ten to go on beyond the data, from 0 up, not {beyond}")
    first, second, *rest = of.law.inputs
    fixed = of.further(tuple(rest), of.held(held))
    axes = style.panels(ax, len(of.groups), columns=2)
    for axis, group in zip(axes, of.groups, strict=True):
        _contours(axis, replace(of, groups=(group,)), (first, second), fixed, beyond, interval)
    return axes[0] if len(axes) == 1 else np.array(axes, dtype=object)


def _contours(
    axis: Axes, of: Subject, names: tuple[str, str], fixed: dict[str, float], beyond: float, interval: float
) -> None:
    """The contours of one group."""
    first, second = names
    limits, log = {}, {}
    for name in (first, second):
        seen = of.runs.inputs[name]
        log[name] = style.is_log(seen)
        low, high = style.padded(seen, 0.05, log=log[name])
        limits[name] = (low / 10**beyond, high * 10**beyond) if log[name] else (low, high)
    grid = {n: (np.geomspace if log[n] else np.linspace)(*limits[n], POINTS) for n in limits}
    X, Y = np.meshgrid(grid[first], grid[second])
    points = {first: X.ravel(), second: Y.ravel(), **{n: np.full(X.size, v) for n, v in fixed.items()}}
    there = of.in_group(of.fits[0], points, None)
    Z = np.median(evaluate_draws(of.fits[0], of.law.metric, there), axis=0).reshape(X.shape)
    mine = of.rows(of.groups[0])

    levels = _levels(Z)
    axis.contourf(X, Y, Z, levels=levels, cmap="cividis_r", alpha=0.75, zorder=0, extend="both")
    lines = axis.contour(X, Y, Z, levels=levels, colors="0.25", linewidths=0.5, zorder=1)
    axis.clabel(lines, fontsize="x-small", fmt=lambda v: f"{v:.3g}")
    _pale_outside(axis, of.runs.inputs[first], of.runs.inputs[second], limits[first], limits[second])
    style.data(axis, of.runs.inputs[first][mine], of.runs.inputs[second][mine])
    if has_allocation(of.law):
        cost = of.runs.cost
        least, most = (cost.flops(limits["N"][i], limits["D"][i]) for i in (0, 1))
        C = np.geomspace(least, most, 81)
        best = of.allocate(C, fixed, interval)
        # the frontier's interval runs along each budget's own line, from its lowest N to its highest
        least, most = best["N"]["low"], best["N"]["high"]
        axis.fill(
            np.concatenate([least, most[::-1]]), np.concatenate([cost.tokens(C, least), cost.tokens(C, most)[::-1]]),
            color=style.OPTIMUM, alpha=0.25, linewidth=0, label=f"optimum, {interval:.0%}", zorder=2,
        )  # fmt: skip
        middle = best["N"]["median"]
        axis.plot(middle, cost.tokens(C, middle), color=style.OPTIMUM, label=f"optimum, {interval:.0%}", zorder=2)
    for which, name in (("x", first), ("y", second)):
        style.scale(axis, which, *limits[name], log=log[name])
    axis.set(xlabel=style.label(first), ylabel=style.label(second))
    text = "".join(f", {n} = {style.number(v)}" for n, v in fixed.items())
    axis.set_title(f"{style.label(of.law.metric)}, {of.title}{text}", fontsize="medium")
    style.legend(axis, ncols=3, **style.BELOW)


def _levels(Z: np.ndarray) -> np.ndarray:
    """Levels that lie alike in area, at round numbers."""
    step = 10 ** np.floor(np.log10(np.ptp(Z) / LEVELS))
    inner = np.quantile(Z, np.linspace(0.0, 1.0, LEVELS + 2)[1:-1])
    return np.asarray(np.unique((inner / step).round() * step))


def _pale_outside(
    axis: Axes, x: np.ndarray, y: np.ndarray, wide: tuple[float, float], high: tuple[float, float]
) -> None:
    """Pale what lies outside the runs' range, and outline that range."""
    left, right, bottom, top = x.min(), x.max(), y.min(), y.max()
    for (x0, x1), (y0, y1) in (
        ((wide[0], left), high), ((right, wide[1]), high),
        ((left, right), (high[0], bottom)), ((left, right), (top, high[1])),
    ):  # fmt: skip
        axis.fill([x0, x1, x1, x0], [y0, y0, y1, y1], color="white", alpha=0.45, linewidth=0, zorder=1.2)
    axis.add_patch(
        Rectangle((left, bottom), right - left, top - bottom, fill=False, edgecolor="0.25", linestyle=":", zorder=1.3,
                  label="range of the runs")
    )  # fmt: skip
