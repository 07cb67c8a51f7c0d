"""Downstream metrics: errors from losses, and predictions of both laws together."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import bayescale as bs
from bayescale.cli import main
from bayescale.errors import DataError, UsageError
from bayescale.fit import fit
from bayescale.law import evaluate
from bayescale.loading import load
from bayescale.models import Chinchilla, ErrorExponential, ErrorSigmoid
from bayescale.runs import read_runs
from bayescale.runs.partial import filled, named_runs
from bayescale.studies.downstream import Downstream, fit_downstream

LOSS = Chinchilla(**Chinchilla.published["Besiroglu et al. 2024"])
ERROR = ErrorExponential(**ErrorExponential.published["Gadre et al. 2024, RedPajama, 17 tasks"])
FAR = {"N": 1e11, "D": 1e13}
ROWS = 60


def simulated(seed: int, rows: int = ROWS) -> pd.DataFrame:
    """Runs over three decades of N and of D, with 1 % of scatter of the loss and 0.4 % of the error."""
    rng = np.random.default_rng(seed)
    N, D = 10 ** rng.uniform(6.5, 9.5, rows), 10 ** rng.uniform(8.5, 11.5, rows)
    loss = LOSS(N=N, D=D) * np.exp(0.01 * rng.standard_normal(rows))
    error = ERROR(loss=loss) * np.exp(0.004 * rng.standard_normal(rows))
    return pd.DataFrame({"N": N, "D": D, "loss": loss, "error": error})


@pytest.fixture(scope="module")
def found() -> Downstream:
    joined = fit_downstream("chinchilla", "error_exponential", simulated(1), method="laplace")
    assert joined.converged, joined.failures
    return joined


# --- the laws ---------------------------------------------------------------------------------------------------------


def test_the_exponential_is_the_published_formula_and_stays_positive() -> None:
    losses = np.array([2.2, 2.5, 3.0, 4.0, 8.0])
    np.testing.assert_allclose(ERROR(loss=losses), 0.857 - 2.21 * np.exp(-0.715 * losses), rtol=1e-6)
    zero = np.log(2.21 / 0.857) / 0.715  # where the formula crosses zero
    low = ERROR(loss=np.linspace(1e-6, zero, 50))
    assert (low > 0).all() and (np.diff(low) > 0).all() and low[-1] == pytest.approx(1e-4, rel=1e-3)
    np.testing.assert_allclose(np.asarray(evaluate(ERROR, "accuracy", loss=losses)), 1 - ERROR(loss=losses))


def test_the_sigmoid_goes_from_its_floor_to_chance() -> None:
    law = ErrorSigmoid(chance=0.75, floor=0.1, k=4.0, L_mid=1.2)
    np.testing.assert_allclose(law(loss=[1e-9, 1.2, 50.0]), [0.1 + 0.65 / (1 + np.exp(4.8)), 0.425, 0.75], rtol=1e-6)
    # the ladder's own form, of the accuracy: a / (1 + exp(-k (L - L0))) + b with a < 0
    L = np.linspace(0.5, 2, 7)
    np.testing.assert_allclose(1 - law(loss=L), -0.65 / (1 + np.exp(-4 * (L - 1.2))) + 0.9, rtol=1e-12)


# --- tables -----------------------------------------------------------------------------------------------------------


def test_accuracies_are_read_as_errors() -> None:
    runs = read_runs(pd.DataFrame({"loss": [3.0, 2.5, 2.0], "acc": [0.3, np.nan, 0.75]}))
    assert runs["error"].tolist()[::2] == [0.7, 0.25] and np.isnan(runs["error"][1])
    assert "column 'acc' read as accuracy" in runs.attrs["notes"]
    assert "error derived as 1 - accuracy" in runs.attrs["notes"]
    both = read_runs(pd.DataFrame({"loss": [3.0], "accuracy": [0.3], "error": [0.6]}))
    assert both["error"].tolist() == [0.6]


def test_an_error_column_that_is_none_is_left_alone() -> None:
    runs = read_runs(pd.DataFrame({"loss": [3.0, 2.5], "error": ["out of memory", None]}))
    assert runs["error"].tolist()[0] == "out of memory"
    for column in ("error", "accuracy"):
        runs = read_runs(pd.DataFrame({"loss": [3.0, 2.5], column: [70.0, 60.0]}))
        assert runs["error"].tolist() == pytest.approx([0.7, 0.6] if column == "error" else [0.3, 0.4])
        assert f"column {column!r} read as {column}: in per cent, since it reaches 70" in runs.attrs["notes"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"error": 1000 * simulated(1)["error"]}, r"error is above 1 in 60 rows \(first row 0\); it is a rate"),
        ({"error": simulated(1)["error"].where(lambda x: x.index != 4, 0.0)}, r"row 4, column error: 0\.0 is not pos"),
        ({"error": simulated(1)["error"].where(lambda x: x.index != 4)}, "row 4, column error: missing or NaN"),
    ],
)
def test_errors_that_are_no_rates_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        fit("error_exponential", simulated(1).assign(**change))


def test_rows_tell_each_law_what_they_can() -> None:
    runs = simulated(1)
    runs.loc[:3, "error"] = np.nan
    family = pd.DataFrame({"loss": [2.9, 2.8, 2.6], "error": [0.58, 0.55, 0.52], "note": "another family"})
    table = named_runs(pd.concat([runs, family], ignore_index=True).rename(columns={"N": "params"}))
    assert len(filled(table, ["N", "D", "loss"])) == 60 and len(filled(table, ["loss", "error"])) == 59
    assert "N" not in filled(table, ["loss", "error"]) and "note" in filled(table, ["loss", "error"])
    with pytest.raises(DataError, match=r"there is no column U \(unique tokens\); the table has"):
        filled(table, ["U", "loss"])
    with pytest.raises(DataError, match="no row has N, note"):
        filled(table, ["N", "note"])
    found = fit_downstream("chinchilla", "error_exponential", table, method="laplace")
    assert (found.loss.runs.rows, found.task.runs.rows) == (60, 59)
    assert found.task.runs.source == "a DataFrame"


def test_columns_that_are_derived_count_as_filled() -> None:
    runs = simulated(1).assign(C=lambda x: 6 * x["N"] * x["D"]).drop(columns="D")
    found = fit_downstream("chinchilla", "error_exponential", runs, method="laplace")
    np.testing.assert_allclose(found.loss.runs.inputs["D"], simulated(1)["D"])


# --- predictions ------------------------------------------------------------------------------------------------------


def test_a_prediction_names_both_metrics(found: Downstream) -> None:
    table = found.predict(N=[1e8, 1e11], D=1e13)
    assert table["metric"].tolist() == ["loss", "loss", "error", "error"] * 2
    assert table["quantity"].tolist() == ["mean_curve", "new_run"] * 4
    of_loss = found.loss.predict(N=[1e8, 1e11], D=1e13)
    columns = ["N", "D", "quantity", "median", "low", "high", "decades_N", "decades_D", "decades_C"]
    rows = table[table["metric"] == "loss"].reset_index(drop=True)
    pd.testing.assert_frame_equal(rows[columns], of_loss[columns], rtol=0.02)  # of as many draws as both have
    far = table[table["N"] == 1e11]
    seen = found.task.runs.inputs["loss"].min()
    assert far["decades_loss"].to_numpy() == pytest.approx(np.log10(seen / far["median"].iloc[0]))
    draws = found.predict_draws(N=[1e8, 1e11], D=1e13)
    assert draws["error"].dims == ("quantity", "draw", "point")
    median = draws["error"].median("draw").sel(quantity="new_run").to_numpy()
    np.testing.assert_allclose(median, table[(table["metric"] == "error") & (table["quantity"] == "new_run")]["median"])
    again = found.predict(runs=pd.DataFrame({"N": [1e8, 1e11], "D": 1e13, "x": 1}))
    pd.testing.assert_frame_equal(again, table)
    many = found.predict(N=np.geomspace(1e8, 1e10, 600), D=1e13)  # more than one block
    assert len(many) == 2400 and many["N"].is_monotonic_increasing and (many["low"] < many["high"]).all()


def test_both_posteriors_are_in_the_interval(found: Downstream) -> None:
    """Independent draws: the variances of either law alone add up, and plugging in the median loss leaves one out."""
    draws = found.predict_draws(**FAR)
    log_error = np.log(draws["error"].sel(quantity="mean_curve").to_numpy()[:, 0])
    losses = draws["loss"].sel(quantity="mean_curve").to_numpy()[:, 0]
    middle = ErrorExponential(**{n: float(np.median(found.task.constants[n])) for n in ErrorExponential.fields})
    of_loss = np.log(middle(loss=losses))
    plugged = np.log(found.task.predict_draws(loss=np.median(losses))["mean_curve"].to_numpy()[:, 0])
    assert log_error.var() == pytest.approx(of_loss.var() + plugged.var(), rel=0.15)
    assert log_error.std() > 3 * plugged.std()


@pytest.mark.study
def test_intervals_far_out_hold_what_they_say() -> None:
    """Of 20 simulated tables; the 90 % interval of a new run holds a new run's error, and the curve's the truth."""
    truth, rng, inside = float(ERROR(loss=LOSS(**FAR))), np.random.default_rng(5), []
    for seed in range(20):
        found = fit_downstream(
            "chinchilla", "error_exponential", simulated(seed), method="laplace", likelihood="normal"
        )
        table = found.predict(**FAR).query("metric == 'error'").set_index("quantity")
        loss = float(LOSS(**FAR)) * np.exp(0.01 * rng.standard_normal())
        new = float(ERROR(loss=loss)) * np.exp(0.004 * rng.standard_normal())
        pairs = (("mean_curve", truth), ("new_run", new))
        inside.append([table.loc[q, "low"] < x < table.loc[q, "high"] for q, x in pairs])
    # binomial(20, .9): fewer than 14 happens once in 420
    assert (np.sum(inside, axis=0) >= 14).all()


def test_fits_of_ones_own_are_joined(found: Downstream, tmp_path: Path) -> None:
    for name in ("loss", "task"):
        getattr(found, name).save(tmp_path / f"{name}.nc")
    joined = bs.Downstream(*(bs.load(tmp_path / f"{name}.nc") for name in ("loss", "task")))
    pd.testing.assert_frame_equal(joined.predict(**FAR), found.predict(**FAR))
    assert str(joined) == str(found) and joined.warnings == found.warnings
    text = str(found)
    assert text.startswith("chinchilla: L(N, D) = E + A/N^alpha") and "\nConverged.\n" in text
    assert "error_exponential  epsilon" in text


def test_both_fits_come_back_from_one_file(
    found: Downstream, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "both.nc"
    found.save(path)
    again = load(path)
    assert isinstance(again, Downstream) and list(again.fits) == list(found.fits)
    assert found.predict(**FAR).equals(again.predict(**FAR))
    status, out, _ = run(["predict", str(path), "--N", "1e11", "--D", "1e13", "--json"], capsys)
    (entry,) = json.loads(out)["predictions"]
    assert status == 0 and entry["error"]["mean_curve"]["median"] == pytest.approx(found.predict(**FAR)["median"][2])
    status, _, err = run(["allocate", str(path), "--C", "1e21"], capsys)
    assert status == 2 and "`bayescale predict` reads them together; here, give a file of one fit" in err
    status, _, err = run(["plot", "loss", str(path), "-o", str(tmp_path / "x.png")], capsys)
    assert status == 2 and "give one of the downstream's fits, chinchilla, error_exponential" in err


EASE = {"arc": 1.25, "copa": 0.8, "piqa": 1.0, "sciq": 1.1}
"""Tasks, and what their k is of the average's."""


