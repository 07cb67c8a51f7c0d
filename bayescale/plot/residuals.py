"""Residuals of the log metric against what the law gives and takes, and the noise that was fitted to them."""

from __future__ import annotations

import numpy as np
from matplotlib.ticker import FuncFormatter

from bayescale import intervals
from bayescale.answers.predict import evaluate_draws
from bayescale.fit import Fit
from bayescale.plot import style
from bayescale.plot.noise import noise_of
from bayescale.plot.subject import checked, subject
from bayescale.runs.features import feature_of

POINTS = 161
REACH = 6.0
"""Residuals are drawn to so many scales of the noise; those further out sit at the edge, as triangles."""


def residuals(fit: Fit, ax: style.AxesLike = None, *, interval: float = intervals.INTERVAL) -> np.ndarray:
    """Residuals of the log metric against the fitted values and each input, and their distribution.

    Residuals are about the posterior median curve. The band is where a new run falls; the last panel has the
    fitted noise with its own interval.

    Parameters
    ----------
    fit : Fit
    ax : sequence of Axes, optional
        One for the fitted values, one for each input of the law, and one for the noise.
    interval : float
        Mass of the intervals.

    Returns
    -------
    ndarray of Axes, shape (inputs + 2,)
    """
    fit = checked(fit)
    of = subject(fit)
    intervals.checked_interval(interval)
    inputs = dict(fit.runs.inputs)
    curve = np.median(evaluate_draws(fit, fit.law.metric, inputs), axis=0)
    inputs = {n: x for n, x in inputs.items() if n in fit.law.inputs and feature_of(n).numeric}
    r = np.log(fit.runs.observed) - np.log(curve)
    noise = noise_of(fit)
    half, scale = noise.half_width(interval), float(np.median(noise.sigma))
    edge = min(max(np.abs(r).max() * 1.08, 1.5 * half), max(REACH * scale, 1.5 * half))
    far = np.abs(r) > edge

    name, percent = (
        f"residual of log {style.escape(fit.law.metric)}",
        FuncFormatter(lambda value, _: f"{100 * value:.3g} %"),
    )
    axes = style.panels(ax, len(inputs) + 2, columns=2 if len(inputs) == 2 else 3)
    places = {f"fitted {style.label(fit.law.metric)}": curve, **{style.label(n): x for n, x in inputs.items()}}
    for axis, (text, x) in zip(axes, places.items(), strict=False):
        axis.axhspan(-half, half, color=style.NEW_RUN, alpha=0.25, linewidth=0, label=f"new run, {interval:.0%}")
        axis.axhline(0, color=style.POSTERIOR, linewidth=1)
        for _, text_of, color, mine in of.colours():
            style.data(axis, x[~far & mine], r[~far & mine], color=color, text=text_of or "runs")
        if far.any():
            many = f"{far.sum()} further out"
            style.data(
                axis, x[far & (r > 0)], np.full((far & (r > 0)).sum(), edge), marker="^", text=many, clip_on=False
            )
            style.data(
                axis, x[far & (r < 0)], np.full((far & (r < 0)).sum(), -edge), marker="v", text=None, clip_on=False
            )
        log = style.is_log(x, 2.0)
        style.scale(axis, "x", *style.padded(x, log=log), log=log)
        axis.set(xlabel=text, ylabel=name, ylim=(-edge, edge))
        axis.yaxis.set_major_formatter(percent)
    style.legend(axes[0])

    last = axes[-1]
    grid = np.linspace(-edge, edge, POINTS)
    found = intervals.summarise(noise.density(grid), interval)
    bins = np.linspace(-edge, edge, int(np.clip(2 * np.sqrt(len(r)), 12, 60)) + 1)
    heights = np.histogram(r, bins)[0] / (len(r) * np.diff(bins))
    last.stairs(heights, bins, fill=True, color="0.75", label="runs")
    style.band(last, grid, found, style.POSTERIOR, f"fitted noise, {interval:.0%}", alpha=0.4)
    last.plot(grid, found["median"], color=style.POSTERIOR, label=f"fitted noise, {interval:.0%}")
    last.set(xlabel=name, ylabel="density", yticks=[], xlim=(-edge, edge))
    last.xaxis.set_major_formatter(percent)
    last.set_title(noise.text, fontsize="medium")
    last.set_ylim(0, None)
    style.legend(last)
    axes[0].set_title(f"residuals, {fit.law.name}", fontsize="medium")
    return np.array(axes, dtype=object)
