"""Tables that went wrong, through the command line: checkpoints, tracker exports, counts of FLOPs, metrics."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
from conftest import shared_case

from bayescale.cli import main
from bayescale.errors import DataError, UsageError
from bayescale.fit import fit
from bayescale.loading import load
from bayescale.runs import read_runs
from bayescale.runs.checkpoints import memory_unit, of_runs, run_column
from bayescale.runs.cost import Cost, cost_from, table_cost
from bayescale.runs.sweeps import best_of_sweeps

CHINCHILLA = {"E": 1.8, "A": 400.0, "alpha": 0.34, "B": 1200.0, "beta": 0.34}


class Said(NamedTuple):
    status: int
    json: dict[str, Any]
    err: str


Cli = Callable[..., Said]


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    """A command with --json: exit status, the object, and what was said."""

    def run(*arguments: object) -> Said:
        with pytest.raises(SystemExit) as stopped:
            main([*map(str, arguments), "--json"])
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err and "this should not happen" not in captured.err, captured.err
        return Said(int(stopped.value.code or 0), json.loads(captured.out), captured.err)

    return run


def text_of(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    with pytest.raises(SystemExit):
        main([*map(str, arguments)])
    return " ".join(capsys.readouterr().out.split())


def holds(estimate: dict[str, Any], value: float) -> bool:
    """Whether an interval holds a value, to three Monte Carlo errors of an end (a tenth of an sd, at 4000 draws)."""
    low, high = estimate["interval"]
    return bool(low - 0.1 * estimate["sd"] <= value <= high + 0.1 * estimate["sd"])


# --- runs and checkpoints -----------------------------------------------------------------------------------------


def test_checkpoints_hold_the_truth(cli: Cli) -> None:
    said = cli("fit", shared_case("checkpoints.csv"))
    found = said.json
    assert said.status == 0 and found["converged"], found["failures"]
    taken = found["checkpoints"]
    assert (taken["how"], taken["runs"], taken["rows"]) == ("along", 6, 4194) and taken["kept"] == found["rows"] < 500
    assert taken["unit"] == pytest.approx(4.75e8 / 0.3, rel=0.3)  # 1 / -log .9 steps of 5e7 tokens
    assert any("4194 rows are of 6 runs" in w and "--checkpoints takes last" in w for w in found["warnings"])
    missed = [n for n, value in CHINCHILLA.items() if not holds(found["parameters"][n], value)]
    assert not missed, {n: found["parameters"][n]["interval"] for n in missed}


@pytest.fixture(scope="module")
def tracker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The fit of the export with two options: dirty cells dropped, and constants that vary by mix."""
    path = tmp_path_factory.mktemp("tracker") / "fit.nc"
    with pytest.raises(SystemExit) as stopped:
        main(
            [
                "fit",
                str(shared_case("tracker_export.csv")),
                "--drop-bad",
                "--pool",
                "config.data.mix=E,A,B,alpha,beta",
                "-o",
                str(path),
            ]
        )
    assert not stopped.value.code
    yield path


def test_a_tracker_export_forecasts_each_mix(cli: Cli, tracker: Path) -> None:
    found = load(tracker)
    assert found.runs.rows == 186 and found.runs.checkpoints is not None
    assert found.runs.checkpoints.how == "last" and found.runs.checkpoints.column == "ID"
    told = " ".join(found.warnings)
    assert "6 of 758 rows have cells that cannot be used and were left out: line 128, column 'eval/loss'" in told
    assert "6 that are crashed or running left out" in told
    for mix, loss in (("web", 2.0194), ("web+code", 1.9469), ("curated", 1.9018)):
        said = cli("allocate", tracker, "--C", "1e24", "--at", f"config.data.mix={mix}")
        assert holds(said.json["allocations"][0]["loss"], loss), (mix, said.json["allocations"][0]["loss"])


def test_dirty_cells_are_refused_without_the_option(cli: Cli) -> None:
    said = cli("fit", shared_case("tracker_export.csv"))
    assert (
        said.status == 1 and said.json["error"]["code"] == "bad_cells" and "--drop-bad" in said.json["error"]["message"]
    )


CURVES = pd.DataFrame(
    [
        {"ID": f"w{i:02d}", "Name": f"model-{i}", "State": "crashed" if i == 3 else "finished", "N": 1e8 * 2**i,
         "D": 1e9 * (i % 3 + 1) * share, "_step": int(100 * (i % 3 + 1) * share),
         "loss": 1.8 + 400 * (1e8 * 2**i) ** -0.34 + 1200 * (1e9 * (i % 3 + 1) * share) ** -0.34}
        for i in range(12)
        for share in (0.25, 0.5, 1.0)
    ]
)  # fmt: skip


