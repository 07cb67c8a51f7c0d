"""Repeated data: Muennighoff et al.'s own runs and constants."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from conftest import shared_data

from bayescale.fit import fit
from bayescale.law import evaluate
from bayescale.models import DataConstrained
from bayescale.runs import read_runs

PUBLISHED = DataConstrained.published["Muennighoff et al. 2023, C4"]


def test_what_repeats_are_worth() -> None:
    """Shares of fresh tokens' worth that follow from R_D = 15.39, and the ceiling that no repeating passes."""
    law = DataConstrained(**PUBLISHED)
    epochs = np.array([0.5, 1, 2, 4, 8, 16, 40])
    worth = np.asarray(evaluate(law, "effective_D", D=1e10 * epochs, U=1e10)) / (1e10 * epochs)
    np.testing.assert_allclose(worth, [1, 1, 0.984, 0.931, 0.828, 0.661, 0.379], atol=6e-4)
    assert float(evaluate(law, "effective_D", D=1e20, U=1e10)) == pytest.approx((1 + PUBLISHED["R_D"]) * 1e10)
    assert float(evaluate(law, "effective_N", N=1e20, D=1e10, U=1e10)) == pytest.approx(
        (1 + PUBLISHED["R_N"]) * 0.0509865 * 1e10, rel=1e-5
    )


@pytest.mark.slow
def test_the_182_runs_of_muennighoff_et_al() -> None:
    """With E, A, B and the exponents held as published, the fit is at least theirs, of R2 = .77220 in the loss."""
    table = pd.read_csv(shared_data("datablations", "tidy.csv"))
    kept = table[table["in_fit182"] == 1]
    runs = read_runs(kept[["N", "D", "U"]].assign(loss=kept["loss_in_fit"]))
    assert len(runs) == 182
    held = {n: x for n, x in PUBLISHED.items() if n not in ("R_D", "R_N")}
    found = fit(DataConstrained(**held), runs)
    assert found.converged
    curve = found.predict(runs).query("quantity == 'mean_curve'")["median"].to_numpy()
    loss = runs["loss"].to_numpy()
    assert 1 - np.sum((loss - curve) ** 2) / np.sum((loss - loss.mean()) ** 2) > 0.7722
    summary = found.summary(0.9)
    # least squares of a Huber loss with a grid of starts gave 15.39 and 5.31, without errors
    assert summary.loc["R_D", "low"] < 17 and summary.loc["R_D", "high"] > 40
    assert summary.loc["R_N", "low"] > 1 and summary.loc["R_N", "high"] < 5
