"""From a table to a posterior: the field's standard data, the seed, the centre, measurement error, refusals."""

from __future__ import annotations

from concurrent.futures import wait
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from randomness import SHIFT, WITHIN, mean_error

from bayescale import compiled as programs
from bayescale.errors import DataError, NotConverged, UsageError
from bayescale.fit import Fit, fit
from bayescale.likelihood import Normal
from bayescale.models import Chinchilla

BUDGET = 5.76e23
"""Of Chinchilla 70B and Gopher 280B, FLOPs."""


def test_besiroglu_et_al_2024_within_their_standard_errors(epoch_fit: Fit) -> None:
    assert epoch_fit.converged and epoch_fit.samples.stats["diverging"].sum() == 0
    median = epoch_fit.summary()["median"]
    for name, theirs, se in (("E", 1.817, 0.026), ("alpha", 0.348, 0.015), ("beta", 0.366, 0.021), ("a", 0.513, 0.020)):
        assert abs(median[name] - theirs) <= se, name
    optimum = epoch_fit.allocate(BUDGET).set_index("quantity").loc["N", "median"]
    assert 65e9 < optimum < 85e9


def test_five_odd_rows_do_not_move_the_answer(epoch_fit: Fit, epoch: pd.DataFrame) -> None:
    before = epoch_fit.allocate(BUDGET).set_index("quantity").loc["N"]
    with_odd_rows = fit("chinchilla", epoch)
    after = with_odd_rows.allocate(BUDGET).set_index("quantity").loc["N"]
    assert with_odd_rows.converged
    assert abs(after["median"] / before["median"] - 1) <= 0.1
    assert after["low"] < before["high"] and before["low"] < after["high"]


def test_the_seed_reproduces(small_fit: Fit, table: pd.DataFrame) -> None:
    again, other = fit("chinchilla", table), fit("chinchilla", table, seed=small_fit.seed + 1)
    assert np.array_equal(small_fit.samples.z, again.samples.z)
    assert small_fit.predict(N=1e9, D=1e10).equals(again.predict(N=1e9, D=1e10))
    assert not np.any(small_fit.samples.z == other.samples.z)
    for n, x in small_fit.constants.items():
        y = other.constants[n]
        assert abs(x.mean() - y.mean()) < WITHIN * np.hypot(mean_error(x), mean_error(y)), n


def test_a_second_fit_of_the_size_class_compiles_nothing(table: pd.DataFrame, simulate: Any) -> None:
    fit("chinchilla", table).summary()  # its own: the programs of a fit of another file may be forgotten by now
    wait(list(programs._SUBMITTED))  # what is still compiled in the background would count as the second fit's
    before = programs.compilations
    found = fit("chinchilla", simulate(27, seed=3), seed=4)
    found.summary()
    assert found.runs.rows == 27 and len(table) == 30
    assert programs.compilations == before


def test_what_a_fit_holds(small_fit: Fit) -> None:
    assert small_fit.law.name == "chinchilla" and small_fit.runs.rows == 30 and small_fit.seed == SHIFT
    assert {x.shape for x in small_fit.constants.values()} == {(4, small_fit.samples.z.shape[1])}
    assert 0 < small_fit.seconds["sampling"] < small_fit.seconds["total"]
    assert list(small_fit.constants)[:5] == ["E", "A", "alpha", "B", "beta"]
    table = small_fit.summary(0.5)
    assert list(table.columns) == ["median", "mean", "sd", "low", "high", "r_hat", "ess_bulk", "ess_tail"]
    draws = small_fit.constants["E"].ravel()
    assert table.loc["E", ["median", "mean", "sd", "low", "high"]].to_numpy(float) == pytest.approx(
        [np.median(draws), draws.mean(), draws.std(ddof=1), *np.quantile(draws, [0.25, 0.75])], rel=1e-12
    )
    alpha, beta = (small_fit.constants[n].ravel() for n in ("alpha", "beta"))
    assert table.loc["a", "mean"] == pytest.approx((beta / (alpha + beta)).mean(), rel=1e-9)
    assert np.isnan(table.loc["a", "r_hat"])
    with pytest.raises(UsageError, match="an interval's mass is between 0 and 1"):
        small_fit.summary(90)


