"""Groups, noise-free rows, rows on one ray and wrong units, as people meet them: through the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import Said, shared_case

from bayescale.cli import COMMANDS, main
from bayescale.errors import CODES
from bayescale.law.groups import asked_about, groups_asked, in_every_group
from bayescale.law.pool import Grouping, pooled
from bayescale.loading import load
from bayescale.models import Chinchilla
from bayescale.report.content import fitted, spread_out
from bayescale.report.payload import planner
from bayescale.report.subject import subject_of

MIXES = {"curated": (1.889, 1.878, 1.900), "web": (2.015, 2.003, 2.026), "web+code": (1.946, 1.935, 1.956)}
"""Median and 90 % interval of the loss at the optimum of 1e24 FLOPs; those of curated are the table of cases'."""
EXACT = {"E": 2.69, "A": 1606.4, "alpha": 0.34, "B": 3210.7, "beta": 0.36}


def fitted_to(folder: Path, *arguments: str) -> Path:
    with pytest.raises(SystemExit):
        main(["fit", *arguments, "-o", str(folder / "fit.nc"), "--json"])
    return folder / "fit.nc"


@pytest.fixture(scope="module")
def mixes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The finished runs of three mixes, pooled by mix."""
    table = str(shared_case("three_mixes.csv"))
    return fitted_to(
        tmp_path_factory.mktemp("mixes"), table, "--pool", "mix=E,A,B", "--draws", "250", "--limit", "2000"
    )


def close(estimate: dict[str, Any], want: tuple[float, float, float]) -> bool:
    """Whether an estimate is one of other draws of the same posterior: within a fifth of the interval's width."""
    got = (estimate["median"], *estimate["interval"])
    return bool(np.allclose(got, want, atol=0.2 * (want[2] - want[1])))


def test_a_budget_is_split_in_every_mix(mixes: Path, say: Said) -> None:
    found = say("allocate", mixes, "--C", "1e24", "--json")["allocations"]
    assert [entry["mix"] for entry in found] == list(MIXES)
    assert all(close(entry["loss"], MIXES[entry["mix"]]) for entry in found)
    assert found[0]["decades_beyond_data"]["C"] == pytest.approx(np.log10(1e24 / 2.25e21), abs=0.01)
    text = say("allocate", mixes, "--C", "1e23,1e24")
    heads = [
        f"C = {C}, mix = {mix}; decades beyond data: {d} in C"
        for C, d in (("1e+23", 1.6), ("1e+24", 2.6))
        for mix in MIXES
    ]
    assert [line for line in text.splitlines() if line.startswith("C = ")] == heads
    assert "unseen" not in text


def test_a_mix_is_named_and_an_unseen_one_asked_for(mixes: Path, say: Said) -> None:
    named = say("allocate", mixes, "--C", "1e24", "--at", "mix=curated,unseen", "--json")["allocations"]
    assert [entry["mix"] for entry in named] == ["curated", "unseen"]
    assert close(named[0]["loss"], MIXES["curated"]) and close(named[1]["loss"], (1.95, 1.60, 2.26))
    failed = say("allocate", mixes, "--C", "1e24", "--at", "mix=curate", "--json", status=2)["error"]
    assert failed["code"] == "usage" and "did you mean 'curated'" in failed["message"]


def test_a_target_is_answered_where_it_can_be_reached(mixes: Path, say: Said) -> None:
    found = {entry["mix"]: entry for entry in say("allocate", mixes, "--loss", "1.75", "--json")["allocations"]}
    assert found["curated"]["probability"] > 0.99 and found["web"]["probability"] < 0.05
    assert say("allocate", mixes, "--loss", "1.5", "--json", status=1)["error"]["code"] == "data"


def test_a_point_is_predicted_in_every_mix(mixes: Path, say: Said) -> None:
    found = say("predict", mixes, "--N", "50B", "--C", "1e24", "--json")["predictions"]
    assert [entry["mix"] for entry in found] == list(MIXES)
    assert all(entry["D"] == pytest.approx(1e24 / (6 * 50e9)) for entry in found)
    assert found[0]["mean_curve"]["median"] < found[2]["mean_curve"]["median"] < found[1]["mean_curve"]["median"]
    refused = say("predict", mixes, "--N", "50B", "--D", "1T", "--C", "1e24", "--json", status=2)["error"]
    assert "a budget C goes with one of N and D" in refused["message"]


def test_python_spells_a_mix_as_the_command_line_does(mixes: Path) -> None:
    found = load(mixes)
    one = found.allocate(1e24, mix="web")
    every = found.allocate(1e24)
    pd.testing.assert_frame_equal(one, every[every["mix"] == "web"].reset_index(drop=True))
    assert found.penalty(1e10, 1e12)["mix"].unique().tolist() == list(MIXES)
    assert found.allocate_draws([1e23, 1e24])["N"].dims == ("draw", "group", "C")
    assert found.allocate_draws(1e24, mix="web")["N"].dims == ("draw", "C")


@pytest.mark.parametrize("kind", ["loss", "isoflop", "allocation", "surface"])
def test_plots_are_of_a_mix_or_of_all(kind: str, mixes: Path, say: Said, tmp_path: Path) -> None:
    import bayescale as bs

    made = np.ravel(getattr(bs.plot, kind)(load(mixes)))
    shown = (
        [
            t
            for axis in made
            for t in [axis.get_title(), *(x.get_text() for x in axis.get_legend().texts)]
            if axis.get_legend()
        ]
        if kind != "allocation"
        else [x.get_text() for x in made[0].get_legend().texts]
    )
    assert all(any(mix in text for text in shown) for mix in MIXES)
    say("plot", kind, mixes, "--at", "mix=curated", "-o", tmp_path / "one.png", "--dpi", "30", "--json")
    assert (
        "no mix 'old'"
        in say("plot", kind, mixes, "--at", "mix=old", "-o", tmp_path / "o.png", "--json", status=2)["error"]["message"]
    )


