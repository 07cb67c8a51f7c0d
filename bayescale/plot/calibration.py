"""Ranks of simulation-based calibration against what right posteriors give."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from bayescale.errors import UsageError
from bayescale.intervals import checked_interval
from bayescale.plot import style
from bayescale.studies.calibrate import MASS, Calibration, bands
from bayescale.studies.calibrate.file import read_results


def calibration(result: Calibration | str | Path, ax: Axes | None = None, *, mass: float | None = None) -> Axes:
    """The ECDF of each quantity's ranks, less the uniform one, in the simultaneous band of one quantity.

    Quantities that leave the band are named. Of many that are right some do, one in twenty at 95 %, and are dashed;
    solid lines have strayed too far for their number, too (Holm 1979).

    Parameters
    ----------
    result : Calibration, str or Path
        What `bayescale.studies.calibrate.calibrate` gave, or the file that it wrote its simulations to.
    ax : Axes, optional
    mass : float, optional
        Of the band; the result's, 0.95 for a file.

    Returns
    -------
    Axes
    """
    name, ranks, stated = _ranks(result)
    mass = checked_interval(stated if mass is None else mass)
    at, (low, high) = bands.points(len(ranks)), bands.band(len(ranks), mass)
    found = {str(n): bands.ecdf(x.to_numpy()) for n, x in ranks.items()}
    p = np.array([bands.p_value(x.to_numpy()) for _, x in ranks.items()])
    failed = bands.holm(p) < 1 - mass

    (axis,) = style.panels(ax)
    style.uniform_band(axis, at, low, high, f"uniform, {mass:.0%} at once")
    inside = 0
    for (quantity, values), one, wrong in zip(found.items(), p, failed, strict=True):
        if one >= 1 - mass:
            inside += 1
            style.ecdf_difference(axis, at, values, color=style.POSTERIOR, linewidth=0.8)
        else:
            look: dict[str, Any] = {"linewidth": 1.8} if wrong else {"linewidth": 1.2, "linestyle": "--"}
            text = style.escape(f"{quantity}, p = {one:.2g}")
            style.ecdf_difference(axis, at, values, color=style.OPTIMUM, label=text, zorder=3, **look)
    if inside:
        axis.plot([], [], color=style.POSTERIOR, linewidth=1, label=f"{inside} of {len(found)} quantities inside")
    axis.set(xlabel="rank of the truth in the posterior", ylabel="ECDF less uniform")
    axis.set_title(f"calibration, {name}, {len(ranks)} simulations", fontsize="medium")
    style.legend(axis, ncols=2, **style.BELOW)
    return axis


def _ranks(result: Calibration | str | Path) -> tuple[str, pd.DataFrame, float]:
    """The law's name, ranks, one row a simulation, and the mass of the band."""
    if isinstance(result, str | Path):
        path = Path(result)
        results = read_results(path, {})
        with path.open(encoding="utf-8") as file:
            law = json.loads(file.readline())["bayescale_calibration"].get("law", "")
        good = [r.ranks for r in results if not r.failures]
        name, ranks, mass = str(law), pd.DataFrame(good), MASS
    elif isinstance(result, Calibration):
        name, ranks, mass = result.law.name, result.ranks, result.mass
    else:
        raise UsageError(f"this plot is of a calibration or of its file, not of a {type(result).__name__.lower()}")
    if len(ranks) < 2:
        raise UsageError(
            f"the calibration of {name} has {len(ranks)} simulations with ranks; run `bayescale calibrate`"
        )
    return name, ranks, mass
