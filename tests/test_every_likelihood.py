"""Every likelihood, with every optional column and a pool, the whole way; and scores that see nothing they hold out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import bayescale as bs
from bayescale.answers.scores.loo import loo
from bayescale.answers.scores.predictive import log_joint, log_likelihoods, log_marginals
from bayescale.fit import Fit, fit
from bayescale.likelihood import LIKELIHOODS, Likelihood, StudentT
from bayescale.models import PowerLawD
from bayescale.posterior.data import Data, data_of
from bayescale.posterior.density import target_of
from bayescale.posterior.rows import masked
from bayescale.studies.compare import Comparison, compare

LAW = PowerLawD(L_inf=1.7)
FEATURES = ("plain", "loss_se", "group", "run", "pool")


def curves(runs: int = 6, rows: int = 5) -> pd.DataFrame:
    """Losses along short runs, in no order, with noise that a run's rows share in part."""
    rng = np.random.default_rng(3)
    D = np.geomspace(1e9, 1e11, rows)
    parts = []
    for run in range(runs):
        noise = 0.003 * rng.standard_normal() + 0.003 * rng.standard_normal(rows)
        loss = (1.7 + (1e8 / D) ** 0.34) * np.exp(noise)
        parts.append(
            pd.DataFrame({"run": f"r{run}", "D": D * rng.uniform(0.9, 1.1), "loss": loss, "mix": "ab"[run % 2]})
        )
    return pd.concat(parts).sample(frac=1, random_state=0).reset_index(drop=True)


def scatter(name: str) -> Likelihood:
    """A likelihood whose tails are pinned: the quick method is refused for little else."""
    of = LIKELIHOODS[name]
    return of(**({"nu": 5.0} if issubclass(of, StudentT) else {}))


def with_feature(feature: str, likelihood: str) -> pd.DataFrame:
    """The curves with one optional column more than the likelihood needs."""
    table = curves(10, 6)
    if feature != "run" and not LIKELIHOODS[likelihood].along_runs:
        table = table.drop(columns="run")
    table = table if feature == "pool" else table.drop(columns="mix")
    return table.assign(**{"loss_se": {"loss_se": 0.002}, "group": {"group": "a"}}.get(feature, {}))


def ways() -> Iterator[Any]:
    """Every likelihood with every feature; those that NUTS has to sample, but for one of each kind, take minutes."""
    for likelihood in LIKELIHOODS:
        for feature in FEATURES:
            sampled = feature == "pool" or likelihood == "laplace"
            quick = not sampled or (likelihood, feature) in {("normal", "pool"), ("laplace", "loss_se")}
            yield pytest.param(likelihood, feature, marks=() if quick else pytest.mark.study)


@pytest.mark.parametrize(("likelihood", "feature"), list(ways()))
def test_the_whole_way(likelihood: str, feature: str, tmp_path: Path) -> None:
    table = with_feature(feature, likelihood)
    pool = {"mix": ["D_c"]} if feature == "pool" else None
    method = "nuts" if pool or likelihood == "laplace" else "laplace"  # spreads and kinks are none for the quick method
    noise = scatter(likelihood)
    found, other = (
        fit(LAW, table, likelihood=noise, pool=pool, method=method, checkpoints="all", seed=s) for s in (0, 1)
    )
    assert found.converged and other.converged, found.failures + other.failures
    compared = compare({"one": found, "other": other})
    numbers = compared.table.drop(columns=["nu", "sigma"])
    assert np.isfinite(numbers).all(axis=None) and np.isfinite(compared.sensitivity).all(axis=None), numbers.T
    # two samples of one posterior
    assert np.ptp(numbers["log_evidence"]) < 0.2 and np.ptp(numbers["elpd_holdout"]) < 0.5
    predicted = compared.predict(D=[1e10, 1e12], weights="stacking", **({"mix": "a"} if pool else {}))
    assert np.isfinite(predicted[["median", "low", "high"]]).all(axis=None)
    compared.save(tmp_path / "both.nc")
    back = bs.load(tmp_path / "both.nc")
    assert isinstance(back, Comparison)
    pd.testing.assert_frame_equal(back.table, compared.table)
    again = back.predict(D=[1e10, 1e12], weights="stacking", **({"mix": "a"} if pool else {}))
    pd.testing.assert_frame_equal(again, predicted, rtol=1e-9)


