"""`compare`: table, verdict and its dependence on priors, cross-validation against exact answers, refusals."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from dataclasses import replace
from math import log, sqrt
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpyro.distributions as dist
import pandas as pd
import pytest
from click.testing import CliRunner
from scipy.stats import multivariate_normal, norm

import bayescale as bs
from bayescale.answers.scores.holdout import holdout, largest
from bayescale.answers.scores.loo import loo
from bayescale.answers.scores.power_scaling import POWERS, evidence_shifts
from bayescale.answers.scores.predictive import without
from bayescale.cli import bayescale as command_line
from bayescale.errors import DataError, UsageError
from bayescale.fit import Fit, fit
from bayescale.law import Centre, stated
from bayescale.likelihood import Normal, StudentT
from bayescale.models import Chinchilla, Coupled
from bayescale.studies.compare import Comparison, assess, compare, suitable
from bayescale.studies.compare.comparable import centres_apart, same_rows
from bayescale.studies.compare.nested import nested, pinned_in
from bayescale.studies.compare.table import COLUMNS, as_table, probabilities
from bayescale.studies.compare.verdict import cautions, conflicts, strength, verdict_of


@pytest.fixture(scope="module")
def comparison(small_fit: Fit, table: pd.DataFrame) -> Comparison:
    """Three laws on thirty simulated runs of the first."""
    return compare({"chinchilla": small_fit, "tied": "chinchilla_tied", "kaplan": "kaplan_nd"}, table)


def test_the_table(comparison: Comparison) -> None:
    table = comparison.table
    assert tuple(table.columns) == COLUMNS and table.index.name == "law"
    assert set(table.index) == {"chinchilla", "tied", "kaplan"} and table.index[-1] == "kaplan"
    assert table["log_evidence"].is_monotonic_decreasing and table["log_bayes_factor"].iloc[0] == 0
    assert table["converged"].all()
    for column in ("probability", "weight", "weight_holdout"):
        assert np.isclose(table[column].sum(), 1) and (table[column] >= 0).all()
    expected = np.exp(table["log_bayes_factor"]) / np.exp(table["log_bayes_factor"]).sum()
    assert np.allclose(table["probability"], expected)
    assert table.loc["chinchilla", "r2"] > 0.99 > table.loc["kaplan", "r2"] > 0.5


def test_the_verdict_is_a_sentence_and_the_text_a_screen(comparison: Comparison) -> None:
    best, other = comparison.table.index[:2]
    words = strength(float(comparison.table["log_bayes_factor"].iloc[1]))
    told = f"for {best} over {other}" if "bare mention" not in words else f"cannot tell {best} from {other}"
    assert words in comparison.verdict and told in comparison.verdict
    assert "priors power-scaled from 0.5 to 2" in comparison.verdict and comparison.verdict.endswith(".")
    text = repr(comparison)
    assert max(map(len, text.splitlines())) <= 140 and "log evidence" in text


def test_words_of_kass_and_raftery() -> None:
    assert strength(0.9) == "not worth more than a bare mention"
    assert strength(-2.9) == "positive" and strength(4.9) == "strong" and strength(5.1) == "very strong"


def test_prior_weights(comparison: Comparison) -> None:
    again = assess(comparison.fits, prior_weights={"chinchilla": 3.0, "kaplan": 0.0})
    odds = again.table.loc["chinchilla", "probability"] / again.table.loc["tied", "probability"]
    before = comparison.table.loc["chinchilla", "probability"] / comparison.table.loc["tied", "probability"]
    assert np.isclose(odds, 3 * before) and again.table.loc["kaplan", "probability"] == 0


def test_a_weight_of_nothing_for_the_best_law() -> None:
    found = probabilities(np.array([1000.0, 100.0, 99.0]), ["a", "b", "c"], {"a": 0.0})
    assert found == pytest.approx([0, 1 / (1 + np.exp(-1)), 1 / (1 + np.exp(1))])
    with pytest.raises(DataError, match="none of the laws that converged has a prior weight"):
        probabilities(np.zeros(2), ["a", "b"], {"a": 0.0, "b": 0.0})


def test_what_is_not_known_of_the_priors_is_said(comparison: Comparison) -> None:
    shifts = comparison.sensitivity.copy()
    shifts.iloc[0] = np.nan
    assert "; how it hangs on the priors is not known." in verdict_of(comparison.table, shifts, comparison.fits, None)


def scores_of(elpd: dict[str, np.ndarray], held_out: dict[str, float]) -> dict[str, Any]:
    """Scores of which only what `conflicts` reads is there."""
    return {
        n: SimpleNamespace(loo=SimpleNamespace(pointwise=x, unit="row"), holdout=SimpleNamespace(se=0.1))
        for n, x in elpd.items()
    }


def test_scores_that_differ_by_chance_are_no_conflict() -> None:
    rng = np.random.default_rng(0)
    a = rng.normal(size=40)
    noise, shift = rng.normal(size=40), np.full(40, 0.5)
    for b, held_out, told in ((a + noise - noise.mean() + 0.02, 0.3, []), (a + shift, 4.0, ["rows", "budgets"])):
        table = as_table(
            {
                "a": {"log_evidence": 1.0, "elpd_loo": a.sum(), "elpd_holdout": 3.0},
                "b": {"log_evidence": 0.0, "elpd_loo": b.sum(), "elpd_holdout": 3.0 + held_out},
            }
        )
        found = conflicts(table, scores_of({"a": a, "b": b}, {}))
        assert len(found) == len(told) and all(
            t in f and "favours b over a" in f for t, f in zip(told, found, strict=True)
        )


def test_a_law_without_evidence_keeps_its_place(comparison: Comparison, monkeypatch: pytest.MonkeyPatch) -> None:
    tied = comparison.fits["tied"].samples.z
    monkeypatch.setattr("bayescale.answers.scores.evidence.enough", lambda z: z[:, :5] if z is tied else z)
    found = assess(comparison.fits)
    row = found.table.loc["tied"]
    assert (
        np.isnan(row["log_evidence"]) and row["converged"] and not row["trusted"] and np.isfinite(row["elpd_holdout"])
    )
    assert np.isclose(found.table["probability"].sum(), 1) and "for chinchilla over kaplan" in found.verdict
    assert any("tied: it has no log evidence: bridge sampling" in w for w in found.warnings) and "tied" in repr(found)


def test_measured_errors_go_the_whole_way(table: pd.DataFrame) -> None:
    found = compare(["chinchilla", "kaplan_nd"], table.assign(loss_se=0.004))
    assert np.isfinite(found.sensitivity).all(axis=None) and "hang on the priors" in found.verdict


def test_the_priors_that_are_scaled_are_not_those_of_groups(small_fit: Fit, table: pd.DataFrame) -> None:
    mixes = table.assign(mix=np.where(np.arange(30) % 2, "a", "b"))
    found = fit("chinchilla", mixes, pool={"mix": {"E": 0.1}}, method="laplace")
    shifts, _ = evidence_shifts(found)
    z = found.samples.z.copy()
    z[..., found.target.coordinates.index("E by mix[0]")] += 5.0  # a group far from the others
    moved, _ = evidence_shifts(replace(found, samples=replace(found.samples, z=z)))
    assert np.isfinite(shifts).all() and np.allclose(moved, shifts)


def test_fits_whose_priors_are_stated_apart(small_fit: Fit) -> None:
    other = replace(small_fit, centre=Centre({**small_fit.centre.values, "N": 1e8}))
    (told,) = centres_apart({"a": small_fit, "b": other})
    assert "the priors of a and b are stated at different centres (N " in told
    assert not centres_apart({"a": small_fit, "b": small_fit})


def normal_priors(power: float) -> tuple[Chinchilla, StudentT]:
    """A law whose priors are normal in the engine's coordinates, with their density raised to a power."""
    sd = 1 / sqrt(power)
    A = stated("A", dist.LogNormal(log(0.15), 0.8 * sd), lambda q, law, at: q * at.loss * at.N**law.alpha)
    B = stated("B", dist.LogNormal(log(0.15), 0.8 * sd), lambda q, law, at: q * at.loss * at.D**law.beta)
    exponent = dist.LogNormal(log(0.3), 0.5 * sd)
    noise = StudentT(sigma=dist.LogNormal(log(0.01), sd), nu=dist.LogNormal(log(5.0), sd))
    return Chinchilla(E=1.8172, A=A, B=B, alpha=exponent, beta=exponent), noise


