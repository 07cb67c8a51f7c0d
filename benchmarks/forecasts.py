"""Forecasts of the largest runs from the smaller ones: single laws, averages, and Huber least squares with a bootstrap.

    python benchmarks/forecasts.py [--only epoch_240] [--cache FILE]

Writes docs/forecasts.md. Needs the real data sets (BAYESCALE_DATA, or ../shared/data beside the repository). Finished
splits are kept in the cache file, so that an interrupted benchmark goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import minimize

import bayescale as bs
from bayescale.answers.scores.holdout import largest
from bayescale.posterior.data import padded
from bayescale.studies.compare.average import RULES

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("BAYESCALE_DATA") or ROOT / ".." / "shared" / "data")
LAWS = ("chinchilla", "chinchilla_tied", "chinchilla_no_floor", "coupled", "kaplan_nd", "kaplan_e")
MASS = 0.9
BOOTSTRAPS = 300
HUBER = "Huber + bootstrap"
OWN_EVALUATION = {"c4_original": "c4_val", "rpj": "paloma_redpajama", "rw_original": "paloma_falcon-refinedweb"}


def splits() -> Iterator[tuple[str, str, pd.DataFrame, pd.DataFrame]]:
    """Name, what is held out, training rows and held-out rows."""

    def read(name: str) -> pd.DataFrame:
        return pd.read_csv(DATA / name / "tidy.csv")

    def cut(name: str, what: str, table: pd.DataFrame, held_out: np.ndarray) -> Any:
        table = table[["N", "D", "loss"]].astype(float).reset_index(drop=True)
        return name, what, table[~held_out], table[held_out]

    epoch = read("epoch_chinchilla")
    for name, rows in (("epoch_240", epoch[epoch["epoch_in_fit"] == 1]), ("epoch_245", epoch)):
        yield cut(name, "the fifth of the runs that cost most", rows, largest((6 * rows["N"] * rows["D"]).to_numpy()))
    gadre = read("gadre")
    for train_set, evaluation in OWN_EVALUATION.items():
        rows = gadre[(gadre["train_set"] == train_set) & (gadre["eval_set"] == evaluation)]
        yield cut(f"gadre_{train_set}", "models of 1.4B and 6.9B", rows, (rows["N"] > 1e9).to_numpy())
    hot = read("gemstones")
    hot = hot[hot["subset"] == "hot"]
    cost = (6 * hot["N"] * hot["D"]).groupby(hot["run_name"]).max().sort_values()
    chosen = cost.index[-max(len(cost) // 5, 1) :]
    yield cut(
        "gemstones_hot",
        f"the {len(chosen)} costliest runs, all checkpoints",
        hot,
        hot["run_name"].isin(chosen).to_numpy(),
    )
    repeated = read("datablations")
    once = repeated[(repeated["in_fit182"] == 1) & (repeated["epochs"] <= 1)]
    yield cut(
        "datablations_once", "the costliest runs on unique data", once, largest((6 * once["N"] * once["D"]).to_numpy())
    )


LEVELS = np.arange(1, 100) / 100


def crps(draws: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """Continuous ranked probability score on log loss of draws, shape (draw, row), against observations, shape (row,).

    Twice the mean quantile loss over the percentiles (Gneiting & Raftery 2007, section 6), which unlike means over
    draws is finite for a Student-t of any degrees of freedom.
    """
    with np.errstate(divide="ignore", over="ignore"):
        quantiles = np.clip(np.log(np.quantile(draws, LEVELS, axis=0, method="nearest")), -100, 100)
    below = np.log(observed) - quantiles
    return np.asarray(2 * np.maximum(LEVELS[:, None] * below, (LEVELS[:, None] - 1) * below).mean(axis=0))


def scores(draws: np.ndarray, log_density: np.ndarray, observed: np.ndarray) -> dict[str, float]:
    """Scores of a predictive distribution over the held-out rows."""
    low, high = np.quantile(draws, [(1 - MASS) / 2, (1 + MASS) / 2], axis=0)
    return {
        "crps": float(crps(draws, observed).mean()),
        "log_score": float(log_density.mean()),
        "coverage": float(((observed >= low) & (observed <= high)).mean()),
        "width": float(np.median((high - low) / observed)),
        "bias": float(np.median(np.median(draws, axis=0) / observed - 1)),
    }


def predictive(fit: bs.Fit, test: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Draws of new runs at the test rows, shape (draw, row), and the log predictive density there, shape (row,)."""
    inputs, observed = {n: test[n].to_numpy() for n in fit.law.inputs}, test["loss"].to_numpy()
    draws = fit.predict_draws(test)["new_run"].to_numpy()
    data = padded(inputs, observed, None, fit.centre, "loss")
    constants = fit.thinned()
    values = np.asarray(fit.target.log_likelihood(constants, data))[:, : len(test)]
    top = values.max(axis=0)
    return draws, top + np.log(np.exp(values - top).mean(axis=0))