@pytest.fixture(scope="module")
def of_tasks(found: Downstream) -> Downstream:
    rng = np.random.default_rng(4)
    parts = []
    for task, ease in EASE.items():
        loss = rng.uniform(2.0, 4.0, 25)
        error = ERROR.replace(k=ERROR.k * ease)(loss=loss) * np.exp(0.004 * rng.standard_normal(25))
        parts.append(pd.DataFrame({"task": task, "loss": loss, "error": error}))
    return Downstream(found.loss, fit("error_exponential", pd.concat(parts), pool={"task": ["k"]}))


def test_a_law_of_tasks_predicts_each(of_tasks: Downstream) -> None:
    assert of_tasks.converged
    table = of_tasks.predict(N=1e9, D=2e10, task=list(EASE), interval=0.99)
    assert table["task"].unique().tolist() == list(EASE) and len(table) == 16
    losses = table[(table["metric"] == "loss") & (table["quantity"] == "mean_curve")]
    assert losses[["median", "low", "high"]].nunique().tolist() == [1, 1, 1]
    errors = table[(table["metric"] == "error") & (table["quantity"] == "mean_curve")].set_index("task")
    for task, ease in EASE.items():
        truth = float(ERROR.replace(k=ERROR.k * ease)(loss=LOSS(N=1e9, D=2e10)))
        assert errors.loc[task, "low"] < truth < errors.loc[task, "high"]
    every = of_tasks.predict(N=[1e9, 2e9], D=2e10, interval=0.99)
    assert every["task"].tolist() == [t for _ in range(2) for t in sorted(EASE) for _ in range(4)]
    new = of_tasks.predict(N=1e9, D=2e10, task="unseen", interval=0.99)
    new = new[(new["metric"] == "error") & (new["quantity"] == "mean_curve")].iloc[0]
    assert new["high"] - new["low"] > 3 * (errors["high"] - errors["low"]).max()
    points = pd.DataFrame({"N": [1e9, 1e9], "D": [2e10, 2e10], "task": ["copa", "arc"]})
    by_table = of_tasks.predict(points)
    assert by_table["task"].unique().tolist() == ["copa", "arc"]
    medians = by_table[(by_table["metric"] == "error") & (by_table["quantity"] == "mean_curve")]["median"].tolist()
    np.testing.assert_allclose(medians, errors.loc[["copa", "arc"], "median"], rtol=0.01)
    draws = of_tasks.predict_draws(N=[1e9, 2e9], D=2e10, task="piqa")
    assert draws["task"].to_numpy().tolist() == ["piqa"] * 2 and draws["error"].shape[2] == 2


