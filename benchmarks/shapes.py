"""Extrapolation of one-variable curves: M1 to M4 and a broken power law, as posteriors and by least squares.

    python benchmarks/shapes.py [--only SUBSTRING] [--cache FILE]

Writes docs/shapes.md. Needs the curves of Alabdulmohsin et al. 2022 (BAYESCALE_DATA, or ../shared/data beside the
repository). Finished curves are kept in the cache file, so that an interrupted benchmark goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from scipy.optimize import least_squares

import bayescale as bs
from bayescale.answers.scores.evidence import log_evidence
from bayescale.law import at_rows
from bayescale.models.power_law import EXPONENT
from bayescale.posterior.density import PRIOR_DRAWS

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("BAYESCALE_DATA") or ROOT / ".." / "shared" / "data")
# the prior of kaplan_d's exponent is of language models' losses in nats; that of power_law_d's is of any curve
FORMS: dict[str, Any] = {
    "M1": bs.models.KaplanD(alpha_D=EXPONENT),
    "M2": bs.models.PowerLawD(),
    "M3": bs.models.M3(),
    "M4": bs.models.M4(),
    "BNSL": bs.models.BNSL(),
}
MASS = 0.9
STARTS = 20
FAR = 5.0
"""Bound of least squares on each unconstrained coordinate, in prior standard deviations from its prior's mean."""
DOMAINS = {"BB": "BIG-bench", "LM": "language modelling", "NMT": "translation"}


def curves() -> Iterator[tuple[str, pd.DataFrame, pd.DataFrame]]:
    """Name, rows to fit and rows to forecast, those of few rows first."""
    table = pd.read_csv(DATA / "revisiting_language" / "tidy.csv")
    for name, rows in sorted(table.groupby("group"), key=lambda x: x[1]["D"].nunique()):
        chosen = (
            rows[["D", "loss", "split"]].astype(float).drop_duplicates()
        )  # language models' rows are there four times
        yield str(name), chosen[chosen["split"] == 1], chosen[chosen["split"] == 0]


def rmse(curve: np.ndarray, observed: np.ndarray) -> float:
    """Root of the mean squared error of log loss."""
    return float(np.sqrt(np.mean((np.log(curve) - np.log(observed)) ** 2)))


_RESIDUALS: dict[str, Any] = {}


def squares(name: str, fit: bs.Fit, test: pd.DataFrame) -> np.ndarray:
    """The curve at the test rows by least squares of log loss: the best of many starts, which are prior draws."""
    target, data, own = fit.target, fit.padded, fit.target.law_index
    if name not in _RESIDUALS:

        def residuals(u: Any, data: Any) -> Any:
            law = target.law_at(target.constrain(jnp.zeros(target.dimension).at[own].set(u), data))
            off = jnp.log(at_rows(law, data.inputs)) - jnp.log(data.observed)
            return jnp.where(data.mask, off, 0.0)

        _RESIDUALS[name] = (jax.jit(residuals), jax.jit(jax.jacfwd(residuals)), jax.jit(jax.vmap(residuals, (0, None))))
    value, slope, many = _RESIDUALS[name]
    draws = target.prior_draws(PRIOR_DRAWS, 0, data)[:, own]
    with jax.enable_x64(True):
        middle, reach = draws.mean(axis=0), FAR * draws.std(axis=0)
        cost = np.nan_to_num((np.asarray(many(draws, data)) ** 2).sum(axis=1), nan=np.inf)
        found = [
            least_squares(
                lambda u: np.nan_to_num(value(u, data), nan=1e3),
                np.clip(start, middle - 0.9 * reach, middle + 0.9 * reach),
                jac=lambda u: np.nan_to_num(slope(u, data)), bounds=(middle - reach, middle + reach), max_nfev=300,
            )
            for start in draws[np.argsort(cost)[:STARTS]]
        ]  # fmt: skip
    best = np.zeros((1, target.dimension))
    best[0, own] = min(found, key=lambda f: f.cost).x
    curve = np.asarray(target.curve(target.constants_at(best, data), {"D": test["D"].to_numpy()}))
    return np.asarray(curve[0])