@pytest.mark.parametrize("chains, draws", [(5, 1000), (4, 1250), (6, 1000)])
def test_more_draws_never_give_fewer(small_fit: Fit, chains: int, draws: int) -> None:
    """What is derived of more than 4000 draws is of 4000 of them, and a summary is of all."""

    def resized(x: np.ndarray) -> np.ndarray:
        return np.resize(x, (chains, draws, *x.shape[2:]))

    constants = {n: resized(x) for n, x in small_fit.constants.items()}
    constants["alpha"] = constants["alpha"] * np.linspace(1, 2, chains)[:, None]
    found = replace(small_fit, samples=replace(small_fit.samples, z=resized(small_fit.samples.z), constants=constants))
    assert len(found.thinned()["E"]) == len(found.derive_draws("a")) == 4000
    assert found.thinned()["E"][0] == found.constants["E"][0, 0]
    alpha, beta = (found.constants[n] for n in ("alpha", "beta"))
    assert found.summary().loc["a", "mean"] == pytest.approx((beta / (alpha + beta)).mean(), rel=1e-9)


def test_the_text_leads_with_the_verdict(small_fit: Fit) -> None:
    text = str(small_fit)
    assert text.startswith("chinchilla: L(N, D) = E + A/N^alpha + B/D^beta\n30 rows of a DataFrame")
    draws = small_fit.samples.z.shape[1]
    verdict = text.index(f"\nConverged (nuts, 4 chains of {draws} draws, seed {small_fit.seed}, ")
    constants = text.index("\nalpha ")
    assert verdict < constants


def test_an_unconverged_fit_says_so(table: pd.DataFrame) -> None:
    found = fit("chinchilla", table[:8], method="laplace")
    assert not found.converged and found.warnings[: len(found.failures)] == found.failures
    text = str(found)
    assert text.index("NOT CONVERGED (laplace") < text.index("Pareto k-hat") < text.index("\nalpha ")
    assert "these numbers are no answer" in text and "\nConverged" not in text


def test_chains_that_mix_slowly_are_sent_on(small_fit: Fit) -> None:
    short = replace(small_fit.samples, failures=("alpha: tail ESS 219 is below 400",))
    long = replace(short, z=np.repeat(short.z, 8, axis=1))
    assert "limit=16000 (--limit 16000)" in str(replace(small_fit, samples=long))
    lost = replace(long, diagnostics={n: q | {"r_hat": 1.5} for n, q in long.diagnostics.items()})
    astray = replace(long, stats={"diverging": np.ones((4, 8000), bool)})
    for samples in (short, lost, astray):
        text = str(replace(small_fit, samples=samples))
        assert "NOT CONVERGED" in text and "--limit" not in text


def test_using_an_unconverged_fit_warns(table: pd.DataFrame) -> None:
    found = fit("chinchilla", table[:8], method="laplace")
    with pytest.warns(NotConverged, match=r"this fit of chinchilla has not converged and is no answer: .*Pareto k-hat"):
        found.predict(N=1e9, D=1e10)


def test_priors_are_stated_at_the_centre(small_fit: Fit, table: pd.DataFrame) -> None:
    assert small_fit.centre.values == pytest.approx(
        {"N": np.exp(np.log(table["N"]).mean()), "D": np.exp(np.log(table["D"]).mean()), "loss": table["loss"].median()}
    )
    moved = fit("chinchilla", table, method="laplace", centre={"N": 1e8})
    assert moved.centre.values == {**small_fit.centre.values, "N": 1e8}


