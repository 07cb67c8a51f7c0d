"""Averages over laws: mixtures against closed forms, stacking against ArviZ, weights and refusals."""

from __future__ import annotations

import importlib
import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray
from scipy.optimize import brentq
from scipy.stats import norm

from bayescale.errors import DataError, UsageError
from bayescale.fit import Fit, fit
from bayescale.studies.compare import Comparison, compare
from bayescale.studies.compare.average import mixture
from bayescale.studies.compare.table import as_table, stack


@pytest.fixture(scope="module")
def comparison(small_fit: Fit, table: pd.DataFrame) -> Comparison:
    return compare({"chinchilla": small_fit, "kaplan": "kaplan_nd"}, table)


def test_a_mixture_of_normals() -> None:
    rng = np.random.default_rng(0)
    parts = [(0.3, -1.0, 0.5, 40000), (0.7, 2.0, 1.0, 20000)]
    found = mixture([rng.normal(m, s, (n, 1)) for _, m, s, n in parts], [w for w, *_ in parts], 0.8)
    mean = 0.3 * -1.0 + 0.7 * 2.0
    within, between = 0.3 * 0.25 + 0.7 * 1.0, 0.3 * (-1 - mean) ** 2 + 0.7 * (2 - mean) ** 2
    assert abs(found["mean"][0] - mean) <= 0.03
    assert abs(found["sd_within"][0] ** 2 - within) <= 0.03 and abs(found["sd_between"][0] ** 2 - between) <= 0.05
    assert np.isclose(found["sd"] ** 2, found["sd_within"] ** 2 + found["sd_between"] ** 2)
    for name, p in (("low", 0.1), ("median", 0.5), ("high", 0.9)):
        exact = brentq(lambda x, p=p: sum(w * norm(m, s).cdf(x) for w, m, s, _ in parts) - p, -9, 9)
        assert abs(found[name][0] - exact) <= 0.04


def test_a_mixture_of_one_is_that_one() -> None:
    draws = np.random.default_rng(1).normal(size=(4000, 3))
    found = mixture([draws], [1.0])
    assert np.allclose(found["median"], np.median(draws, axis=0), atol=1e-3)
    assert np.allclose(found["sd"], draws.std(axis=0, ddof=1)) and not found["sd_between"].any()


def test_stacking_agrees_with_arviz() -> None:
    arviz_stats: Any = importlib.import_module("arviz_stats")
    rng = np.random.default_rng(2)
    y, trees, pointwise = rng.standard_t(4, 80), {}, []
    axes = {"chain": np.arange(4), "draw": np.arange(500)}
    for name, location, scale in (("a", 0.0, 0.7), ("b", 0.4, 1.6), ("c", 3.0, 1.0)):
        values = norm(location + 0.1 * rng.normal(size=(4, 500, 1)), scale).logpdf(y)
        log_likelihood = xarray.Dataset({"y": (("chain", "draw", "i"), values)}, coords={**axes, "i": np.arange(80)})
        posterior = xarray.Dataset({"m": (("chain", "draw"), rng.normal(size=(4, 500)))}, coords=axes)
        trees[name] = xarray.DataTree.from_dict({"posterior": posterior, "log_likelihood": log_likelihood})
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pointwise.append(np.array(arviz_stats.loo(trees[name], pointwise=True, reff=1.0).elpd_i))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = arviz_stats.compare(trees, method="stacking")["weight"]
    # ArviZ 1.x rounds its table to two decimals
    assert np.allclose(stack(np.column_stack(pointwise)), [theirs[n] for n in "abc"], atol=0.02)


def test_stacking_finds_the_shares_of_a_mixture() -> None:
    rng = np.random.default_rng(3)
    y = np.where(rng.random(20000) < 0.3, rng.normal(-2, 1, 20000), rng.normal(2, 1, 20000))
    found = stack(np.column_stack([norm(-2, 1).logpdf(y), norm(2, 1).logpdf(y), norm(9, 1).logpdf(y)]))
    assert np.allclose(found, [0.3, 0.7, 0.0], atol=0.02)


