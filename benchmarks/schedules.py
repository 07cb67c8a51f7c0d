"""Whole loss curves under learning-rate schedules that were not fitted, by the laws of `models/schedules.py`.

    python benchmarks/schedules.py [--every 8] [--size 25] [--cache FILE]

Writes docs/schedules.md and a picture. Needs the data set mpl of Luo et al. 2025 (BAYESCALE_DATA, or ../shared/data
beside the repository): 9 schedules at each of 3 sizes, of which the authors fit 3 and predict 6. Every 8th logged row
is fitted, with residuals that follow one another along each run; all rows of the other schedules are predicted. Beside
it the field's recipe: the multi-power law by Huber's loss of log residuals on all rows, from many starts.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy.optimize import minimize

import bayescale as bs
from bayescale.models import MultiPower
from bayescale.runs.schedule import paths

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("BAYESCALE_DATA") or ROOT / ".." / "shared" / "data") / "mpl" / "tidy.csv"
WARM = "0:0 2160:3e-4"
SCHEDULES = {
    "constant_24000": WARM,
    "constant_72000": WARM,
    "cosine_24000": f"{WARM} cosine 24000:3e-5",
    "cosine_72000": f"{WARM} cosine 72000:3e-5",
    "wsd_20000_24000": f"{WARM} 20000:3e-4 exp 24000:3e-5",
    "wsdld_20000_24000": f"{WARM} 20000:3e-4 24000:3e-5",
    **{f"wsdcon_{k}": f"{WARM} 8000:3e-4 8000:{k}e-5" for k in (3, 9, 18)},
}
"""What the logged rates follow, to the digits that were logged."""
PUBLISHED = {25: 0.0038, 100: 0.0044, 400: 0.0048}
"""Mean absolute error of the authors' fits over the schedules that they held out."""
MASS = 0.9
SHOWN = 100
"""The size whose forecasts are drawn."""
DELTA, STARTS = 1e-3, 60
LIMIT = 32_000
"""Draws a chain: with few rows of heavy tails there are several modes, between which chains take their time."""


def curves(size: int) -> pd.DataFrame:
    """The rows of one size, in millions of parameters."""
    table = pd.read_csv(DATA).rename(columns={"step": "S"})
    table = table[table["N"] == size * 1e6]
    return table.assign(run=table["schedule"], schedule=table["schedule"].map(SCHEDULES)).drop(columns=["N", "D", "C"])


def huber(train: pd.DataFrame, table: pd.DataFrame) -> np.ndarray:
    """The multi-power law at the rows of a table, by the field's recipe."""
    fit_at, at = (paths(t["S"].to_numpy(), t["schedule"].to_numpy()) for t in (train, table))
    observed = np.log(train["loss"].to_numpy())

    def law(x: np.ndarray, path: np.ndarray) -> np.ndarray:
        L_0, A, alpha, B, C, beta, gamma = np.exp(x)
        drop, rate, since = path[..., 0], path[..., 1], path[..., 2]
        gained = (drop * (1 - (1 + C * rate**-gamma * since) ** -beta)).sum(axis=1)
        return np.asarray(L_0 + A * path[:, 0, 2] ** -alpha - B * gained)

    def cost(x: np.ndarray) -> float:
        with np.errstate(all="ignore"):
            r = observed - np.log(law(x, fit_at))
        small = np.abs(r) <= DELTA
        total = float(np.where(small, r * r / 2, DELTA * (np.abs(r) - DELTA / 2)).sum() * 1e4)
        return total if np.isfinite(total) else 1e10

    rng = np.random.default_rng(0)
    middle = np.log([train["loss"].min() * 0.9, 0.5, 0.5, 400.0, 2.0, 0.6, 0.6])
    starts = middle + rng.normal(0, [0.03, 0.3, 0.2, 0.3, 0.7, 0.3, 0.3], (STARTS, 7))
    best = sorted(starts, key=cost)[:8]
    ends = [minimize(cost, x, method="Nelder-Mead", options={"maxiter": 4000, "fatol": 1e-6}) for x in best]
    return law(min(ends, key=lambda e: float(e.fun)).x, at)


def assessed(size: int, every: int) -> dict[str, Any]:
    """Errors of each predictor on the held-out schedules of one size."""
    table = curves(size)
    train, test = table[table["split"] == "fit"], table[table["split"] == "test"]
    observed, run = test["loss"].to_numpy(), test["run"].to_numpy()
    found: dict[str, Any] = {"rows": [len(train.iloc[::every]), len(test)]}

    def errors(median: np.ndarray) -> dict[str, Any]:
        """Of the law at every row of the table."""
        off = (median - table["loss"]).abs()
        fitted, held = (off[part.index].groupby(part["run"]) for part in (train, test))
        return {
            "fitted": float(fitted.mean().mean()),
            "mae": float(held.mean().mean()),
            "by_run": held.mean().to_dict(),
            "last": float(held.last().mean()),
        }

    found["multi_power, Huber"] = errors(huber(train, table))
    published = MultiPower(**MultiPower.published[f"Luo et al. 2025, {size}M"])
    found["published constants"] = errors(np.asarray(published(**{n: table[n].to_numpy() for n in ("S", "schedule")})))
    for law in ("multi_power", "annealing"):
        begun = time.perf_counter()
        fit = bs.fit(law, train.iloc[::every], likelihood="ar1", limit=LIMIT)
        seconds = time.perf_counter() - begun
        curve = fit.predict(table[["S", "schedule"]]).query("quantity == 'mean_curve'")["median"].to_numpy()
        predicted = fit.predict(test[["S", "schedule"]], interval=MASS)
        rows = {q: part.reset_index(drop=True) for q, part in predicted.groupby("quantity")}
        new = rows["new_run"]
        inside = (new["low"] < observed) & (observed < new["high"])
        found[law] = {
            **errors(curve),
            "converged": fit.converged,
            "coverage": float(inside.groupby(run).mean().mean()),
            "width": float(((new["high"] - new["low"]) / new["median"]).median()),
            "seconds": seconds,
            "constants": {n: [float(x) for x in r] for n, r in fit.summary(MASS)[["median", "low", "high"]].T.items()},
        }
        if law == "multi_power" and size == SHOWN:
            picture(fit, test, size)
    return found


