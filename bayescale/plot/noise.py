"""The fitted noise of a law at every draw, as a distribution of residuals of the log metric."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from bayescale.fit import Fit


@dataclass(frozen=True, eq=False)
class Noise:
    """Residuals of the log metric at every draw.

    Attributes
    ----------
    sigma : ndarray, shape (draw, 1)
        Their scale.
    standard : scipy frozen distribution, shape (draw, 1) or ()
        Of a residual over its scale.
    text : str
        The likelihood and the posterior medians of its constants.
    """

    sigma: np.ndarray
    standard: Any
    text: str

    def density(self, r: np.ndarray) -> np.ndarray:
        """Density at residuals, shape (draw, point)."""
        return np.asarray(self.standard.pdf(r / self.sigma) / self.sigma)

    def half_width(self, interval: float) -> float:
        """Half the width of the interval about the curve, posterior median."""
        return float(np.median(self.sigma * self.standard.ppf(0.5 + interval / 2)))


def noise_of(fit: Fit) -> Noise:
    """The noise of a fit, at most 4000 draws."""
    constants = fit.thinned()
    drawn = fit.likelihood.drawn(constants)
    draws = len(next(iter(constants.values())))
    tails = fit.likelihood.tails(drawn)
    if isinstance(tails, str):
        standard: Any = stats.norm() if tails == "normal" else stats.laplace()
    else:
        standard = stats.t(np.broadcast_to(tails, draws)[:, None])
    parts = [f"{n} = {np.median(x):.3g}" for n, x in drawn.items()]
    return Noise(
        np.broadcast_to(drawn["sigma"], draws)[:, None],
        standard,
        ", ".join([fit.likelihood.name.replace("_", " "), *parts]),
    )
