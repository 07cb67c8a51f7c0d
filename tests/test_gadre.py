"""Gadre et al. 2024's runs: over-trained models, and their error on downstream tasks through the loss."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
from conftest import shared_data

from bayescale.studies.downstream import Downstream


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    """benchmarks/downstream.py, whose tables the documentation shows."""
    path = Path(__file__).parents[1] / "benchmarks" / "downstream.py"
    spec = importlib.util.spec_from_file_location("downstream_benchmark", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def runs(benchmark: ModuleType) -> pd.DataFrame:
    found: pd.DataFrame = benchmark.gadre(shared_data("gadre", "wide.csv"))
    assert len(found) == 104
    return found


@pytest.mark.slow
def test_least_squares_gives_the_published_constants(benchmark: ModuleType, runs: pd.DataFrame) -> None:
    """The rows are the authors': their own recipe gives E, eta and the constants of the error on them."""
    from scipy import optimize

    from bayescale.models import ChinchillaTied, ErrorExponential

    for corpus in benchmark.CORPORA.values():
        six = benchmark.chosen(runs, corpus)
        five = six.dropna()
        M = five["D"] / five["N"]
        assert sorted(M.round()) == [20, 20, 20, 20, 320] and len(six) == 6
        published = ChinchillaTied.published[f"Gadre et al. 2024, {corpus}"]

        def tied(p: np.ndarray, five: pd.DataFrame = five) -> np.ndarray:
            E, log_A, alpha, log_B = p
            law = E + np.exp(log_A - alpha * np.log(five["N"])) + np.exp(log_B - alpha * np.log(five["D"]))
            return (law - five["loss"]).to_numpy()

        start = [published["E"], np.log(published["A"]), published["alpha"], np.log(published["B"])]
        E, _, alpha, _ = optimize.least_squares(tied, start, x_scale="jac", xtol=1e-14, ftol=1e-14).x
        assert (E, alpha / 2) == pytest.approx((published["E"], published["alpha"] / 2), abs=2e-3)
        of_error = ErrorExponential.published[f"Gadre et al. 2024, {corpus}, 17 tasks"]
        (epsilon, k, gamma), _ = optimize.curve_fit(
            lambda L, e, k, g: e - k * np.exp(-g * L), six["loss"], six["error"], p0=list(of_error.values())
        )
        assert (epsilon, k, gamma) == pytest.approx(tuple(of_error.values()), rel=4e-3)


@pytest.mark.slow
@pytest.mark.parametrize("rows", ["chosen", "all_small"])
def test_the_published_constants_and_the_larger_runs_are_in_the_intervals(
    benchmark: ModuleType, runs: pd.DataFrame, rows: str
) -> None:
    for corpus in benchmark.CORPORA.values():
        found: Downstream = benchmark.tied_and_error(getattr(benchmark, rows)(runs, corpus))
        assert found.converged, found.failures
        E, eta = benchmark.PUBLISHED[corpus]
        summary = found.loss.summary()
        assert summary.loc["E", "low"] < E < summary.loc["E", "high"]
        assert summary.loc["alpha", "low"] < 2 * eta < summary.loc["alpha", "high"]
        for name, run in benchmark.held_out(runs, corpus).iterrows():
            table = found.predict(N=float(run["N"]), D=float(run["D"])).set_index(["metric", "quantity"])
            for metric in ("loss", "error"):
                one = table.loc[(metric, "new_run")]
                slack = 0.05 * (one["high"] - one["low"])  # four Monte Carlo errors of a quantile of 2000 draws
                assert one["low"] - slack < run[metric] < one["high"] + slack, (corpus, name, metric)
            if rows == "all_small" and corpus == "RedPajama":
                # the authors' least squares of five runs: .71 % and .73 %
                assert abs(table.loc[("loss", "new_run"), "median"] / run["loss"] - 1) < 0.005, name
