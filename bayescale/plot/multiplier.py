"""Compute multipliers against compute: what one recipe saves, and how surely, as it is scaled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from bayescale import intervals
from bayescale.answers.needed import single_input
from bayescale.errors import UsageError
from bayescale.fit import Fit
from bayescale.plot import style
from bayescale.plot.kinds import has_allocation, refused
from bayescale.plot.subject import checked
from bayescale.runs import COLUMNS
from bayescale.runs.cost import CostLike, cost_from
from bayescale.studies.multiplier import multiplier as multipliers

POINTS = 25


def multiplier(
    fit: Fit,
    ax: style.AxesLike = None,
    *,
    by: str | None = None,
    of: str | Sequence[str] | None = None,
    over: str | Fit | None = None,
    beyond: float = 1.0,
    interval: float = intervals.INTERVAL,
    **options: Any,
) -> Axes:
    """How many times the compute a recipe needs for the loss that another reaches, against compute.

    Parameters
    ----------
    fit : Fit
        Pooled by recipe, or of the new recipe, with the old one's as `over`.
    ax : Axes, optional
    by, of, over
        The recipes; see `bayescale.studies.multiplier.multiplier`.
    beyond : float
        Powers of ten to go on above the largest run.
    interval : float
        Mass of the equal-tailed intervals.
    **options
        Others of `bayescale.studies.multiplier.multiplier`: at, tokens_per_parameter, and what is held.

    Returns
    -------
    Axes
    """
    if beyond < 0:
        raise UsageError(f"beyond is how many powers of ten to go on above the data, from 0 up, not {beyond}")
    for one in (fit, over) if isinstance(over, Fit) else (fit,):
        checked(one)
    name, seen = _scale([fit, over] if isinstance(over, Fit) else [fit], options.get("cost"))
    low, high = style.padded(seen, 0.03, log=True)
    x = np.geomspace(low, max(high, float(seen.max()) * 10**beyond), POINTS)
    table = multipliers(fit, by=by, of=of, over=over, interval=interval, **{**options, name: x})
    recipes = list(dict.fromkeys(table["of"]))
    colors = [style.POSTERIOR] if len(recipes) == 1 else style.of_groups(len(recipes))

    (axis,) = style.panels(ax)
    shown = [np.ones(1)]
    for recipe, color in zip(recipes, colors, strict=True):
        part = table[table["of"] == recipe].sort_values(name)
        found = {c: part[c].to_numpy(float) for c in ("median", "low", "high")}
        shown += [v[np.isfinite(v)] for v in found.values()]
        text = f"{style.escape(recipe)} over {style.escape(part['over'].iloc[0])}, {interval:.0%}"
        axis.plot(x, found["median"], color=color, label=text)
        top = np.where(np.isinf(found["high"]), 1e99, found["high"])  # an interval without an end leaves the axes
        style.band(axis, x, {"low": np.minimum(found["low"], top), "high": top}, color, text)
    axis.axhline(1.0, color="0.4", linewidth=0.8, linestyle="--", zorder=1)
    values = np.concatenate(shown)
    log = style.is_log(values)
    style.scale(axis, "x", float(x[0]), float(x[-1]), log=True)
    style.scale(axis, "y", *style.padded(values, 0.08, log=log), log=log)
    style.shade_beyond(axis, seen)
    what = COLUMNS.get(name, name)
    axis.set(xlabel=style.label(name), ylabel=f"{what}, times, for the same {fit.law.metric}")
    axis.set_title(f"multiplier of {name}, {fit.law.name}", fontsize="medium")
    style.legend(axis)
    return axis


def _scale(fits: Sequence[Fit], cost: CostLike) -> tuple[str, np.ndarray]:
    """What is multiplied, C or the single input of a law, and where the rows of fits are."""
    law = fits[0].law
    if name := single_input(law):
        return name, np.concatenate([f.runs.inputs[name] for f in fits])
    if not all(has_allocation(f.law) for f in fits):
        raise refused(
            law, f"a multiplier is by laws of N and D, or of one input; {law.name} has {', '.join(law.inputs)}"
        )
    counted = [(cost_from(cost) or f.runs.cost, f.runs.inputs) for f in fits]
    return "C", np.concatenate([c.flops(x["N"], x["D"]) for c, x in counted])
