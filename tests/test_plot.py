"""Plots: what is on the axes is what the fit says, and nothing else is changed."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgba
from matplotlib.figure import Figure

from bayescale import plot
from bayescale.cli.plot import KINDS
from bayescale.errors import NotConverged, UsageError
from bayescale.fit import Fit, fit
from bayescale.plot import style
from bayescale.plot.isoflop import _budgets
from bayescale.plot.kinds import DIAGNOSTICS, kinds_of
from bayescale.plot.predictive import predictive_probabilities
from bayescale.studies.calibrate.file import append_results, begin_results
from bayescale.studies.calibrate.ranks import Ranked
from bayescale.studies.compare import Comparison
from bayescale.studies.compare.table import COLUMNS


@pytest.fixture(autouse=True)
def settings_stay() -> Iterator[None]:
    """No plot changes matplotlib's settings; figures that tests made are closed."""
    before = dict(mpl.rcParams)
    yield
    assert {k: v for k, v in mpl.rcParams.items() if v != before[k]} == {}
    plt.close("all")


@pytest.fixture
def ax() -> Axes:
    return axes(1)[0]


def axes(count: int) -> list[Axes]:
    """Axes that pyplot does not know."""
    return list(np.ravel(Figure(figsize=(4 * count, 3)).subplots(1, count)))


@pytest.fixture(scope="module")
def size_fit() -> Fit:
    """A law of one input."""
    rng = np.random.default_rng(0)
    N = np.geomspace(1e7, 1e10, 24)
    loss = (1.8 + (1e8 / N) ** 0.3) * np.exp(0.004 * rng.standard_t(5, 24))
    return fit("power_law_n", pd.DataFrame({"N": N, "loss": loss}), method="laplace")


@pytest.fixture(scope="module")
def sweep() -> Fit:
    """A law of another metric, without an allocation."""
    rng = np.random.default_rng(0)
    B = np.geomspace(1e4, 1e7, 12)
    return fit("batch_sweep", pd.DataFrame({"B": B, "S": 2e3 * (1 + 3e5 / B) * np.exp(0.02 * rng.standard_normal(12))}),
               method="laplace")  # fmt: skip


@pytest.fixture(scope="module")
def compared(small_fit: Fit) -> Comparison:
    """Two names for one fit and a law without, so that every average is that of the fit."""
    table = pd.DataFrame(
        [[-10.0, 0.01, 0.0, 0.8, 1.0, 1.0, 0.7, 1.0, 1.0, 0.6, 0.01, 5.0, 0.9, 1.0, True, True],
         [-11.4, 0.02, -1.4, 0.2, 1.0, 1.0, 0.3, 1.0, 1.0, 0.4, 0.01, 5.0, 0.9, 1.0, True, False],
         [*[np.nan] * 14, False, False]],
        index=["a", "b", "c"], columns=COLUMNS,
    )  # fmt: skip
    shifts = pd.DataFrame({"0.5": [-0.5, 0.4], "2": [0.3, -0.2]}, index=["a", "b"])
    return Comparison(table, {"a": small_fit, "b": small_fit}, {}, shifts, "a", ())


def line(axis: Axes, text: str) -> Any:
    (found,) = [x for x in axis.lines if x.get_label() == text]
    return found