def scores(mean: np.ndarray, new: np.ndarray, observed: np.ndarray) -> dict[str, float]:
    """Of draws of the mean curve and of new runs, shape (draw, row) each."""
    low, high = np.quantile(new, [(1 - MASS) / 2, (1 + MASS) / 2], axis=0)
    return {
        "rmse": rmse(np.median(mean, axis=0), observed),
        "coverage": float(((observed >= low) & (observed <= high)).mean()),
        "width": float(np.median((high - low) / observed)),
    }


def assessed(train: pd.DataFrame, test: pd.DataFrame) -> dict[str, Any]:
    """Scores of every form on one curve, and of their averages."""
    observed = test["loss"].to_numpy()
    forms: dict[str, Any] = {}
    draws: dict[str, Any] = {}
    fits: dict[str, bs.Fit] = {}
    for name, law in FORMS.items():
        begun = time.perf_counter()
        fit = fits[name] = bs.fit(law, train[["D", "loss"]])
        seconds = time.perf_counter() - begun
        found = fit.predict_draws(test[["D"]])
        draws[name] = [found[q].to_numpy() for q in ("mean_curve", "new_run")]
        begun = time.perf_counter()
        point = squares(name, fit, test)
        forms[name] = {
            **scores(draws[name][0], draws[name][1], observed),
            "squares": rmse(point, observed),
            "converged": fit.converged,
            "failures": list(fit.failures),
            "seconds": [seconds, time.perf_counter() - begun],
        }
    usable = {n: log_evidence(f).log_evidence for n, f in fits.items() if f.converged}
    evidence = np.exp(np.array([*usable.values()]) - max(usable.values()))
    rng = np.random.default_rng(0)
    weights, averages = {}, {}
    for rule, share in (("evidence", evidence / evidence.sum()), ("equal", np.full(len(usable), 1 / len(usable)))):
        weights[rule] = {n: float(w) for n, w in zip(usable, share, strict=True)}
        counts = rng.multinomial(4000, share)
        mixed = [
            np.concatenate([rng.permutation(draws[n][i])[:k] for n, k in zip(usable, counts, strict=True)])
            for i in (0, 1)
        ]
        averages[rule] = scores(mixed[0], mixed[1], observed)
    return {"rows": [len(train), len(test)], "forms": forms, "weights": weights, "averages": averages}


def geometric(values: list[float]) -> float:
    """Geometric mean."""
    return float(np.exp(np.mean(np.log(values))))


