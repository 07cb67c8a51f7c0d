"""Learning curves: warm-up, thinning by measured autocorrelation, and what rows of a run share."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from bayescale import fit, kaplan, models
from bayescale.answers.design_effect import design_effect
from bayescale.errors import DataError, UsageError
from bayescale.fit import Fit
from bayescale.runs.curves import autocorrelation_time, thin_curves
from bayescale.studies.separate import fit_groups, group_summary

LAW = models.KaplanNS(**kaplan.TABLE_3.values)


def curves(
    seed: int, *, runs: int = 10, rows: int = 80, shared: float = 0.0, noise: float = 0.004, memory: float = 0.0
) -> pd.DataFrame:
    """Learning curves of the paper's law with noise that lasts along a curve and an offset that a run's rows share."""
    rng = np.random.default_rng(seed)
    parts = []
    for run, N in enumerate(np.geomspace(1e6, 1e9, runs)):
        S = np.linspace(2000, 160000, rows)
        e = noise * rng.standard_normal(rows)
        for t in range(1, rows):
            e[t] = memory * e[t - 1] + np.sqrt(1 - memory**2) * e[t]
        loss = LAW(N=N, S=S) * np.exp(e + shared * rng.standard_normal())
        parts.append(pd.DataFrame({"run": f"run {run}", "N": N, "S": S, "loss": loss, "kept": run}))
    return pd.concat(parts, ignore_index=True)


def quick_fit(table: pd.DataFrame) -> Fit:
    found = fit("kaplan_ns", table, method="laplace")
    return found if found.converged else fit("kaplan_ns", table)


@pytest.mark.parametrize("memory", [0.0, 0.5, 0.8])
@pytest.mark.parametrize("rows", [60, 2000])
def test_the_autocorrelation_time_of_a_known_process(memory: float, rows: int) -> None:
    rng, noises = np.random.default_rng(0), []
    for _ in range(2000000 // rows // 60):
        x = rng.standard_normal(rows)
        for t in range(1, rows):
            x[t] = memory * x[t - 1] + np.sqrt(1 - memory**2) * x[t]
        place = np.log(np.arange(1, rows + 1))
        noises.append(x - np.polynomial.Polynomial.fit(place, x, 3)(place))
    assert autocorrelation_time(noises, 3) == pytest.approx((1 + memory) / (1 - memory), rel=0.2)


def test_short_and_noiseless_curves_count_as_independent() -> None:
    assert autocorrelation_time([np.zeros(50)]) == autocorrelation_time([np.ones(2)]) == autocorrelation_time([]) == 1.0


def test_warm_up_goes_and_points_are_geometric() -> None:
    table = curves(0)
    thin = thin_curves(table, warmup=6000, points=8)
    assert thin["S"].min() > 6000 and list(thin.columns) == ["N", "S", "loss", "run", "kept"]
    for run, curve in thin.groupby("run"):
        steps = curve["S"].to_numpy()
        assert 6 <= len(steps) <= 8 and np.all(np.diff(steps) > 0) and np.ptp(np.diff(np.log(steps))) < 0.4
        whole = table[table["run"] == run]
        assert set(curve["loss"]) <= set(whole["loss"])
    assert thin["S"].max() == 160000 and thin["S"].nunique() > 20  # staggered
    assert f"{len(thin)} of 800 rows of 10 learning curves kept" in thin.attrs["notes"][-1]
    assert thin_curves(table, warmup=0.5)["S"].min() > 80000
    assert len(thin_curves(table, warmup=0, points=500)) <= len(table)


def test_noise_that_lasts_spreads_the_rows() -> None:
    near, far = (thin_curves(curves(1, memory=m), warmup=3000, points=40) for m in (0.0, 0.8))
    assert near.attrs["autocorrelation"] < 2 < 4 < far.attrs["autocorrelation"]
    assert len(far) < len(near) / 1.5
    gaps = far.groupby("run")["S"].diff().dropna() / 2000
    assert gaps.min() >= far.attrs["autocorrelation"] - 1


@pytest.mark.parametrize(
    ("change", "options", "error", "match"),
    [
        (
            lambda t: t[~((t["run"] == "run 3") & (t["S"] > 2000))],
            {},
            DataError,
            r"run 3 has 0 steps after its warm-up",
        ),
        (lambda t: t[~((t["run"] == "run 3") & (t["S"] > 5000))], {}, DataError, r"run 3 has 1 step after .*needs two"),
        (lambda t: pd.concat([t, t.tail(1)]), {}, DataError, "run 9 has more than one row at step 160000"),
        (lambda t: t.drop(columns="run"), {}, DataError, "need the column run; the table has N, S, loss"),
        (lambda t: t.drop(columns="S"), {}, DataError, "need the column S"),
        (lambda t: t, {"warmup": -1}, UsageError, "warmup is a number of steps"),
        (lambda t: t, {"points": 1}, UsageError, "points is at least 2"),
    ],
)
def test_what_is_no_learning_curve_is_refused(change: Any, options: Any, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        thin_curves(change(curves(0)), **{"warmup": 3000, **options})


def test_what_runs_share_is_measured() -> None:
    alone, together = (
        design_effect(fit("kaplan_ns", thin_curves(curves(3, runs=30, shared=s), warmup=3000), method="laplace"))
        for s in (0.0, 0.008)
    )
    assert alone.design_effect < 2 < 4 < together.design_effect
    assert together.runs == 30 and together.worth == together.rows / together.design_effect
    assert 2 <= together.points < 6 and together.correlation > 0.4


def test_rows_without_runs_have_no_design_effect() -> None:
    table = thin_curves(curves(3), warmup=3000, points=4)
    with pytest.raises(DataError, match="has no column run"):
        design_effect(fit("kaplan_ns", table.drop(columns="run"), method="laplace"))
    with pytest.raises(DataError, match=r"found 1 runs and [0-9]+ rows"):
        design_effect(fit("kaplan_ns", table.assign(run="one"), method="laplace"))


def test_groups_are_fitted_apart() -> None:
    rng = np.random.default_rng(0)
    N = np.geomspace(1e6, 1e9, 12)
    laws = {"transformer": models.KaplanN(alpha_N=0.076, N_c=8.8e13), "lstm": models.KaplanN(alpha_N=0.06, N_c=3e16)}
    table = pd.concat(
        [
            pd.DataFrame({"N": N, "group": g, "loss": law(N=N) * np.exp(0.003 * rng.standard_normal(12))})
            for g, law in laws.items()
        ]
    )
    fits = fit_groups("kaplan_n", table)
    summary = group_summary(fits).set_index(["group", "quantity"])
    assert list(fits) == ["transformer", "lstm"] and summary["converged"].all()
    for group, law in laws.items():
        row = summary.loc[(group, "alpha_N")]
        assert row["low"] - row["sd"] < law.alpha_N < row["high"] + row["sd"] and row["sd"] < 0.002
    with pytest.raises(UsageError, match=r"no column 'grup' \(did you mean 'group'\?\)"):
        fit_groups("kaplan_n", table, by="grup")
    with pytest.raises(DataError, match=r"group few of group: .* has 2 constants"):
        fit_groups("kaplan_n", pd.concat([table, table.head(2).assign(group="few")]))


@pytest.mark.study
def test_thinned_curves_have_intervals_that_cover() -> None:
    """Runs with an offset of their own and noise that lasts: all rows, and the rows that `design_effect` asks for."""
    covered: dict[str, list[bool]] = {"all": [], "thin": []}
    for seed in range(40):
        table = curves(seed, runs=12, rows=40, shared=0.006, noise=0.008, memory=0.8)
        points = design_effect(quick_fit(thin_curves(table, warmup=3000))).points
        kept = {"all": table[table["S"] > 3000], "thin": thin_curves(table, warmup=3000, points=points)}
        for name, rows in kept.items():
            found = quick_fit(rows)
            for constant, truth in LAW.items():
                low, high = np.quantile(found.constants[constant], [0.05, 0.95])
                covered[name].append(bool(low <= truth <= high))
    share = {name: np.mean(hits) for name, hits in covered.items()}
    print(share)
    assert share["thin"] > 0.75 and share["thin"] > share["all"] + 0.1
