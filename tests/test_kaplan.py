"""Kaplan et al. 2020: every published row and number, the algebra of appendix B, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bayescale import kaplan, models
from bayescale.errors import DataError, UsageError
from bayescale.kaplan import CURVES, TABLE_2, TABLE_3, TABLE_5, TABLE_6, Constants

PF = kaplan.flops(1.0)


def digits(value: Any, places: float) -> Any:
    """To agree with a number printed with so many significant digits."""
    return pytest.approx(value, rel=0.5 * 10.0 ** (1 - places) * 1.01)


def test_tables_2_3_and_5_row_by_row() -> None:
    assert TABLE_2.values == {"alpha_N": 0.076, "N_c": 6.4e13, "alpha_D": 0.103, "D_c": 1.8e13}
    assert TABLE_3.values == {"alpha_N": 0.077, "N_c": 6.5e13, "alpha_S": 0.76, "S_c": 2.1e3}
    assert TABLE_5["kaplan_n"].values == {"alpha_N": 0.076, "N_c": 8.8e13}
    assert TABLE_5["kaplan_d"].values == {"alpha_D": 0.095, "D_c": 5.4e13}
    naive, least = TABLE_5["kaplan_c"], TABLE_5["kaplan_cmin"]
    assert (naive.alpha_C, kaplan.pf_days(naive.C_c)) == (0.057, 1.6e7) and naive.C_c == digits(1.38e27, 3)
    assert (least.alpha_C, kaplan.pf_days(least.C_c)) == (0.050, 3.1e8) and least.C_c == digits(2.68e28, 3)
    assert TABLE_5["critical_batch"].values == {"alpha_B": 0.21, "B_star": 2.1e8}


def test_table_6_row_by_row() -> None:
    assert {n: tuple(t) for n, t in TABLE_6.items()} == {
        "N": (1.3e9, 0.73), "B": (2.0e6, 0.24), "S": (5.4e3, 0.03), "D": (2e10, 0.27),
    }  # fmt: skip
    assert tuple(kaplan.EQ_6_7) == (4e10, 0.26)
    at = kaplan.empirical_frontier(kaplan.flops([1.0, 10.0]))
    assert [at[n][0] for n in ("N", "B", "S", "D", "D_critical")] == [1.3e9, 2.0e6, 5.4e3, 2e10, 4e10]
    assert at["N"][1] / at["N"][0] == digits(5.37, 3)
    assert at["loss"][0] == digits(2.65808, 6)


def test_the_laws_publish_the_tables() -> None:
    laws = {
        "kaplan_n": models.KaplanN,
        "kaplan_d": models.KaplanD,
        "kaplan_c": models.KaplanC,
        "kaplan_cmin": models.KaplanCmin,
    }
    for name, law in {**laws, "critical_batch": models.CriticalBatch}.items():
        assert law.published == {TABLE_5[name].source: TABLE_5[name].values}
    assert models.KaplanND.published == {TABLE_2.source: TABLE_2.values}
    assert models.KaplanNS.published == {TABLE_3.source: TABLE_3.values}
    assert list(models.KaplanNSB.published.values()) == [CURVES.values]


def test_fixtures_of_the_single_laws() -> None:
    single = (models.KaplanN, models.KaplanD, models.KaplanC, models.KaplanCmin)
    at = {law.name: law(**TABLE_5[law.name].values) for law in single}
    assert at["kaplan_n"](N=1e9) == digits(2.37564, 6)
    assert at["kaplan_d"](D=2.2e10) == digits(2.09917, 6)
    assert at["kaplan_c"](C=PF) == digits(2.57416, 6)
    assert at["kaplan_cmin"](C=PF) == digits(2.65808, 6)
    assert at["kaplan_n"](N=2e9) / at["kaplan_n"](N=1e9) == digits(0.95, 2)


def test_fixtures_of_the_joint_law_of_size_and_data() -> None:
    assert kaplan.loss_of_data(N=1e9, D=2.2e10) == digits(2.36932, 6)
    assert models.KaplanND(**TABLE_2.values)(N=1e9, D=2.2e10) == pytest.approx(
        kaplan.loss_of_data(N=1e9, D=2.2e10), rel=1e-12
    )
    assert kaplan.loss_of_data(N=1e9, D=None) == digits(2.31883, 6)
    assert kaplan.overfitting(N=1e9, D=2.2e10) == digits(0.02177, 4)
    assert kaplan.data_needed(N=1.0) == digits(5519, 4)
    assert kaplan.data_needed(N=1e9) == pytest.approx(5e3 * 1e9**0.74, rel=0.2)  # eq. 4.4's rounded numbers
    assert kaplan.data_needed(N=8e9) / kaplan.data_needed(N=1e9) == digits(4.64, 3)
    assert kaplan.overfitting(N=3e8, D=kaplan.data_needed(N=3e8, tolerance=0.05)) == pytest.approx(0.05, rel=1e-9)
    lost = kaplan.loss_of_data(N=1e9, D=2.2e10) - kaplan.loss_of_data(N=1e9, D=None)
    assert kaplan.stopping_step(N=1e9, D=2.2e10) == pytest.approx(2.1e3 / lost ** (1 / 0.76), rel=1e-9)


def test_the_critical_batch_and_what_runs_are_adjusted_by() -> None:
    assert list(kaplan.critical_batch(loss=[4, 3, 2.5, 2])) == [digits(v, 3) for v in (2.85e5, 1.12e6, 2.67e6, 7.74e6)]
    assert models.CriticalBatch(**TABLE_5["critical_batch"].values).doubling() == digits(0.135, 3)
    S, loss, N = 1e4, 3.0, 1e8
    critical = kaplan.critical_batch(loss=loss)
    for B in (critical / 30, critical, critical * 30):
        steps, tokens = kaplan.minimum_steps(CURVES, S, B, loss), kaplan.minimum_tokens(CURVES, S, B, loss)
        assert (S / steps - 1) * (B * S / tokens - 1) == pytest.approx(1)  # eq. 5.1
        assert tokens / steps == pytest.approx(critical)  # eq. 5.2
        assert kaplan.minimum_compute(CURVES, N, S, B, loss) == pytest.approx(
            6 * N * B * S / (1 + B / critical)
        )  # eq. 5.5
    assert kaplan.minimum_steps(CURVES, S, critical, loss) == pytest.approx(S / 2)
    sweep = models.BatchSweep(S_min=S / 2, B_crit=critical)
    assert sweep(B=critical) == pytest.approx(S) and sweep.E_min() == pytest.approx(S / 2 * critical)


def test_learning_curves_at_a_finite_batch() -> None:
    law, limit = models.KaplanNSB(**CURVES.values), models.KaplanNS(**TABLE_3.values)
    N, S, B = np.array([1e6, 1e8, 1e9]), np.array([2e3, 1e4, 2e5]), np.array([3e4, 5e5, 4e6])
    loss = law(N=N, S=S, B=B)
    np.testing.assert_allclose(limit(N=N, S=kaplan.minimum_steps(CURVES, S, B, loss)), loss, rtol=1e-12)
    np.testing.assert_allclose(law(N=N, S=S, B=1e16), limit(N=N, S=S), rtol=1e-6)
    assert np.all(law(N=N, S=S, B=B / 2) > loss)
    np.testing.assert_allclose(kaplan.steps_to(N=N, loss=limit(N=N, S=S)), S, rtol=1e-9)


def test_the_frontier_of_appendix_b() -> None:
    small, large = (kaplan.frontier(C=kaplan.flops(c)) for c in (1.0, 1e3))
    assert (small["N"], small["loss"], small["S"]) == (digits(5.844e8, 4), digits(2.69444, 6), digits(1.316e4, 4))
    assert (large["N"], large["loss"], large["S"]) == (digits(6.462e10, 4), digits(1.87547, 6), digits(2.120e4, 4))
    assert kaplan.converged_fraction() == digits(0.10132, 5)
    assert kaplan.compute_exponent() == digits(0.0525, 3) and kaplan.pf_days(kaplan.compute_scale()) == digits(
        1.61e8, 3
    )
    growth = {n: np.log(large[n] / small[n]) / np.log(1e3) for n in small}
    assert [round(growth[n], 3) for n in ("N", "S", "B", "D")] == [0.681, 0.069, 0.250, 0.319]
    for C, best in ((PF, small), (1e3 * PF, large)):
        assert 6 * best["N"] * best["B"] * best["S"] == pytest.approx(C)
        assert best["D"] == pytest.approx(best["B"] * best["S"])
        assert kaplan.loss_at_compute(CURVES, best["N"], C) == pytest.approx(best["loss"])
        grid = best["N"] * np.geomspace(0.5, 2, 2001)
        losses = kaplan.loss_at_compute(CURVES, grid, C)
        assert grid[losses.argmin()] == pytest.approx(best["N"], rel=2e-3) and losses.min() == pytest.approx(
            best["loss"]
        )
        assert best["loss"] / (TABLE_3.N_c / best["N"]) ** TABLE_3.alpha_N - 1 == pytest.approx(
            kaplan.converged_fraction()
        )


def test_models_of_the_wrong_size_and_runs_to_convergence() -> None:
    cost = kaplan.size_penalty(ratio=[0.6, 2.2, 0.5, 3, 1])
    assert list(cost["compute"]) == [
        digits(1.165, 4),
        digits(1.204, 4),
        digits(1.39, 3),
        digits(1.38, 3),
        pytest.approx(1),
    ]
    assert cost["steps"][1] == digits(0.547, 3)
    best = kaplan.frontier(C=PF)
    needed = kaplan.compute_to(CURVES, best["N"] * np.array([0.6, 1.0, 2.2]), best["loss"])
    np.testing.assert_allclose(needed / PF, [cost["compute"][0], 1, cost["compute"][1]], rtol=1e-9)
    early = kaplan.convergence_cost(fraction=0.1)
    assert (early["N"], early["S"], early["C"]) == (digits(2.7, 2), digits(0.13, 2), digits(0.35, 2))
    exact = kaplan.convergence_cost()
    assert exact["C"] == pytest.approx(exact["N"] * exact["S"])
    assert kaplan.size_penalty(ratio=0.01)["compute"] == np.inf
    assert kaplan.compute_for_loss_ratio() == digits(1.22, 3)


def test_the_contradiction_with_either_rule_of_data() -> None:
    point = kaplan.contradiction()
    assert kaplan.pf_days(point["C"]) == digits(1.1e4, 2) and point["N"] == digits(1.2e12, 2)
    assert point["D"] == digits(2.5e11, 2) and point["loss"] == digits(1.67, 3)
    point = kaplan.contradiction(tokens=kaplan.EQ_6_7)
    assert kaplan.pf_days(point["C"]) == digits(1.1e5, 2) and point["N"] == digits(6e12, 1)
    assert point["D"] == digits(8e11, 1) and point["loss"] == digits(1.49, 3)
    assert models.KaplanD(**TABLE_5["kaplan_d"].values)(D=point["D"]) == pytest.approx(point["loss"])
    draws = Constants("draws", {"alpha_C": np.array([0.05, 0.02]), "C_c": TABLE_5["kaplan_cmin"].C_c})
    assert list(np.isfinite(kaplan.contradiction(draws)["C"])) == [True, False]


def test_counts_from_a_shape() -> None:
    assert kaplan.parameters(12, 768) == digits(8.493e7, 4)
    assert kaplan.parameters(48, 1600) == digits(1.4746e9, 5)
    assert kaplan.parameters(3, 256, d_attn=128, d_ff=512) == 2 * 256 * 3 * (2 * 128 + 512)
    table = kaplan.operations(12, 768, n_ctx=1024, n_vocab=50257)
    assert table.loc["total_without_embeddings", "parameters"] == kaplan.parameters(12, 768)
    assert table.loc["total_without_embeddings", "flops_per_token"] == kaplan.forward_flops(12, 768, 1024)
    assert (
        table.loc["embed", "parameters"] == (50257 + 1024) * 768
        and table.loc["de_embed", "flops_per_token"] == 2 * 768 * 50257
    )
    # at n_ctx = 12 d_model the context costs as much as the parameters
    assert kaplan.forward_flops(2, 64, 12 * 64) / (2 * kaplan.parameters(2, 64)) == pytest.approx(2)
    assert kaplan.training_flops(1e9, 2e10) == 1.2e20 and kaplan.pf_days(8.64e19) == 1.0
    assert kaplan.learning_rate(1e9) == pytest.approx(0.003239 - 0.0001395 * np.log(1e9))


def test_the_combined_predictor_of_popular_summaries() -> None:
    law = models.SeedMax(**next(iter(models.SeedMax.published.values())))
    naive = law.replace(**TABLE_5["kaplan_c"].values)
    largest = (TABLE_5["kaplan_c"].C_c / 1.2e20) ** 0.057
    assert largest == digits(2.526, 4)  # where eq. 1.5 gives 2.37
    assert largest <= naive(N=1e9, D=2e10, C=1.2e20) <= 3 ** (1 / 32) * largest
    assert law.replace(L_inf=0.5)(N=1e9, D=2e10, C=1.2e20) == pytest.approx(law(N=1e9, D=2e10, C=1.2e20) + 0.5)


def test_draws_give_draws() -> None:
    spread = {n: v * np.linspace(0.99, 1.01, 7) for n, v in CURVES.values.items()}
    k = Constants("draws", spread)
    best = kaplan.frontier(k, PF)
    assert {n: x.shape for n, x in best.items()} == dict.fromkeys(best, (7,))
    assert best["N"][3] == pytest.approx(kaplan.frontier(C=PF)["N"])
    budgets = PF * np.array([1.0, 10.0])
    np.testing.assert_allclose(kaplan.frontier(k, budgets[:, None])["loss"][0], best["loss"])
    np.testing.assert_allclose(kaplan.loss_at_compute(k, best["N"], PF), best["loss"], rtol=1e-9)
    converged = (k.N_c / 1e8) ** k.alpha_N
    assert 0 < np.isfinite(kaplan.steps_to(k, 1e8, converged[3])).sum() < 7
    joined = k | Constants("fewer", {"alpha_B": np.full(3, 0.3)})
    assert np.shape(joined.alpha_N) == (3,) and list(joined.alpha_B) == [0.3] * 3 and joined.source == "draws; fewer"


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: kaplan.overfitting(N=0.0, D=1e9), "N must be positive and finite; found 0"),
        (lambda: kaplan.minimum_steps(CURVES, 1e4, -1.0, 3.0), "B must be positive"),
        (lambda: kaplan.minimum_steps(CURVES, 0.0, 1e6, 3.0), "S must be positive"),
        (lambda: kaplan.critical_batch(loss=-2.0), "loss must be positive"),
        (lambda: kaplan.data_needed(N=1e9, tolerance=0.0), "tolerance must be positive"),
        (lambda: kaplan.frontier(C=np.nan), "C must be positive and finite"),
        (
            lambda: kaplan.frontier(TABLE_3, PF),
            "needs the constant alpha_B; Kaplan et al. 2020, Table 3 has alpha_N, N_c, alpha_S, S_c",
        ),
        (lambda: kaplan.parameters(0, 768), "n_layer must be positive"),
        (lambda: kaplan.learning_rate(2e10), "up to N = 1e10"),
        (lambda: models.KaplanNSB(**CURVES.values)(N=1e8, S=1e4, B=0.0), "B must be positive"),
    ],
)
def test_what_lies_outside_a_law_is_refused(call: Any, match: str) -> None:
    with pytest.raises(UsageError, match=match):
        call()


def test_a_loss_that_a_model_cannot_reach_is_refused() -> None:
    with pytest.raises(DataError, match=r"a loss of 2 is out of reach: 1e\+06 parameters converge to 3.996"):
        kaplan.steps_to(N=1e6, loss=2.0)
    with pytest.raises(DataError, match="out of reach"):
        kaplan.compute_to(N=1e6, loss=2.0)
    assert kaplan.compute_to(N=1e10, loss=2.2) < np.inf