def page(results: dict[str, Any], empty: list[str]) -> str:
    """The results as a page of markdown."""
    lines = [
        "# Extrapolated curves",
        "",
        "`python benchmarks/shapes.py`: the curves of loss against data of Alabdulmohsin et al. 2022 "
        "([arXiv:2209.06640](https://arxiv.org/abs/2209.06640)), BIG-bench, language modelling and translation. Each "
        "form ([how to fit them](howto/shapes.md)) is fitted to the rows that the authors fit and judged on those that "
        "they hold out, all at larger D: root mean squared error of log loss, times 1000. Left the posterior's median "
        "curve, right least squares of log loss by the same form, the field's recipe: SciPy's trust region from the "
        f"{STARTS} best of {PRIOR_DRAWS} prior draws, within {FAR:g} prior standard deviations. M1 has the exponent's "
        "prior of M2, so that evidence compares forms.",
        "",
        "Mind: rows along a curve may be of one run; BIG-bench's held-out rows mostly repeat one value; translation "
        "has one held-out row a curve. The scatter about a curve is not independent, which none of these fits knows, "
        "so that coverage of 90 % intervals for new runs is a matter of how well the form holds. Exact copies of rows "
        "(the language models' are there four times) are dropped."
        + (f" Without held-out rows: {', '.join(empty)}." if empty else ""),
        "",
        "## By domain",
        "",
        "Geometric means over curves; better is the share of curves on which the posterior extrapolates better than "
        "least squares; width is that of the intervals, relative to the loss.",
    ]
    rules = list(next(iter(results.values()))["averages"])
    for key, label in DOMAINS.items():
        mine = [r for n, r in results.items() if n.startswith(key + "|")]
        if not mine:
            continue
        lines += ["", f"### {label}, {len(mine)} curves", ""]
        lines += ["| form | posterior | least squares | better | coverage of 90 % | width | not converged |"]
        lines += ["|---|---|---|---|---|---|---|"]
        for form in FORMS:
            f = [r["forms"][form] for r in mine]
            lines.append(
                f"| {form} | {1e3 * geometric([x['rmse'] for x in f]):.1f} "
                f"| {1e3 * geometric([x['squares'] for x in f]):.1f} "
                f"| {np.mean([x['rmse'] < x['squares'] for x in f]):.0%} "
                f"| {np.mean([x['coverage'] for x in f]):.0%} | {np.median([x['width'] for x in f]):.1%} "
                f"| {sum(not x['converged'] for x in f) or ''} |"
            )
        for rule in rules:
            f = [r["averages"][rule] for r in mine]
            lines.append(
                f"| average, {rule} weights | {1e3 * geometric([x['rmse'] for x in f]):.1f} | | "
                f"| {np.mean([x['coverage'] for x in f]):.0%} | {np.median([x['width'] for x in f]):.1%} | |"
            )
    lines += ["", "## By curve", ""]
    lines += [f"| curve | rows | {' | '.join(FORMS)} | {' | '.join(rules)} | form of most evidence |"]
    lines += ["|---" * (len(FORMS) + len(rules) + 3) + "|"]
    for name, r in results.items():
        best = min(min(x["rmse"], x["squares"]) for x in r["forms"].values())

        def cell(x: dict[str, Any], best: float = best) -> str:
            pair = [f"**{1e3 * v:.1f}**" if v == best else f"{1e3 * v:.1f}" for v in (x["rmse"], x["squares"])]
            return " / ".join(pair) + ("" if x["converged"] else " (not converged)")

        cells = [cell(x) for x in r["forms"].values()] + [f"{1e3 * r['averages'][k]['rmse']:.1f}" for k in rules]
        first = max(r["weights"]["evidence"], key=r["weights"]["evidence"].get)
        lines.append(
            f"| {name.replace('|', ', ')} | {r['rows'][0]} + {r['rows'][1]} | {' | '.join(cells)} "
            f"| {first} ({r['weights']['evidence'][first]:.2f}) |"
        )
    seconds = {form: np.median([r["forms"][form]["seconds"] for r in results.values()], axis=0) for form in FORMS}
    said = ", ".join(f"{form} {s[0]:.0f} and {s[1]:.0f}" for form, s in seconds.items())
    return "\n".join([*lines, "", f"Median seconds, posterior and least squares, on a busy machine: {said}."]) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="Curves whose name holds this.")
    parser.add_argument("--cache", type=Path, default=Path(__file__).with_suffix(".json"))
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "shapes.md")
    arguments = parser.parse_args()
    results: dict[str, Any] = json.loads(arguments.cache.read_text()) if arguments.cache.is_file() else {}
    empty = []
    for name, train, test in curves():
        if test.empty:
            empty.append(name)
            continue
        if name in results or arguments.only not in name:
            continue
        results[name] = assessed(train, test)
        arguments.cache.write_text(json.dumps(results, indent=1))
        print(name, {n: (round(f["rmse"], 4), round(f["squares"], 4), f["converged"], [round(s) for s in f["seconds"]])
                     for n, f in results[name]["forms"].items()}, flush=True)  # fmt: skip
    arguments.output.write_text(page(results, empty), encoding="utf-8")


if __name__ == "__main__":
    main()
