"""A table's rows as compiled programs read them: padded to a size class, with the centre at which priors are stated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from bayescale.law import Centre
from bayescale.likelihood import Likelihood
from bayescale.runs import Observations
from bayescale.runs.curves import row_before
from bayescale.runs.features import encoded, feature_of


class Data(NamedTuple):
    """What a program reads of a table: padded rows, of which `mask` says the real ones."""

    inputs: dict[str, np.ndarray]
    observed: np.ndarray
    log_se: np.ndarray | None
    mask: np.ndarray
    centre: Centre
    before: np.ndarray | None = None  # of rows whose residuals follow one another: the row before each in its run,
    gap: np.ndarray | None = None  # and how far it is, in log steps


RESOLUTION = 1e-4
"""Error of the log of any metric: tokens differ by a nat or two in loss, so that 1e8 of them tell no more digits.

Without it the density of rows that lie on a law, those of a formula or a plan, has no bound.
"""


def padded_size(rows: int) -> int:
    """The size class of a table: a power of two, or one and a half of one, from 32 up."""
    size = 32
    while size < rows:
        size = size * 3 // 2 if size & (size - 1) == 0 else size * 4 // 3
    return size


def centre_of(inputs: Mapping[str, np.ndarray], metric: str, observed: np.ndarray) -> Centre:
    """Geometric means of the inputs, of schedules that of their peaks, and the median of the metric.

    An input of a law's own that is not positive throughout is at its mean.
    """
    means = {n: feature_of(n).middle(x) for n, x in inputs.items()}
    return Centre({**means, metric: float(np.median(observed))})


def padded(
    inputs: Mapping[str, np.ndarray],
    observed: np.ndarray,
    se: np.ndarray | None,
    centre: Centre,
    metric: str,
    follows: tuple[np.ndarray, np.ndarray] | None = None,
) -> Data:
    """A table's rows, padded with rows at the centre that do not count."""
    rows = len(observed)
    size = padded_size(rows)

    def pad(values: np.ndarray, filler: float) -> np.ndarray:
        return np.concatenate([values, np.full(size - rows, filler)])

    return Data(
        inputs=padded_inputs(inputs, size, centre),
        observed=pad(np.asarray(observed, float), centre.values[metric]),
        log_se=pad(np.hypot(np.zeros(rows) if se is None else np.asarray(se, float) / observed, RESOLUTION), 0.0),
        mask=np.arange(size) < rows,
        centre=centre,
        before=None if follows is None else np.concatenate([follows[0], np.arange(rows, size)]),
        gap=None if follows is None else pad(follows[1], 1.0),
    )


def padded_inputs(inputs: Mapping[str, np.ndarray], size: int, centre: Centre) -> dict[str, np.ndarray]:
    """Inputs as programs read them, `size` rows of each: those of the table, then rows at its centre."""
    found = {}
    for name, values in encoded(inputs).items():
        x = np.asarray(values, float)
        filler = x[:1] if x.ndim > 1 else np.array([centre.values.get(name, 1.0)])
        found[name] = np.concatenate([x, np.repeat(filler, size - len(x), axis=0)])
    return found


def data_of(runs: Observations, centre: Centre, metric: str, likelihood: Likelihood) -> Data:
    """Rows as the compiled programs read them, with the order along runs where the likelihood needs it."""
    follows = row_before(runs) if likelihood.along_runs else None
    return padded(runs.inputs, runs.observed, runs.se, centre, metric, follows)