@pytest.mark.study
def test_power_scaling_gives_the_evidence_of_scaled_priors(table: pd.DataFrame) -> None:
    law, noise = normal_priors(1.0)
    base = fit(law, table, likelihood=noise)
    shifts, k_hat = evidence_shifts(base)
    assert k_hat < 0.7 and shifts[POWERS.index(1.0)] == 0
    for power in (0.5, 2.0):
        law, noise = normal_priors(power)
        exact = fit(law, table, likelihood=noise).evidence().log_evidence - base.evidence().log_evidence
        assert abs(shifts[POWERS.index(power)] - exact) <= 0.1


def test_a_verdict_that_would_flip_is_said_to(comparison: Comparison) -> None:
    table, shifts = comparison.table.copy(), comparison.sensitivity.copy()
    table["log_evidence"] = [10.0, 9.5, 0.0]
    shifts.iloc[1] = [1.0, 0.5, 0.0, -0.5, -1.0]
    shifts.iloc[0] = 0.0
    assert "turns the order around" in verdict_of(table, shifts, comparison.fits, None)
    assert any("hangs on the priors" in c and "-0.50" in c for c in cautions(table, shifts))
    shifts.iloc[1] = 0.0
    assert "does not hang on the priors" in verdict_of(table, shifts, comparison.fits, None)
    table["log_evidence"], table["log_evidence_se"] = [10.0, 7.5, 0.0], [0.8, 0.8, 0.1]
    unclear = verdict_of(table, shifts, comparison.fits, None)
    assert f"cannot tell {table.index[0]} from {table.index[1]}" in unclear and "2.50 +- 1.13" in unclear
    assert any("cannot be told apart" in c for c in cautions(table, shifts))


