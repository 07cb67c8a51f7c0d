"""Prior and posterior of each constant."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from arviz_stats.base import array_stats  # type: ignore[attr-defined]

from bayescale import intervals
from bayescale.errors import UsageError, did_you_mean
from bayescale.fit import Fit
from bayescale.plot import style
from bayescale.plot.subject import checked

WIDE = 5.0
"""Constants whose prior's inner 98 % spans more than this factor are drawn on a log axis."""


def priors(
    fit: Fit,
    ax: style.AxesLike = None,
    *,
    constants: str | Sequence[str] | None = None,
    interval: float = intervals.INTERVAL,
) -> Any:
    """Prior and posterior density of each constant, each scaled to its peak, with the posterior's interval.

    Constants of a wide prior are on a log axis, and their densities are those of the logarithm.

    Parameters
    ----------
    fit : Fit
    ax : Axes or sequence of Axes, optional
        One for each constant.
    constants : str or sequence of str, optional
        Constants of the law or the noise; by default all that have a prior.
    interval : float
        Mass of the interval that is marked below the posterior.

    Returns
    -------
    Axes, or ndarray of Axes where there are several constants
    """
    fit = checked(fit)
    intervals.checked_interval(interval)
    names = chosen(fit, constants)
    before = fit.target.constants_at(fit.samples.prior, fit.padded)
    axes = style.panels(ax, len(names), columns=4 if len(names) > 6 else 3, size=(2.7, 2.1))
    for axis, name in zip(axes, names, strict=True):
        prior, posterior = before[name], fit.constants[name]
        inner = np.quantile(prior, [0.01, 0.99])
        log = bool((prior > 0).all() and (posterior > 0).all() and inner[1] / inner[0] > WIDE)
        ends = np.array([min(inner[0], posterior.min()), max(inner[1], posterior.max())])
        for draws, color, text in ((prior[None], style.PRIOR, "prior"), (posterior, style.POSTERIOR, "posterior")):
            x, height = _density(draws, log)
            axis.fill_between(x, 0, height, color=color, alpha=0.3, linewidth=0)
            axis.plot(x, height, color=color, linewidth=1.3, label=text)
        found = intervals.summarise(posterior.reshape(-1), interval)
        axis.plot(
            [found["low"], found["high"]], [-0.06, -0.06], color=style.POSTERIOR, linewidth=3, solid_capstyle="butt",
            label=f"{interval:.0%} interval",
        )  # fmt: skip
        axis.plot(found["median"], -0.06, "o", color="white", markeredgecolor=style.POSTERIOR, markersize=4)
        style.scale(axis, "x", *style.padded(ends, 0.02, log=log), log=log)
        axis.set(yticks=[], ylim=(-0.13, 1.1), xlabel=style.escape(name))
        axis.spines["left"].set_visible(False)
    axes[0].set_ylabel("density / its peak")
    style.legend(axes[0], loc="best")
    return style.handed_back(axes)


def chosen(fit: Fit, constants: str | Sequence[str] | None) -> list[str]:
    """Names of constants that were asked for, or all that have a prior of their own.

    Raises
    ------
    UsageError
        The fit has no such constant.
    """
    noise = [n for n in fit.constants if n not in fit.law.fields]
    known = [n for n in fit.constants if n in fit.law.free or n in noise]
    names = [constants] if isinstance(constants, str) else list(known if constants is None else constants)
    for name in names:
        if name not in fit.constants:
            raise UsageError(
                f"the fit of {fit.law.name} has no constant {name!r}{did_you_mean(name, known)}; "
                f"it has {', '.join(known)}"
            )
    return names


def _density(draws: np.ndarray, log: bool) -> tuple[np.ndarray, np.ndarray]:
    """A kernel density estimate over draws, shape (chain, draw), scaled to its peak; of their log where `log`."""
    values = np.log(draws.reshape(-1)) if log else draws.reshape(-1)
    x, density, _ = array_stats.kde(values)  # type: ignore[no-untyped-call]
    return np.exp(x) if log else x, density / density.max()