def huber_fit(log_N: np.ndarray, log_D: np.ndarray, log_L: np.ndarray, start: np.ndarray | None = None) -> np.ndarray:
    """Hoffmann et al. 2022, approach 3: log-sum-exp of (a - alpha log N, b - beta log D, e), Huber loss of 1e-3."""
    delta = 1e-3

    def objective(x: np.ndarray) -> tuple[float, np.ndarray]:
        a, alpha, b, beta, e = x
        terms = np.stack([a - alpha * log_N, b - beta * log_D, np.full_like(log_N, e)])
        mean = np.logaddexp.reduce(terms, axis=0)
        share = np.exp(terms - mean)
        r = mean - log_L
        value = np.where(np.abs(r) <= delta, 0.5 * r**2, delta * (np.abs(r) - delta / 2)).sum()
        slope = np.clip(r, -delta, delta)
        gradient = [share[0] @ slope, -(share[0] * log_N) @ slope, share[1] @ slope, -(share[1] * log_D) @ slope]
        return float(value) * 1e4, np.array([*gradient, share[2] @ slope]) * 1e4

    starts = [start] if start is not None else [
        np.array([a, alpha, b, beta, e])
        for a in (2.0, 6.0, 12.0) for alpha in (0.2, 0.5) for b in (2.0, 6.0, 12.0) for beta in (0.2, 0.5)
        for e in (-0.5, 0.5)
    ]  # fmt: skip
    found = [minimize(objective, s, jac=True, method="L-BFGS-B", options={"maxiter": 2000}) for s in starts]
    return np.asarray(min(found, key=lambda f: f.fun).x)


