"""Plots of fits and comparisons: axes in, axes out, in matplotlib.

Every function takes what it is of and, as `ax`, where to draw: an Axes (an array of them where the plot has several
panels), or None for a new figure, and gives the axes back. Colours mean the same in every plot. Plots need
``pip install 'bayescale[plot]'``; where that is missing, the first use of one says so.
"""

from typing import TYPE_CHECKING, Any

from bayescale.errors import needs_extra

try:
    from bayescale.plot.allocation import allocation as allocation
    from bayescale.plot.arviz import autocorrelation as autocorrelation
    from bayescale.plot.arviz import ess as ess
    from bayescale.plot.arviz import pair as pair
    from bayescale.plot.arviz import rank as rank
    from bayescale.plot.arviz import trace as trace
    from bayescale.plot.calibration import calibration as calibration
    from bayescale.plot.comparison import comparison as comparison
    from bayescale.plot.isoflop import isoflop as isoflop
    from bayescale.plot.loss import loss as loss
    from bayescale.plot.multiplier import multiplier as multiplier
    from bayescale.plot.predictive import predictive as predictive
    from bayescale.plot.priors import priors as priors
    from bayescale.plot.residuals import residuals as residuals
    from bayescale.plot.surface import surface as surface
except ModuleNotFoundError as error:
    if str(error.name).partition(".")[0] != "matplotlib":
        raise
    if not TYPE_CHECKING:

        def __getattr__(name: str) -> Any:
            if name.startswith("__"):
                raise AttributeError(name)
            raise needs_extra("plots need matplotlib and arviz-plots", "plot")
