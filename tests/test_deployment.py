"""Allocations that serve, keep to limits or fix further inputs, against first-order conditions and brute force."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
import numpyro.distributions as dist
import pandas as pd
import pytest

from bayescale.answers.optimum import FREE, Deployment, _inverse, _numeric, optimum_draws
from bayescale.cli import main
from bayescale.errors import DataError, UsageError
from bayescale.fit import Fit, fit
from bayescale.hardware import Hardware
from bayescale.law import Law, Param
from bayescale.models import Chinchilla
from bayescale.studies.compare import assess

SERVED = 5e12


def least_on_a_grid(constants: dict[str, np.ndarray], i: int, C: float, terms: Deployment) -> tuple[float, float]:
    """N and D of least loss by trying a million sizes."""
    N = np.exp(np.linspace(0, np.log(min(C / 6, terms.max_N)), 1_000_001))
    D = np.minimum((C / N - 2 * terms.inference_tokens * terms.inference_cost) / 6, terms.max_D)
    N, D = N[D > 1], D[D > 1]
    c = {n: x[i] for n, x in constants.items()}
    best = np.argmin(c["E"] + c["A"] / N ** c["alpha"] + c["B"] / D ** c["beta"])
    return float(N[best]), float(D[best])


def test_serving_moves_the_optimum_as_the_first_order_condition_says(small_fit: Fit) -> None:
    """Sardana et al. 2024: alpha A N^-alpha / (beta B D^-beta) = 1 + T / (3 D)."""
    C = np.array([1e23, 1e24])
    draws, c = optimum_draws(small_fit, C, Deployment(inference_tokens=SERVED)), small_fit.thinned()
    N, D = draws["N"], draws["D"]
    alpha, beta, A, B = (c[n][:, None] for n in ("alpha", "beta", "A", "B"))
    ratio = alpha * A * N**-alpha / (beta * B * D**-beta)
    assert ratio == pytest.approx(1 + SERVED / (3 * D), rel=1e-5)
    assert 6 * N * D + 2 * N * SERVED == pytest.approx(np.broadcast_to(C, N.shape), rel=1e-9)
    assert draws["training_flops"] + draws["inference_flops"] == pytest.approx(np.broadcast_to(C, N.shape), rel=1e-9)


def test_the_published_example_of_serving() -> None:
    """Sardana et al. 2024, figure 1: a model of 30B's quality with 5e12 tokens to serve wants half the parameters."""
    law = Chinchilla(**next(iter(Chinchilla.published.values())))
    with jax.enable_x64(True):
        loss = law.loss(30e9, 1.56e12)
        limits = Deployment(inference_tokens=SERVED).limits
        C = _inverse(_numeric, law, loss, limits)
        N, D, reached, _ = (float(x) for x in _numeric(law, C, limits))
    assert reached == pytest.approx(float(loss), abs=1e-9)
    assert [N, D] == pytest.approx([16.4e9, 3.27e12], rel=0.06)
    assert float(C) < 6 * 30e9 * 1.56e12 + 2 * 30e9 * SERVED


@pytest.mark.parametrize(
    "terms",
    [
        {"max_N": 2e9},
        {"max_D": 5e10},
        {"max_N": 1e12, "max_D": 1e15},
        {"max_D": 1e11, "inference_tokens": 1e11, "inference_cost": 2.5},
    ],
)
def test_limits_against_brute_force(small_fit: Fit, terms: Any) -> None:
    C, deployment = 1e22, Deployment(**terms)
    draws, constants = optimum_draws(small_fit, np.array([C]), deployment), small_fit.thinned()
    for i in (0, 1234, 3999):
        found = draws["N"][i, 0], draws["D"][i, 0]
        assert found == pytest.approx(least_on_a_grid(constants, i, C, deployment), rel=2e-3)
    assert (draws["N"] <= deployment.max_N * (1 + 1e-9)).all() and (draws["D"] <= deployment.max_D).all()


def test_limits_that_do_not_bind_change_nothing(small_fit: Fit) -> None:
    free = optimum_draws(small_fit, np.array([1e22]))
    wide = optimum_draws(small_fit, np.array([1e22]), Deployment(max_N=1e20, max_D=1e20))
    assert np.abs(np.log(free["N"] / wide["N"])).max() < 1e-6
    assert FREE.free and "training_flops" not in free and "training_flops" in wide


