"""The compute-optimal frontier: how N and D grow with the budget."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from bayescale import intervals
from bayescale.arrays import Numbers
from bayescale.errors import UsageError, did_you_mean
from bayescale.kaplan import TABLE_6
from bayescale.law import FLOPS_PER_PARAMETER_TOKEN
from bayescale.models import Chinchilla
from bayescale.plot import style
from bayescale.plot.subject import Plotted, Weights, require_split, subject

POINTS = 61
TOKENS_PER_PARAMETER = 20.0
"""The rule of thumb that Hoffmann et al. 2022 is quoted for."""

RECIPES = {
    "kaplan_2020": "Kaplan et al. 2020, Table 6",
    "hoffmann_2022": "Hoffmann et al. 2022, approach 3",
    "besiroglu_2024": "Besiroglu et al. 2024",
    "twenty_tokens": "20 tokens a parameter",
    "palm2": "PaLM 2 report",
}
"""Published recipes that can be drawn beside a posterior, by name."""


def allocation(
    fit: Plotted,
    ax: style.AxesLike = None,
    *,
    references: str | Iterable[str] = (),
    beyond: float = 1.0,
    interval: float = intervals.INTERVAL,
    weights: Weights | None = None,
    **held: Numbers,
) -> np.ndarray:
    """The compute-optimal parameters and tokens against the budget, with the runs and published recipes.

    Parameters
    ----------
    fit : Fit or Comparison
        Of laws of N and D.
    ax : sequence of two Axes, optional
        For N and for D.
    references : str or iterable of str
        Published recipes to draw: names in `RECIPES`, or 'all'. Kaplan's N counts no embeddings, and its tokens
        are what its N leaves of 6ND.
    beyond : float
        Powers of ten of C to go on above the largest run.
    interval : float
        Mass of the equal-tailed intervals.
    weights
        Of a comparison; see `Comparison.weights`.
    **held : float
        Values of the law's further inputs, the runs' geometric means by default; groups of a pooled fit, or all.

    Returns
    -------
    ndarray of Axes, shape (2,)
    """
    of = subject(fit, weights, held)
    fixed = of.further(require_split(of, "a plot of the allocation"), of.held(held))
    names = _named(references)
    if beyond < 0:
        raise UsageError(f"beyond is how many powers of ten to go on above the data, from 0 up, not {beyond}")
    compute = of.compute()
    low, high = style.padded(compute, 0.03, log=True)
    high = max(high, float(compute.max()) * 10**beyond)
    C = np.geomspace(low, high, POINTS)
    best = [of.allocate(C, fixed, interval, group) for group in of.groups]
    several = len(of.groups) > 1

    axes = style.panels(ax, 2)
    for axis, name in zip(axes, ("N", "D"), strict=True):
        seen = of.runs.inputs[name]
        shown = [seen]
        for (_, text, color, mine), of_group in zip(of.colours(), best, strict=True):
            found = of_group[name]
            label = f"{text}, {interval:.0%}" if several else f"optimum, {interval:.0%}"
            of_runs, of_optimum = (color, color) if several else ("0.6", style.POSTERIOR)
            style.data(axis, compute[mine], seen[mine], color=of_runs, text=None if several else "runs", markersize=2.5)
            style.band(axis, C, found, of_optimum, label, alpha=0.25 if several else 0.4)
            axis.plot(C, found["median"], color=of_optimum, label=label)
            shown += [found["low"], found["high"]]
        for i, recipe in enumerate(names):
            at, sizes = _recipe(recipe, C)
            tokens, cost = at / (FLOPS_PER_PARAMETER_TOKEN * sizes), of.runs.cost
            at = at if cost.usual else cost.flops(sizes, tokens)  # recipes count 6ND
            drawn = sizes if name == "N" else tokens
            inside = (at >= low) & (at <= high)
            look: dict[str, Any] = {"linestyle": style.DASHES[i % len(style.DASHES)]}
            if recipe == "palm2":
                look = {"linestyle": "none", "marker": "^", "markersize": 6, "zorder": 4}
            color = style.FURTHER[i % len(style.FURTHER)]
            axis.plot(at[inside], drawn[inside], color=color, label=RECIPES[recipe], **look)
            shown.append(drawn[inside])
        style.scale(axis, "x", low, high, log=True)
        style.scale(axis, "y", *style.padded(np.concatenate(shown), log=True), log=True)
        style.shade_beyond(axis, compute)
        axis.set(xlabel=style.label("C"), ylabel=f"optimal {style.label(name)}")
        text = "".join(f", {n} = {style.number(v)}" for n, v in fixed.items())
        axis.set_title(f"compute-optimal {name}, {of.title}{text}", fontsize="medium")
    style.legend(axes[0])
    return np.array(axes, dtype=object)


def _named(references: str | Iterable[str]) -> list[str]:
    names = [references] if isinstance(references, str) else list(references)
    if "all" in names:
        return list(RECIPES)
    for name in names:
        if name not in RECIPES:
            raise UsageError(
                f"there is no published recipe {name!r}{did_you_mean(name, RECIPES)}; "
                f"there are {', '.join(RECIPES)}, and all of them by 'all'"
            )
    return names


def _recipe(name: str, C: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A recipe's budgets, FLOPs, and its model sizes there."""
    if name == "kaplan_2020":
        return C, np.asarray(TABLE_6["N"].at(C))
    if name == "twenty_tokens":
        return C, np.sqrt(C / (FLOPS_PER_PARAMETER_TOKEN * TOKENS_PER_PARAMETER))
    if name == "palm2":
        from bayescale import datasets

        rows = datasets.load("palm2").drop_duplicates("C").sort_values("C")
        return rows["C"].to_numpy(), rows["palm2_optimum_N"].to_numpy()
    source = {"hoffmann_2022": "Hoffmann et al. 2022", "besiroglu_2024": "Besiroglu et al. 2024"}[name]
    law: Any = Chinchilla(**Chinchilla.published[source])
    return C, np.asarray(law.optimum(C)["N"])
