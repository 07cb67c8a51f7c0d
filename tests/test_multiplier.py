"""Compute multipliers: closed forms at draws, a pooled table through the command line, two fits, refusals."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import Said, shared_case, simulated

import bayescale as bs
from bayescale import models
from bayescale.cli import main
from bayescale.errors import UsageError
from bayescale.fit import Fit, fit
from bayescale.intervals import summarise
from bayescale.studies.multiplier import Way, multiplier, multiplier_draws
from bayescale.studies.recipes import recipes_of_one

TRUTH = 1.58
"""What the recipes of the table of cases were made with, at 1e23 FLOPs."""
OF, OVER = "new", "old"
LAW = {"E": 1.8, "A": 400.0, "alpha": 0.34, "B": 1200.0, "beta": 0.36}


@pytest.fixture(scope="module")
def pooled_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two recipes, pooled by the command line."""
    path = tmp_path_factory.mktemp("recipes") / "fit.nc"
    with pytest.raises(SystemExit) as ended:
        table = str(shared_case("recipes.csv"))
        main(["fit", table, "--pool", "recipe=A,B", "--method", "laplace", "-o", str(path), "--json"])
    assert ended.value.code == 0
    return path


@pytest.fixture(scope="module")
def pooled(pooled_file: Path) -> Fit:
    found = bs.load(pooled_file)
    assert isinstance(found, Fit)
    return found


@pytest.fixture(scope="module")
def plain() -> Fit:
    return fit("chinchilla", simulated(30), method="laplace")


@pytest.fixture(scope="module")
def of_tokens() -> Fit:
    D = np.geomspace(1e9, 1e12, 12)
    return fit("power_law_d", pd.DataFrame({"D": D, "loss": 1.7 + (1e11 / D) ** 0.2}), method="laplace")


def known(found: Fit, **values: float) -> Fit:
    """A fit whose draws all have these constants."""
    constants = {n: np.full_like(x, values[n]) if n in values else x for n, x in found.samples.constants.items()}
    return replace(found, samples=replace(found.samples, constants=constants))


def optimal_scale(A: Any, alpha: Any, B: Any, beta: Any) -> Any:
    """What multiplies C^-gamma in the loss at the optimum, but for what recipes of the same exponents share."""
    return A ** (beta / (alpha + beta)) * B ** (alpha / (alpha + beta))


@pytest.fixture(scope="module")
def at_draws(pooled: Fit) -> dict[str, np.ndarray]:
    """The constants of both recipes at every draw, shape (draw, 1) each: A of the first, A_old of the second."""
    draws = pooled.thinned()
    found = {n: draws[n] for n in ("E", "alpha", "beta")}
    for n in ("A", "B"):
        found[n], found[f"{n}_old"] = draws[f"{n} by recipe"][:, 0], draws[f"{n} by recipe"][:, 1]
    return {n: x[:, None] for n, x in found.items()}


def draws_of(pooled: Fit, way: Way, C: np.ndarray) -> np.ndarray:
    asked, base, _ = recipes_of_one(pooled, "recipe", OF, OVER, {})
    return multiplier_draws(asked[0], base, way, C)


C = np.array([1e20, 1e23])


def test_at_the_optimum_every_draw_has_the_closed_form(pooled: Fit, at_draws: dict[str, np.ndarray]) -> None:
    d = at_draws
    new, old = (optimal_scale(d[f"A{x}"], d["alpha"], d[f"B{x}"], d["beta"]) for x in ("", "_old"))
    exact = (old / new) ** ((d["alpha"] + d["beta"]) / (d["alpha"] * d["beta"]))
    np.testing.assert_allclose(draws_of(pooled, Way("C"), C), np.broadcast_to(exact, (len(exact), 2)), rtol=1e-8)


def test_at_equal_parameters_every_draw_has_the_closed_form(pooled: Fit, at_draws: dict[str, np.ndarray]) -> None:
    d = at_draws
    N = (d["alpha"] * d["A"] / (d["beta"] * d["B"])) ** (1 / (d["alpha"] + d["beta"])) * (C / 6) ** (
        d["beta"] / (d["alpha"] + d["beta"])
    )
    rest = d["A"] * N ** -d["alpha"] + d["B"] * (C / (6 * N)) ** -d["beta"] - d["A_old"] * N ** -d["alpha"]
    with np.errstate(invalid="ignore"):
        D = np.where(rest > 0, (rest / d["B_old"]) ** (-1 / d["beta"]), np.inf)
    np.testing.assert_allclose(draws_of(pooled, Way("C", equal_N=True), C), 6 * N * D / C, rtol=1e-6)


def test_at_equal_tokens_a_parameter_the_losses_are_equal(pooled: Fit, at_draws: dict[str, np.ndarray]) -> None:
    d, r = at_draws, 20.0
    times = draws_of(pooled, Way("C", ratio=r), C)

    def loss(C: Any, A: Any, B: Any) -> Any:
        N = np.sqrt(C / (6 * r))
        return d["E"] + A * N ** -d["alpha"] + B * (r * N) ** -d["beta"]

    np.testing.assert_allclose(loss(times * C, d["A_old"], d["B_old"]), loss(C, d["A"], d["B"]), rtol=1e-9)


