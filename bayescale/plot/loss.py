"""The metric against one input, or against compute at the optimal split."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from bayescale import intervals
from bayescale.arrays import Numbers
from bayescale.errors import UsageError, did_you_mean
from bayescale.plot import style
from bayescale.plot.kinds import has_allocation
from bayescale.plot.subject import Group, Plotted, Subject, Weights, group_text, require_split, subject
from bayescale.runs.features import numeric
from bayescale.runs.inputs import checked_inputs
from bayescale.runs.schedule import schedule_from

POINTS = 121
SERIES = 4
"""Values of another input that get a curve each, where none are given."""
SCHEDULES = 8
"""Schedules that get a curve each, of runs along more."""


def loss(
    fit: Plotted,
    ax: Axes | None = None,
    *,
    against: str | None = None,
    beyond: float = 1.0,
    interval: float = intervals.INTERVAL,
    weights: Weights | None = None,
    **held: Numbers,
) -> Axes:
    """The law's metric against one input or C: the runs, the mean curve, a new run, and where the data end.

    Against C a law of N and D is drawn at the posterior median of its compute-optimal split, which the runs,
    trained off it, lie above.

    Parameters
    ----------
    fit : Fit or Comparison
        A comparison's laws are averaged.
    ax : Axes, optional
        Where to draw; a new figure if None.
    against : str, optional
        An input of the law, or 'C'; of a law of a schedule, S. By default C where the law splits it between N and D,
        else the first input.
    beyond : float
        Powers of ten to go on above the largest run. On an axis that is not logarithmic, a tenth of the range.
    interval : float
        Mass of the equal-tailed intervals.
    weights : str or mapping, optional
        Of a comparison; see `Comparison.weights`.
    **held : array_like
        Values of the law's other inputs, a curve each for one of them (``D=[1e10, 1e11]``). By default values
        that span the data for the first other input, and the geometric mean for any further one. Groups of a pooled
        fit, a curve each, in their runs' colour: by default all of them, each at the geometric mean of other inputs.

    Returns
    -------
    Axes

    Raises
    ------
    UsageError
        The law has no such input, or values are given for what is on the axis.
    """
    of = subject(fit, weights, held)
    held = of.held(held)
    if not numeric(of.law.inputs):
        return learning_curves(of, ax, against, held, interval)
    against = against or ("C" if has_allocation(of.law) else of.law.inputs[0])
    at_optimum = against == "C" and "C" not in of.law.inputs
    if at_optimum:
        others = require_split(of, "loss against C")
    elif against not in of.law.inputs:
        raise UsageError(
            f"law {of.name} has no input {against!r}{did_you_mean(against, of.law.inputs)}; against what: "
            f"{', '.join([*of.law.inputs, *(['C'] if has_allocation(of.law) else [])])}"
        )
    else:
        others = tuple(n for n in of.law.inputs if n != against)
    if beyond < 0:
        raise UsageError(f"beyond is how many powers of ten to go on above the data, from 0 up, not {beyond}")
    seen = of.compute() if at_optimum else of.runs.inputs[against]
    log = style.is_log(seen)
    low, high = style.padded(seen, 0.03 if log else 0.1, log=log)
    high = max(high, float(seen.max()) * 10**beyond) if log else high
    x = np.geomspace(low, high, POINTS) if log else np.linspace(low, high, POINTS)

    (axis,) = style.panels(ax)
    text = f"{of.law.metric} against {against}, {of.title}"
    if at_optimum or not others or len(of.groups) > 1:
        fixed = of.further(others, held)
        drawn = _curve_of_each(axis, of, x, None if at_optimum else against, fixed, seen, interval)
        if at_optimum:
            text = f"{of.law.metric} at the optimal split of C, {of.title}"
    else:
        drawn, fixed = _curves(axis, of, against, x, others, held, interval)
    text += "".join(f", {n} = {style.number(v)}" for n, v in fixed.items())
    shown = np.concatenate([of.runs.observed, drawn])
    style.scale(axis, "x", low, high, log=log)
    of_metric = style.is_log(shown, 2.0)
    style.scale(axis, "y", *style.padded(shown, log=of_metric), log=of_metric)
    style.shade_beyond(axis, seen)
    axis.set(xlabel=style.label(against), ylabel=style.label(of.law.metric))
    axis.set_title(text, fontsize="medium")
    style.legend(axis)
    return axis


def learning_curves(of: Subject, ax: Axes | None, against: str | None, held: dict[str, Any], interval: float) -> Axes:
    """Loss along runs by a law of their learning-rate schedules: a curve each of some schedules, with its runs."""
    if against not in (None, "S") or set(held) - {"schedule"}:
        raise UsageError(f"loss of law {of.name} is drawn against S along schedules: give schedule, and nothing else")
    texts = of.runs.inputs["schedule"]
    steps = of.runs.inputs["S"]
    known = list(dict.fromkeys(texts.tolist()))
    shown = list(np.ravel(checked_inputs(of.law.name, ("schedule",), held)["schedule"])) if held else known
    if len(shown) > SCHEDULES:
        shown = [shown[i] for i in np.linspace(0, len(shown) - 1, SCHEDULES).astype(int)]
    (axis,) = style.panels(ax)
    heights = []
    curves = [(text, group) for text in shown for group in _groups_of(of, texts == text)]
    for (text, group), color in zip(curves, style.sequence(len(curves)), strict=True):
        mine = (texts == text) & of.rows(group)
        end = steps[mine].max() if mine.any() else max(schedule_from(text).steps[-1], float(steps.max()))
        x = np.linspace(steps.min(), end, POINTS)
        mean, new_run = of.predict({"S": x, "schedule": np.full(POINTS, text, dtype=object)}, interval, group)
        name = str(of.runs.run[mine][0]) if of.runs.run is not None and mine.any() else text
        label = f"{name[:40]}, {group_text(group)}" if len(of.groups) > 1 else name[:40]
        axis.plot(x, mean["median"], color=color, label=style.escape(label))
        style.band(axis, x, new_run, color, alpha=0.2)
        if mine.any():
            style.data(axis, steps[mine], of.runs.observed[mine], color=color, text=None)
        heights += [new_run["low"], new_run["high"]]
    style.scale(axis, "y", *style.padded(np.concatenate(heights), log=False), log=False)
    axis.set(xlabel=style.label("S"), ylabel=style.label(of.law.metric))
    axis.set_title(f"{of.law.metric} along schedules, {of.name}", fontsize="medium")
    style.legend(axis)
    return axis


def _groups_of(of: Subject, mine: np.ndarray) -> list[Group]:
    """The groups that some of the runs are of, among those asked for; all where they are of none."""
    return [g for g in of.groups if (of.rows(g) & mine).any()] or list(of.groups)


def _curve_of_each(
    axis: Axes,
    of: Subject,
    x: np.ndarray,
    against: str | None,
    fixed: dict[str, float],
    seen: np.ndarray,
    interval: float,
) -> np.ndarray:
    """A curve for each group, in the colour of its runs; against compute at its optimum where `against` is None."""
    drawn = []
    for group, text, color, mine in of.colours():
        points: dict[str, Any] = {str(against): x, **fixed}
        if against is None:
            N = of.allocate(x, fixed, interval, group)["N"]["median"]
            points = {"N": N, "D": of.runs.cost.tokens(x, N), **fixed}
        mean, new_run = of.predict(points, interval, group)
        drawn += [new_run["low"], new_run["high"]]
        if len(of.groups) > 1:
            style.data(axis, seen[mine], of.runs.observed[mine], color=color, text=None)
            style.band(axis, x, mean, color, f"{text}, {interval:.0%}", alpha=0.35)
            axis.plot(x, mean["median"], color=color, label=f"{text}, {interval:.0%}")
            style.band(axis, x, new_run, color, alpha=0.12)
            continue
        style.data(axis, seen[mine], of.runs.observed[mine])
        style.band(axis, x, mean, style.POSTERIOR, f"mean curve, {interval:.0%}", alpha=0.4)
        axis.plot(x, mean["median"], color=style.POSTERIOR, label=f"mean curve, {interval:.0%}")
        style.band(axis, x, new_run, style.NEW_RUN, f"new run, {interval:.0%}")
    return np.concatenate(drawn)


def _curves(
    axis: Axes, of: Subject, against: str, x: np.ndarray, others: tuple[str, ...], held: dict[str, Any], interval: float
) -> tuple[np.ndarray, dict[str, float]]:
    """A curve for each value of one other input; further ones stay at one value each, which is returned."""
    several = [n for n, v in held.items() if np.size(v) > 1 and n in others]
    if len(several) > 1:
        raise UsageError(f"several values of {' and of '.join(several)}: give one value of all but one input")
    series = several[0] if several else next((n for n in others if n not in held), others[0])
    fixed = of.further(others, {n: v for n, v in held.items() if n != series})
    del fixed[series]
    if series in held:
        values = np.sort(checked_inputs(of.law.name, (series,), {series: held[series]})[series].ravel())
    else:
        values = spanning(of.runs.inputs[series])
    # the points wear the curves' colours on a continuous scale: a run between two held values has one between theirs
    of_points = np.log(of.runs.inputs[series]) if (of.runs.inputs[series] > 0).all() else of.runs.inputs[series]
    of_values = np.log(values) if (values > 0).all() else values
    low = min(of_points.min(), of_values.min())
    span = max(max(of_points.max(), of_values.max()) - low, 1e-12)
    mine = of.rows(of.groups[0])
    axis.scatter(
        of.runs.inputs[against][mine], of.runs.observed[mine], c=(of_points[mine] - low) / span * style.LIGHTEST,
        cmap="viridis", vmin=0, vmax=1, s=11, linewidths=0, zorder=3, label="runs",
        rasterized=len(of_points) > style.MANY,
    )  # fmt: skip
    drawn = []
    for value, place in zip(values, (of_values - low) / span * style.LIGHTEST, strict=True):
        color = style.ramp(place)
        mean, new_run = of.predict({against: x, series: value, **fixed}, interval)
        axis.plot(x, mean["median"], color=color, label=f"{series} = {style.number(value)}")
        style.band(axis, x, mean, color, alpha=0.35)
        style.band(axis, x, new_run, color, alpha=0.12)
        drawn.append(mean["median"])
    return np.concatenate(drawn), fixed


def spanning(values: np.ndarray, most: int = SERIES) -> np.ndarray:
    """At most `most` values that span those of an input: its own where they are few, else quantiles."""
    distinct = np.unique(values)
    if len(distinct) <= most + 1:
        return np.asarray(distinct)
    low, high = np.quantile(np.log(values) if (values > 0).all() else values, [0.05, 0.95])
    found = np.linspace(low, high, most)
    return np.asarray(np.exp(found) if (values > 0).all() else found)