def test_a_law_that_has_not_converged_is_marked(comparison: Comparison) -> None:
    fits = dict(comparison.fits)
    fits["kaplan"] = replace(fits["kaplan"], samples=replace(fits["kaplan"].samples, failures=("the chains disagree",)))
    found = assess(fits, failed={"other": "too few rows"})
    assert not found.table.loc["kaplan", "converged"] and np.isnan(found.table.loc["kaplan", "log_evidence"])
    assert not found.table.loc["other", "converged"]
    assert np.allclose(found.table.loc[["chinchilla", "tied"], "probability"].sum(), 1)
    assert any("kaplan has not converged and is left out: the chains disagree" in w for w in found.warnings)
    assert "NOT CONVERGED" in repr(found)


def test_what_cannot_be_compared(small_fit: Fit, table: pd.DataFrame) -> None:
    with pytest.raises(UsageError, match="chinchilla takes N, D and power_law_n takes N"):
        compare(["chinchilla", "power_law_n"], table)
    with pytest.raises(UsageError, match=r"chinchilla has 30 rows and other 29 \(rows 7 are in one of them only\)"):
        compare({"chinchilla": small_fit, "other": "chinchilla_tied"}, table.drop(index=7))
    changed = table.assign(loss=table["loss"].where(table.index != 4, 3.0))
    with pytest.raises(UsageError, match="loss differs in 1 of 30, first in row 4"):
        compare({"chinchilla": small_fit, "other": "chinchilla_tied"}, changed)
    with pytest.raises(UsageError, match="different loss_se"):
        compare({"chinchilla": small_fit, "other": "chinchilla_tied"}, table.assign(loss_se=0.01))
    with pytest.raises(UsageError, match="at least two laws; found chinchilla"):
        compare(["chinchilla"], table)
    with pytest.raises(UsageError, match="given twice"):
        compare(["chinchilla", "chinchilla"], table)
    with pytest.raises(UsageError, match=r"called 'kaplan_n' \(did you mean 'kaplan_nd'\?\)"):
        compare(["chinchilla", "kaplan_nd"], table, prior_weights={"kaplan_n": 1.0})
    with pytest.raises(UsageError, match="give the table"):
        compare(["chinchilla", "kaplan_nd"])
    with pytest.raises(UsageError, match="as a list"):
        compare("chinchilla", table)
    with pytest.raises(DataError, match="4 rows"):
        compare(["chinchilla", "chinchilla_tied"], table.head(4))