def picture(fit: bs.Fit, test: pd.DataFrame, size: int) -> None:
    """Held-out schedules with their forecasts."""
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    for axis, names in zip(
        axes, (("wsd_20000_24000", "wsdld_20000_24000", "wsdcon_3"), ("cosine_72000",)), strict=True
    ):
        bs.plot.loss(fit, ax=axis, schedule=[SCHEDULES[n] for n in names])
        for name in names:
            rows = test[test["run"] == name]
            axis.plot(rows["S"], rows["loss"], ".", markersize=1.5, color="black")
        high = float(test[(test["run"].isin(names)) & (test["S"] > 4000)]["loss"].max())
        axis.set(ylim=(float(test[test["run"].isin(names)]["loss"].min()) - 0.03, high), xlim=(4000, None))
        axis.set_title(f"{size}M, forecast of {', '.join(n.split('_')[0] for n in names)}", fontsize="medium")
    figure.savefig(ROOT / "docs" / "images" / "schedules.png", dpi=130)
    plt.close(figure)


def page(results: dict[str, Any], every: int) -> str:
    """The results as markdown."""
    names = ("multi_power", "annealing", "multi_power, Huber", "published constants")
    lines = [
        "# Schedules that were not fitted",
        "",
        f"`python benchmarks/schedules.py`: the loss curves of Luo et al. 2025 (arXiv:2503.12811). At each size three "
        f"schedules are fitted (every {every}th logged row, with residuals that follow one another along each run) and "
        "six others predicted, two of them three times as long. Mean absolute error of the median, in nats a token: on "
        "all rows of the fitted schedules; averaged over the six; of their last rows alone. Coverage of 90 % intervals "
        "of a new run of the six, and their median width. *Huber* is the field's recipe on all rows; "
        "*published constants* are the authors' three-digit numbers evaluated here, with the warm-up summed "
        "over; the authors report the last column.",
        "",
        "| size | predictor | fitted | held out | at the end | coverage of 90 % | width | the paper, held out |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for size, r in results.items():
        for name in names:
            s = r[name]
            more = f"{s['coverage']:.0%} | {s['width']:.2%}" if "coverage" in s else "- | -"
            flag = "" if s.get("converged", True) else " (not converged)"
            told = PUBLISHED[int(size)] if name == "multi_power, Huber" else "-"
            numbers = " | ".join(f"{s[k]:.4f}" for k in ("fitted", "mae", "last"))
            lines.append(f"| {size}M | {name}{flag} | {numbers} | {more} | {told} |")
    lines += [
        "",
        "The authors' constants are not those that fit their three schedules best, and do better on the long ones: the "
        "law is not quite that of these curves, and what fits closest at 24,000 steps is off at 72,000. The intervals "
        "are of the law, and too narrow where it fails.",
        "",
        "Error by schedule, multi_power:",
        "",
        "| size | " + " | ".join(next(iter(results.values()))["multi_power"]["by_run"]) + " |",
    ]
    lines.append("|---|" + "---|" * len(next(iter(results.values()))["multi_power"]["by_run"]))
    for size, r in results.items():
        lines.append(f"| {size}M | " + " | ".join(f"{x:.4f}" for x in r["multi_power"]["by_run"].values()) + " |")
    lines += ["", "Constants of multi_power, median and 90 % interval, beside the authors':", ""]
    constants = [n for n in next(iter(results.values()))["multi_power"]["constants"] if n not in ("nu",)]
    lines += ["| size | " + " | ".join(constants) + " |", "|---|" + "---|" * len(constants)]
    for size, r in results.items():
        known = MultiPower.published[f"Luo et al. 2025, {size}M"]
        cells = []
        for n in constants:
            median, low, high = r["multi_power"]["constants"][n]
            cells.append(f"{median:.3g} ({low:.3g} to {high:.3g})" + (f"; {known[n]:g}" if n in known else ""))
        lines.append(f"| {size}M | " + " | ".join(cells) + " |")
    spent = ", ".join(f"{r['multi_power']['seconds']:.0f} s" for r in results.values())
    lines += ["", f"A fit of multi_power took {spent}.", ""]
    lines += [f"![Forecasts of held-out schedules at {SHOWN}M](images/schedules.png)"]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=8)
    parser.add_argument("--size", help="Sizes in millions, separated by commas; all when left out.")
    parser.add_argument("--cache", type=Path, default=Path(__file__).with_suffix(".json"))
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "schedules.md")
    arguments = parser.parse_args()
    results: dict[str, Any] = json.loads(arguments.cache.read_text()) if arguments.cache.is_file() else {}
    sizes = [int(s) for s in arguments.size.split(",")] if arguments.size else list(PUBLISHED)
    for size in sizes:
        if str(size) not in results:
            results[str(size)] = assessed(size, arguments.every)
            arguments.cache.write_text(json.dumps(results))
            print(size, {n: r["mae"] for n, r in results[str(size)].items() if n != "rows"}, flush=True)
    done = {str(s): results[str(s)] for s in PUBLISHED if str(s) in results}
    arguments.output.write_text(page(done, arguments.every))


if __name__ == "__main__":
    main()
