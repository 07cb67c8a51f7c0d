"""Learning-rate schedules and the laws of them: text, what laws read, exact sums over steps, residuals along runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jax
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bayescale as bs
from bayescale.catalogue import laws
from bayescale.cli import main
from bayescale.errors import DataError, UsageError
from bayescale.likelihood import LIKELIHOODS, Autoregressive, Normal, StudentT
from bayescale.models import Annealing, MultiPower
from bayescale.posterior.data import Data, centre_of, padded
from bayescale.posterior.density import Target
from bayescale.runs import observations, read_runs
from bayescale.runs.curves import row_before
from bayescale.runs.logged_rates import with_schedules
from bayescale.runs.schedule import NODES, Schedule, path, schedule_from
from bayescale.studies.calibrate.design import design_of

PEAK, END, WARM = 3e-4, 3e-5, 2000
KINDS = {
    "constant": f"0:0 {WARM}:{PEAK}",
    "cosine": f"0:0 {WARM}:{PEAK} cosine 12000:{END}",
    "linear": f"0:0 {WARM}:{PEAK} 10000:{PEAK} 12000:{END}",
    "exp": f"0:0 {WARM}:{PEAK} 10000:{PEAK} exp 12000:{END}",
    "jump": f"0:0 {WARM}:{PEAK} 8000:{PEAK} 8000:{END}",
    "again": f"0:0 {WARM}:{PEAK} 6000:{END} 7000:{END} 8000:{PEAK} cosine 12000:{END}",
}
OF_SCHEDULES = [name for name, cls in laws().items() if "schedule" in cls.inputs]


def rates(kind: str, steps: int = 14000) -> np.ndarray:
    """The rate of every step, written out."""
    t = np.arange(steps)
    warm = PEAK * np.minimum(t / WARM, 1)
    late = np.clip((t - 10000) / 2000, 0, 1)
    if kind == "cosine":
        done = np.clip((t - WARM) / (12000 - WARM), 0, 1)
        return np.where(t < WARM, warm, END + (PEAK - END) * (1 + np.cos(np.pi * done)) / 2)
    if kind == "linear":
        return np.where(t < 10000, warm, PEAK + (END - PEAK) * late)
    if kind == "exp":
        return np.where(t < 10000, warm, PEAK * (END / PEAK) ** late)
    if kind == "jump":
        return np.where(t < 8000, warm, END)
    if kind == "again":
        down = np.interp(t, [0, WARM, 6000, 7000, 8000], [0, PEAK, END, END, PEAK])
        done = np.clip((t - 8000) / 4000, 0, 1)
        return np.where(t < 8000, down, END + (PEAK - END) * (1 + np.cos(np.pi * done)) / 2)
    return warm


# --- text -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_schedule_is_read_and_written(kind: str) -> None:
    found = schedule_from(KINDS[kind])
    t = np.arange(14000)
    np.testing.assert_allclose(found.rate(t), rates(kind), rtol=1e-12, atol=1e-18)
    np.testing.assert_allclose(found.area(t[1:]), np.cumsum(rates(kind))[:-1], rtol=1e-3, atol=PEAK)
    assert schedule_from(str(found)) == found and found.peak == PEAK


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "it has no knots"),
        ("0:0 later:3e-4", "'later:3e-4' is no knot"),
        ("0:3e-4 cosin 5:0", "'cosin' is neither a knot nor a shape"),
        ("0:3e-4 100:-1", "'100:-1' has a negative or infinite number"),
        ("100:3e-4 50:1e-4", "'50:1e-4' comes after step 100"),
        ("0:3e-4 exp 50:0", "'50:0' is reached by exp, which needs positive rates at both ends"),
        ("0:0 50:0", "its rate is zero throughout"),
    ],
)
def test_what_is_no_schedule(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        schedule_from(text)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 10_000).map(float), st.floats(1e-6, 1e-2), st.sampled_from(["linear", "cosine", "exp"])
        ),
        min_size=1,
        max_size=6,
    ),
    st.floats(1, 2e4),
)
def test_any_schedule_is_summed_over(knots: list[tuple[float, float, str]], step: float) -> None:
    """Falls add up to how far the rate fell, nothing is negative that cannot be, and the beginning comes first."""
    knots = sorted(knots, key=lambda k: k[0])
    found = Schedule(*zip(*((s, r, shape if i else "linear") for i, (s, r, shape) in enumerate(knots)), strict=True))  # type: ignore[arg-type]
    assert schedule_from(str(found)).steps == pytest.approx(found.steps, rel=1e-5, abs=1e-5)
    there = path(found, step)
    assert there.shape == (NODES, 4) and np.isfinite(there).all() and (there[:, 1:3] >= 0).all()
    assert there[:, 0].sum() == pytest.approx(-float(found.rate(step)), abs=1e-12)
    assert there[0, 2] == pytest.approx(float(found.area(step)))


def test_too_many_stretches_are_refused() -> None:
    text = " ".join(f"{100 * i}:{1e-4 * (1 + i % 2)} {100 * i + 50}:{1e-4 * (1 + i % 2)}" for i in range(40))
    with pytest.raises(UsageError, match="changes in 40 separate stretches by step 5000; at most 12 are summed over"):
        path(schedule_from(text), 5000)


# --- laws -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_the_multi_power_law_is_its_sum_over_steps(kind: str) -> None:
    """Eq. 5 of Luo et al. 2025 step by step, against the sum over pieces: within a tenth of a logged digit."""
    constants = MultiPower.published["Luo et al. 2025, 100M"]
    law, rate = MultiPower(**constants), rates(kind)
    steps = np.array([2500, 5000, 7900, 8000, 8003, 8100, 9000, 10010, 10500, 11500, 12000, 13500])
    total, drop = np.cumsum(rate), -np.diff(rate, prepend=0.0)
    exact = []
    for t in steps:
        since = total[t] - total[: t + 1] + rate[: t + 1]
        with np.errstate(divide="ignore", invalid="ignore"):
            x = constants["C"] * np.where(rate[: t + 1] > 0, rate[: t + 1] ** -constants["gamma"] * since, 0.0)
        gained = np.sum(drop[: t + 1] * (1 - (1 + x) ** -constants["beta"]))
        exact.append(constants["L_0"] + constants["A"] * total[t] ** -constants["alpha"] - constants["B"] * gained)
    np.testing.assert_allclose(law(S=steps, schedule=KINDS[kind]), exact, rtol=0, atol=3e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_the_annealing_law_is_its_recurrence(kind: str) -> None:
    """Eq. 1 of Tissue et al. 2024: m_i = lam m_(i-1) + (eta_(i-1) - eta_i), S2 their sum."""
    law, rate = Annealing(L_0=2.6, A=0.5, alpha=0.5, lam=0.999, C=0.5), rates(kind)
    steps = np.array([2500, 5000, 8000, 8100, 9000, 10500, 11500, 12000, 13500])
    momentum, S2 = 0.0, []
    for fall in -np.diff(rate, prepend=0.0):
        momentum = 0.999 * momentum + fall
        S2.append((S2[-1] if S2 else 0.0) + momentum)
    exact = 2.6 + 0.5 * np.cumsum(rate)[steps] ** -0.5 - 0.5 * np.array(S2)[steps]
    np.testing.assert_allclose(law(S=steps, schedule=KINDS[kind]), exact, rtol=0, atol=3e-4)


def test_a_decay_gains_and_a_rise_costs() -> None:
    for law in (
        Annealing(L_0=2.6, A=0.5, alpha=0.5, lam=0.999, C=0.5),
        MultiPower(**MultiPower.published["Luo et al. 2025, 25M"]),
    ):
        high, low = law(S=13000, schedule=[KINDS["constant"], KINDS["exp"]])
        assert low < high
        before, after = law(S=[7000, 8500], schedule=KINDS["again"])
        assert after > before


@pytest.mark.parametrize("name", OF_SCHEDULES)
def test_laws_of_schedules_are_sound(name: str) -> None:
    """Prior predictive losses look like losses; value and gradient are finite, on short and long schedules alike."""
    law = laws()[name]()
    target = Target(law, StudentT())
    inputs = {
        "S": np.tile([1.0, 2500.0, 9000.0, 1e7], 6),
        "schedule": np.repeat(list(KINDS.values()), 4).astype(object),
    }
    observed = np.full(24, 2.7)
    data = padded(inputs, observed, None, centre_of(inputs, "loss", observed), "loss")
    z = target.prior_draws(1000, 1, data)
    value, gradient = target.evaluate(z, data)
    assert np.isfinite(value).mean() > 0.99 and np.isfinite(gradient).all() and np.all(np.any(gradient != 0, axis=0))
    middle = {
        "S": np.array([centre_of(inputs, "loss", observed).S]),
        "schedule": np.array([KINDS["constant"]], dtype=object),
    }
    from bayescale.runs.features import encoded

    loss = np.asarray(target.curve(target.constants_at(z, data), encoded(middle)))[:, 0]
    low, high = np.quantile(loss / 2.7, [0.05, 0.95])
    assert 0.2 < low < 1 < high < 5
    drawn = law.drawn({n: x[0] for n, x in target.constants_at(z[:1], data).items() if n in law.fields})
    leaves, structure = jax.tree.flatten(drawn)
    assert type(jax.tree.unflatten(structure, leaves)) is type(law)


# --- from a table to predictions --------------------------------------------------------------------------------------


def curves(seed: int = 0, noise: float = 0.001, every: int = 500) -> pd.DataFrame:
    """Simulated curves of the annealing law, with residuals that are remembered over half a log step."""
    law = Annealing(L_0=2.6, A=0.5, alpha=0.5, lam=0.999, C=0.5)
    rng = np.random.default_rng(seed)
    parts = []
    for kind in ("constant", "cosine", "jump"):
        S = np.arange(2500.0, 12001.0, every)
        memory = np.exp(-np.diff(np.log(S)) / 0.5)
        r = [rng.standard_normal()]
        for m in memory:
            r.append(m * r[-1] + np.sqrt(1 - m * m) * rng.standard_normal())
        loss = law(S=S, schedule=KINDS[kind]) * np.exp(noise * np.array(r))
        parts.append(pd.DataFrame({"run": kind, "S": S, "schedule": KINDS[kind], "loss": loss}))
    return pd.concat(parts, ignore_index=True)


@pytest.fixture(scope="module")
def quick() -> bs.Fit:
    """A law of two free constants along schedules, with residuals along runs."""
    law = Annealing(lam=0.999, alpha=0.5, L_0=2.6)
    return bs.fit(law, curves(every=1000), likelihood="ar1", draws=250)


def test_a_fit_along_runs(quick: bs.Fit, tmp_path: Path, capsys: Any) -> None:
    assert quick.converged, quick.failures
    summary = quick.summary(0.999)
    for name, truth in {"A": 0.5, "C": 0.5, "sigma": 0.001, "tau": 0.5}.items():
        assert summary.loc[name, "low"] < truth < summary.loc[name, "high"], name
    table = quick.predict(S=[12000.0, 20000.0], schedule=[KINDS["exp"], KINDS["linear"]])
    assert list(table["schedule"]) == [KINDS["exp"]] * 2 + [KINDS["linear"]] * 2 and "decades_schedule" not in table
    law = Annealing(L_0=2.6, A=0.5, alpha=0.5, lam=0.999, C=0.5)
    truth = law(S=[12000.0, 20000.0], schedule=[KINDS["exp"], KINDS["linear"]])
    curve = table[table["quantity"] == "mean_curve"]
    assert np.abs(np.log(curve["median"].to_numpy() / truth)).max() < 0.003
    gained = quick.derive("annealed", S=30000.0, schedule=KINDS["exp"])
    assert gained["median"][0] == pytest.approx(0.5 * (PEAK - END) / 0.001, rel=0.2)
    file = tmp_path / "fit.nc"
    quick.save(file)
    again = bs.load(file)
    assert isinstance(again, bs.Fit) and str(again) == str(quick) and again.likelihood.name == "ar1"
    pd.testing.assert_frame_equal(again.predict(S=[12000.0, 20000.0], schedule=[KINDS["exp"], KINDS["linear"]]), table)
    with pytest.raises(SystemExit, match="0"):
        main(["predict", str(file), "--S", "12000", "--at", f"schedule={KINDS['exp']}", "--json"])
    entry = json.loads(capsys.readouterr().out)["predictions"][0]
    assert entry["schedule"] == KINDS["exp"] and entry["mean_curve"]["median"] == pytest.approx(curve["median"].iloc[0])
    with pytest.raises(UsageError, match="a report shows laws of numbers, and this one is of a learning-rate schedule"):
        bs.report(quick, tmp_path / "report.html")


def test_pictures_of_curves(quick: bs.Fit) -> None:
    axis = bs.plot.loss(quick)
    assert [t.get_text() for t in axis.get_legend().get_texts()] == ["constant", "cosine", "jump"]
    other = bs.plot.loss(quick, schedule=KINDS["exp"])
    assert len(other.lines) == 1
    with pytest.raises(UsageError, match="is drawn against S along schedules"):
        bs.plot.loss(quick, against="schedule")
    with pytest.raises(UsageError, match="a surface is of two numbers; annealing takes a schedule"):
        bs.plot.surface(quick)
    assert len(bs.plot.residuals(quick)) == 3
    plt.close("all")


def test_schedules_from_logged_rates(tmp_path: Path) -> None:
    t = np.arange(2000, 12000, 128)
    logged = pd.concat(
        pd.DataFrame({"run": k, "S": t, "lr": rates(k)[t], "loss": 3.0}) for k in ("constant", "cosine", "linear")
    )
    found = with_schedules(logged, warmup=WARM)
    for kind, part in found.groupby("run"):
        np.testing.assert_allclose(schedule_from(part["schedule"].iloc[0]).rate(t), rates(str(kind))[t], rtol=1e-6)
    assert found.loc[found["run"] == "constant", "schedule"].iloc[0] == f"0:0 {WARM}:0.0003 {t[-1]}:0.0003"
    assert found.attrs["notes"][-1] == "schedule read from lr"
    with pytest.raises(DataError, match="schedules are read from the columns run, S and lr; the table has no lr"):
        with_schedules(logged.drop(columns="lr"))
    with pytest.raises(DataError, match=r"lr is -1.0 in row 3; a learning rate is a number from 0 up"):
        with_schedules(logged.assign(lr=np.where(np.arange(len(logged)) == 3, -1.0, logged["lr"])))
    with pytest.raises(DataError, match="run constant was logged first at step 2000, within its warm-up of 3000 steps"):
        with_schedules(logged, warmup=3000)


def test_a_table_whose_schedule_cannot_be_read() -> None:
    with pytest.raises(DataError, match=r"annealing needs the column schedule \(learning rates as text, such as"):
        bs.fit("annealing", curves().drop(columns="schedule"))
    table = curves().assign(schedule=lambda x: x["schedule"].where(x.index != 7, "0:0 what"))
    with pytest.raises(DataError, match="row 7: schedule '0:0 what': 'what' is neither a knot nor a shape"):
        bs.fit("annealing", table)
    with pytest.raises(UsageError, match="its rate is zero throughout"):
        Annealing(L_0=2.6, A=0.5, alpha=0.5, lam=0.999, C=0.5)(S=100, schedule="0:0")


def test_the_default_design_of_schedules() -> None:
    found = design_of(Annealing(), rows=40)
    assert (
        found.rows == 40
        and len(set(found.inputs["schedule"])) == 4
        and found.far["schedule"] in found.inputs["schedule"]
    )
    assert found.source == "40 rows spread over S 2500 to 1e+06 of 4 schedules"


# --- residuals along runs ---------------------------------------------------------------------------------------------


def test_the_density_along_runs_is_the_multivariate_normal() -> None:
    """Conditionals of the row before multiply to the joint density of an Ornstein-Uhlenbeck process in log S."""
    from scipy import stats

    S, run = np.array([100.0, 400.0, 200.0, 150.0, 300.0]), np.array(["a", "a", "a", "b", "b"])
    observed, mean = np.array([3.1, 2.9, 3.05, 3.2, 2.8]), np.full(5, 3.0)
    frame = pd.DataFrame({"run": run, "S": S, "N": [1e6, 1e6, 1e6, 2e6, 2e6], "loss": observed})
    rows = observations(read_runs(frame), inputs=("N", "S"), constants=1, law="x")
    before, gap = row_before(rows)
    assert before.tolist() == [0, 2, 0, 3, 3]
    likelihood, sigma, tau = Autoregressive(nu=1e6), 0.03, 0.7
    data = Data({}, observed, None, np.ones(5, bool), centre=None, before=before, gap=gap)  # type: ignore[arg-type]
    with jax.enable_x64(True):
        found = likelihood.scatter_of_rows(mean, {"sigma": sigma, "nu": 1e8, "tau": tau}, data).log_prob(observed)
    same = run[:, None] == run[None, :]
    covariance = sigma**2 * np.where(same, np.exp(-np.abs(np.log(S[:, None] / S)) / tau), 0.0)
    joint = stats.multivariate_normal(np.zeros(5), covariance).logpdf(np.log(observed / mean)) - np.log(observed).sum()
    assert float(np.asarray(found).sum()) == pytest.approx(joint, abs=1e-5)
    assert LIKELIHOODS["ar1"] is Autoregressive and not Normal.along_runs


def test_tables_without_runs_to_go_along() -> None:
    table = curves()
    with pytest.raises(
        DataError, match="along a run need the column run, and a law of S or D; the table has no column run"
    ):
        bs.fit("annealing", table.drop(columns="run"), likelihood="ar1")
    single = table.drop_duplicates("S").assign(run=lambda x: [f"run {i}" for i in range(len(x))])
    with pytest.raises(DataError, match="every run has one row, and none follows another"):
        bs.fit("annealing", single, likelihood="ar1")
    twice = pd.concat([table, table.iloc[[4]].assign(loss=3.0)], ignore_index=True)
    with pytest.raises(DataError, match=r"run constant has two rows at S = 4500 \(rows 4 and 60\)"):
        bs.fit("annealing", twice, likelihood="ar1")
    with pytest.raises(DataError, match="a law of S or D; the law takes N"):
        bs.calibrate("kaplan_n", simulations=20, likelihood="ar1")
    runs = pd.DataFrame({"run": ["a", "a", "b", "b"], "N": [1e6, 2e6, 3e6, 4e6], "loss": [3.0, 2.9, 2.8, 2.7]})
    with pytest.raises(DataError, match="a law of S or D; the law takes N"):
        bs.fit("kaplan_n", runs, likelihood="ar1")


@pytest.mark.study
def test_intervals_along_runs_cover() -> None:
    """Of A and C in 40 simulated tables: as often as 90 % along runs, too seldom with independent rows."""
    law, truth = Annealing(lam=0.999, alpha=0.5, L_0=2.6), {"A": 0.5, "C": 0.5}
    hits = {}
    for likelihood in ("ar1", "student_t"):
        inside = []
        for seed in range(40):
            fit = bs.fit(law, curves(seed), likelihood=likelihood, draws=250)
            assert fit.converged, fit.failures
            rows = fit.summary(0.9).loc[list(truth)]
            inside += [bool(rows.loc[n, "low"] < x < rows.loc[n, "high"]) for n, x in truth.items()]
        hits[likelihood] = sum(inside)
    # of 80: 72 expected, 3 sds of a binomial are 8 (two constants of one fit are not independent: 3.6 sds of 40 x 2)
    assert hits["ar1"] >= 62 and hits["student_t"] <= 60, hits
