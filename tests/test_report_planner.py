"""The planner's numbers, run under node on the page's own scripts, against the Python API."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from importlib import resources
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bayescale.answers.allocate import allocate, penalty
from bayescale.answers.predict import predict
from bayescale.fit import Fit, fit
from bayescale.report import content, payload
from bayescale.report.subject import subject_of
from bayescale.runs.cost import Cost
from bayescale.studies.compare import Comparison

pytestmark = pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")

TERMS = {"serving": 0, "maxN": 1e300, "maxD": 1e300}


def planned(found: Any, expression: str, group: int = 0) -> Any:
    """A JavaScript expression of `laws` (the page's laws with their draws), `content` and the page's functions."""
    subject = subject_of(found, 0.9)
    plan, functions, why = payload.planner(subject, content.fitted(subject.lead, content.spread_out(subject.lead)))
    assert why == ""
    script = str(resources.files("bayescale.report") / "numerics.js")
    lines = [
        "const pick = (names) => (found) => Object.fromEntries(names.map((n) => [n, estimate(found[n])]));",
        f"const bayescale = require({json.dumps(script)});",
        f"const content = {json.dumps(plan)};",
        f"const LAWS = [{', '.join(functions)}];",
        "const laws = content.laws.map((entry, i) => bayescale.posterior(entry, LAWS[i], " + f"{group}));",
        "const estimate = (parts) => bayescale.estimate(parts, content.interval);",
        f"const terms = {{ ...content.cost, ...{json.dumps(TERMS)} }};",
        f"console.log(JSON.stringify({expression}));",
    ]
    done = subprocess.run(["node", "-"], input="\n".join(lines), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def close(table: pd.DataFrame, quantity: str, got: list[dict[str, float]], tolerance: float = 0.01) -> None:
    want = table[table["quantity"] == quantity][["low", "median", "high"]].to_numpy()
    np.testing.assert_allclose([[e["low"], e["median"], e["high"]] for e in got], want, rtol=tolerance)


BUDGETS = [float(x) for x in np.geomspace(1e19, 1e26, 10)]


@pytest.mark.parametrize("cost", [Cost(9.0), Cost(5.0, 1.05, 0.98)])
def test_allocations_by_the_tables_own_count(small_fit: Fit, cost: Cost) -> None:
    own = replace(small_fit, runs=replace(small_fit.runs, cost=cost))
    table = allocate(own, BUDGETS)
    got = planned(own, f"{BUDGETS}.map((C) => bayescale.allocate(laws, {{}}, C, terms)).map(pick(['N', 'D']))")
    for name in ("N", "D"):
        close(table, name, [g[name] for g in got])
    mine, D = planned(
        own, "[[3e8, 7e9].map((N) => bayescale.cost(N, 2e10, terms)), bayescale.tokens(1e21, 7e9, terms)]"
    )
    np.testing.assert_allclose(np.array(mine, float), cost.flops(np.array([3e8, 7e9]), 2e10))
    assert D == pytest.approx(cost.tokens(1e21, 7e9))
    assert planned(own, "bayescale.parameters(1e21, 2e10, terms)") == pytest.approx(cost.parameters(1e21, 2e10))


def test_allocations_at_ten_budgets(small_fit: Fit) -> None:
    table = allocate(small_fit, BUDGETS)
    each = f"{BUDGETS}.map((C) => bayescale.allocate(laws, {{}}, C, terms))"
    got = planned(small_fit, f"{each}.map(pick(['N', 'D', 'ratio', 'loss']))")
    for name, quantity in (("N", "N"), ("D", "D"), ("ratio", "tokens_per_parameter"), ("loss", "loss")):
        close(table, quantity, [g[name] for g in got], 1e-4)


@pytest.mark.parametrize(
    "terms",
    [
        {"inference_tokens": 1e13},
        {"max_N": 7e9},
        {"max_D": 3e11},
        {"inference_tokens": 1e12, "max_N": 2e9, "max_D": 1e11},
    ],
    ids=lambda t: ",".join(t),
)
def test_allocations_with_serving_and_limits(small_fit: Fit, terms: dict[str, Any]) -> None:
    budgets = [1e22, 1e24]
    page = TERMS | {"serving": 2 * terms.get("inference_tokens", 0)}
    page |= {"maxN": terms.get("max_N", 1e300), "maxD": terms.get("max_D", 1e300)}
    each = f"{budgets}.map((C) => bayescale.allocate(laws, {{}}, C, {json.dumps(page)}))"
    got = planned(small_fit, f"{each}.map(pick(['N', 'D', 'loss']))")
    table = allocate(small_fit, budgets, **terms)
    for name in ("N", "D", "loss"):
        close(table, name, [g[name] for g in got], 1e-3)


def test_predictions_and_new_runs(small_fit: Fit) -> None:
    table = predict(small_fit, N=[1e9, 70e9], D=[1e11, 1.4e12])
    points = [{"N": 1e9, "D": 1e11}, {"N": 70e9, "D": 1.4e12}]
    got = planned(
        small_fit, f"{json.dumps(points)}.map((x) => bayescale.predict(laws, x)).map(pick(['mean', 'newRun']))"
    )
    close(table, "mean_curve", [g["mean"] for g in got], 1e-9)
    close(table, "new_run", [g["newRun"] for g in got], 0.005)  # both draw the scatter, each its own


def test_penalty_of_a_chosen_model(small_fit: Fit) -> None:
    N, D = 70e9, 1.4e12
    table = penalty(small_fit, N, D)
    C = 6 * N * D
    best = f"bayescale.allocate(laws, {{}}, {C}, terms)"
    found = f"bayescale.penalty(laws, {{}}, {N}, {D}, {C}, terms, {best})"
    got = planned(small_fit, f"pick(['loss', 'excess', 'penalty'])({found})")
    close(table, "loss", [got["loss"]], 1e-9)
    close(table, "compute_penalty", [got["penalty"]], 2e-3)
    want = table[table["quantity"] == "excess_loss"].iloc[0]
    assert got["excess"]["median"] == pytest.approx(want["median"], rel=0.01)
    assert got["excess"]["high"] == pytest.approx(want["high"], rel=0.01)


@pytest.mark.parametrize("target", [2.2, 1.85])
def test_compute_that_a_target_needs(small_fit: Fit, target: float) -> None:
    table = allocate(small_fit, loss=target)
    found = f"bayescale.needed(laws, {{}}, {target}, terms, 1e23)"
    got = planned(small_fit, f"[{found}].map((x) => ({{ probability: x.probability, C: estimate(x.C) }}))[0]")
    assert got["probability"] == pytest.approx(table["probability"].iloc[0], abs=1e-3)
    close(table, "C", [got["C"]], 2e-3)


def test_groups_and_what_they_do_to_a_run(table: pd.DataFrame) -> None:
    """The planner's numbers of a group are those of the API, its effect on the law and a new run's among them."""
    mixed = table.assign(mix=np.where(np.arange(30) % 2, "a", "b"), kind=np.where(np.arange(30) % 3, "x", "y"))
    found = fit("chinchilla", mixed, pool={"mix": {"E": 0.1}, "kind": {"loss": 0.02}}, method="laplace")
    groups = subject_of(found, 0.9).plans
    assert groups[1] == {"mix": "a", "kind": "y"} and groups[-1] == {"mix": "unseen", "kind": "unseen"}
    point = {"N": 1e9, "D": 1e11}
    for index in (1, len(groups) - 1):
        want = predict(found, **point, **groups[index])
        got = planned(found, f"pick(['mean', 'newRun'])(bayescale.predict(laws, {json.dumps(point)}))", index)
        close(want, "mean_curve", [got["mean"]], 1e-9)
        close(want, "new_run", [got["newRun"]], 0.005)


def test_averages_over_laws(small_fit: Fit, table: pd.DataFrame) -> None:
    fits = {"chinchilla": small_fit, "kaplan_nd": fit("kaplan_nd", table)}
    scores = pd.DataFrame({"probability": [0.5, 0.5], "converged": [True, True]}, index=list(fits))
    equal = Comparison(scores, fits, {}, pd.DataFrame(), "", ())
    want = equal.allocate([1e21, 1e24])
    got = planned(equal, "[1e21, 1e24].map((C) => bayescale.allocate(laws, {}, C, terms)).map(pick(['N', 'loss']))")
    for name in ("N", "loss"):
        close(want, name, [g[name] for g in got], 2e-3)
