"""Allocations: the closed form, the numeric minimum, the published optima, and what being off costs."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest

from bayescale.answers.allocate import penalty_draws
from bayescale.answers.optimum import FREE, _inverse, _numeric, deployment_for, optimum_draws
from bayescale.catalogue import law_from, laws
from bayescale.errors import DataError, UsageError
from bayescale.fit import Fit, fit
from bayescale.law import evaluate
from bayescale.likelihood import StudentT
from bayescale.models import Chinchilla
from bayescale.posterior.data import centre_of, padded
from bayescale.posterior.density import target_of

PUBLISHED = list(Chinchilla.published.values())
WITH_OPTIMUM = [
    n
    for n, cls in laws().items()
    if hasattr(cls, "optimum") and cls.inputs == ("N", "D") and cls.__module__.startswith("bayescale.models")
]
BUDGETS = np.array([1e18, 1e21, 5.76e23, 1e26])


@pytest.mark.parametrize(
    ("constants", "C", "N", "D", "loss"),
    [
        (PUBLISHED[0], 1e21, 2.217e9, 7.518e10, 2.29549),
        (PUBLISHED[0], 5.76e23, 4.036e10, 2.379e12, 1.91841),
        (PUBLISHED[1], 1e21, 2.778e9, 5.999e10, 2.30553),
        (PUBLISHED[1], 5.76e23, 7.225e10, 1.329e12, 1.97444),
    ],
)
def test_published_optima(constants: dict[str, float], C: float, N: float, D: float, loss: float) -> None:
    law = Chinchilla(**constants)
    with jax.enable_x64(True):
        best = law.optimum(C)
        numeric = [float(x) for x in _numeric(law, C, FREE.limits)[:3]]
    assert [float(best["N"]), float(best["D"])] == pytest.approx([N, D], rel=3e-4)
    assert numeric == pytest.approx([N, D, loss], rel=3e-4)
    assert law(N=best["N"], D=best["D"]) == pytest.approx(loss, abs=6e-6)


@pytest.mark.parametrize("name", WITH_OPTIMUM)
def test_the_closed_form_is_the_minimum(name: str) -> None:
    """At prior draws: on one budget, no split does better, and the numeric minimum finds it."""
    law = law_from(name)
    rows = {n: np.full(1, x) for n, x in zip(law.inputs, (1e9, 2e10), strict=True)}
    data = padded(rows, np.full(1, 2.7), None, centre_of(rows, "loss", np.full(1, 2.7)), "loss")
    target = target_of(law, StudentT())
    constants = {n: x[:64] for n, x in target.constants_at(target.prior_draws(1000, 0, data), data).items()}
    C = 1e21
    with jax.enable_x64(True):
        drawn = jax.vmap(lambda c: target.law_at(c).optimum(C))(constants)
        found = jax.vmap(lambda c: _numeric(target.law_at(c), C, FREE.limits))(constants)
    inside = ~np.asarray(found[3]) & (np.asarray(drawn["N"]) > 1) & (np.asarray(drawn["D"]) > 1)
    assert inside.mean() > 0.5
    assert 6 * np.asarray(drawn["N"] * drawn["D"]) == pytest.approx(C, rel=1e-9)
    # a minimum of a smooth function is found to the root of rounding: 1e-6 in log N where it is sharp
    assert np.median(np.abs(np.log(np.asarray(drawn["N"]) / np.asarray(found[0])))[inside]) < 1e-6
    closed = np.array(
        [
            float(
                evaluate(
                    jax.tree.map(
                        lambda x, i=i: x[i] if np.ndim(x) else x,
                        target.law.drawn({n: v for n, v in constants.items() if n in law.fields}),
                    ),
                    N=drawn["N"][i],
                    D=drawn["D"][i],
                )
            )
            for i in range(8)
        ]
    )
    assert np.all(closed <= np.asarray(found[2])[:8] * (1 + 1e-12))


def test_closed_form_and_numeric_agree_at_every_draw(small_fit: Fit) -> None:
    closed, numeric = (optimum_draws(small_fit, BUDGETS, closed_form=c) for c in (True, False))
    assert np.abs(np.log(closed["N"] / numeric["N"])).max() < 1e-6
    assert closed["loss"] == pytest.approx(numeric["loss"], rel=1e-12)
    assert 6 * closed["N"] * closed["D"] == pytest.approx(np.broadcast_to(BUDGETS, closed["N"].shape), rel=1e-12)


def test_the_table_summarises_the_draws(small_fit: Fit) -> None:
    table = small_fit.allocate(BUDGETS, interval=0.8)
    assert table["C"].tolist() == np.repeat(BUDGETS, 4).tolist()
    assert table["quantity"].tolist() == ["N", "D", "tokens_per_parameter", "loss"] * 4
    draws = small_fit.allocate_draws(BUDGETS)
    row = table[(table["C"] == 1e21) & (table.quantity == "tokens_per_parameter")].iloc[0]
    ratio = (draws["D"] / draws["N"]).sel(C=1e21).to_numpy()
    assert [row["median"], row["low"], row["high"]] == pytest.approx(
        [np.median(ratio), *np.quantile(ratio, [0.1, 0.9])]
    )


def test_the_slope_of_the_optimum_is_a(small_fit: Fit) -> None:
    draws = optimum_draws(small_fit, np.array([1e20, 1e24]))
    slope = np.log(draws["N"][:, 1] / draws["N"][:, 0]) / np.log(1e4)
    assert slope == pytest.approx(small_fit.derive_draws("a"), rel=1e-9)


def test_being_off_costs(small_fit: Fit) -> None:
    best = optimum_draws(small_fit, np.array([1e21]))
    N = float(np.median(best["N"]))
    off = penalty_draws(small_fit, np.array([N, 10 * N]), np.full(2, 1e21) / 6 / np.array([N, 10 * N]))
    assert (off["compute_penalty"] >= 1).all() and (off["excess_loss"] >= 0).all()
    assert np.median(off["compute_penalty"][:, 0]) < 1.01 < np.median(off["compute_penalty"][:, 1])
    # at a draw's own optimum nothing is lost
    i = 17
    own = penalty_draws(small_fit, best["N"][i], best["D"][i])
    assert own["compute_penalty"][i] == pytest.approx(1.0, abs=1e-7) and own["excess_loss"][i] == pytest.approx(
        0, abs=1e-12
    )
    # the penalty is the compute over the least compute of the same loss
    j = int(np.argsort(off["compute_penalty"][:, 1])[2000])
    least = 1e21 / off["compute_penalty"][j, 1]
    assert optimum_draws(small_fit, np.array([least]))["loss"][j, 0] == pytest.approx(off["loss"][j, 1], rel=1e-9)


def test_penalty_as_a_table(small_fit: Fit) -> None:
    table = small_fit.penalty(N=[1e9, 1e10], D=1e11)
    assert table["quantity"].tolist() == ["loss", "excess_loss", "compute_penalty"] * 2
    assert table["C"].tolist() == [6e20] * 3 + [6e21] * 3
    both = small_fit.allocate([6e20], N=1e9)
    assert both["quantity"].tolist() == ["N", "D", "tokens_per_parameter", "loss", "excess_loss", "compute_penalty"]
    assert both["median"].iloc[5] == pytest.approx(table["median"].iloc[2], rel=1e-9)
    # the loss in the table of a budget is the optimum's, not that of the size in mind
    assert both["median"].iloc[3] == small_fit.allocate([6e20])["median"].iloc[3]


def test_the_compute_for_a_loss_round_trips(small_fit: Fit) -> None:
    with jax.enable_x64(True):
        law = Chinchilla(**PUBLISHED[1])
        C = jax.vmap(lambda t: _inverse(_numeric, law, t, FREE.limits))(np.array([2.30553, 1.97444, 1.80]))
    assert np.asarray(C)[:2] == pytest.approx([1e21, 5.76e23], rel=1e-4) and np.isinf(C[2])
    draws = optimum_draws(small_fit, np.array([1e22]))
    target = float(np.median(draws["loss"]))
    table = small_fit.allocate(loss=target).set_index("quantity")
    assert list(table.index) == ["C", "N", "D", "tokens_per_parameter"] and (table["probability"] == 1).all()
    assert table.loc["C", "median"] == pytest.approx(1e22, rel=0.01)
    assert table.loc["C", "low"] < 1e22 < table.loc["C", "high"]


def test_a_loss_that_only_some_draws_reach(small_fit: Fit) -> None:
    floor = small_fit.constants["E"]
    target = float(np.quantile(floor, 0.3))
    table = small_fit.allocate(loss=[target, 2.5])
    share = table.groupby("target_loss")["probability"].first()
    reached = optimum_draws(small_fit, np.array([1e45]))["loss"][:, 0] <= target
    assert share[target] == pytest.approx(reached.mean()) and 0 < share[target] < 1 and share[2.5] == 1
    assert np.isfinite(table["high"]).all()
    with pytest.raises(
        DataError, match=r"a loss of 0.5 is out of reach with any compute in every draw; ask for a higher one"
    ):
        small_fit.allocate(loss=0.5)


def test_wrong_requests_are_refused(small_fit: Fit) -> None:
    for wrong in ({}, {"C": 1e21, "loss": 2.0}):
        with pytest.raises(UsageError, match=r"give either budgets \(C, in FLOPs\) or target losses \(loss\)"):
            small_fit.allocate(**wrong)
    with pytest.raises(UsageError, match=r"C must be positive and finite; found -1.0"):
        small_fit.allocate(-1.0)


@pytest.mark.parametrize("name", ["kaplan_n", "kaplan_d", "power_law_c"])
def test_laws_of_one_variable_have_no_allocation(name: str) -> None:
    with pytest.raises(UsageError, match=rf"law {name} predicts loss from \w: it has no split of C between N and D"):
        deployment_for(law_from(name), {})
    deployment_for(law_from("chinchilla"), {})


def test_a_fit_of_one_variable_refuses(table: Any) -> None:
    found = fit("kaplan_n", table)
    for ask in (found.allocate, found.allocate_draws):
        with pytest.raises(UsageError, match=r"law kaplan_n predicts loss from N: it has no split of C"):
            ask(1e21)
    with pytest.raises(UsageError, match="it has no split of C between N and D"):
        found.penalty(N=1e9, D=1e10)