def test_predictions_lie_between_those_of_the_laws(comparison: Comparison) -> None:
    at = {"N": [70e9, 1e12], "D": 1.4e12}
    single = {n: f.predict(**at).set_index(["N", "quantity"]) for n, f in comparison.fits.items()}
    found = comparison.predict(weights={"chinchilla": 1.0, "kaplan": 3.0}, **at)
    assert list(found.columns[:8]) == ["N", "D", "quantity", "median", "mean", "sd", "low", "high"]
    assert list(found.columns[8:]) == ["sd_within", "sd_between", "decades_N", "decades_D", "decades_C"]
    found = found.set_index(["N", "quantity"])
    expected = 0.25 * single["chinchilla"]["mean"] + 0.75 * single["kaplan"]["mean"]
    curve = found.xs("mean_curve", level=1)
    assert np.allclose(curve["mean"], expected.xs("mean_curve", level=1), rtol=1e-3)
    assert np.allclose(curve["sd"] ** 2, curve["sd_within"] ** 2 + curve["sd_between"] ** 2)
    # the exponential of a Student-t has no moments
    assert found.xs("new_run", level=1)[["mean", "sd", "sd_within", "sd_between"]].isna().all(axis=None)
    assert (found["sd_between"].xs("mean_curve", level=1) > found["sd_within"].xs("mean_curve", level=1)).all()


def test_the_weight_of_one_law_gives_its_allocation(comparison: Comparison) -> None:
    alone = comparison.fits["chinchilla"].allocate(C=[1e22, 1e24])
    found = comparison.allocate(C=[1e22, 1e24], weights={"chinchilla": 1.0})
    assert list(found["quantity"]) == list(alone["quantity"])
    for column in ("median", "low", "high", "mean"):
        assert np.allclose(found[column], alone[column], rtol=1e-3)


@pytest.fixture(scope="module")
def of_groups(small_fit: Fit, table: pd.DataFrame) -> Comparison:
    """A law that is pooled, and one that is not; its fit passes for converged."""
    mixes = table.assign(mix=np.where(np.arange(30) % 2, "a", "b"))
    found = fit("chinchilla", mixes, pool={"mix": {"E": 0.1}}, method="laplace")
    pooled = replace(found, samples=replace(found.samples, failures=()))
    table = as_table({n: {"probability": 0.5, "converged": True} for n in ("pooled", "plain")})
    return Comparison(table, {"pooled": pooled, "plain": small_fit}, {}, pd.DataFrame(), "", ())


def test_an_average_is_asked_about_a_group(of_groups: Comparison) -> None:
    found = of_groups.predict(N=1e9, D=1e10, mix=["a", "b"])
    assert list(found["mix"]) == ["a", "a", "b", "b"] and list(found.columns[:4]) == ["N", "D", "mix", "quantity"]
    asked: dict[str, dict[str, str]] = {"pooled": {"mix": "a"}, "plain": {}}
    of_each = [of_groups.fits[n].predict(N=1e9, D=1e10, **groups)["mean"][0] for n, groups in asked.items()]
    assert found["mean"][0] == pytest.approx(np.mean(of_each), rel=1e-6)
    split = of_groups.allocate(1e22, mix="a")
    assert np.isfinite(split["median"]).all()
    table = of_groups.predict(pd.DataFrame({"N": [1e9, 1e9], "D": [1e10, 1e10], "mix": ["b", "a"]}))
    assert list(table["mix"]) == ["b", "b", "a", "a"] and table["median"][2] == pytest.approx(found["median"][0])
    with pytest.raises(UsageError, match="the fit has no mix 'c'"):
        of_groups.predict(N=1e9, D=1e10, mix="c")
    with pytest.raises(UsageError, match="has no input 'mxi'"):
        of_groups.predict(N=1e9, D=1e10, mxi="a")


def test_rules_and_what_is_no_rule(comparison: Comparison) -> None:
    assert comparison.weights("equal") == {"chinchilla": 0.5, "kaplan": 0.5}
    assert comparison.weights() == {"chinchilla": 1.0}
    assert np.isclose(sum(comparison.weights("stacking").values()), 1)
    with pytest.raises(UsageError, match=r"no rule 'stackin' to average by \(did you mean 'stacking'\?\)"):
        comparison.predict(N=1e9, D=1e10, weights="stackin")
    with pytest.raises(UsageError, match=r"has no law 'kaplen' \(did you mean 'kaplan'\?\)"):
        comparison.weights({"kaplen": 1.0})
    with pytest.raises(UsageError, match="from 0 up, not -1"):
        comparison.weights({"kaplan": -1.0})
    with pytest.raises(DataError, match="no law of the comparison has a weight"):
        comparison.weights({"kaplan": 0.0})