def test_the_table_of_cases(pooled_file: Path, pooled: Fit, say: Said) -> None:
    """1.58 within the interval, which is narrow; in Python the same."""
    arguments = ("multiplier", pooled_file, "--by", "recipe", "--of", OF, "--over", OVER, "--C", "1e23")
    found = say(*arguments, "--json")
    entry = found["multipliers"][0]
    low, high = entry["multiplier"]["interval"]
    assert low < TRUTH < high and high / low < 1.5
    assert (entry["of"], entry["over"], entry["unit"], entry["C"]) == (OF, OVER, "flops", 1e23)
    assert entry["probability_better"] > 0.99 and entry["never"] == 0
    assert found["basis"] == "joint draws of one fit: recipe has its own A, B; E, alpha, beta are shared"
    table = bs.multiplier(pooled, by="recipe", of=OF, over=OVER, C=1e23)
    assert table["median"].item() == pytest.approx(entry["multiplier"]["median"])
    assert table["decades_C"].item() == pytest.approx(entry["decades_beyond_data"]["C"])
    text = say(*arguments)
    assert "P(better)" in text and found["basis"] in " ".join(text.split())
    far = say(*arguments[:-1], "1e26", "--json")
    assert any("powers of ten beyond the data" in s for s in far["warnings"])


def test_more_than_two_are_ranked() -> None:
    D = np.tile(np.geomspace(1e9, 1e12, 10), 3)
    name = np.repeat(["a", "b", "c"], 10)
    shift = np.select([name == "a", name == "b"], [1.0, 1.6], 2.2)
    noise = np.exp(0.003 * np.random.default_rng(0).standard_normal(30))
    runs = pd.DataFrame({"recipe": name, "D": D, "loss": (1.7 + (1e11 / (shift * D)) ** 0.2) * noise})
    law = models.PowerLawD(L_inf=1.7, alpha=0.2)
    found = fit(law, runs, pool={"recipe": ["D_c"]}, method="laplace", likelihood="normal")
    assert found.converged
    table = multiplier(found, over="a", D=[1e11, 1e12])
    assert list(table["of"]) == ["c", "b"] * 2 and list(table["unit"]) == ["tokens"] * 4
    assert (table["probability_best"].diff().dropna()[::2] < 0).all() and (table["probability_better"] > 0.99).all()
    truths = np.array([2.2, 1.6] * 2)
    assert (np.abs(table["median"] - truths) < 4 * table["sd"]).all()


def test_two_fits_with_known_constants(plain: Fit) -> None:
    new, old = known(plain, **LAW), known(plain, **{**LAW, "A": 480.0, "B": 1500.0})
    table = multiplier(new, over=old, C=[1e21, 1e24])
    exact = (480 / 400) ** (1 / 0.34) * (1500 / 1200) ** (1 / 0.36)
    np.testing.assert_allclose(table[["median", "low", "high"]], exact, rtol=1e-6)
    assert "paired at random" in table.attrs["basis"] and list(table["of"]) == ["new", "new"]
    assert (multiplier(old, over=new, C=1e21)["probability_better"] == 0).all()


def test_draws_of_two_fits_are_independent(plain: Fit) -> None:
    """A fit held against itself is a draw against another of the same posterior, not against itself."""
    again = replace(plain)
    row = multiplier(plain, over=again, C=1e21).iloc[0]
    assert row["low"] < 1 < row["high"] and row["sd"] > 0
    assert abs(row["probability_better"] - 0.5) < 4 * 0.5 / np.sqrt(4000)


def test_a_loss_that_is_never_reached(plain: Fit) -> None:
    new, old = known(plain, **LAW), known(plain, **{**LAW, "E": 2.2})
    row = multiplier(new, over=old, C=1e26).iloc[0]
    assert row["never"] == 1 and np.isinf(row["median"]) and np.isnan(row["mean"]) and row["probability_better"] == 1
    table = multiplier(new, over=old, C=1e26)
    assert any("in 100.0% of draws" in s for s in table.attrs["warnings"])


def test_quantiles_beside_infinite_draws() -> None:
    found = summarise(np.array([1.0, 2.0, np.inf]), 0.5, moments=False)
    assert (found["low"], found["median"], found["high"]) == (1.5, 2.0, np.inf)


def test_a_law_of_one_input_multiplies_that(of_tokens: Fit) -> None:
    constants = {"L_inf": 1.7, "alpha": 0.2, "D_c": 1e11}
    new, old = known(of_tokens, **constants), known(of_tokens, **{**constants, "D_c": 3e11})
    row = multiplier(new, over=old, D=1e12).iloc[0]
    assert row["median"] == pytest.approx(3.0) and row["unit"] == "tokens" and row["decades_D"] == 0
    with pytest.raises(UsageError, match="takes D alone"):
        multiplier(new, over=old, C=1e22)
    with pytest.raises(UsageError, match="no model size to hold equal"):
        multiplier(new, over=old, D=1e12, at="equal_N")


