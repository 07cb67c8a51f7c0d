"""Seeds of the tests, and the Monte Carlo errors that what is random is held to.

A processor with other vector units draws other numbers from the same seed, so that no test may lean on its seed: where
draws are compared, the tolerance follows from their errors. To see whether that is so,

    BAYESCALE_TEST_SEED=1 python -m pytest -n 2

adds 1 to every seed that a test gives NumPy, and to the seed of fits that are given none.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bayescale.fit import fit
from bayescale.posterior.diagnostics import ess_mean
from bayescale.posterior.sampling import sample
from bayescale.studies.calibrate import calibrate
from bayescale.studies.compare import compare
from bayescale.studies.downstream import fit_downstream

SHIFT = int(os.environ.get("BAYESCALE_TEST_SEED", "0"))
"""What is added to seeds."""
WITHIN = 4.5
"""Monte Carlo errors by which two right answers may differ: one comparison in 150 000 is beyond by chance."""


def mean_error(draws: np.ndarray) -> float:
    """Monte Carlo error of the mean of draws, shape (chain, draw), by their effective size.

    Of ``draws < cut`` it is the error of the share below a cut, which is how quantiles are compared: a quantile itself
    is as uncertain as the density around it is low.
    """
    values = np.asarray(draws, float)
    return float(values.std() / np.sqrt(min(ess_mean(values), values.size)))


def _shifted(generator: Callable[..., np.random.Generator]) -> Callable[..., np.random.Generator]:
    """`numpy.random.default_rng` with other seeds for the files of this folder, and the same for the engine's."""

    def shifted(seed: Any = None) -> np.random.Generator:
        caller = Path(sys._getframe(1).f_globals.get("__file__", ""))
        if seed is None or caller.parent != Path(__file__).parent:
            return generator(seed)
        return generator((seed[0] + SHIFT, *seed[1:]) if isinstance(seed, tuple) else seed + SHIFT)

    return shifted


if SHIFT:
    np.random.default_rng = _shifted(np.random.default_rng)
    for seeded in (fit, sample, compare, fit_downstream, calibrate):
        seeded.__kwdefaults__["seed"] += SHIFT
