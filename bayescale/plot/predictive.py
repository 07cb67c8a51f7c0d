"""Posterior predictive check: whether as many runs fall into each interval as it says."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from bayescale import intervals
from bayescale.answers.predict import evaluate_draws
from bayescale.fit import Fit
from bayescale.plot import style
from bayescale.plot.noise import noise_of
from bayescale.plot.subject import checked
from bayescale.studies.calibrate import bands

MOST = 2000
"""Rows that are looked at; of more, evenly spaced ones."""


def predictive(fit: Fit, ax: Axes | None = None, *, interval: float = intervals.INTERVAL) -> Axes:
    """The ECDF of the runs' predictive probabilities, less the uniform one, in its simultaneous band.

    A run's predictive probability is that of a new run with a lower value at its inputs, measurement error included;
    no scale matters to it. A line above the band at the left and below it at the right says that intervals are too
    narrow, the opposite that they are too wide; a line above or below throughout, that the curve is too high or too
    low. The fit has seen the runs, so that the line strays a little less than the band allows.

    Parameters
    ----------
    fit : Fit
    ax : Axes, optional
    interval : float
        Mass of the band.

    Returns
    -------
    Axes
    """
    fit = checked(fit)
    intervals.checked_interval(interval)
    probabilities = predictive_probabilities(fit)
    at = bands.points(len(probabilities))
    low, high = bands.band(len(probabilities), interval)
    (axis,) = style.panels(ax)
    style.uniform_band(axis, at, low, high, f"uniform, {interval:.0%} at once")
    style.ecdf_difference(axis, at, bands.ecdf(probabilities), color=style.POSTERIOR, label="runs")
    axis.set(xlabel="predictive probability of the run", ylabel="ECDF less uniform")
    axis.set_title(f"posterior predictive check, {fit.law.name}", fontsize="medium")
    style.legend(axis, ncols=2, **style.BELOW)
    return axis


def predictive_probabilities(fit: Fit) -> np.ndarray:
    """The probability of a new run below each row's value, averaged over draws, shape (row,)."""
    rows = np.linspace(0, fit.runs.rows - 1, min(fit.runs.rows, MOST)).round().astype(int)
    mean = evaluate_draws(fit, fit.law.metric, {n: x[rows] for n, x in fit.runs.inputs.items()})
    observed = fit.runs.observed[rows]
    se = 0.0 if fit.runs.se is None else fit.runs.se[rows] / observed
    noise = noise_of(fit)
    scale = np.sqrt(noise.sigma**2 + np.square(se))
    return np.asarray(noise.standard.cdf((np.log(observed) - np.log(mean)) / scale).mean(axis=0))