def test_recipes_tried_elsewhere_are_told(plain: Fit) -> None:
    inputs = {"N": plain.runs.inputs["N"] * 1e3, "D": plain.runs.inputs["D"]}
    elsewhere = replace(plain, runs=replace(plain.runs, inputs=inputs))
    told = multiplier(plain, over=elsewhere, C=1e21).attrs["warnings"]
    assert any("different ranges of N (" in s for s in told)
    assert not multiplier(plain, over=replace(plain), C=1e21).attrs["warnings"]


def test_what_is_refused(pooled: Fit, plain: Fit, of_tokens: Fit) -> None:
    def refused(words: str, *arguments: Any, **options: Any) -> None:
        with pytest.raises(UsageError, match=words):
            multiplier(*arguments, **{"C": 1e22, **options})

    refused("no recipe 'nwe'.*did you mean 'new'", pooled, of="nwe", over="old")
    refused("'unseen' is no recipe that was tried", pooled, of="unseen", over="old")
    refused("both recipe 'new'", pooled, of="new", over="new")
    refused("held against", pooled)
    refused("not pooled by 'recip'.*did you mean 'recipe'", pooled, by="recip", of="new", over="old")
    refused("tells no recipes apart", plain, of="new", over="old")
    refused("of two fits the first is new", plain, over=replace(plain), of="new")
    refused("same metric and scale", plain, over=of_tokens)
    refused("not of a dict", plain, over={"old": plain})
    refused("say how much C", pooled, of="new", C=None)
    refused("at is 'optimum' or 'equal_N'", pooled, of="new", at="equal")
    refused("has no option 'E'", pooled, of="new", E=3)
    refused("must be positive", pooled, of="new", C=-1.0)
    refused("not both", pooled, of="new", at="equal_N", tokens_per_parameter=20)
    refused("not at equal N or D/N", pooled, of="new", at="equal_N", max_N=1e9)
    refused("give one number", pooled, of="new", tokens_per_parameter=[20, 30])
    refused("pooled by recipe: name one", pooled, over=plain)
    assert len(multiplier(pooled, over=plain, C=1e22, recipe="new")) == 1
    dear = replace(plain, runs=replace(plain.runs, cost=replace(plain.runs.cost, k=9.0)))
    refused("count FLOPs differently", plain, over=dear)
    assert len(multiplier(plain, over=dear, C=1e22, cost="6*N*D")) == 1


def test_effects_of_runs_are_no_recipes(pooled: Fit) -> None:
    from bayescale.law.pool import Grouping
    from bayescale.law.pool import pooled as by_effects

    law = by_effects(pooled.law.law, [Grouping("seed", ("a", "b"), ("loss",))], {})
    with pytest.raises(UsageError, match="tells runs apart and no recipes"):
        multiplier(replace(pooled, law=law), of="a", over="b", C=1e22)


def test_two_files(plain: Fit, tmp_path: Path, say: Said) -> None:
    plain.save(tmp_path / "a.nc")
    found = say("multiplier", tmp_path / "a.nc", tmp_path / "a.nc", "--C", "1e21,1e22", "--equal-N", "--json")
    assert [e["C"] for e in found["multipliers"]] == [1e21, 1e22] and "two fits" in found["basis"]
    failed = say("multiplier", tmp_path / "a.nc", tmp_path / "a.nc", "--over", "old", "--C", "1e21", "--json", status=2)
    assert failed["error"]["code"] == "usage"


def test_the_plot(pooled: Fit, plain: Fit) -> None:
    plt = pytest.importorskip("matplotlib.pyplot")
    axis = bs.plot.multiplier(pooled, of=OF, over=OVER, beyond=2)
    seen = pooled.runs.cost.flops(pooled.runs.inputs["N"], pooled.runs.inputs["D"])
    assert axis.get_xlim()[1] == pytest.approx(100 * seen.max())
    line = axis.get_lines()[0]
    at_end = multiplier(pooled, of=OF, over=OVER, C=float(line.get_xdata()[-1]))["median"].item()
    assert line.get_ydata()[-1] == pytest.approx(at_end)
    texts = [t.get_text() for t in axis.get_legend().get_texts()]
    assert texts == ["new over old, 90%", "beyond the data"]
    never = bs.plot.multiplier(known(plain, **LAW), over=known(plain, **{**LAW, "E": 2.2}))
    assert np.isfinite(never.get_ylim()).all()
    with pytest.raises(UsageError, match="from 0 up"):
        bs.plot.multiplier(pooled, of=OF, over=OVER, beyond=-1)
    plt.close("all")
