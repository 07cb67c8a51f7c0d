"""What ArviZ draws from a fit's draws: the joint posterior and the diagnostics of the sampler.

ArviZ makes these figures itself, so that no axes are taken. Its other plots take ``fit.data`` as it is:
``arviz_plots.plot_forest(fit.data)``.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray

from bayescale.errors import UsageError, needs_extra
from bayescale.fit import Fit
from bayescale.plot import style
from bayescale.plot.priors import chosen
from bayescale.plot.subject import checked

WIDE = 10.0
"""Positive constants whose posterior spans more than this factor are drawn as log10."""
COLUMNS = 4
RANKED = 250
"""Draws a chain whose ranks are shown: the band around them costs their number squared."""
CHAINS = (style.POSTERIOR, style.OPTIMUM, *style.FURTHER, style.PRIOR, style.NEW_RUN)


def pair(fit: Fit, *, constants: str | Sequence[str] | None = None, draws: int = 1000) -> np.ndarray:
    """The posterior of the constants two by two, by `arviz_plots.plot_pair`.

    Constants that span more than a decade are drawn as log10.

    Parameters
    ----------
    fit : Fit
    constants : sequence of str, optional
        Two or more constants of the law or the noise; by default all that have a prior.
    draws : int
        At most so many draws, evenly spaced, are shown as points.

    Returns
    -------
    ndarray of Axes
    """
    import arviz_base

    arviz_plots = _arviz_plots()
    fit = checked(fit)
    names = chosen(fit, constants)
    if len(names) < 2:
        raise UsageError(f"a pair plot is of two constants or more, not of {', '.join(names) or 'none'}")
    step = -(-fit.constants[names[0]].size // draws)
    size = 1.35 * len(names) + 0.4
    with arviz_base.rc_context({"plot.max_subplots": len(names) ** 2}):
        made = arviz_plots.plot_pair(
            _tree(fit, names, step), backend="matplotlib", figure_kwargs={"figsize": (size, 0.85 * size)},
            visuals={
                "scatter": {"color": style.POSTERIOR, "alpha": 0.3, "size": 5, "width": 0},
                "dist": {"color": style.POSTERIOR}, "divergence": False,
            },
        )  # fmt: skip
    grid = made.viz["plot"].to_numpy()
    for (row, column), axis in np.ndenumerate(grid):
        if axis is None:
            continue
        axis.locator_params(nbins=3)
        axis.tick_params(labelsize="x-small", labelleft=0 == column < row)
        if row == column:
            axis.set_yticks([])
    return _axes(made, f"posterior, {fit.law.name}")


def trace(fit: Fit, *, constants: str | Sequence[str] | None = None) -> np.ndarray:
    """The draws of each constant, chain by chain, by `arviz_plots.plot_trace`; wide ones as log10.

    Parameters
    ----------
    fit : Fit
        One that has not converged, too.
    constants : sequence of str, optional
        By default all that have a prior.

    Returns
    -------
    ndarray of Axes
    """
    return _of_draws("plot_trace", fit, constants, "trace", visuals={"trace": {"width": 0.4, "alpha": 0.7}})


def rank(fit: Fit, *, constants: str | Sequence[str] | None = None) -> np.ndarray:
    """Ranks of each chain's draws among all chains', with a simultaneous band, by `arviz_plots.plot_rank`.

    Parameters
    ----------
    fit, constants
        As for `trace`. At most 250 evenly spaced draws of a chain are ranked.

    Returns
    -------
    ndarray of Axes
    """
    return _of_draws("plot_rank", fit, constants, "ranks", most=RANKED)


def ess(fit: Fit, *, constants: str | Sequence[str] | None = None) -> np.ndarray:
    """Effective sample size of small intervals along each posterior, by `arviz_plots.plot_ess`.

    Parameters
    ----------
    fit, constants
        As for `trace`.

    Returns
    -------
    ndarray of Axes
    """
    return _of_draws("plot_ess", fit, constants, "effective sample size", chains=False,
                     visuals={"ess": {"color": style.POSTERIOR}})  # fmt: skip


def autocorrelation(fit: Fit, *, constants: str | Sequence[str] | None = None) -> np.ndarray:
    """Autocorrelation of each chain's draws, by `arviz_plots.plot_autocorr`.

    Parameters
    ----------
    fit, constants
        As for `trace`.

    Returns
    -------
    ndarray of Axes
    """
    return _of_draws("plot_autocorr", fit, constants, "autocorrelation", max_lag=50)


def _of_draws(
    plot: str,
    fit: Fit,
    constants: str | Sequence[str] | None,
    title: str,
    *,
    most: int | None = None,
    chains: bool = True,
    **options: Any,
) -> np.ndarray:
    fit = checked(fit, unconverged=True)
    names = chosen(fit, constants)
    length = fit.constants[names[0]].shape[1]
    step = 1 if most is None else -(-length // most)
    rows = -(-len(names) // COLUMNS)
    columns = min(len(names), COLUMNS)
    if chains:
        options["aes"] = {"color": ["chain"]}
        options["color"] = [CHAINS[i % len(CHAINS)] for i in range(len(fit.constants[names[0]]))]
    made = getattr(_arviz_plots(), plot)(
        _tree(fit, names, step), backend="matplotlib", col_wrap=COLUMNS,
        figure_kwargs={"figsize": (2.4 * columns + 0.4, 1.9 * rows + 0.4)}, **options,
    )  # fmt: skip
    return _axes(made, f"{title}, {fit.law.name}")


def _arviz_plots() -> Any:
    try:
        return importlib.import_module("arviz_plots")
    except ModuleNotFoundError:
        raise needs_extra("this plot needs arviz-plots", "plot") from None


def _tree(fit: Fit, names: list[str], step: int) -> xarray.DataTree:
    """Every so many draws as ArviZ takes them, wide constants as log10; names as matplotlib shows them."""
    draws = {}
    for name in names:
        values = fit.constants[name]
        log = (values > 0).all() and values.max() / values.min() > WIDE
        shown = np.log10(values) if log else values
        draws[style.escape(f"log10 {name}" if log else name)] = (("chain", "draw"), shown[:, ::step])
    return xarray.DataTree.from_dict({"posterior": xarray.Dataset(draws)})


def _axes(made: Any, title: str) -> np.ndarray:
    figure = made.viz["figure"].item()
    figure.set_layout_engine("constrained")
    figure.suptitle(style.escape(title), fontsize="medium")
    return np.array(figure.axes, dtype=object)