def test_rows_that_differ_in_their_schedules_are_named(small_fit: Fit) -> None:
    runs = small_fit.runs
    here, there = (np.array([x] * 30, dtype=object) for x in ("0:1e-3", "0:2e-3"))
    tables = [replace(runs, inputs={**runs.inputs, "schedule": x}) for x in (here, there)]
    with pytest.raises(UsageError, match=r"schedule differs in 30 of 30, first in row 0 \('0:1e-3' and '0:2e-3'\)"):
        same_rows(dict(zip("ab", tables, strict=True)))


def test_suitable_laws_share_their_inputs(table: pd.DataFrame) -> None:
    found = suitable(table)
    assert {"chinchilla", "chinchilla_tied", "chinchilla_no_floor", "coupled", "kaplan_nd", "kaplan_e"} <= set(found)
    assert {law.inputs for law in found.values()} == {("N", "D")}


def test_laws_that_no_evidence_can_tell_apart_are_offered_once(table: pd.DataFrame) -> None:
    found = suitable(table.assign(C=6 * table["N"] * table["D"])[["C", "loss"]])
    assert "kaplan_c" in found and "power_law_c" in found and "kaplan_cmin" not in found
    assert "frontier" not in suitable(table) and set(suitable(table[["N", "loss"]])) == {"kaplan_n", "power_law_n"}


def test_nested_pairs_get_the_savage_dickey_ratio(small_fit: Fit, table: pd.DataFrame) -> None:
    free = small_fit.law
    assert pinned_in(Chinchilla(alpha=0.33), free) == ("alpha", 0.33)
    assert pinned_in(free, Chinchilla(alpha=0.33)) is None and pinned_in(Coupled(k=1.0), free) is None
    assert pinned_in(Chinchilla(alpha=0.33, beta=0.3), free) is None
    assert pinned_in(Chinchilla(E=1.7), free) is None  # its prior is stated through the data's centre
    fits = {"free": small_fit, "pinned": fit(Chinchilla(alpha=0.33), table)}
    evidence = {n: f.evidence() for n, f in fits.items()}
    (check,), doubts = nested(fits, evidence)
    assert check.startswith("pinned against free: log Bayes factor") and not doubts
    off = evidence | {"free": replace(evidence["free"], log_evidence=evidence["free"].log_evidence + 1)}
    _, (doubt,) = nested(fits, off)
    assert "the two disagree, and neither is to be trusted" in doubt
    far = fits | {"pinned": replace(fits["pinned"], law=Chinchilla(alpha=2.0))}
    assert nested(far, evidence)[0][0].startswith("the draws of free do not reach alpha = 2")