def huber(train: pd.DataFrame, test: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """What the field does: the point fit's law, refitted to resampled rows, with resampled residuals for new runs.

    The density is a normal one about each bootstrap's curve, its scale the residuals' median absolute deviation.
    """
    rng = np.random.default_rng(0)
    columns = [np.log(train[n].to_numpy()) for n in ("N", "D", "loss")]
    centre = [columns[0].mean(), columns[1].mean()]
    columns[0], columns[1] = columns[0] - centre[0], columns[1] - centre[1]
    log_N, log_D = np.log(test["N"].to_numpy()) - centre[0], np.log(test["D"].to_numpy()) - centre[1]

    def curve(x: np.ndarray, log_N: np.ndarray, log_D: np.ndarray) -> np.ndarray:
        a, alpha, b, beta, e = x
        return np.logaddexp.reduce([a - alpha * log_N, b - beta * log_D, np.full_like(log_N, e)], axis=0)

    # in centred inputs the terms are near the loss itself
    point = min(
        (huber_fit(*columns, start=np.array([a, s, b, t, e]))
         for a in (-2.0, -0.5) for b in (-2.0, -0.5) for s in (0.2, 0.5) for t in (0.2, 0.5) for e in (-0.5, 0.5)),
        key=lambda x: float(np.abs(columns[2] - curve(x, columns[0], columns[1])).sum()),
    )  # fmt: skip
    residuals = columns[2] - curve(point, columns[0], columns[1])
    scale = 1.4826 * np.median(np.abs(residuals - np.median(residuals)))
    curves = []
    for _ in range(BOOTSTRAPS):
        rows = rng.integers(0, len(train), len(train))
        curves.append(curve(huber_fit(*(c[rows] for c in columns), start=point), log_N, log_D))
    means = np.repeat(np.array(curves), 10, axis=0)
    draws = np.exp(means + rng.choice(residuals, means.shape))
    log_loss = np.log(test["loss"].to_numpy())
    values = -0.5 * ((log_loss - np.array(curves)) / scale) ** 2 - 0.5 * np.log(2 * np.pi) - np.log(scale) - log_loss
    top = values.max(axis=0)
    return draws, top + np.log(np.exp(values - top).mean(axis=0))


def assessed(train: pd.DataFrame, test: pd.DataFrame) -> dict[str, Any]:
    """Scores of every predictor on one split."""
    begun = time.perf_counter()
    comparison = bs.compare(LAWS, train)
    observed = test["loss"].to_numpy()
    single = {n: predictive(f, test) for n, f in comparison.fits.items() if f.converged}
    found = {n: scores(*p, observed) for n, p in single.items()}
    weights: dict[str, dict[str, float]] = {}
    rng = np.random.default_rng(0)
    for rule in RULES:
        try:
            weights[rule] = comparison.weights(rule)
        except bs.DataError:
            continue
        share = weights[rule]
        size = 4000
        counts = rng.multinomial(size, list(share.values()))
        draws = np.concatenate([rng.permutation(single[n][0])[:k] for n, k in zip(share, counts, strict=True)])
        log_density = np.logaddexp.reduce([np.log(w) + single[n][1] for n, w in share.items()], axis=0)
        found[f"average by {rule}"] = scores(draws, log_density, observed)
    found[HUBER] = scores(*huber(train, test), observed)
    return {
        "rows": [len(train), len(test)],
        "scores": found,
        "weights": weights,
        "verdict": comparison.verdict,
        "unconverged": [n for n in LAWS if n not in single],
        "seconds": time.perf_counter() - begun,
    }


def page(results: dict[str, Any]) -> str:
    """The results as a page of markdown."""
    lines = [
        "# Forecasts of the largest runs",
        "",
        "`python benchmarks/forecasts.py`: on each real data set the costliest runs are held out, everything is fitted "
        "to the others, and new runs are forecast. CRPS of log loss (less is better), mean log density (more is "
        "better), coverage of 90 % intervals, their median width relative to the loss, and the median relative error "
        "of the median. "
        "Weights of averages come from the training rows alone. The additive family's common misfit is part of what is "
        "measured here: none of the predictors knows that its law is wrong.",
    ]
    for name, r in results.items():
        lines += [
            "",
            f"## {name}",
            "",
            f"Held out: {r['what']} ({r['rows'][1]} rows; {r['rows'][0]} to train on). {r['verdict']}",
            "",
            "| predictor | CRPS | log density | coverage of 90 % | width | error |",
            "|---|---|---|---|---|---|",
        ]
        best = min(s["crps"] for s in r["scores"].values())
        for predictor, s in r["scores"].items():
            mark = "**" if s["crps"] == best else ""
            lines.append(
                f"| {predictor} | {mark}{s['crps']:.4f}{mark} | {s['log_score']:.2f} | {s['coverage']:.0%} "
                f"| {s['width']:.2%} | {s['bias']:+.2%} |"
            )
        said = "; ".join(
            f"{rule}: " + ", ".join(f"{n} {w:.2f}" for n, w in ws.items()) for rule, ws in r["weights"].items()
        )
        lines += [
            "",
            f"Weights. {said}." + (f" Not converged: {', '.join(r['unconverged'])}." if r["unconverged"] else ""),
        ]
    predictors = list(dict.fromkeys(p for r in results.values() for p in r["scores"]))
    lines += [
        "",
        "## All sets together",
        "",
        "| predictor | mean rank by CRPS | mean coverage of 90 % | sets |",
        "|---|---|---|---|",
    ]
    ranks: dict[str, list[int]] = {p: [] for p in predictors}
    for r in results.values():
        order = sorted(r["scores"], key=lambda p: r["scores"][p]["crps"])
        for p in order:
            ranks[p].append(order.index(p) + 1)
    for p in sorted(predictors, key=lambda p: np.mean(ranks[p])):
        covered = np.mean([r["scores"][p]["coverage"] for r in results.values() if p in r["scores"]])
        lines.append(f"| {p} | {np.mean(ranks[p]):.1f} | {covered:.0%} | {len(ranks[p])} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", help="Splits, separated by commas; all when left out.")
    parser.add_argument("--cache", type=Path, default=Path(__file__).with_suffix(".json"))
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "forecasts.md")
    arguments = parser.parse_args()
    results: dict[str, Any] = json.loads(arguments.cache.read_text()) if arguments.cache.is_file() else {}
    for name, what, train, test in splits():
        if name in results or (arguments.only and name not in arguments.only.split(",")):
            continue
        results[name] = {"what": what, **assessed(train, test)}
        arguments.cache.write_text(json.dumps(results, indent=1))
        print(name, f"{results[name]['seconds']:.0f} s", results[name]["verdict"], flush=True)
    arguments.output.parent.mkdir(exist_ok=True)
    arguments.output.write_text(page(results), encoding="utf-8")


if __name__ == "__main__":
    main()
