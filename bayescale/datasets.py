"""Data sets as run tables: small ones that ship with the package, larger ones fetched from pinned addresses."""

from __future__ import annotations

import numpy as np
import pandas as pd

from bayescale.runs import read_runs
from bayescale.runs.datasets import DataSet, fetch, info, names, table

__all__ = ["DataSet", "fetch", "info", "load", "names", "simulate_kaplan"]


def load(name: str) -> pd.DataFrame:
    """Load a data set as a run table, downloading its files first where it has some.

    Returns
    -------
    DataFrame
        As `bayescale.runs.read_runs` makes it: N parameters, D tokens, C FLOPs, loss nats per token.

    Raises
    ------
    UsageError
        No data set has that name.
    DataError
        A file could not be downloaded, or is not the pinned one.

    Examples
    --------
    >>> len(load("palm2"))
    12
    """
    return read_runs(table(name))


def simulate_kaplan(seed: int = 0) -> pd.DataFrame:
    """Simulate runs from L(N, D) = ((N_c/N)^(alpha_N/alpha_D) + D_c/D)^alpha_D.

    Returns
    -------
    DataFrame
        63 rows, N parameters (9 values) by D tokens (7 values), loss in nats per token with Student-t(4)
        noise of scale 0.003 on its logarithm. ``seed=0`` gives the data set ``simulated_kaplan``.

    References
    ----------
    Kaplan et al. 2020, arXiv 2001.08361, eq. 1.5 and Table 2.
    """
    alpha_N, alpha_D, N_c, D_c = 0.076, 0.103, 6.4e13, 1.8e13
    sizes = [float(f"{size:.3g}") for size in np.geomspace(1e5, 1.5e9, 9)]
    tokens = [float(f"{count:.3g}") for count in np.geomspace(2.2e7, 2.3e10, 7)]
    N, D = (axis.ravel() for axis in np.meshgrid(sizes, tokens, indexing="ij"))
    loss = ((N_c / N) ** (alpha_N / alpha_D) + D_c / D) ** alpha_D
    noise = 0.003 * np.random.default_rng(seed).standard_t(4, size=len(N))
    return pd.DataFrame({"N": N, "D": D, "loss": np.round(loss * np.exp(noise), 6)})