@pytest.fixture(scope="module", params=LIKELIHOODS)
def likelihood(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def found(likelihood: str) -> Fit:
    return fit(LAW, curves().assign(loss_se=0.002), likelihood=likelihood, method="laplace", checkpoints="all")


def changed(data: Data, rows: np.ndarray) -> Data:
    """The table with the losses and their errors of some rows changed."""
    observed, log_se = data.observed.copy(), np.array(data.log_se)
    observed[rows] *= 1.3
    log_se[rows] *= 2
    return data._replace(observed=observed, log_se=log_se)


SPLITS = {"one row": [7], "many": [0, 3, 4, 5, 11, 12, 20, 28, 29], "all but two": list(range(28)), "all": range(30)}


@pytest.mark.parametrize("held", SPLITS.values(), ids=SPLITS.keys())
def test_nothing_of_a_held_out_row_moves_the_density_of_the_rest(found: Fit, held: list[int]) -> None:
    keep = ~np.isin(np.arange(30), list(held))
    z = found.samples.z[0, :5]
    kept = masked(found.padded, keep)
    base, _ = found.target.evaluate(z, kept)
    moved, _ = found.target.evaluate(z, masked(changed(found.padded, np.array(list(held))), keep))
    assert np.isfinite(base).all() and np.array_equal(base, moved)


def test_the_density_of_some_rows_is_that_of_a_table_of_them(found: Fit) -> None:
    keep = ~np.isin(np.arange(30), SPLITS["many"])
    runs = found.runs
    alone = type(runs)(
        {n: x[keep] for n, x in runs.inputs.items()}, runs.metric, runs.observed[keep],
        None if runs.se is None else runs.se[keep], runs.labels[keep], None,
        None if runs.run is None else runs.run[keep], (), runs.source,
    )  # fmt: skip
    z = found.samples.z[0, :5]
    exact, _ = found.target.evaluate(z, data_of(alone, found.centre, runs.metric, found.likelihood))
    assert found.target.evaluate(z, masked(found.padded, keep))[0] == pytest.approx(exact, rel=1e-10)


def test_with_no_row_that_counts_the_density_is_the_priors(found: Fit) -> None:
    bare = target_of(LAW, found.likelihood)
    no_errors = masked(found.padded, np.zeros(30, bool))
    z = found.samples.prior[:20]
    value, gradient = found.target.evaluate(z, no_errors)
    plain, _ = bare.evaluate(z, no_errors._replace(log_se=None))
    assert np.isfinite(value).all() and np.isfinite(gradient).all() and value == pytest.approx(plain, rel=1e-10)


def test_a_held_out_rows_score_does_not_use_the_others(found: Fit) -> None:
    held = np.array(SPLITS["many"])
    keep = ~np.isin(np.arange(30), held)
    base = log_marginals(found, found.samples, found.padded, keep)
    moved = log_marginals(found, found.samples, changed(found.padded, held[1:]), keep)
    assert moved[0] == base[0] and not np.isclose(moved[1:], base[1:]).any()


def test_the_joint_density_of_held_out_rows_is_a_ratio_of_densities(found: Fit) -> None:
    held = np.array(SPLITS["many"])
    keep = ~np.isin(np.arange(30), held)
    joint = log_joint(found, found.samples, found.padded, keep)[0, :5]
    z = found.samples.z[0, :5]
    exact = found.target.evaluate(z, found.padded)[0] - found.target.evaluate(z, masked(found.padded, keep))[0]
    assert joint == pytest.approx(exact, abs=1e-8)
    of_rows = log_likelihoods(found.target, {n: x[0, :5] for n, x in found.constants.items()}, found.padded)
    alone = of_rows[:, :30][:, ~keep].sum(axis=1)
    assert (joint == pytest.approx(alone)) != found.likelihood.along_runs


def test_laws_beside_one_whose_rows_follow_one_another_are_scored_by_runs() -> None:
    table = curves()
    fits = {n: fit(LAW, table, likelihood=n, method="laplace", checkpoints="all") for n in ("ar1", "student_t")}
    compared = compare(fits)
    expected = {n: loo(f, runs=f.runs.run).elpd for n, f in fits.items()}
    assert compared.table["elpd_loo"].to_dict() == pytest.approx(expected)
    alone = {n: f.loo() for n, f in fits.items()}
    assert alone["ar1"].elpd == pytest.approx(expected["ar1"]) and alone["ar1"].unit == "run"
    assert alone["student_t"].unit == "row" and len(alone["student_t"].pointwise) == 30


@pytest.mark.slow
def test_more_rows_that_follow_one_another_than_a_long_climb_sees() -> None:
    runs = 600
    table = pd.concat([curves(6, 8).assign(block=i) for i in range(runs // 6)], ignore_index=True)
    table["run"] = table["run"] + "/" + table["block"].astype(str)
    found = fit(LAW, table.drop(columns="block"), likelihood="ar1", method="laplace")
    assert found.converged and found.runs.rows == 4800