def test_the_planner_has_a_selector(mixes: Path, say: Said, tmp_path: Path) -> None:
    say("report", mixes, "-o", tmp_path / "report.html", "--json")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    for mix in (*MIXES, "unseen"):
        assert f">mix = {mix}</option>" in page
    assert page.index("mix = curated: With") < page.index('id="planner"')
    subject = subject_of(load(mixes), 0.9)
    plan, _, _ = planner(subject, fitted(subject.lead, spread_out(subject.lead)))
    assert len(plan["laws"][0]["groups"]) == 4 and plan["runs"]["group"][0] == "mix = curated"
    assert set(plan["seen"]) == {"N", "D", "C"}


def test_of_two_columns_the_combinations_that_the_table_has() -> None:
    law = pooled(Chinchilla(), [Grouping("mix", ("a", "b"), ("E",)), Grouping("arch", ("x", "y", "z"), ("A",))])
    rows = {"mix": np.array([1.0, 1, 2, 2]), "arch": np.array([1.0, 2, 3, 3])}

    def names(**named: Any) -> list[tuple[str, ...]]:
        return [tuple(g[c] for c in law.columns) for g in groups_asked(law, rows, named)]

    assert names() == [("a", "x"), ("a", "y"), ("b", "z")]
    assert names(mix="b") == [("b", "z")] and names(arch=["x", "z"]) == [("a", "x"), ("b", "z")]
    assert names(mix="unseen") == [("unseen", "x"), ("unseen", "y"), ("unseen", "z")]
    assert names(mix="b", arch="x") == [("b", "x")]
    points = in_every_group({"N": np.array([1e9, 2e9]), "mix": np.array([2.0, 1.0])}, rows)
    assert points["N"].tolist() == [1e9, 2e9, 2e9] and points["arch"].tolist() == [3.0, 1.0, 2.0]


@pytest.mark.parametrize(
    ("column", "sizes", "runs"),
    [("seed", [1e9, 1e9, 2e9, 2e9], True), ("mix", [1e9, 2e9, 1e9, 2e9], False), ("run", [1e9, 2e9, 1e9, 2e9], True)],
)
def test_an_effect_of_runs_is_a_new_runs(column: str, sizes: list[float], runs: bool) -> None:
    law = pooled(Chinchilla(), [Grouping(column, ("a", "b"), ("loss",))])
    rows = {"N": np.array(sizes), "D": np.full(4, 1e10), column: np.array([1.0, 1, 2, 2])}
    assert (asked_about(law, rows) == {}) is runs


@pytest.mark.parametrize("every", [1, 5], ids=["40 rows", "8 rows"])
def test_rows_without_noise(every: int, say: Said, tmp_path: Path) -> None:
    pd.read_csv(shared_case("exact.csv"))[::every].to_csv(tmp_path / "exact.csv", index=False)
    fit = say("fit", tmp_path / "exact.csv", "-o", tmp_path / "fit.nc", "--json")
    assert fit["converged"]
    for name, value in EXACT.items():
        low, high = fit["parameters"][name]["interval"]
        assert low < value < high or fit["parameters"][name]["median"] == pytest.approx(value, rel=1e-3)
    found = say("allocate", tmp_path / "fit.nc", "--C", "1e23,1e24", "--json")["allocations"]
    medians = [entry["N"]["median"] for entry in found]
    assert medians == pytest.approx([9.19e10, 3.00e11], rel=0.01 if every == 1 else 0.1)


PINNED = ("--set", "E=1.7", "--set", "alpha=0.3", "--set", "beta=0.3")


@pytest.mark.parametrize(
    ("name", "told", "far"),
    [("one_ray.csv", "N and D move together", 2.7), ("billions.csv", "N is below 1e3 in 8 rows", 18)],
)
def test_what_a_fit_distrusts_travels(name: str, told: str, far: float, say: Said, tmp_path: Path) -> None:
    fit = say("fit", shared_case(name), *PINNED, "-o", tmp_path / "fit.nc", "--json")
    assert any(told in sentence for sentence in fit["warnings"])
    for command in (("allocate", "--C", "5.76e23"), ("predict", "--N", "70B", "--D", "1.4T")):
        found = say(command[0], tmp_path / "fit.nc", *command[1:], "--json")
        assert set(fit["warnings"]) <= set(found["warnings"])
        (entry,) = found.get("allocations") or found["predictions"]
        assert entry["decades_beyond_data"]["C"] > far
        text = say(command[0], tmp_path / "fit.nc", *command[1:])
        assert "Mind:" in text and " ".join(told.split()) in " ".join(text.split())
    assert "decades beyond data" in say("allocate", tmp_path / "fit.nc", "--C", "5.76e23")
    drawn = say("plot", "allocation", tmp_path / "fit.nc", "-o", tmp_path / "a.png", "--dpi", "30", "--json")
    assert any(told in sentence for sentence in drawn["warnings"])


@pytest.mark.parametrize("command", [c for c in COMMANDS if c not in ("laws", "data")])
def test_a_failure_is_an_object_with_a_code(command: str, say: Said) -> None:
    arguments = {"plot": ["loss", "no.nc", "-o", "a.png"], "report": ["no.nc", "-o", "a.html"], "kaplan": ["--N", "-1"]}
    failed = say(command, *arguments.get(command, ["no.csv"]), "--json", status=2)["error"]
    assert failed["code"] in CODES and failed["message"]