def test_a_comparison_survives_a_file(comparison: Comparison, tmp_path: Path) -> None:
    path = tmp_path / "comparison.nc"
    comparison.save(path)
    again = bs.load(path)
    assert isinstance(again, Comparison)
    pd.testing.assert_frame_equal(again.table, comparison.table)
    pd.testing.assert_frame_equal(again.sensitivity, comparison.sensitivity, check_names=False)
    assert again.verdict == comparison.verdict and again.warnings == comparison.warnings
    assert again.evidence == comparison.evidence
    point = {"N": 70e9, "D": 1.4e12}
    pd.testing.assert_frame_equal(again.predict(**point), comparison.predict(**point), rtol=1e-9)


def run(*arguments: Any) -> Any:
    return CliRunner().invoke(command_line, [str(a) for a in arguments])


def test_the_command_line(comparison: Comparison, table: pd.DataFrame, tmp_path: Path) -> None:
    table.to_csv(tmp_path / "runs.csv", index=False)
    file = tmp_path / "c.nc"
    arguments = ("compare", tmp_path / "runs.csv", "--law", "chinchilla", "--law", "chinchilla_tied", "-o", file)
    done = run(*arguments, "--prior-weight", "chinchilla=2", "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["rows"] == 30 and len(found["laws"]) == 2 and found["verdict"]
    keys = {"law", "log_evidence", "log_evidence_se", "probability", "elpd_loo", "elpd_loo_se", "weight", "converged"}
    assert keys <= set(found["laws"][0]) and found["laws"][0]["converged"] is True
    predicted = json.loads(run("predict", file, "--N", "7e10", "--D", "1.4e12", "--json").stdout)
    assert predicted["law"] == "average" and {"sd_within", "sd_between"} <= set(predicted["predictions"][0]["new_run"])
    split = json.loads(run("allocate", file, "--C", "1e24", "--weights", "equal", "--json").stdout)
    assert split["weights"] == {"chinchilla": 0.5, "chinchilla_tied": 0.5}
    assert "of the variance lies between laws" in run("allocate", file, "--C", "1e24").stdout
    reached = json.loads(run("allocate", file, "--loss", "2.5", "--json").stdout)["allocations"]
    assert reached[0]["target_loss"] == 2.5 and reached[0]["probability"] > 0.9


@pytest.fixture(scope="module")
def conjugate(exact: Any) -> tuple[Fit, np.ndarray, np.ndarray]:
    """A fit of the conjugate law, with its design and its log observations."""
    rows = exact.data.mask
    x, observed = exact.data.inputs["x"][rows], exact.data.observed[rows]
    table = pd.DataFrame({"x": x, "loss": observed})
    return (
        fit(exact.target.law, table, likelihood=Normal(sigma=0.3)),
        np.stack([np.ones(len(x)), x], axis=1),
        np.log(observed),
    )


def exact_predictive(design: np.ndarray, y: np.ndarray, train: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Bishop 2006, eq. 3.58, with the Jacobian of the logarithm."""
    prior = np.diag([1.0, 4.0])
    covariance = np.linalg.inv(design[train].T @ design[train] / 0.09 + prior)
    mean = covariance @ design[train].T @ y[train] / 0.09
    sd = np.sqrt(0.09 + np.einsum("ij,jk,ik->i", design[test], covariance, design[test]))
    return norm(design[test] @ mean, sd).logpdf(y[test]) - y[test]


def test_leave_one_out_against_the_exact_answer(conjugate: tuple[Fit, np.ndarray, np.ndarray]) -> None:
    found, design, y = conjugate
    everyone = np.arange(len(y))
    exact = np.concatenate([exact_predictive(design, y, everyone != i, everyone == i) for i in everyone])
    scored = loo(found)
    assert np.abs(scored.pointwise - exact).max() <= 0.05 and abs(scored.elpd - exact.sum()) <= 0.1
    assert 1 <= scored.effective <= 3.5 and not scored.refitted.any()


def test_rows_of_high_k_hat_are_refitted(
    conjugate: tuple[Fit, np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    found, design, y = conjugate
    monkeypatch.setattr(
        importlib.import_module("bayescale.answers.scores.loo"), "K_HAT_LIMIT", float(np.sort(loo(found).k_hat)[-3])
    )
    scored = loo(found, refits=1)
    row = int(np.flatnonzero(scored.refitted)[0])
    keep = np.arange(len(y)) != row
    assert (
        scored.refitted.sum() == 1 and abs(scored.pointwise[row] - exact_predictive(design, y, keep, ~keep)[0]) <= 0.02
    )
    assert any("1 rows have a Pareto k-hat above" in w for w in scored.warnings)


def test_the_future_against_the_exact_answer(conjugate: tuple[Fit, np.ndarray, np.ndarray]) -> None:
    found, design, y = conjugate
    scored = holdout(found)
    assert scored.held_out.sum() == 4 and scored.held_out[-4:].all()
    assert np.abs(scored.pointwise - exact_predictive(design, y, ~scored.held_out, scored.held_out)).max() <= 0.05
    # together, the rows are normal with the covariance of the law they share
    train, test = design[~scored.held_out], design[scored.held_out]
    covariance = np.linalg.inv(train.T @ train / 0.09 + np.diag([1.0, 4.0]))
    mean = test @ covariance @ train.T @ y[~scored.held_out] / 0.09
    together = multivariate_normal(mean, test @ covariance @ test.T + 0.09 * np.eye(4)).logpdf(y[scored.held_out])
    assert abs(scored.elpd - (together - y[scored.held_out].sum())) <= 4 * scored.se + 0.01 and scored.se <= 0.1


def test_a_centre_that_was_given_is_kept(table: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Centre] = []

    def spy(fit: Fit, keep: np.ndarray, data: Any, *, seed: int) -> Any:
        seen.append(data.centre)
        return without(fit, keep, data, seed=seed)

    monkeypatch.setattr("bayescale.answers.scores.holdout.without", spy)
    given = {"N": 1e8, "D": 1e10, "loss": 3.0}
    found = fit("chinchilla", table, method="laplace", centre=given)
    found.save(tmp_path / "fit.nc")
    again = bs.load(tmp_path / "fit.nc")
    own = fit("chinchilla", table, method="laplace")
    for one in (found, again, own):
        assert isinstance(one, Fit)
        holdout(one)
    assert seen[0].values == seen[1].values == given and not own.centre_given
    assert seen[2].values["N"] < own.centre.values["N"]  # of the rows that are trained on


def test_rows_of_one_budget_stay_together() -> None:
    assert list(largest(np.array([1e20, 1e21, 1e22, 1e22, 1.01e22]))) == [False, False, True, True, True]
    assert largest(np.arange(1.0, 101.0)).sum() == 20
    with pytest.raises(DataError, match="every row has the same budget"):
        largest(np.ones(5))


def test_too_few_small_budgets_have_no_future(simulate: Callable[..., pd.DataFrame], small_fit: Fit) -> None:
    runs = replace(small_fit.runs, inputs={n: np.repeat(x[:3], 10) for n, x in small_fit.runs.inputs.items()})
    scored = holdout(replace(small_fit, runs=runs))
    assert np.isnan(scored.elpd) and "too few" in scored.warnings[0]


@pytest.mark.study
def test_model_probabilities_are_calibrated(tmp_path: Path) -> None:
    """A small version of benchmarks/recovery.py: the most probable law is the true one as often as promised."""
    import importlib.util

    path = Path(__file__).parents[1] / "benchmarks" / "recovery.py"
    spec = importlib.util.spec_from_file_location("recovery", path)
    assert spec is not None and spec.loader is not None
    recovery = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(recovery)
    results = recovery.run(range(25), tmp_path / "recovery.jsonl", processes=1)
    summary = recovery.calibration(results)
    assert abs(summary["z"]) <= 3.5
    assert summary["hits"] >= 13
    assert "Confusion matrix" in recovery.page(results)