def test_measurement_error_is_added(table: pd.DataFrame) -> None:
    """All of the scatter explained by loss_se leaves little for sigma."""
    law = Chinchilla(E=1.8172, A=482.01, alpha=0.3478, B=2085.43, beta=0.3658)
    plain = fit(law.replace(E="Normal(1.8, 0.1)"), table, likelihood="normal", method="laplace")
    stated = fit(
        law.replace(E="Normal(1.8, 0.1)"),
        table.assign(loss_se=0.005 * table["loss"]),
        likelihood="normal",
        method="laplace",
    )
    assert plain.converged
    assert np.median(stated.constants["sigma"]) < 0.7 * np.median(plain.constants["sigma"])
    zero = fit(law.replace(E="Normal(1.8, 0.1)"), table.assign(loss_se=0.0), likelihood="normal", method="laplace")
    assert zero.constants["E"].mean() == pytest.approx(plain.constants["E"].mean(), rel=1e-9)


def test_noisy_rows_count_less(table: pd.DataFrame) -> None:
    """Rows spoilt by a stated error of their own do not move the posterior; unstated ones do."""
    rng, law = (
        np.random.default_rng(0),
        Chinchilla(E="Normal(1.8, 0.1)", A=482.01, alpha=0.3478, B=2085.43, beta=0.3658),
    )
    spoilt = table.copy()
    spoilt.loc[:9, "loss"] *= np.exp(0.3 * rng.standard_normal(10))
    error = np.where(np.arange(30) < 10, 0.3, 1e-6) * spoilt["loss"]
    clean, stated, unstated = (
        fit(law, rows, likelihood="normal", method="laplace").constants["E"]
        for rows in (table[10:], spoilt.assign(loss_se=error), spoilt)
    )
    assert abs(stated.mean() - clean.mean()) < 0.5 * clean.std()
    assert unstated.std() > 3 * clean.std()


def test_what_the_data_leave_open_is_said(table: pd.DataFrame) -> None:
    narrow = table.assign(D=1e15 * np.linspace(1, 1.1, 30))  # so many tokens that their term is nothing
    found = fit("chinchilla", narrow)
    assert any(w.startswith("these data hardly determine beta: its posterior is ") for w in found.warnings)
    assert not [w for w in fit("chinchilla", table).warnings if "hardly determine" in w]


def test_likelihoods_differ_where_they_should(table: pd.DataFrame) -> None:
    odd = table.copy()
    odd.loc[3, "loss"] *= 1.5
    robust, normal = fit("chinchilla", odd), fit("chinchilla", odd, likelihood="normal", method="laplace")
    assert np.median(robust.constants["sigma"]) < 0.2 * np.median(normal.constants["sigma"])
    assert set(normal.constants) == {"E", "A", "alpha", "B", "beta", "sigma"}
    pinned = fit("chinchilla", table, likelihood=Normal(sigma=0.01), method="laplace")
    assert set(pinned.constants) == {"E", "A", "alpha", "B", "beta"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "hmc"}, "there is no method 'hmc'; there are: nuts, laplace"),
        ({"chains": 2}, "chains is at least 4, so that their disagreement can be seen; not 2"),
        ({"draws": 300}, "draws is a multiple of 250 and at most limit; found draws=300, limit=8000"),
        ({"draws": 1000, "limit": 500}, "draws is a multiple of 250 and at most limit; found draws=1000, limit=500"),
        ({"seed": -1}, "seed is a whole number from 0 up, not -1"),
        ({"seed": 1.5}, "seed is a whole number from 0 up, not 1.5"),
        ({"likelihood": "cauchy"}, "there is no likelihood 'cauchy'"),
        ({"law": "chinchila"}, "did you mean 'chinchilla'"),
    ],
)
def test_wrong_options_are_refused(table: pd.DataFrame, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        fit(options.pop("law", "chinchilla"), table, **options)


def test_tables_that_cannot_determine_a_law_are_refused(table: pd.DataFrame) -> None:
    with pytest.raises(DataError, match="chinchilla has 5 constants; the table has 5 rows and at least 6 are needed"):
        fit("chinchilla", table[:5])
    with pytest.raises(
        DataError, match="N is 1e\\+09 in every row, so a term of chinchilla in it cannot be told from a constant"
    ):
        fit("chinchilla", table.assign(N=1e9))
    assert fit(Chinchilla(E=1.8), table[:6], method="laplace").runs.rows == 6
