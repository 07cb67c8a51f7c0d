"""Recovery: Kaplan's constants from data simulated with them, a hundred times each, with intervals that cover."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from bayescale.fit import fit
from bayescale.law import PF_DAY
from bayescale.models import KaplanC, KaplanCmin, KaplanD, KaplanN, KaplanND, PowerLawC, PowerLawD, PowerLawN

SEEDS = 100
COVERED = (84, 96)
"""Of a hundred 90 % intervals: 90 plus or minus two standard errors of a binomial count."""


def of_kaplan(cls: Any) -> dict[str, float]:
    return dict(next(iter(cls.published.values())))


TRUTHS: dict[Any, dict[str, float]] = {
    **{cls: of_kaplan(cls) for cls in (KaplanN, KaplanD, KaplanC, KaplanCmin, KaplanND)},
    PowerLawN: {"L_inf": 1.7, "alpha": 0.34, "N_c": 2e7},
    PowerLawD: {"L_inf": 1.7, "alpha": 0.28, "D_c": 8e8},
    PowerLawC: {"L_inf": 1.7, "alpha": 0.15, "C_c": 1e18},
}
SPANS = {"N": (1e6, 1e10), "D": (2e7, 2e11), "C": (1e-5 * PF_DAY, 1e2 * PF_DAY)}


def simulate(cls: Any, truth: dict[str, float], seed: int, rows: int = 60) -> pd.DataFrame:
    rng = np.random.default_rng((11, seed))
    inputs = {n: np.exp(rng.uniform(*np.log(SPANS[n]), rows)) for n in cls.inputs}
    loss = cls(**truth)(**inputs) * np.exp(0.005 * rng.standard_t(4, rows))
    return pd.DataFrame({**inputs, "loss": loss})


@pytest.mark.study
@pytest.mark.parametrize("cls", TRUTHS, ids=lambda cls: cls.name)
def test_the_constants_are_recovered(cls: Any) -> None:
    truth = TRUTHS[cls]
    covered, by_nuts, errors = dict.fromkeys(truth, 0), 0, {n: [] for n in truth}
    for seed in range(SEEDS):
        table = simulate(cls, truth, seed)
        found = fit(cls, table, method="laplace", seed=seed)
        if not found.converged:
            found, by_nuts = fit(cls, table, seed=seed), by_nuts + 1
        assert found.converged, f"seed {seed}: {found.failures}"
        summary = found.summary()
        for name, value in truth.items():
            row = summary.loc[name]
            covered[name] += int(row["low"] <= value <= row["high"])
            errors[name].append((np.log(row["median"]) - np.log(value)) / np.log(found.constants[name]).std())
    assert all(COVERED[0] <= n <= COVERED[1] for n in covered.values()), (covered, by_nuts)
    for name, z in errors.items():
        # centred: the mean of a hundred standard errors is 0 +- 0.1
        assert abs(np.mean(z)) < 0.4, (name, np.mean(z))
