"""Predictions: the numbers that the draws imply, how far they reach, and room for many points."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bayescale.answers.predict import decades_beyond
from bayescale.errors import UsageError
from bayescale.fit import Fit


def curve(fit: Fit, N: float, D: float) -> np.ndarray:
    c = {n: x.ravel() for n, x in fit.constants.items()}
    return c["E"] + c["A"] * N ** -c["alpha"] + c["B"] * D ** -c["beta"]


def test_the_mean_curve_is_the_law_at_every_draw(small_fit: Fit) -> None:
    table = small_fit.predict(N=[7e10, 1e9], D=1.4e12, interval=0.8)
    assert table["quantity"].tolist() == ["mean_curve", "new_run"] * 2
    assert table["N"].tolist() == [7e10, 7e10, 1e9, 1e9] and (table["D"] == 1.4e12).all()
    for N, row in zip((7e10, 1e9), table[table.quantity == "mean_curve"].itertuples(), strict=True):
        draws = curve(small_fit, N, 1.4e12)
        assert [row.median, row.mean, row.sd, row.low, row.high] == pytest.approx(
            [np.median(draws), draws.mean(), draws.std(ddof=1), *np.quantile(draws, [0.1, 0.9])], rel=1e-9
        )


def test_a_new_run_scatters_as_the_noise_says(small_fit: Fit) -> None:
    """Its quantiles are those of the mean curve times an independent draw of Student-t noise."""
    draws = small_fit.predict_draws(N=1e9, D=1e10)
    assert draws["new_run"].dims == ("draw", "point") and draws["N"].to_numpy() == [1e9]
    rng, c = np.random.default_rng(7), {n: x.ravel() for n, x in small_fit.constants.items()}
    assert draws["mean_curve"].to_numpy()[:, 0] == pytest.approx(curve(small_fit, 1e9, 1e10), rel=1e-12)
    direct = np.sort(np.log(curve(small_fit, 1e9, 1e10)) + c["sigma"] * rng.standard_t(c["nu"]))
    found = np.log(draws["new_run"].to_numpy()[:, 0])
    for q in (0.05, 0.25, 0.5, 0.75, 0.95):
        assert abs((found < np.quantile(direct, q)).mean() - q) < 5 * np.sqrt(2 * q * (1 - q) / len(found)), q


def test_new_runs_are_wider_and_have_no_moments(small_fit: Fit) -> None:
    mean, new = small_fit.predict(N=1e9, D=1e10).itertuples()
    assert new.low < mean.low < mean.high < new.high
    assert np.isfinite([mean.mean, mean.sd]).all() and np.isnan([new.mean, new.sd]).all()


def test_decades_beyond_the_data(small_fit: Fit, table: pd.DataFrame) -> None:
    low, high = table["N"].min(), table["N"].max()
    inside = {"N": np.array([1e9]), "D": np.array([1e11])}
    assert all(x == 0 for x in decades_beyond(small_fit, inside).values())
    beyond = decades_beyond(small_fit, {"N": np.array([high * 100, low / 10]), "D": np.array([1e11, 1e11])})
    assert beyond["decades_N"] == pytest.approx([2, 1]) and beyond["decades_D"] == pytest.approx([0, 0])
    compute = 6 * (table["N"] * table["D"])
    assert beyond["decades_C"][0] == pytest.approx(max(0, np.log10(6 * high * 100 * 1e11 / compute.max())))
    predicted = small_fit.predict(N=high * 100, D=1e11)
    assert predicted["decades_N"].tolist() == pytest.approx([2, 2])
    assert list(predicted.columns[-3:]) == ["decades_N", "decades_D", "decades_C"]


def test_a_table_of_points(small_fit: Fit, table: pd.DataFrame) -> None:
    from_table = small_fit.predict(table[:3])
    from_arrays = small_fit.predict(N=table["N"][:3], D=table["D"][:3])
    pd.testing.assert_frame_equal(from_table, from_arrays)
    with pytest.raises(UsageError, match="give the points as a table or as N, not both"):
        small_fit.predict(table, N=1e9)


def test_any_number_of_points_agrees(small_fit: Fit) -> None:
    N = np.logspace(8, 11, 1100)  # three blocks
    many = small_fit.predict(N=N, D=1e11)
    assert len(many) == 2200 and many["N"].to_numpy()[::2] == pytest.approx(N)
    few = small_fit.predict(N=N[[3, 600, 1099]], D=1e11)
    curves = many[many.quantity == "mean_curve"].iloc[[3, 600, 1099]]
    assert curves["high"].to_numpy() == pytest.approx(few[few.quantity == "mean_curve"]["high"].to_numpy(), rel=1e-12)


def test_wrong_inputs_are_refused(small_fit: Fit) -> None:
    with pytest.raises(UsageError, match="law chinchilla needs D; its inputs are N, D"):
        small_fit.predict(N=1e9)
    with pytest.raises(UsageError, match="a budget C goes with one of N and D"):
        small_fit.predict(N=1e9, D=1e10, C=6e19)
    with pytest.raises(UsageError, match=r"D must be positive and finite; found 0.0"):
        small_fit.predict(N=1e9, D=0)
    with pytest.raises(UsageError, match="the inputs must have one length"):
        small_fit.predict(N=[1e9, 2e9], D=[1e9, 2e9, 3e9])
    with pytest.raises(UsageError, match="an interval's mass is between 0 and 1"):
        small_fit.predict(N=1e9, D=1e10, interval=1.0)


def test_derived_quantities(small_fit: Fit) -> None:
    draws = small_fit.derive_draws("a")
    alpha, beta = (small_fit.constants[n].ravel() for n in ("alpha", "beta"))
    assert draws == pytest.approx(beta / (alpha + beta), rel=1e-12)
    row = small_fit.derive("a", interval=0.5).iloc[0]
    assert [row["low"], row["high"]] == pytest.approx(np.quantile(draws, [0.25, 0.75]))
    with pytest.raises(UsageError, match="law chinchilla has no derived quantity 'c'"):
        small_fit.derive("c")


MANY = """
import json, resource, sys
import numpy as np
import bayescale
fit = bayescale.load(sys.argv[1])
fit.predict(N=np.logspace(8, 11, 2000), D=1e11)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
table = fit.predict(N=np.logspace(8, 11, 100_000), D=1e11)
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
finite = bool(np.isfinite(table["high"]).all())
print(json.dumps({"rows": len(table), "finite": finite, "grown_MB": (after - before) / 1024}))
"""


@pytest.mark.slow
def test_a_hundred_thousand_points_fit_in_memory(saved: Path, python: Any) -> None:
    """All draws at all points would be 4000 x 1e5 x 8 bytes = 3.2 GB, twice."""
    done = python(MANY, str(saved))
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["rows"] == 200_000 and found["finite"] and found["grown_MB"] < 400
