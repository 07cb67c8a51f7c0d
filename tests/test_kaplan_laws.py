"""The further laws of Kaplan et al. 2020: recovery, intervals of derived quantities, and real batch sweeps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import shared_data

from bayescale import evaluate, fit, kaplan, laws, models
from bayescale.errors import DataError
from bayescale.fit import Fit
from bayescale.kaplan import CURVES, TABLE_2, TABLE_3, TABLE_5, Constants
from bayescale.law import Law
from bayescale.runs import read_runs
from bayescale.studies.separate import fit_groups

PF = kaplan.flops(1.0)
TRUTH: dict[str, Law] = {
    "kaplan_ns": models.KaplanNS(**TABLE_3.values),
    "kaplan_nsb": models.KaplanNSB(**CURVES.values),
    "kaplan_nd": models.KaplanND(**TABLE_2.values),
    "critical_batch": models.CriticalBatch(**TABLE_5["critical_batch"].values),
    "batch_sweep": models.BatchSweep(S_min=2000, B_crit=1e6),
    "transfer_offset": models.TransferOffset(delta=0.35),
    "seed_max": models.SeedMax(**next(iter(models.SeedMax.published.values()))),
}
SIZES, STEPS, BATCHES = np.geomspace(1e6, 1e9, 5), np.geomspace(3e3, 2e5, 6), np.geomspace(3e4, 8e6, 5)
LOSSES = np.linspace(2.3, 5, 16)
NOISE = {"critical_batch": 0.1, "batch_sweep": 0.05}
DESIGN: dict[str, dict[str, Any]] = {
    "kaplan_ns": {"N": SIZES, "S": STEPS},
    "kaplan_nsb": {"N": SIZES[::2], "S": STEPS[::2], "B": BATCHES},
    "kaplan_nd": {"N": SIZES, "D": np.geomspace(3e7, 2e10, 6)},
    "critical_batch": {"loss": LOSSES},
    "batch_sweep": {"B": np.geomspace(3e4, 1e7, 12)},
    "transfer_offset": {"loss": LOSSES},
}
RUN = {"N": 1e8, "S": 1e4, "B": 5e5, "D": 1e10, "C": PF, "loss": 3.0, "tolerance": 0.02}


def simulated(name: str, seed: int) -> pd.DataFrame:
    law, rng = TRUTH[name], np.random.default_rng((seed, len(name)))
    if name == "seed_max":  # three sweeps, each with one bottleneck
        x, plenty = np.linspace(0, 1, 10), np.ones(10)
        points = {
            "N": np.r_[10 ** (5 + 3 * x), 1e13 * plenty, 1e13 * plenty],
            "D": np.r_[1e14 * plenty, 10 ** (7 + 3 * x), 1e14 * plenty],
            "C": np.r_[1e27 * plenty, 1e27 * plenty, 10 ** (15 + 4 * x)],
        }
    else:
        mesh = np.meshgrid(*DESIGN[name].values(), indexing="ij")
        points = {n: m.ravel() for n, m in zip(DESIGN[name], mesh, strict=True)}
    exact = law(**points)
    return pd.DataFrame({**points, law.metric: exact * np.exp(NOISE.get(name, 0.01) * rng.standard_normal(len(exact)))})


def quick_fit(law: Any, table: pd.DataFrame, seed: int = 0) -> Fit:
    """The Laplace approximation, or NUTS where its gate refuses."""
    found = fit(law, table, method="laplace", seed=seed)
    return found if found.converged else fit(law, table, seed=seed)


def truths_and_draws(found: Fit, truth: Law) -> dict[str, tuple[float, np.ndarray]]:
    """Every constant and derived quantity, with its true value and its draws."""
    pairs = {n: (float(v), found.constants[n].ravel()) for n, v in truth.items() if n in found.constants}
    for name, needs in type(truth).quantities().items():
        at = {n: RUN[n] for n in needs}
        pairs[name] = (float(evaluate(truth, name, **at)), found.derive_draws(name, **at).ravel())
    return pairs


@pytest.mark.parametrize("name", [n for n in TRUTH if n != "seed_max"])
def test_known_constants_come_back(name: str) -> None:
    found = quick_fit(name, simulated(name, 5))
    assert found.converged, found.failures
    for quantity, (truth, draws) in truths_and_draws(found, TRUTH[name]).items():
        low, high = np.quantile(draws, [0.005, 0.995])
        assert low <= truth * (1 + 1e-9) and truth <= high * (1 + 1e-9), (quantity, truth, low, high)


@pytest.mark.parametrize("name", list(TRUTH))
def test_prior_predictive_values_look_like_measurements(name: str) -> None:
    from bayescale.likelihood import StudentT
    from bayescale.posterior.data import centre_of, padded
    from bayescale.posterior.density import target_of

    law, table = type(TRUTH[name])(), simulated(name, 0)
    inputs = {n: table[n].to_numpy(float) for n in law.inputs}
    observed = table[law.metric].to_numpy(float)
    centre = centre_of(inputs, law.metric, observed)
    target = target_of(law, StudentT())
    data = padded(inputs, observed, None, centre, law.metric)
    constants = target.constants_at(target.prior_draws(1000, 0, data), data)
    at_centre = {n: np.full(16, centre.values[n]) for n in law.inputs}
    value = np.asarray(target.curve({n: constants[n] for n in constants}, at_centre))[:, 0]
    low, high = np.quantile(value[np.isfinite(value)] / centre.values[law.metric], [0.05, 0.95])
    assert np.isfinite(value).mean() > 0.95 and 0.05 < low < 1 < high < 20


@pytest.fixture(scope="module")
def fitted() -> Fit:
    return quick_fit("kaplan_nsb", simulated("kaplan_nsb", 1))


def test_the_functions_and_the_laws_agree_at_every_draw(fitted: Fit) -> None:
    k = Constants.of(fitted)
    frontier = kaplan.frontier(k, PF)
    for name, key in {"N_opt": "N", "B_opt": "B", "S_opt": "S", "L_opt": "loss"}.items():
        np.testing.assert_allclose(fitted.derive_draws(name, C=PF)[:, 0], frontier[key], rtol=1e-9)
    np.testing.assert_allclose(fitted.derive_draws("alpha_C"), kaplan.compute_exponent(k), rtol=1e-9)
    loss = kaplan.loss_of_steps(k, RUN["N"], RUN["S"], RUN["B"])
    expected = kaplan.minimum_steps(k, RUN["S"], RUN["B"], loss)
    np.testing.assert_allclose(
        fitted.derive_draws("minimum_steps", **{n: RUN[n] for n in "NSB"})[:, 0], expected, rtol=1e-9
    )
    assert kaplan.loss_of_steps(CURVES, 1e8, 1e4) == pytest.approx(TRUTH["kaplan_ns"](N=1e8, S=1e4))


def test_derived_quantities_have_intervals_about_the_published_values(fitted: Fit) -> None:
    table = fitted.derive("N_opt", C=PF * np.array([1.0, 1e3]))
    published = [kaplan.frontier(C=PF * c)["N"] for c in (1.0, 1e3)]
    assert (table["low"] < published).all() and (published < table["high"]).all()
    assert {"median", "mean", "sd", "low", "high"} <= set(table.columns)
    assert fitted.summary().loc["alpha_C", "low"] < kaplan.compute_exponent() < fitted.summary().loc["alpha_C", "high"]


def test_a_loss_out_of_reach_is_infinite_steps(fitted: Fit) -> None:
    found = quick_fit("kaplan_ns", simulated("kaplan_ns", 1))
    draws = found.derive_draws("steps_to", N=1e6, loss=[2.0, 4.5])
    assert np.isinf(draws[:, 0]).all() and np.isfinite(draws[:, 1]).all()
    with pytest.raises(DataError, match="out of reach"):
        kaplan.steps_to(Constants.of(found), 1e6, 2.0)


def crossing(seed: int, noise: float) -> np.ndarray:
    """log10 of the contradiction point in PF-days, at each draw of two fits to simulated runs."""
    rng, k = np.random.default_rng(seed), []
    sweeps = {"kaplan_cmin": {"C": PF * np.geomspace(1e-7, 1, 14)}, "kaplan_d": {"D": np.geomspace(2.2e7, 2.3e10, 10)}}
    for name, points in sweeps.items():
        loss = laws()[name](**TABLE_5[name].values)(**points)
        table = pd.DataFrame({**points, "loss": loss * np.exp(noise * rng.standard_normal(len(loss)))})
        k.append(Constants.of(quick_fit(name, table)))
    return np.log10(kaplan.pf_days(kaplan.contradiction(*k[0].paired(k[1]))["C"]))


def test_the_contradiction_per_draw() -> None:
    low, high = np.quantile(crossing(2, 0.005), [0.05, 0.95])
    assert low < np.log10(kaplan.pf_days(kaplan.contradiction()["C"])) < high and 0.1 < high - low < 3


@pytest.mark.study
def test_the_interval_of_the_contradiction_covers_as_often_as_it_says() -> None:
    truth = np.log10(kaplan.pf_days(kaplan.contradiction()["C"]))
    intervals = [np.quantile(crossing(seed, 0.02), [0.05, 0.95]) for seed in range(100)]
    held = np.mean([low <= truth <= high for low, high in intervals])
    assert abs(held - 0.9) <= 2.8 * np.sqrt(0.9 * 0.1 / 100)


def test_transfer_may_grow_with_the_loss() -> None:
    rng = np.random.default_rng(0)
    loss = np.linspace(2.3, 6, 30)
    table = pd.DataFrame({"loss": loss, "transfer_loss": (1.06 * loss + 0.2) * np.exp(0.002 * rng.standard_normal(30))})
    grown = quick_fit(models.TransferOffset(slope="Normal(1, 0.05)"), table)
    row = grown.summary().loc["slope"]
    assert grown.converged and row["low"] < 1.06 < row["high"] and row["low"] > 1.03
    assert grown.derive("offset", loss=3.0)["median"][0] == pytest.approx(0.38, abs=0.01)


@pytest.fixture(scope="module")
def sweeps() -> pd.DataFrame:
    return pd.read_csv(shared_data("cbs", "tidy.csv"))


@pytest.mark.parametrize("variant", ["cell5", "cell2"])
def test_published_sweeps_lie_within_the_intervals_and_give_the_critical_batch(
    sweeps: pd.DataFrame, variant: str
) -> None:
    """Zhang et al. 2024 (arXiv:2410.21676): five sizes, nine batches each, to a goal loss of each size's own."""
    table = read_runs(sweeps[sweeps["variant"] == variant].drop(columns="B"), columns={"B": "B_tokens"})
    fits = fit_groups("batch_sweep", table, by="size")
    rows = []
    for size, found in fits.items():
        assert found.converged, (size, found.failures)
        published = table[table["size"] == size].iloc[0]
        summary = found.summary()
        for name, value in (("S_min", published["fit_S_min"]), ("B_crit", 512 * published["Bcrit_seqs"])):
            assert summary.loc[name, "low"] < value < summary.loc[name, "high"]
            assert summary.loc[name, "median"] == pytest.approx(value, rel=0.06)
        draws = found.constants["B_crit"]
        rows.append({"loss": published["loss"], "B_crit": np.median(draws), "B_crit_se": draws.std()})
    law = fit("critical_batch", pd.DataFrame(rows))
    summary = law.summary()
    assert law.converged and len(fits) == 5
    # steeper than the paper's 0.21: other data, another tokenizer, learning rates tuned at each batch
    assert 0.12 < summary.loc["alpha_B", "low"] and summary.loc["alpha_B", "high"] < 0.17
    measured = law.predict(loss=[r["loss"] for r in rows])
    curve = measured[measured["quantity"] == "mean_curve"]
    np.testing.assert_allclose(curve["median"], [r["B_crit"] for r in rows], rtol=0.15)


@pytest.mark.study
@pytest.mark.parametrize("name", list(TRUTH))
def test_intervals_cover_as_often_as_they_say(name: str) -> None:
    """90 % intervals of constants and derived quantities hold the truth as often, to 2.8 Monte Carlo errors."""
    replicates = 60 if name == "kaplan_nsb" else 200  # solved for: a second a fit
    error = np.sqrt(0.9 * 0.1 / replicates)
    covered: dict[str, list[bool]] = {}
    for seed in range(replicates):
        found = quick_fit(name, simulated(name, seed), seed)
        if not found.converged:
            continue
        for quantity, (truth, draws) in truths_and_draws(found, TRUTH[name]).items():
            low, high = np.quantile(draws, [0.05, 0.95])
            covered.setdefault(quantity, []).append(bool(low <= truth * (1 + 1e-9) and truth <= high * (1 + 1e-9)))
    share = {quantity: np.mean(hits) for quantity, hits in covered.items()}
    print(name, {q: round(float(s), 3) for q, s in share.items()}, {len(h) for h in covered.values()})
    assert all(len(hits) >= 0.97 * replicates for hits in covered.values())
    assert all(abs(s - 0.9) <= 2.8 * error for s in share.values()), share