def test_the_last_row_of_each_finished_run() -> None:
    runs = read_runs(CURVES)
    assert run_column(runs) == "ID"
    kept, taken = of_runs(runs, ("N", "D"), 5)
    assert taken is not None and (taken.how, taken.runs, taken.rows, taken.kept) == ("last", 11, 33, 11)
    assert kept["D"].tolist() == [1e9 * (i % 3 + 1) for i in range(12) if i != 3] and "w03" not in set(kept["run"])
    every, taken = of_runs(runs, ("N", "D"), 5, "all")
    assert taken is not None and len(every) == 36 and "intervals are too narrow" in taken.sentence
    along, taken = of_runs(runs, ("N", "D"), 5, "along")
    assert taken is not None and taken.how == "along" and len(along) == 33
    assert of_runs(runs, ("N", "D"), 5, dependent=True)[1] is None  # the likelihood knows of runs
    assert of_runs(runs, ("N", "D"), 5, grouped=["ID"])[1] is None
    with pytest.raises(UsageError, match=r"checkpoints.*'lst' \(did you mean 'last'\?\)"):
        of_runs(runs, ("N", "D"), 5, "lst")
    with pytest.raises(DataError, match="no run has two rows"):
        of_runs(runs.drop(columns=["ID", "Name"]), ("N", "D"), 5, "along")


def test_names_of_models_are_no_runs() -> None:
    """Three budgets of one model are three runs, whatever the model's name."""
    models = CURVES.drop(columns=["ID", "_step"])
    assert run_column(read_runs(models)) is None
    assert run_column(read_runs(models.rename(columns={"Name": "run"}))) == "run"


def test_seeds_are_replicates() -> None:
    seeds = pd.concat([CURVES.assign(run=CURVES["Name"], seed=s, loss=CURVES["loss"] * (1 + s / 1e3)) for s in (0, 1)])
    kept, taken = of_runs(read_runs(seeds.drop(columns="State")), ("N", "D"), 5)
    assert taken is not None and taken.how == "last" and len(kept) == 24
    named = read_runs(seeds.drop(columns="State"))
    named.index = seeds.index  # twice each: rows of two files joined
    assert len(of_runs(named, ("N", "D"), 5)[0]) == 24
    apart = pd.DataFrame({"N": [1e8, 1e8, 4e8, 4e8], "D": 2e9, "loss": [3.5, 3.51, 3.2, 3.21], "seed": [0, 1, 0, 1]})
    assert of_runs(read_runs(apart), ("N", "D"), 5)[1] is None


def test_too_few_runs_are_followed_along() -> None:
    few = read_runs(CURVES[CURVES["N"] < 1e9])
    assert getattr(of_runs(few, ("N", "D"), 5)[1], "how", None) == "along"
    assert getattr(of_runs(few, ("N",), 3)[1], "how", None) == "last"  # nothing in the law is along a run
    unordered = read_runs({"run": ["a", "a", "b", "b"], "N": [1e7, 1e7, 1e8, 1e8], "loss": [6.32, 6.33, 4.58, 4.6]})
    assert getattr(of_runs(unordered, ("N",), 2)[1], "how", None) == "effects"