@pytest.mark.slow
def test_effects_on_the_error_are_a_new_runs(found: Downstream, of_tasks: Downstream) -> None:
    runs = pd.DataFrame({**of_tasks.task.runs.inputs, "error": of_tasks.task.runs.observed})
    runs["task"] = np.array(list(EASE))[runs["task"].astype(int) - 1]
    effects = fit("error_exponential", runs, pool={"task": ["error"]})
    by = Downstream(found.loss, effects).predict(N=1e9, D=2e10, task="unseen").set_index(["metric", "quantity"])
    width = by["high"] - by["low"]
    spread = float(np.median(effects.constants["tau_error"]))
    assert spread > 0.02 and width["error", "new_run"] > 2 * width["error", "mean_curve"]


def test_tasks_that_are_not_there_are_refused(of_tasks: Downstream) -> None:
    with pytest.raises(UsageError, match=r"the fit has no task 'ark' \(did you mean 'arc'\?\)"):
        of_tasks.predict(N=1e9, D=2e10, task="ark")
    with pytest.raises(UsageError, match="inputs and groups must have one length"):
        of_tasks.predict(N=[1e9, 2e9], D=2e10, task=list(EASE))
    with pytest.raises(UsageError, match="give the points as a table or as task, not both"):
        of_tasks.predict(pd.DataFrame({"N": [1e9], "D": [2e10]}), task="arc")