def band(axis: Axes, text: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x, low and high of a band."""
    (found,) = [c for c in axis.collections if c.get_label() == text]
    corners = found.get_paths()[0].vertices
    x = np.unique(corners[:, 0])
    low = np.array([corners[corners[:, 0] == v, 1].min() for v in x])
    high = np.array([corners[corners[:, 0] == v, 1].max() for v in x])
    return x, low, high


def shaded(axis: Axes) -> list[tuple[float, float]]:
    """The x ranges that are shaded as beyond the data."""
    found = [p for p in axis.patches if p.get_label() == style.BEYOND_TEXT]
    assert all(to_hex(p.get_facecolor()) == to_hex(style.BEYOND) for p in found)
    boxes = [p.get_path().transformed(p.get_patch_transform()).vertices[:, 0] for p in found]
    return sorted((float(b.min()), float(b.max())) for b in boxes)


def points(found: Any) -> np.ndarray:
    """What a line or a collection of points shows, sorted, shape (point, 2)."""
    xy = found.get_xydata() if hasattr(found, "get_xydata") else found.get_offsets()
    return np.asarray(sorted(map(tuple, np.asarray(xy, float))))


def rows_of(*columns: np.ndarray) -> np.ndarray:
    return np.asarray(sorted(zip(*columns, strict=True)))


# --- loss -----------------------------------------------------------------------------------------------------------


def test_loss_against_an_input(size_fit: Fit, ax: Axes) -> None:
    assert plot.loss(size_fit, ax, beyond=2) is ax
    N, observed = size_fit.runs.inputs["N"], size_fit.runs.observed
    np.testing.assert_array_equal(points(line(ax, "runs")), rows_of(N, observed))
    assert ax.get_xlabel() == "N (parameters)" and ax.get_ylabel() == "loss (nats per token)"
    assert ax.get_xscale() == "log"
    low, high = ax.get_xlim()
    assert high == pytest.approx(N.max() * 100)
    assert shaded(ax) == [pytest.approx((low, N.min())), pytest.approx((N.max(), high))]
    curve = line(ax, "mean curve, 90%")
    assert to_hex(curve.get_color()) == style.POSTERIOR.lower()
    x, least, most = band(ax, "mean curve, 90%")
    np.testing.assert_allclose(x, curve.get_xdata())
    assert (least <= curve.get_ydata()).all() and (curve.get_ydata() <= most).all()
    _, lower, upper = band(ax, "new run, 90%")
    assert (lower <= least).all() and (most <= upper).all()


def test_loss_is_what_predict_says(size_fit: Fit, ax: Axes) -> None:
    plot.loss(size_fit, ax, interval=0.8)
    x, low, high = band(ax, "mean curve, 80%")
    table = size_fit.predict(N=x, interval=0.8)
    mean, new_run = (table[table["quantity"] == q] for q in ("mean_curve", "new_run"))
    np.testing.assert_allclose(np.stack([low, high]), mean[["low", "high"]].T)
    np.testing.assert_allclose(line(ax, "mean curve, 80%").get_ydata(), mean["median"])
    _, lower, upper = band(ax, "new run, 80%")
    # both are quantiles of 4000 draws: three standard errors of the difference are some 6 % of the width
    width = (new_run["high"] - new_run["low"]).to_numpy()
    assert np.abs(upper - lower - width).max() < 0.15 * width.min()


def test_a_new_run_has_a_smooth_interval(size_fit: Fit, ax: Axes) -> None:
    plot.loss(size_fit, ax)
    _, _, high = band(ax, "new run, 90%")
    # quantiles of draws of their own at every point would jump by some 3 % of sigma and by more in the tails
    assert np.abs(np.diff(np.log(high), 2)).max() < 0.02 * np.median(size_fit.constants["sigma"]) + 5e-4


def test_loss_at_the_optimal_split(small_fit: Fit, ax: Axes) -> None:
    plot.loss(small_fit, ax)
    N, D = small_fit.runs.inputs["N"], small_fit.runs.inputs["D"]
    np.testing.assert_array_equal(points(line(ax, "runs")), rows_of(6 * N * D, small_fit.runs.observed))
    assert ax.get_xlabel() == "C (training FLOPs)"
    curve = line(ax, "mean curve, 90%")
    C, value = curve.get_xdata()[60], curve.get_ydata()[60]
    best = small_fit.allocate(C=C)
    assert value == pytest.approx(best[best["quantity"] == "loss"]["median"].item(), rel=2e-3)


def test_loss_with_another_input_held(small_fit: Fit, ax: Axes) -> None:
    plot.loss(small_fit, ax, against="N", D=[1e10, 1e11])
    curves = [x for x in ax.lines if x.get_label().startswith("D = ")]
    assert [x.get_label() for x in curves] == ["D = $10^{10}$", "D = $10^{11}$"]
    table = small_fit.predict(N=curves[0].get_xdata(), D=1e10)
    np.testing.assert_allclose(curves[0].get_ydata(), table[table["quantity"] == "mean_curve"]["median"])
    (runs,) = [c for c in ax.collections if c.get_label() == "runs"]
    np.testing.assert_array_equal(points(runs), rows_of(small_fit.runs.inputs["N"], small_fit.runs.observed))


def test_another_metric_is_named(sweep: Fit, ax: Axes) -> None:
    plot.loss(sweep, ax)
    assert ax.get_ylabel() == "S (optimiser steps)" and ax.get_xlabel() == "B (tokens a batch)"


def test_a_comparison_is_averaged(compared: Comparison, small_fit: Fit) -> None:
    one, average = axes(2)
    plot.loss(small_fit, one)
    plot.loss(compared, average, weights="stacking")
    assert average.get_title() == "loss at the optimal split of C, average of 2 laws"
    same = [line(a, "mean curve, 90%").get_ydata() for a in (one, average)]
    np.testing.assert_allclose(same[0], same[1], rtol=1e-4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"against": "Q"}, "no input 'Q'; against what: N, D, C"),
        ({"against": "N", "C": 1e20}, "C cannot be held in this plot of chinchilla; give D"),
        ({"N": 1e9}, "N cannot be held in this plot of chinchilla"),
        ({"against": "N", "D": -1.0}, "D must be positive"),
        ({"beyond": -1}, "beyond is how many powers of ten"),
        ({"interval": 2}, "mass is between 0 and 1"),
        ({"weights": "equal"}, "weights average over the laws of a comparison"),
    ],
)
def test_loss_refuses(small_fit: Fit, ax: Axes, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        plot.loss(small_fit, ax, **options)


# --- isoFLOP, allocation, surface -----------------------------------------------------------------------------------


def test_isoflop(small_fit: Fit, ax: Axes) -> None:
    C = 6 * small_fit.runs.inputs["N"] * small_fit.runs.inputs["D"]
    budgets = np.array([np.median(C), C.max() * 100])
    plot.isoflop(small_fit, ax, C=budgets)
    inside, beyond = (x for x in ax.lines if "10^" in x.get_label())
    assert inside.get_linestyle() == "-" and beyond.get_linestyle() == "--"
    N = inside.get_xdata()
    table = small_fit.predict(N=N, D=budgets[0] / 6 / N)
    np.testing.assert_allclose(inside.get_ydata(), table[table["quantity"] == "mean_curve"]["median"])
    best = small_fit.allocate(C=budgets)
    optimum = [c.lines[0].get_xydata()[0] for c in ax.containers]
    assert [x for x, _ in optimum] == pytest.approx(list(best[best["quantity"] == "N"]["median"]))
    shown = [points(x) for x in ax.lines if x.get_marker() == "o"]
    np.testing.assert_array_equal(
        rows_of(*np.concatenate(shown).T), rows_of(small_fit.runs.inputs["N"], small_fit.runs.observed)
    )
    assert ax.get_legend().get_title().get_text() == "C (FLOPs)"


def test_budgets_that_runs_share() -> None:
    rng = np.random.default_rng(1)
    spread = 10 ** rng.uniform(-0.02, 0.02, 24)
    np.testing.assert_allclose(_budgets(np.repeat([1e19, 1e20, 3e20], 8) * spread), [1e19, 1e20, 3e20], rtol=0.05)
    none = _budgets(np.geomspace(1e18, 1e24, 10))
    assert len(none) == 4 and (np.diff(none) > 0).all()


def test_allocation(small_fit: Fit) -> None:
    pair = axes(2)
    got = plot.allocation(small_fit, pair, references=["all"], beyond=2)
    assert list(got) == pair
    C = 6 * small_fit.runs.inputs["N"] * small_fit.runs.inputs["D"]
    for axis, name in zip(pair, "ND", strict=True):
        np.testing.assert_array_equal(points(line(axis, "runs")), rows_of(C, small_fit.runs.inputs[name]))
        x, low, high = band(axis, "optimum, 90%")
        best = small_fit.allocate(C=x)
        best = best[best["quantity"] == name]
        np.testing.assert_allclose(np.stack([low, high]), best[["low", "high"]].T)
        np.testing.assert_allclose(line(axis, "optimum, 90%").get_ydata(), best["median"])
        assert shaded(axis)[-1][0] == pytest.approx(C.max())
        assert axis.get_yscale() == "log" and axis.get_ylabel().startswith(f"optimal {name} (")
    sizes = line(pair[0], "20 tokens a parameter")
    np.testing.assert_allclose(6 * 20 * sizes.get_ydata() ** 2, sizes.get_xdata())
    tokens = line(pair[1], "20 tokens a parameter")
    np.testing.assert_allclose(tokens.get_ydata(), 20 * sizes.get_ydata())
    # eq. 4 of the paper at its printed constants, by hand
    hoffmann = line(pair[0], "Hoffmann et al. 2022, approach 3")
    at = np.interp(np.log(5.76e23), np.log(hoffmann.get_xdata()), np.log(hoffmann.get_ydata()))
    assert np.exp(at) == pytest.approx(40.36e9, rel=1e-3)
    kaplan = line(pair[0], "Kaplan et al. 2020, Table 6")
    np.testing.assert_allclose(kaplan.get_ydata(), 1.3e9 * (kaplan.get_xdata() / 8.64e19) ** 0.73)


def test_references_are_optional_and_named(small_fit: Fit) -> None:
    pair = axes(2)
    plot.allocation(small_fit, pair)
    assert {x.get_label() for x in pair[0].lines} == {"runs", "optimum, 90%"}
    with pytest.raises(UsageError, match=r"no published recipe 'kaplan_2002' \(did you mean 'kaplan_2020'\?\)"):
        plot.allocation(small_fit, references=["kaplan_2002"])


def test_surface(small_fit: Fit, ax: Axes) -> None:
    plot.surface(small_fit, ax)
    N, D = small_fit.runs.inputs["N"], small_fit.runs.inputs["D"]
    np.testing.assert_array_equal(points(line(ax, "runs")), rows_of(N, D))
    frontier = line(ax, "optimum, 90%")
    best = small_fit.allocate(C=6 * frontier.get_xdata() * frontier.get_ydata())
    np.testing.assert_allclose(frontier.get_xdata(), best[best["quantity"] == "N"]["median"], rtol=1e-6)
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    (box,) = [p for p in ax.patches if p.get_label() == "range of the runs"]
    assert (box.get_x(), box.get_width()) == pytest.approx((N.min(), N.max() - N.min()))


# --- the posterior and the noise ------------------------------------------------------------------------------------


def test_residuals(small_fit: Fit) -> None:
    four = axes(4)
    assert list(plot.residuals(small_fit, four)) == four
    curve = np.median(small_fit.predict_draws(**small_fit.runs.inputs)["mean_curve"], axis=0)
    expected = np.log(small_fit.runs.observed / curve)
    inside = [points(line(four[i], "runs")) for i in range(3)]
    edge = four[0].get_ylim()[1]
    kept = np.abs(expected) <= edge
    for found, x in zip(inside, (curve, small_fit.runs.inputs["N"], small_fit.runs.inputs["D"]), strict=True):
        np.testing.assert_allclose(found, rows_of(x[kept], expected[kept]), rtol=1e-6)
    assert [a.get_xlabel() for a in four[:3]] == [
        "fitted loss (nats per token)",
        "N (parameters)",
        "D (training tokens)",
    ]
    r, low, high = band(four[3], "fitted noise, 90%")
    middle = line(four[3], "fitted noise, 90%").get_ydata()
    assert (low <= middle).all() and (middle <= high).all()
    sigma, nu = (float(np.median(small_fit.constants[n])) for n in ("sigma", "nu"))
    assert four[3].get_title() == f"student t, sigma = {sigma:.3g}, nu = {nu:.3g}"
    assert r[0] == -r[-1] and np.trapezoid(middle, r) == pytest.approx(1.0, abs=0.1)


def test_rows_far_out_are_counted(small_fit: Fit) -> None:
    observed = small_fit.runs.observed.copy()
    observed[[3, 5]] *= 2.0, 0.5
    runs = dataclasses.replace(small_fit.runs, observed=observed)
    four = axes(4)
    plot.residuals(dataclasses.replace(small_fit, runs=runs), four)
    edge = four[0].get_ylim()[1]
    assert points(line(four[0], "2 further out"))[:, 1].tolist() == [edge]
    assert len(points(line(four[0], "runs"))) == small_fit.runs.rows - 2


def test_priors(small_fit: Fit) -> None:
    seven = axes(7)
    plot.priors(small_fit, seven)
    assert [a.get_xlabel() for a in seven] == list(small_fit.constants)
    for axis, draws in zip(seven, small_fit.constants.values(), strict=True):
        prior, posterior = line(axis, "prior"), line(axis, "posterior")
        assert (to_hex(prior.get_color()), to_hex(posterior.get_color())) == tuple(
            c.lower() for c in (style.PRIOR, style.POSTERIOR)
        )
        assert prior.get_ydata().max() == posterior.get_ydata().max() == 1.0
        np.testing.assert_allclose(line(axis, "90% interval").get_xdata(), np.quantile(draws, [0.05, 0.95]), rtol=1e-3)
    assert seven[list(small_fit.constants).index("A")].get_xscale() == "log"


def test_priors_of_chosen_constants(small_fit: Fit, ax: Axes) -> None:
    assert plot.priors(small_fit, ax, constants="alpha") is ax
    with pytest.raises(UsageError, match=r"no constant 'alfa' \(did you mean 'alpha'\?\)"):
        plot.priors(small_fit, constants=["alfa"])
    with pytest.raises(UsageError, match="this plot has 7 panels: ax takes as many Axes, not 1"):
        plot.priors(small_fit, ax)


def test_predictive(small_fit: Fit, ax: Axes) -> None:
    plot.predictive(small_fit, ax)
    probabilities = predictive_probabilities(small_fit)
    drawn = small_fit.predict_draws(**small_fit.runs.inputs)["new_run"].to_numpy()
    # 4000 draws: a share has a standard error of at most .008
    np.testing.assert_allclose(probabilities, (drawn < small_fit.runs.observed).mean(axis=0), atol=0.035)
    x, difference = line(ax, "runs").get_data()
    np.testing.assert_allclose(difference + x, [0, *((probabilities[:, None] <= x[1:-1]).mean(axis=0)), 1])
    _, low, high = band(ax, "uniform, 90% at once")
    assert (low <= difference).all() and (difference <= high).all()


def test_predictive_counts_measurement_error(small_fit: Fit) -> None:
    wide = dataclasses.replace(small_fit.runs, se=small_fit.runs.observed * 10.0)
    found = predictive_probabilities(dataclasses.replace(small_fit, runs=wide))
    assert np.abs(found - 0.5).max() < 0.02


def test_a_curve_that_is_too_high_leaves_the_band(small_fit: Fit, ax: Axes) -> None:
    low = dataclasses.replace(small_fit.runs, observed=small_fit.runs.observed * 0.98)
    plot.predictive(dataclasses.replace(small_fit, runs=low), ax)
    _, _, high = band(ax, "uniform, 90% at once")
    assert (line(ax, "runs").get_ydata() > high).any()


def test_pair_is_arviz(small_fit: Fit) -> None:
    found = plot.pair(small_fit, constants=["E", "A"])
    wide = small_fit.constants["A"].max() / small_fit.constants["A"].min() > 10
    assert {a.get_xlabel() for a in found} - {""} == {"E", "log10 A" if wide else "A"}
    with pytest.raises(UsageError, match="two constants or more, not of E"):
        plot.pair(small_fit, constants=["E"])


@pytest.mark.parametrize("kind", DIAGNOSTICS)
def test_diagnostics_are_arviz(small_fit: Fit, kind: str) -> None:
    found = getattr(plot, kind)(small_fit, constants=["E", "alpha"])
    assert [a.get_title() for a in found] == ["E", "alpha"]


# --- comparisons ----------------------------------------------------------------------------------------------------


def test_comparison(compared: Comparison) -> None:
    left, right = axes(2)
    plot.comparison(compared, [left, right])
    assert [t.get_text() for t in left.get_yticklabels()] == ["a", "b", "c"]
    values = {float(c.lines[0].get_ydata()[0]): float(c.lines[0].get_xdata()[0]) for c in left.containers}
    assert values == pytest.approx({2.0: 0.0, 1.0: -1.4})
    assert [t.get_text() for t in left.texts] == ["not converged"]
    for column, rule in (("probability", "evidence"), ("weight", "stacking"), ("weight_holdout", "holdout")):
        assert line(right, rule).get_xdata().tolist() == compared.table[column].dropna().tolist()
    labels = [t.get_text() for t in left.get_legend().get_texts()]
    assert sorted(labels) == ["log evidence", "not to be trusted", "priors power-scaled"]


def test_what_is_not_a_comparison_or_a_fit(small_fit: Fit, compared: Comparison) -> None:
    with pytest.raises(UsageError, match=r"of a comparison \(bayescale.studies.compare\), not of a fit"):
        plot.comparison(small_fit)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="of one law: give one of the comparison's fits, a, b"):
        plot.residuals(compared)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="a plot is of a fit, not of DataFrame"):
        plot.loss(compared.table)


# --- calibration ---------------------------------------------------------------------------------------------------


def ranks_file(path: Path, off: float) -> Path:
    """Ranks of 60 simulations; `off` is the power that those of E are raised to."""
    rng = np.random.default_rng(5)
    begin_results(path, {"law": "chinchilla"})
    drawn = [Ranked(i, {"E": rng.uniform() ** off, "alpha": rng.uniform()}, "batch", ()) for i in range(60)]
    append_results(path, [*drawn, Ranked(60, {}, "none", ("R-hat",))])
    return path


def test_calibration(tmp_path: Path, ax: Axes) -> None:
    plot.calibration(ranks_file(tmp_path / "good.jsonl", 1.0), ax)
    assert ax.get_title() == "calibration, chinchilla, 60 simulations"
    _, low, high = band(ax, "uniform, 95% at once")
    inside = [x for x in ax.lines if len(x.get_xdata()) == len(low)]
    assert len(inside) == 2 and {to_hex(x.get_color()) for x in inside} == {style.POSTERIOR.lower()}
    assert all((x.get_ydata() >= low).all() and (x.get_ydata() <= high).all() for x in inside)
    assert [t.get_text() for t in ax.get_legend().get_texts()][1] == "2 of 2 quantities inside"


def test_ranks_that_are_off_are_named(tmp_path: Path, ax: Axes) -> None:
    plot.calibration(ranks_file(tmp_path / "bad.jsonl", 3.0), ax)
    (wrong,) = [x for x in ax.lines if x.get_label().startswith("E, p = ")]
    assert to_hex(wrong.get_color()) == style.OPTIMUM.lower()
    with pytest.raises(UsageError, match="no file of simulations"):
        (tmp_path / "other").write_text("1", encoding="utf-8")
        plot.calibration(tmp_path / "other", ax)
    with pytest.raises(UsageError, match="of a calibration or of its file, not of a list"):
        plot.calibration([], ax)  # type: ignore[arg-type]


# --- every kind -----------------------------------------------------------------------------------------------------


def test_every_kind_is_a_function_and_listed() -> None:
    assert {n for n in KINDS if callable(getattr(plot, n))} == set(KINDS)


def test_kinds_of_a_law(small_fit: Fit, size_fit: Fit, sweep: Fit) -> None:
    everywhere = {"loss", "residuals", "priors", "pair", "predictive", *DIAGNOSTICS}
    assert set(kinds_of(small_fit.law)) == {*everywhere, "isoflop", "allocation", "surface"}
    assert set(kinds_of(size_fit.law)) == set(kinds_of(sweep.law)) == everywhere
    for kind in ("isoflop", "allocation", "surface"):
        with pytest.raises(UsageError, match="the plots of batch_sweep are loss, residuals"):
            getattr(plot, kind)(sweep)
    for kind in ("residuals", "priors", "predictive"):
        assert getattr(plot, kind)(sweep) is not None


def test_axes_that_are_given_keep_pyplot_out(small_fit: Fit, compared: Comparison) -> None:
    plot.loss(small_fit, axes(1)[0])
    plot.isoflop(small_fit, axes(1)[0])
    plot.allocation(small_fit, axes(2))
    plot.comparison(compared, axes(2))
    assert plt.get_fignums() == []
    made = plot.loss(small_fit)
    assert plt.get_fignums() == [made.figure.number]


def test_a_fit_that_has_not_converged_warns_once(small_fit: Fit, ax: Axes) -> None:
    samples = dataclasses.replace(small_fit.samples, failures=("R-hat of E is 1.5",))
    broken = dataclasses.replace(small_fit, samples=samples)
    with pytest.warns(NotConverged, match=r"not converged .* R-hat of E is 1\.5") as told:
        plot.loss(broken, ax)
    assert len(told) == 1
    plot.trace(broken, constants=["E"])


def test_text_from_data_is_no_markup() -> None:
    axis = axes(1)[0]
    for name in ("a$b", "$x^2$", "_hidden", r"\$", "a_b"):
        axis.set_xlabel(style.label(name))
        assert axis.xaxis.label._preprocess_math(axis.get_xlabel())[1] is False
        assert not style.label(name).startswith("_")


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.5, "0.5"), (20000, "20000"), (1e20, "$10^{20}$"), (3.24e21, r"$3.24\times10^{21}$"), (0, "0")],
)
def test_numbers(value: float, text: str) -> None:
    assert style.number(value) == text


def test_ticks_are_decades(ax: Axes) -> None:
    style.scale(ax, "x", 2e17, 5e23)
    ticks = [t for t in ax.get_xticks() if 2e17 <= t <= 5e23]
    np.testing.assert_allclose(np.log10(ticks) % 1, 0, atol=1e-9)
    assert [ax.xaxis.get_major_formatter()(t) for t in ticks][:1] == ["$\\mathdefault{10^{18}}$"]


def test_colours_are_those_of_okabe_and_ito() -> None:
    palette = {"#000000", "#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7"}
    used = (style.DATA, style.POSTERIOR, style.NEW_RUN, style.PRIOR, style.OPTIMUM, *style.FURTHER)
    assert {to_hex(c) for c in used} <= palette
    light = [0.2126 * r + 0.7152 * g + 0.0722 * b for r, g, b, _ in map(to_rgba, style.sequence(6))]
    assert (np.diff(light) > 0).all()