def test_where_both_limits_bind_compute_is_left_over(small_fit: Fit) -> None:
    table = small_fit.allocate(1e24, max_N=1e9, max_D=1e11).set_index("quantity")["median"]
    assert [table["N"], table["D"]] == pytest.approx([1e9, 1e11], rel=1e-9)
    assert table["training_flops"] == pytest.approx(6e20)


def test_the_least_budget_for_a_loss_pays_for_serving(small_fit: Fit) -> None:
    target = float(np.median(optimum_draws(small_fit, np.array([1e22]))["loss"]))
    free, serving = (
        small_fit.allocate(loss=target, **t).set_index("quantity") for t in ({}, {"inference_tokens": 1e12})
    )
    assert serving.loc["C", "median"] > free.loc["C", "median"] and serving.loc["N", "median"] < free.loc["N", "median"]
    assert serving.loc["D", "median"] > free.loc["D", "median"]
    capped = small_fit.allocate(loss=target, max_N=float(free.loc["N", "median"]) / 3).set_index("quantity")
    assert capped.loc["C", "median"] > free.loc["C", "median"]


def test_a_size_in_mind_is_held_against_the_same_terms(small_fit: Fit) -> None:
    terms: Any = {"inference_tokens": 1e12}
    N = float(small_fit.allocate(1e23, **terms).set_index("quantity").loc["N", "median"])
    near = small_fit.allocate(1e23, N=N, **terms).set_index("quantity")["median"]
    off = small_fit.allocate(1e23, N=3 * N, **terms).set_index("quantity")["median"]
    assert 1 <= near["compute_penalty"] < 1.01 < off["compute_penalty"]
    D = (1e23 / (3 * N) - 2 * 1e12) / 6
    table = small_fit.penalty(3 * N, D, **terms)
    assert table["C"].iloc[0] == pytest.approx(1e23)
    assert table["median"].iloc[2] == pytest.approx(off["compute_penalty"], rel=1e-9)


def test_a_law_with_a_further_input_is_allocated_where_it_is_fixed(table: pd.DataFrame) -> None:
    class Shared(Law):
        """L = 1.7 + 400 / N^alpha + 400 (U / D^2)^0.14

        A check.
        """

        alpha: Param = dist.LogNormal(np.log(0.34), 0.1)

        def loss(self, D: Any, U: Any, N: Any) -> Any:
            return 1.7 + 400 / N**self.alpha + 400 * (U / D**2) ** 0.14

    runs = table.assign(U=np.geomspace(1e9, 1e11, len(table)))
    found = fit(Shared(), runs, method="laplace")
    with pytest.raises(UsageError, match=r"law shared also needs U: give U=\.\.\."):
        found.allocate(1e21)
    with pytest.raises(UsageError, match=r"U must be positive and finite; found -1.0"):
        found.allocate(1e21, U=-1.0)
    one = found.allocate(1e21, U=1e10, N=1e9).set_index("quantity")["median"]
    other = found.allocate(1e21, U=1e12).set_index("quantity")["median"]
    assert other["N"] < one["N"] and other["loss"] > one["loss"]
    D = 1e21 / 6e9
    assert one["loss"] + one["excess_loss"] == pytest.approx(
        float(np.median(1.7 + 400 / 1e9 ** found.thinned()["alpha"])) + 400 * (1e10 / D**2) ** 0.14, rel=1e-3
    )


def test_wrong_terms_are_refused(small_fit: Fit) -> None:
    wrong: list[tuple[Any, str]] = [
        ({"max_N": 0.5}, "max_N must be one number from 1 up, not 0.5"),
        ({"max_D": [1e9, 1e10]}, r"max_D must be one number from 1 up, not \[1000000000.0"),
        ({"inference_tokens": -1.0}, "inference_tokens must be one number from 0 up, not -1.0"),
        ({"inference_tokens": float("inf")}, "inference_tokens and inference_cost must be finite"),
        (
            {"max_n": 1e9},
            "has no option 'max_n' .did you mean 'max_N'..; it has inference_tokens, inference_cost, max_N",
        ),
        ({"U": 1e9}, "law chinchilla has no option 'U'"),
    ]
    for terms, message in wrong:
        with pytest.raises(UsageError, match=message):
            small_fit.allocate(1e21, **terms)
    with pytest.raises(DataError, match=r"1e\+12 FLOPs does not pay for serving 1e\+12 tokens with any model"):
        small_fit.allocate(1e12, inference_tokens=1e12)
    with pytest.raises(
        DataError, match=r"a model of 1e\+12 parameters does not go with .* nothing is left to train it"
    ):
        small_fit.allocate(1e23, N=1e12, inference_tokens=1e12)
    with pytest.raises(DataError, match=r"max_N is 1e\+09"):
        small_fit.allocate(1e23, N=1e10, max_N=1e9)
    with pytest.raises(UsageError, match="is held against budgets"):
        small_fit.allocate(loss=2.5, N=1e9)