def test_tasks_at_the_command_line(of_tasks: Downstream, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    of_tasks.save(tmp_path / "both.nc")
    line = ["predict", str(tmp_path / "both.nc"), "--N", "1e9", "--D", "2e10", "--at", "task=copa,arc", "--json"]
    status, out, _ = run(line, capsys)
    found = json.loads(out)["predictions"]
    assert status == 0 and [p["task"] for p in found] == ["copa", "arc"]
    again = of_tasks.predict(N=1e9, D=2e10, task=["copa", "arc"])
    assert found[1]["error"]["new_run"]["median"] == pytest.approx(again["median"].iloc[7])


def test_errors_of_losses_are_warned_of(found: Downstream) -> None:
    assert not any("as if losses were exact" in w for w in found.warnings)
    for error, warned in ((0.05, True), (0.001, False)):
        known = replace(found.loss, runs=replace(found.loss.runs, se=np.full(ROWS, error)))
        told = [w for w in Downstream(known, found.task).warnings if "as if losses were exact" in w]
        assert len(told) == warned
        assert all(w.startswith("standard errors of the loss are worth") for w in told)


def test_what_cannot_be_joined_is_refused(found: Downstream) -> None:
    runs = simulated(1)
    with pytest.raises(UsageError, match="law error_exponential predicts error; the first law is to predict the loss"):
        fit_downstream("error_exponential", "error_exponential", runs)
    with pytest.raises(
        UsageError, match="law chinchilla predicts loss from N, D; the second law is to predict a metric"
    ):
        fit_downstream("chinchilla", "chinchilla", runs)
    with pytest.raises(UsageError, match="fit_downstream has no option 'pool'"):
        fit_downstream("chinchilla", "error_exponential", runs, pool={"corpus": "E"})
    with pytest.raises(
        DataError, match=r"there is no column error \(error rate of tasks, 0 to 1\); the table has N, D"
    ):
        fit_downstream("chinchilla", "error_exponential", runs.drop(columns="error"))
    with pytest.raises(UsageError, match="law chinchilla needs D"):
        found.predict(N=1e9)


# --- the command line -------------------------------------------------------------------------------------------------


def run(line: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    with pytest.raises(SystemExit, match=r"^\d+$") as stopped:
        main(line)
    captured = capsys.readouterr()
    return int(stopped.value.code or 0), captured.out, captured.err


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = simulated(1)
    runs["acc"] = 1 - runs.pop("error").where(runs.index != 4)
    runs.assign(corpus="c4").to_csv(tmp_path / "runs.csv", index=False)
    line = ["downstream", str(tmp_path / "runs.csv"), "--N", "1e8,1e11", "--D", "1e13", "--method", "laplace"]
    status, out, err = run([*line, "--set-error", "epsilon=0.857", "--where", "group=c4"], capsys)
    assert status == 0 and "column 'acc' read as accuracy" in err
    assert "60 rows of" in out and "59 rows of" in out and "decades beyond data" in out
    assert "error_exponential  gamma" in out and "error_exponential  epsilon" not in out  # it is pinned
    status, out, _ = run([*line, "--json"], capsys)
    content = json.loads(out)
    assert status == 0 and content["converged"] and content["laws"]["error"]["law"] == "error_exponential"
    assert [p["N"] for p in content["predictions"]] == [1e8, 1e11]
    far = content["predictions"][1]
    again = fit_downstream("chinchilla", "error_exponential", runs, method="laplace", seed=0)
    rows = again.predict(N=[1e8, 1e11], D=1e13)
    assert far["error"]["new_run"]["median"] == pytest.approx(rows["median"].iloc[7])
    assert far["decades_beyond_data"]["loss"] == pytest.approx(rows["decades_loss"].iloc[7])
    status, _, err = run([*line, "-o", str(tmp_path / "both.nc")], capsys)
    assert (
        status == 0
        and "Saved to" in err
        and again.predict(N=1e11, D=1e13).equals(load(tmp_path / "both.nc").predict(N=1e11, D=1e13))
    )
    status, _, err = run([*line, "-o", str(tmp_path / "nowhere" / "both.nc")], capsys)
    assert status == 2 and "there is no folder" in err
    status, _, err = run([*line, "--set", "chance=0.5"], capsys)
    assert status == 2 and "law chinchilla has no constant 'chance'" in err
    status, _, err = run([*line, "--error-law", "b_crit"], capsys)
    assert status == 2 and "there is no law 'b_crit'" in err
    status, _, err = run(["downstream", "palm2", "--N", "1e9", "--D", "1e10"], capsys)
    assert status == 1 and "there is no column error" in err
