"""The command line: its JSON, its exit status, and a sentence where it refuses."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bayescale.cli import COMMANDS, main
from bayescale.errors import CODES
from bayescale.fit import Fit, fit


@dataclass
class Done:
    status: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        def refuse(token: str) -> None:
            raise AssertionError(f"{token} is not JSON")

        found = json.loads(self.out, parse_constant=refuse)
        assert isinstance(found, dict) and self.out.count("\n") == 1
        return found


Cli = Callable[..., Done]


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Run a command line in an empty folder; a traceback is never acceptable."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BAYESCALE_DEBUG", raising=False)

    def run(*arguments: object) -> Done:
        with pytest.raises(SystemExit, match=r"^\d+$") as stopped:
            main([str(a) for a in arguments])
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err and "this should not happen" not in captured.err
        return Done(int(stopped.value.code or 0), captured.out, captured.err)

    return run


@pytest.fixture
def runs_csv(table: pd.DataFrame, tmp_path: Path) -> Path:
    path = tmp_path / "runs.csv"
    table.to_csv(path, index=False)
    return path


def is_estimate(value: Any) -> bool:
    low, high = value["interval"]
    known = set(value) >= {"median", "mean", "sd", "interval"} and low <= value["median"] <= high
    return known and (value["sd"] is None or value["sd"] > 0)


# --- the contract -------------------------------------------------------------------------------------------------


def test_fit_as_json(cli: Cli, runs_csv: Path) -> None:
    done = cli("fit", runs_csv, "--law", "chinchilla", "--json", "-o", "fit.nc", "--interval", "0.8", "--seed", "3")
    found = done.json
    assert done.status == 0
    assert found["law"] == "chinchilla" and found["rows"] == 30 and found["interval_mass"] == 0.8 and found["seed"] == 3
    assert found["converged"] is True and found["divergences"] == 0 and found["warnings"] == [] == found["failures"]
    assert 0 < found["seconds"]["sampling"] < found["seconds"]["total"]
    assert set(found["parameters"]) == {"E", "A", "alpha", "B", "beta", "sigma", "nu"}
    assert set(found["derived"]) >= {"a", "b", "gamma"}
    for entry in found["parameters"].values():
        assert is_estimate(entry)
        assert entry["r_hat"] <= 1.01 and entry["ess_bulk"] >= 400 and entry["ess_tail"] >= 400
    assert all(is_estimate(entry) for entry in found["derived"].values())
    assert Path("fit.nc").is_file()


def test_predict_as_json(cli: Cli, saved: Path, small_fit: Fit) -> None:
    found = cli("predict", saved, "--N", "1e9,7e10", "--D", "1.4e12", "--json").json
    assert found["law"] == "chinchilla" and found["interval_mass"] == 0.9
    assert [(p["N"], p["D"]) for p in found["predictions"]] == [(1e9, 1.4e12), (7e10, 1.4e12)]
    for entry in found["predictions"]:
        assert is_estimate(entry["mean_curve"]) and is_estimate(entry["new_run"])
        assert set(entry["decades_beyond_data"]) == {"N", "D", "C"}
    assert (
        found["predictions"][0]["decades_beyond_data"]["N"] == 0 < found["predictions"][1]["decades_beyond_data"]["N"]
    )
    direct = small_fit.predict(N=7e10, D=1.4e12).iloc[0]
    entry = found["predictions"][1]["mean_curve"]
    expected = [direct[n] for n in ("median", "mean", "sd", "low", "high")]
    assert [entry["median"], entry["mean"], entry["sd"], *entry["interval"]] == pytest.approx(expected)
    # Student-t scatter has no moments on the metric's own scale
    assert all(p["new_run"]["mean"] is None and p["new_run"]["sd"] is None for p in found["predictions"])


def test_predict_from_a_table(cli: Cli, saved: Path, runs_csv: Path) -> None:
    found = cli("predict", saved, "--runs", runs_csv, "--json").json
    assert len(found["predictions"]) == 30


def test_allocate_as_json(cli: Cli, saved: Path, small_fit: Fit) -> None:
    found = cli("allocate", saved, "--C", "5.76e23,1e25", "--json").json
    assert found["law"] == "chinchilla" and [a["C"] for a in found["allocations"]] == [5.76e23, 1e25]
    for entry in found["allocations"]:
        assert all(is_estimate(entry[n]) for n in ("N", "D", "tokens_per_parameter", "loss"))
    direct = small_fit.allocate(1e25).set_index("quantity")
    assert found["allocations"][1]["N"]["median"] == pytest.approx(direct.loc["N", "median"])


def test_allocate_for_a_loss_as_json(cli: Cli, saved: Path) -> None:
    (entry,) = cli("allocate", saved, "--loss", "2.0", "--json").json["allocations"]
    assert entry["target_loss"] == 2.0 and entry["probability"] == 1.0
    assert all(is_estimate(entry[n]) for n in ("C", "N", "D", "tokens_per_parameter"))
    both = cli("allocate", saved, "--C", "1e21", "--N", "1e9", "--json").json["allocations"][0]
    assert is_estimate(both["excess_loss"]) and is_estimate(both["compute_penalty"])


def test_laws_as_json(cli: Cli) -> None:
    found = {law["name"]: law for law in cli("laws", "--json").json["laws"]}
    assert set(found) >= {"chinchilla", "kaplan_n", "kaplan_nd", "power_law_c"}
    (law,) = cli("laws", "chinchilla", "--json").json["laws"]
    assert law == found["chinchilla"]
    assert law["inputs"] == ["N", "D"] and law["formula"].startswith("L(N, D) = ") and "2203.15556" in law["source"]
    assert set(law["parameters"]) == {"E", "A", "alpha", "B", "beta"}
    assert law["parameters"]["alpha"]["prior"] == "LogNormal(loc=-1.20397, scale=0.5)"
    assert law["parameters"]["alpha"]["published"]["Besiroglu et al. 2024"] == 0.3478


def test_data_as_json(cli: Cli) -> None:
    found = {entry["name"]: entry for entry in cli("data", "--json").json["data"]}
    assert found["palm2"]["rows"] == 12 and "epoch_chinchilla" in found
    palm2 = cli("data", "palm2", "--json").json
    assert len(palm2["rows"]) == 12 and palm2["rows"][0]["loss"] == 2.488
    done = cli("data", "palm2", "-o", "palm2.csv")
    assert done.status == 0 and len(pd.read_csv("palm2.csv")) == 12


def test_text_output(cli: Cli, runs_csv: Path, saved: Path) -> None:
    fitted = cli("fit", runs_csv, "-o", "f.nc")
    assert fitted.status == 0 and "Converged (nuts" in fitted.out and "\nalpha " in fitted.out
    assert "Saved to f.nc" in fitted.err
    predicted = cli("predict", saved, "--N", "7e10", "--D", "1.4e12")
    assert "mean curve" in predicted.out and "new run" in predicted.out and "decades beyond data" in predicted.out
    assert "90% interval" in predicted.out
    allocated = cli("allocate", saved, "--C", "1e21").out
    assert "C = 1e+21" in allocated and "tokens per parameter" in allocated
    page = cli("laws", "chinchilla").out
    for part in (
        "E + A/N^alpha + B/D^beta",
        "arXiv:2203.15556",
        "LogNormal",
        "406.401",
        "Besiroglu et al. 2024",
        "N0, D0, C0",
    ):
        assert part in page
    assert "kaplan_nd" in cli("laws").out and "palm2" in cli("data").out and "2.488" in cli("data", "palm2").out


def test_settings_columns_rows_and_likelihood(cli: Cli, table: pd.DataFrame) -> None:
    frame = table.rename(columns={"N": "size"}).assign(kind=["a"] * 25 + ["b"] * 5)
    frame.to_csv("odd.csv", index=False)
    done = cli(
        "fit", "odd.csv", "--column", "N=size", "--where", "kind=a", "--set", "E=1.8", "--set", "beta=alpha",
        "--set", "alpha=LogNormal(-1.1, 0.3)", "--likelihood", "normal", "--method", "laplace", "--json",
    )  # fmt: skip
    found = done.json
    assert found["rows"] == 25 and set(found["parameters"]) == {"A", "alpha", "B", "beta", "sigma"}
    assert found["parameters"]["alpha"]["median"] == found["parameters"]["beta"]["median"]


def test_a_law_of_ones_own(cli: Cli, own_law: Path, runs_csv: Path) -> None:
    assert "L(N) = k + m/log(N)" in cli("laws", f"{own_law}:Line").out
    done = cli("fit", runs_csv, "--law", f"{own_law}:Line", "-o", "line.nc", "--json")
    assert set(done.json["parameters"]) == {"k", "m", "sigma", "nu"} and done.status == 0
    found = cli("predict", "line.nc", "--law", f"{own_law}:Line", "--N", "1e9", "--json").json
    assert found["law"] == "line" and is_estimate(found["predictions"][0]["mean_curve"])


def test_a_law_that_cannot_be_compiled(cli: Cli, own_law: Path, runs_csv: Path) -> None:
    own_law.write_text(
        own_law.read_text().replace("from jax.numpy import log", "from math import log"), encoding="utf-8"
    )
    done = cli("fit", runs_csv, "--law", f"{own_law}:Line", "-o", "line.nc")
    assert done.status == 2 and "jnp.log(N) for math.log(N)" in done.err and not Path("line.nc").exists()


def test_a_truncated_prior(cli: Cli, runs_csv: Path) -> None:
    prior = "alpha=TruncatedNormal(0.3, 0.1, low=0)"
    assert cli("fit", runs_csv, "--set", prior, "--method", "laplace", "-o", "fit.nc").status == 0
    assert cli("predict", "fit.nc", "--N", "1e9", "--D", "1e10", "--json").json["law"] == "chinchilla"


# --- refusals -----------------------------------------------------------------------------------------------------

GOOD = "N,D,loss\n" + "".join(
    f"{n}e8,{d}e9,{2.5 + 1 / n + 1 / d}\n"
    for n, d in zip(range(1, 13), (7, 3, 9, 1, 5, 2, 8, 4, 6, 11, 10, 12), strict=True)
)


def spoilt(row: int, text: str) -> str:
    lines = GOOD.splitlines()
    lines[row] = text
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (spoilt(3, "3e8,,2.5"), "line 4, column D: missing or NaN"),
        (spoilt(3, "3e8,9e9,nan"), "line 4, column loss: missing or NaN"),
        (spoilt(2, "many,3e9,2.5"), "line 3, column N: 'many' is not a number"),
        (spoilt(2, "2e8,inf,2.5"), "line 3, column D: inf is infinite"),
        (spoilt(5, "0,5e9,2.5"), "line 6, column N: 0.0 is not positive"),
        (spoilt(5, "5e8,5e9,-2.5"), "line 6, column loss: -2.5 is not positive"),
        (
            "\n".join(GOOD.splitlines()[:6]),
            "chinchilla has 5 constants; the table has 5 rows and at least 6 are needed",
        ),
        (
            "N,D,loss\n" + "1e8,1e9,2.5\n2e8,3e9,2.4\n" * 6,
            "the table has 2 distinct values of (N, D) and at least 5 are needed",
        ),
        ("N,loss\n" + "1e8,2.5\n" * 12, "chinchilla needs the column D (training tokens)"),
        (GOOD.replace("N,D,loss", "N,D,score"), "chinchilla needs the column loss"),
        ("", "the file is empty"),
        ("N,D,loss\n", "no rows"),
    ],
)
def test_tables_that_are_refused(cli: Cli, text: str, message: str) -> None:
    Path("runs.csv").write_text(text)
    done = cli("fit", "runs.csv", "-o", "fit.nc", "--json")
    assert done.status == 1 and message in done.json["error"]["message"] and done.json["error"]["code"] in CODES
    assert done.err.startswith("bayescale: ") and message in done.err
    assert os.listdir() == ["runs.csv"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"N": lambda t: t["N"] / 1e9}, "are these billions? N counts parameters"),
        ({"D": lambda t: t["D"] / 1e9}, "D looks like it is in millions or billions of tokens"),
        ({"C": lambda t: 6 * t["N"] * t["D"] * 3}, "C differs from 6ND by more than a factor 2 in 30 rows"),
        ({"D": lambda t: 20 * t["N"]}, "N and D move together"),
    ],
)
def test_tables_that_are_warned_of(cli: Cli, table: pd.DataFrame, change: dict[str, Any], message: str) -> None:
    table.assign(**change).to_csv("runs.csv", index=False)
    done = cli("fit", "runs.csv", "--json", "--method", "laplace")
    assert any(message in warning for warning in done.json["warnings"])
    text = cli("fit", "runs.csv", "--method", "laplace")
    assert message[:20] in " ".join((text.out + text.err).split())


def test_exact_duplicates_are_warned_of(cli: Cli, table: pd.DataFrame) -> None:
    pd.concat([table, table[4:6]]).to_csv("runs.csv", index=False)
    found = cli("fit", "runs.csv", "--json", "--method", "laplace").json
    assert any("2 rows repeat an earlier row exactly" in warning for warning in found["warnings"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fitt", "palm2"], "there is no command 'fitt' (did you mean 'fit'?)"),
        (["fit", "palm"], "no file and no data set is called 'palm' (did you mean 'palm2'?)"),
        (["fit", "nothing.csv"], "cannot read nothing.csv: No such file or directory"),
        (["fit"], "Missing argument 'DATA'"),
        (["fit", "palm2", "--sed", "1"], "No such option '--sed'"),
        (["fit", "palm2", "--law", "chinchila"], "there is no law 'chinchila' (did you mean 'chinchilla'?)"),
        (["fit", "palm2", "--set", "alhpa=0.3"], "has no constant 'alhpa' (did you mean 'alpha'?)"),
        (["fit", "palm2", "--set", "alpha=LogNorm(1, 1)"], "(did you mean 'LogNormal'?)"),
        (["fit", "palm2", "--set", "alpha"], "'alpha' is not NAME=VALUE"),
        (["fit", "palm2", "--set", "alpha=beta", "--set", "beta=alpha"], "is a circle; pin one or give it a prior"),
        (["fit", "palm2", "--where", "n=1"], "the table has no column 'n'"),
        (["fit", "palm2", "--where", "C=3"], "no row has C = '3'"),
        (["fit", "palm2", "--column", "N=size"], "--column maps N to 'size', which is not in the table"),
        (["fit", "palm2", "--likelihood", "cauchy"], "there is no likelihood 'cauchy'"),
        (["fit", "palm2", "--method", "hmc"], "there is no method 'hmc'"),
        (["fit", "palm2", "--chains", "1"], "chains is at least 4"),
        (["fit", "palm2", "--draws", "100"], "draws is a multiple of 250"),
        (["fit", "palm2", "--seed", "-1"], "Invalid value for '--seed'"),
        (["fit", "palm2", "--interval", "90"], "'90' is not a mass between 0 and 1"),
        (["fit", "palm2", "-o", "nowhere/f.nc"], "cannot write nowhere/f.nc: there is no folder 'nowhere'"),
        (["predict", "nothing.nc", "--N", "1e9"], "there is no file 'nothing.nc'"),
        (["predict", "SAVED", "--N", "1e9"], "law chinchilla needs D; its inputs are N, D"),
        (["predict", "SAVED", "--N", "0", "--D", "1e9"], "numbers must be positive and finite"),
        (["predict", "SAVED", "--N", "x", "--D", "1e9"], "'x' is not a number, such as 7e9, 7B or 1.2*10^21"),
        (["predict", "SAVED", "--N", "70B", "--D", "20,000"], "could be the number 20000 or a list"),
        (["predict", "SAVED", "--N", "70B", "--D", "1e21 FLOPs"], "is in FLOPs, and D counts training tokens"),
        (["fit", "palm2", "--where", "C"], "a condition is a column, one of = != < <= > >=, and a value"),
        (["fit", "palm2", "--where", "C>1e30"], "no row has C > '1e30'"),
        (["fit", "palm2", "--column", "N=log(size)"], "the table has no column 'size'"),
        (["fit", "palm2", "--metric", "score"], "--metric 'score': the table has no such column"),
        (["predict", "SAVED", "--N", "1,2", "--D", "1,2,3"], "the inputs must have one length"),
        (["predict", "SAVED", "--C", "1e20"], "a budget C goes with one of N and D"),
        (["allocate", "SAVED"], "give either budgets (C, in FLOPs) or target losses (loss)"),
        (["allocate", "SAVED", "--C", "-1"], "numbers must be positive and finite"),
        (["laws", "kaplan"], "there is no law 'kaplan'"),
        (["data", "palm3"], "no data set is called 'palm3' (did you mean 'palm2'?)"),
        (["data", "palm2", "-o", "nowhere/x.csv"], "cannot write nowhere/x.csv"),
    ],
)
def test_wrong_usage(cli: Cli, saved: Path, arguments: list[str], message: str) -> None:
    done = cli(*(str(saved) if a == "SAVED" else a for a in arguments))
    assert done.status == 2 and done.out == "" and message in done.err
    assert os.listdir() == []
    with_json = cli(*(str(saved) if a == "SAVED" else a for a in arguments), "--json")
    assert with_json.status == 2 and message in with_json.json["error"]["message"]
    assert with_json.json["error"]["code"] in CODES


def test_an_unreachable_loss(cli: Cli, saved: Path) -> None:
    done = cli("allocate", saved, "--loss", "0.5", "--json")
    assert (
        done.status == 1
        and done.json["error"]["code"] == "data"
        and "a loss of 0.5 is out of reach with any compute in every draw" in done.err
    )


def test_a_fit_that_has_not_converged(cli: Cli) -> None:
    done = cli("fit", "palm2", "--method", "laplace", "-o", "fit.nc", "--json")
    assert done.status == 1 and done.json["converged"] is False
    assert any("Pareto k-hat" in failure for failure in done.json["failures"])
    assert "not converged: the Laplace proposal does not cover the posterior" in done.err
    for command in (("predict", "fit.nc", "--N", "1e9", "--D", "1e10"), ("allocate", "fit.nc", "--C", "1e21")):
        refused = cli(*command, "--json")
        assert refused.status == 1 and refused.json["error"]["code"] == "not_converged"
        assert "fit.nc has not converged and is no answer: the Laplace proposal" in refused.err


def test_a_law_without_an_allocation(cli: Cli, table: pd.DataFrame, tmp_path: Path) -> None:
    fit("kaplan_n", table).save(tmp_path / "n.nc")
    done = cli("allocate", "n.nc", "--C", "1e21")
    assert done.status == 2 and "law kaplan_n predicts loss from N: it has no split of C between N and D" in done.err


def test_a_caution_is_told(cli: Cli, table: pd.DataFrame, tmp_path: Path) -> None:
    found = fit("kaplan_nd", table, method="laplace")
    assert found.law.caution
    found.save(tmp_path / "nd.nc")
    done = cli("allocate", "nd.nc", "--C", "1e21", "--json")
    if found.converged:
        assert found.law.caution in json.loads(done.out)["warnings"]
    else:
        assert done.status == 1


def test_a_full_disk_leaves_no_file_and_loses_no_result(
    cli: Cli, runs_csv: Path, full_disk: Callable[[Path], None]
) -> None:
    full_disk(Path.cwd())
    done = cli("fit", runs_csv, "-o", "fit.nc", "--method", "laplace", "--json")
    assert done.status == 2 and "cannot write fit.nc: No space left on device" in done.err
    assert done.json["converged"], "the result is not lost with the file"
    assert os.listdir() == ["runs.csv"]


def test_an_interrupt_is_no_traceback(cli: Cli, runs_csv: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("bayescale.runs.read_runs", interrupt)
    done = cli("fit", runs_csv, "-o", "fit.nc", "--json")
    assert done.json["error"]["code"] == "interrupted"
    assert done.status == 130 and "interrupted; nothing was written" in done.err and not Path("fit.nc").exists()


def test_a_bug_is_one_sentence(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, runs_csv: Path
) -> None:
    def bug(*_: Any, **__: Any) -> None:
        raise RuntimeError("oops")

    monkeypatch.setattr("bayescale.runs.read_runs", bug)
    with pytest.raises(SystemExit, match="1"):
        main(["fit", str(runs_csv)])
    assert "this should not happen: RuntimeError: oops. BAYESCALE_DEBUG=1" in capsys.readouterr().err
    monkeypatch.setenv("BAYESCALE_DEBUG", "1")
    with pytest.raises(RuntimeError, match="oops"):
        main(["fit", str(runs_csv)])


# --- the process --------------------------------------------------------------------------------------------------


def test_help_is_light(python: Any) -> None:
    script = (
        "import sys; from bayescale.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit as stop: code = stop.code\n"
        "print(code, [m for m in ('jax', 'numpyro', 'xarray', 'matplotlib') if m in sys.modules])"
    )
    done = python(script, "--help")
    assert done.stdout.splitlines()[-1] == "0 []", done.stderr
    for command in COMMANDS:
        assert f"\n  {command} " in done.stdout
    assert python(script, "fit", "--help").stdout.splitlines()[-1] == "0 []"


def test_version(cli: Cli) -> None:
    done = cli("--version")
    assert done.status == 0 and done.out.startswith("bayescale 0.")


def test_a_process_from_end_to_end(python: Any, runs_csv: Path, tmp_path: Path) -> None:
    """Warnings and progress on standard error only, the same numbers for the same seed."""
    script = "import sys; sys.argv[0] = 'bayescale'; from bayescale.cli import main; main()"
    first, second = (python(script, "fit", str(runs_csv), "--json", "-o", str(tmp_path / "f.nc")) for _ in range(2))
    assert first.returncode == 0, first.stderr
    one, two = json.loads(first.stdout), json.loads(second.stdout)
    assert one["parameters"] == two["parameters"]
    assert np.isfinite(one["parameters"]["E"]["median"])