def test_an_average_takes_losses_sizes_and_terms(small_fit: Fit) -> None:
    both = assess({"one": small_fit, "two": small_fit})
    assert both.weights("equal") == {"one": 0.5, "two": 0.5}
    asks: list[dict[str, Any]] = [
        {"loss": [2.2, float(np.quantile(small_fit.constants["E"], 0.3))]},
        {"C": [1e21, 1e22], "N": 1e9},
        {"C": 1e23, "inference_tokens": 1e12, "max_N": 1e10},
    ]
    for ask in asks:
        alone, mixed = small_fit.allocate(**ask), both.allocate(weights="equal", **ask)
        assert list(alone["quantity"]) == list(mixed["quantity"])
        assert np.allclose(mixed["mean"], alone["mean"], rtol=1e-9)
        for column, below, above in (
            ("low", (0.902, "low"), (0.898, "low")),
            ("high", (0.898, "high"), (0.902, "high")),
            ("median", (0.002, "low"), (0.002, "high")),
        ):  # the draws are the same, and between which of them a quantile lies differs by a few of their 4000
            least, most = (small_fit.allocate(interval=mass, **ask)[end] for mass, end in (below, above))
            rounding = 1 + 1e-9
            assert ((least / rounding <= mixed[column]) & (mixed[column] <= most * rounding)).all(), column
        if "loss" in ask:
            assert np.allclose(mixed["probability"], alone["probability"])
    with pytest.raises(DataError, match=r"a loss of 0\.5 is out of reach"):
        both.allocate(loss=0.5)


def test_hardware() -> None:
    gpu = Hardware(peak=989e12, mfu=0.4, price=2.0)
    assert gpu.flops(gpu_hours=1e6) == pytest.approx(989e12 * 0.4 * 3600 * 1e6)
    assert gpu.flops(money=2e6) == pytest.approx(gpu.flops(gpu_hours=1e6))
    with pytest.raises(UsageError, match=r"money needs the price of a GPU-hour"):
        Hardware(peak=1e15, mfu=0.4).flops(money=1.0)
    with pytest.raises(UsageError, match=r"mfu is a share of the peak, such as 0.4; found 40"):
        Hardware(peak=1e15, mfu=40)
    with pytest.raises(UsageError, match=r"peak must be a positive number, not -1"):
        Hardware(peak=-1, mfu=0.4)
    with pytest.raises(UsageError, match="give either gpu_hours or money"):
        gpu.flops()


def test_the_command_line_takes_terms_and_hardware(
    small_fit: Fit, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = str(tmp_path / "fit.nc")
    small_fit.save(file)

    def run(*arguments: str) -> tuple[int, dict[str, Any], str]:
        with pytest.raises(SystemExit) as end:
            main(["allocate", file, *arguments, "--json"])
        out, err = capsys.readouterr()
        return int(end.value.code or 0), json.loads(out) if out else {}, err

    gpu = ("--peak", "1e15", "--mfu", "0.5", "--price", "2")
    status, found, _ = run("--gpu-hours", "1e6", *gpu, "--inference-tokens", "1e12", "--max-D", "5e12")
    entry = found["allocations"][0]
    assert status == 0 and entry["C"] == pytest.approx(1.8e24)
    assert entry["gpu_hours"] == pytest.approx(1e6) and entry["money"] == pytest.approx(2e6)
    expected = small_fit.allocate(1.8e24, inference_tokens=1e12, max_D=5e12).set_index("quantity")
    assert entry["N"]["median"] == pytest.approx(expected.loc["N", "median"])
    status, found, _ = run("--loss", "2.3", *gpu)
    entry = found["allocations"][0]
    assert status == 0 and entry["money"]["median"] == pytest.approx(entry["C"]["median"] / 1.8e18 * 2)
    assert run("--money", "1e6")[0::2][0] == 2 and "--peak" in run("--money", "1e6")[2]
    status, _, err = run("--C", "1e22", "--max-N", "-3")
    assert status == 2 and "--max-N" in err
    status, _, err = run("--C", "1e22", "--at", "U=many")
    assert status == 2 and "'many' is not a number" in err
