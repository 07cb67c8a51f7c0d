"""bayescale kaplan: the plan at published constants and with a fit's intervals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bayescale import fit, models
from bayescale.cli import main
from bayescale.kaplan import CURVES, TABLE_2
from bayescale.kaplan.plan import constants_of, plan


def ask(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as end:
        main(["kaplan", *arguments])
    out, err = capsys.readouterr()
    return int(end.value.code or 0), out, err


def rows(text: str) -> dict[tuple[str, str], Any]:
    return {(row["topic"], row["quantity"]): row for row in json.loads(text)["plan"]}


def test_the_plan_at_published_constants(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = ask(capsys, "--N", "1e9", "--D", "2.2e10", "--C", "8.64e19", "--B", "5e5", "--json")
    found = rows(out)
    by_name = {name: row for (_, name), row in found.items()}
    assert status == 0 and json.loads(out)["given"] == {"N": 1e9, "D": 2.2e10, "C": 8.64e19, "B": 5e5}
    assert by_name["loss of N and D"]["value"] == pytest.approx(2.36932, abs=5e-6)
    assert by_name["overfitting, fraction of the loss"]["value"] == pytest.approx(0.02177, abs=5e-6)
    assert by_name["data for 2% overfitting"]["unit"] == "tokens"
    appendix = {n: r for (t, n), r in found.items() if "appendix B" in t}
    assert appendix["optimal N"]["value"] == pytest.approx(5.844e8, rel=1e-4)
    table = {n: r for (t, n), r in found.items() if "Table 6" in t}
    assert table["optimal N"]["value"] == pytest.approx(1.3e9)
    size, steps = by_name["size over the optimum's"]["value"], by_name["C_min"]
    assert size == pytest.approx(1e9 / 5.844e8, rel=1e-3) and steps["equation"] == "eq. 5.5"
    assert all(row["equation"] and np.isfinite(row["value"]) for row in found.values())


def test_every_line_has_a_unit_and_an_equation_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = ask(capsys, "--C", "1e21", "--B", "1e6")
    assert status == 0
    assert "Compute-efficient by the learning curves (appendix B)" in out and "eq. B.9" in out and "PF-days" in out
    assert "steps over S_min" in out and "Constants: Kaplan et al. 2020, Table 2;" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "give at least one of N, D and C"),
        (("--B", "1e6"), "the critical batch depends on the loss"),
        (("--N", "1e9,2e9"), "a plan is for one run; N is 2 numbers"),
        (("--N", "0"), "numbers must be positive"),
        (("nothing.nc", "--N", "1e9"), "nothing.nc"),
    ],
)
def test_wrong_usage_is_one_sentence(
    arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = ask(capsys, *arguments)
    assert status == 2 and message in err and not out


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    rng, folder = np.random.default_rng(0), tmp_path_factory.mktemp("fits")
    N, S, B = (x.ravel() for x in np.meshgrid([1e6, 3e7, 1e9], [4e3, 3e4, 2e5], [3e4, 4e5, 5e6]))
    n, D = (x.ravel() for x in np.meshgrid(np.geomspace(1e6, 1e9, 5), np.geomspace(3e7, 2e10, 5)))
    tables = {
        models.KaplanNSB(**CURVES.values): {"N": N, "S": S, "B": B},
        models.KaplanND(**TABLE_2.values): {"N": n, "D": D},
    }
    paths = {}
    for law, inputs in tables.items():
        loss = law(**inputs)
        table = pd.DataFrame({**inputs, "loss": loss * np.exp(0.005 * rng.standard_normal(len(loss)))})
        paths[law.name] = folder / f"{law.name}.nc"
        fit(type(law), table, method="laplace").save(paths[law.name])
    fit("chinchilla", table).save(folder / "chinchilla.nc")
    return {**paths, "chinchilla": folder / "chinchilla.nc"}


def test_a_fit_gives_intervals_to_what_depends_on_it(
    saved: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    files = [str(saved[n]) for n in ("kaplan_nsb", "kaplan_nd")]
    status, out, _ = ask(capsys, *files, "--N", "1e9", "--D", "2.2e10", "--C", "8.64e19", "--B", "5e5", "--json")
    published = rows(ask(capsys, "--N", "1e9", "--D", "2.2e10", "--C", "8.64e19", "--B", "5e5", "--json")[1])
    found = rows(out)
    assert status == 0 and found.keys() == published.keys()
    spread = {key for key, row in found.items() if "interval" in row}
    assert {name for topic, name in spread if "appendix B" in topic} >= {"optimal N", "optimal loss"}
    assert not {name for topic, name in spread if "Table 6" in topic}
    for key in spread:
        low, high = found[key]["interval"]
        margin = high - low
        assert low - margin < published[key]["value"] < high + margin, key
    text = ask(capsys, files[0], "--C", "8.64e19")[1]
    assert "90% interval" in text and "kaplan_nsb fitted to" in text


def test_what_is_no_fit_of_the_papers_laws_is_refused(
    saved: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    status, _, err = ask(capsys, str(saved["chinchilla"]), "--C", "1e21")
    assert status == 2 and "a plan takes fits of the paper's laws" in err and "not of chinchilla" in err
    status, _, err = ask(capsys, str(saved["kaplan_nsb"]), str(saved["kaplan_nsb"]), "--C", "1e21")
    assert status == 2 and "two of the fits give the constants of kaplan_ns" in err


def test_published_constants_stand_in_for_laws_that_were_not_fitted() -> None:
    assert constants_of([])["kaplan_nd"] is TABLE_2
    lines = {line.name: line.summary() for line in plan(N=1e9)}
    assert lines["loss, all else plentiful"] == {"value": pytest.approx(2.37564, abs=5e-6)}