def test_a_fit_pooled_by_runs_is_saved(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "fit.nc"
    pool = ("--pool", "run=loss", "--method", "laplace")  # whose own gate may refuse it: the file is what matters
    said = cli("fit", shared_case("pooled_by_run.csv"), "--law", "kaplan_n", *pool, "-o", path)
    assert "error" not in said.json and said.json["rows"] == 8 and said.json["checkpoints"] is None
    assert load(path).law.columns == {"run": ("r0", "r1", "r2", "r3")}


@pytest.mark.parametrize("clock", ["steps", "log"])
def test_the_memory_of_a_run_is_measured_by_its_own_clock(clock: str) -> None:
    rng = np.random.default_rng(3)
    steps = np.unique(np.geomspace(10, 3000, 300).round())
    gaps = np.diff(np.log(steps) if clock == "log" else steps) / (0.1 if clock == "log" else 40.0)
    curves = []
    for _ in range(8):
        x = [rng.standard_normal()]
        for g in gaps:
            x.append(np.exp(-g) * x[-1] + np.sqrt(-np.expm1(-2 * g)) * rng.standard_normal())
        curves.append((steps, np.array(x)))
    unit = memory_unit(curves)
    assert unit is None if clock == "log" else unit == pytest.approx(40 / 0.3, rel=0.5)


def test_the_best_of_a_sweep() -> None:
    rows = [
        {"N": n, "D": 20 * n, "lr": lr, "seed": seed, "loss": 2 + n**-0.1 + 0.1 * abs(np.log(lr / 3e-4)) + 0.001 * seed}
        for n in (1e8, 4e8, 1.6e9)
        for lr in (1e-4, 3e-4, 1e-3)
        for seed in (0, 1)
    ]
    runs = read_runs(pd.DataFrame(rows))
    best = best_of_sweeps(runs, ("N", "D"), "loss")
    assert len(best) == 6 and set(best["lr"]) == {3e-4}  # both seeds stay
    assert (
        "lr differs between runs of one N, D, in 3 sweeps: the best of each is fitted, 6 of 18"
        in best.attrs["notes"][-1]
    )
    every = best_of_sweeps(runs, ("N", "D"), "loss", "all")
    assert len(every) == 18 and "with what was tuned as scatter" in every.attrs["notes"][-1]
    assert len(best_of_sweeps(runs, ("N", "D", "lr"), "loss")) == 18  # a law of it
    mixes = runs.assign(mix=np.where(runs["lr"] == 1e-4, "a", "b"))
    mixes.attrs = runs.attrs
    assert len(best_of_sweeps(mixes, ("N", "D"), "loss")) == 12  # the mixes apart


# --- the table's own compute --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("own") / "fit.nc"
    with pytest.raises(SystemExit) as stopped:
        main(["fit", str(shared_case("own_flops.csv")), "-o", str(path)])
    assert not stopped.value.code
    return path


def test_plans_cost_what_the_table_counts(cli: Cli, own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = cli("allocate", own, "--C", "1e22").json
    best = said["allocations"][0]
    assert holds(best["N"], 6.63e9) and holds(best["D"], 1.68e11)
    assert said["cost"]["k"] == pytest.approx(9, rel=1e-3) and said["cost"]["by"] == "table"
    assert best["N"]["median"] * best["D"]["median"] * 9 == pytest.approx(1e22, rel=5e-3)
    assert "C = 9.001 N D: budgets are in the table's own count of FLOPs" in text_of(
        capsys, "allocate", own, "--C", "1e22"
    )
    six = cli("allocate", own, "--C", "1e22", "--cost", "6ND").json
    assert six["allocations"][0]["D"]["median"] == pytest.approx(2.04e11, rel=0.02) and six["cost"]["by"] == "user"
    asked = cli("predict", own, "--N", "6.63e9", "--C", "1e22").json
    assert asked["predictions"][0]["D"] == pytest.approx(1.68e11, rel=0.01) and asked["cost"]["C"] == "9.001 N D"
    needed = cli("allocate", own, "--loss", best["loss"]["median"]).json["allocations"][0]["C"]
    assert needed["median"] == pytest.approx(1e22, rel=0.02)


def test_a_count_with_exponents(own: Path) -> None:
    """The numeric search finds the optimum of a law under any count: along it, nothing of that cost is better."""
    found, cost = load(own), Cost(5.0, 1.05, 0.98, "user")
    table = found.allocate(1e22, cost=cost).set_index("quantity")["median"]
    at = found.allocate_draws([1e22], cost=cost)
    np.testing.assert_allclose(cost.flops(at["N"], at["D"]), 1e22, rtol=1e-9)
    for factor in (0.9, 1.1):
        N = float(table["N"]) * factor
        off = found.predict(N=N, D=cost.tokens(1e22, N)).iloc[0]["median"]
        assert off > table["loss"] - 1e-9
    assert np.isfinite(found.allocate(1e22, cost=cost, inference_tokens=1e12)["median"]).all()


def test_approaches_count_alike(cli: Cli) -> None:
    said = cli("approaches", shared_case("own_flops.csv"), "--C", "1e22").json
    assert said["cost"]["k"] == pytest.approx(9, rel=1e-3)
    for entry in said["approaches"].values():
        assert holds(entry["optima"][0]["D_opt"], 1.68e11) and holds(entry["optima"][0]["N_opt"], 6.63e9)


def test_counts_of_tables() -> None:
    N, D = (x.ravel() for x in np.meshgrid(np.geomspace(1e7, 1e10, 6), np.geomspace(1e9, 1e12, 6)))

    def cost(C: np.ndarray) -> tuple[Cost, str]:
        return table_cost(read_runs({"N": N, "D": D, "C": C, "loss": np.full(36, 3.0)}))

    noise = np.random.default_rng(0).standard_normal(36)
    assert cost(6 * N * D)[0] == Cost(by="table") and cost(6 * N * D * (1 + 0.002 * np.sin(N)))[0].usual
    assert cost(6 * N * D * np.exp(0.1 * noise))[0].usual  # scatter is no count
    nine = cost(9 * N * D)[0]
    assert nine.linear and nine.k == pytest.approx(9)
    bent = cost(40 * N**0.93 * D * np.exp(0.01 * noise))[0]
    assert bent.b == 1 and bent.a == pytest.approx(0.93, abs=0.01)
    assert cost(N * D**0.8 * 600)[0].b == pytest.approx(0.8, abs=0.01)
    wild, why = cost(6 * N * D * np.exp(noise))
    assert wild.usual and "C is no function of N and D" in why
    assert table_cost(read_runs({"N": N, "D": D, "loss": np.full(36, 3.0)})) == (Cost(), "")


def test_costs_as_they_are_written() -> None:
    assert cost_from("6*N*D").usual and cost_from("6ND").usual and cost_from("C = 6 N D").usual  # type: ignore[union-attr]
    bent = cost_from("7.2e0*N^0.98*D**1.01")
    assert bent == Cost(7.2, 0.98, 1.01, "user") and cost_from("table") is None and cost_from(None) is None
    for wrong in ("6*N", "N+D", "0*N*D", "6*M*D", ""):
        with pytest.raises(UsageError, match="a number times powers of N and D"):
            cost_from(wrong)


def test_tokens_derived_from_a_budget_follow_the_count_given() -> None:
    N = np.repeat(np.geomspace(1e8, 1e10, 4), 3)
    C = np.tile([1e19, 1e20, 1e21], 4)
    noise = 0.005 * np.random.default_rng(0).standard_normal(12)
    runs = pd.DataFrame({"N": N, "C": C, "loss": (1.8 + 400 * N**-0.34 + 1200 * (C / 12 / N) ** -0.34) * np.exp(noise)})
    found = fit("chinchilla", runs, cost="12*N*D", method="laplace")
    np.testing.assert_allclose(found.runs.inputs["D"], runs["C"] / 12 / runs["N"])


# --- metrics ------------------------------------------------------------------------------------------------------


def test_samples_for_an_error_rate(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "fit.nc"
    options = ("--law", "power_law_d", "--column", "D=n", "--metric", "error")
    said = cli("fit", shared_case("accuracy.csv"), *options, "-o", path)
    assert said.status == 0 and "error derived as 1 - accuracy" in said.err
    found = cli("allocate", path, "--error", "0.08").json["targets"][0]
    assert holds(found["D"], 1.3e4) and found["reachable"] > 0.9 and found["loss"] == 0.08
    assert 0.5 < found["D"]["median"] / 1.3e4 < 2
    far = cli("allocate", path, "--error", "1e-4")
    assert far.status == 1 and "out of reach with any D" in far.json["error"]["message"]
    assert cli("allocate", path, "--C", "1e22").json["error"]["code"] == "usage"


def test_a_metric_that_rises_is_refused(cli: Cli) -> None:
    said = cli("fit", shared_case("rises.csv"), "--law", "power_law_n", "--column", "loss=score")
    assert said.status == 1 and said.json["error"]["code"] == "metric_rises"
    assert "--column 'accuracy=score' --metric error" in said.json["error"]["message"]
    turned = ("--column", "accuracy=score", "--metric", "error", "--method", "laplace")
    assert (
        cli("fit", shared_case("rises.csv"), "--law", "power_law_n", *turned).json["parameters"]["alpha"]["median"] > 0
    )


def test_perplexities_are_read_as_such(cli: Cli) -> None:
    said = cli("fit", shared_case("perplexity.csv"), "--law", "kaplan_n")
    assert said.status == 0 and "column 'perplexity' read as loss: its logarithm" in said.err
    assert said.json["parameters"]["alpha_N"]["median"] == pytest.approx(0.11, abs=0.02)


# --- tables that only had to be read ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "options", "rows"),
    [
        ("suffixes.csv", (), 10),
        ("european.csv", (), 6),
        ("array.json", (), 12),
        ("millions.csv", (), 40),
        ("billions.csv", ("--column", "N=N*1e9", "--column", "D=D*1e9"), 8),
        ("crashed_run.csv", ("--where", "State=finished"), 6),
    ],
)
def test_tables_are_fitted(cli: Cli, name: str, options: tuple[str, ...], rows: int) -> None:
    said = cli("fit", shared_case(name), *options, "--method", "laplace")
    assert "error" not in said.json, said.json
    assert said.json["rows"] == rows
