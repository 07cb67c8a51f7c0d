"""Intervals on simulated runs: do they cover the truth, and how wide are they, beside other tools?

    python benchmarks/peers.py                              # everything but simple-scaling-laws; writes docs/peers.md
    python benchmarks/peers.py --ssl PYTHON                 # with it
    python benchmarks/peers.py --methods bayescale --designs grid --replicates 20

PYTHON is an interpreter from 3.12 on that has simple-scaling-laws (`python3.13 -m venv ssl; ssl/bin/pip install
simple-scaling-laws`). What is done is kept in peers.jsonl beside this file, a line a fit, and is not done again; the
page is written from it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from peer_methods import ALPHA, BETA, E, huber_bootstrap, least_squares_bootstrap, optimum, true_loss

HERE = Path(__file__).resolve().parent
BUDGET = 1e24
N_STAR = float(optimum(BUDGET))
D_STAR = BUDGET / 6 / N_STAR
TRUTH = {
    "E": E, "alpha": ALPHA, "beta": BETA, "N_opt": N_STAR,
    "L": float(true_loss(N_STAR, D_STAR)), "new_run": float("nan"),
}  # fmt: skip
"""L is the loss of the true optimum at 1e24 FLOPs; a new run there scatters about it, and is drawn for each table."""
NOISE = 0.01
DESIGNS = {"clean": 1, "outliers": 2, "grid": 3}
REAL = ("real240", "real245")


def simulate(design: str, index: int) -> pd.DataFrame:
    """Table `index` of a design."""
    rng = np.random.default_rng((2026, 3 if design == "grid" else 1, index))
    if design == "grid":
        C, x = (a.ravel() for a in np.meshgrid(np.logspace(19, 21.75, 4), np.linspace(-0.55, 0.55, 4)))
    else:
        C, x = 10 ** rng.uniform(18, 21.5, 240), rng.uniform(-0.8, 0.8, 240)
    N = optimum(C) * 10**x
    D = C / 6 / N
    loss = true_loss(N, D) * np.exp(NOISE * rng.standard_normal(len(N)))
    if design == "outliers":
        loss[rng.choice(240, 8, replace=False)] *= np.exp(rng.exponential(0.15, 8))
    return pd.DataFrame({"N": N, "D": D, "loss": loss})


def cramer_rao(design: str, index: int) -> dict[str, float]:
    """95 % widths of the best unbiased estimates where the noise's scale is known; a log ratio for N_opt."""
    from peer_methods import A, B

    table = simulate(design, index)
    N, D = table["N"].to_numpy(), table["D"].to_numpy()

    def gradient(N: Any, D: Any) -> np.ndarray:
        N, D = np.atleast_1d(N), np.atleast_1d(D)
        n, d = A * N**-ALPHA, B * D**-BETA
        return np.stack([np.ones_like(n), n, -n * np.log(N), d, -d * np.log(D)], axis=1)

    scaled = gradient(N, D) / (NOISE * true_loss(N, D)[:, None])
    covariance = np.linalg.inv(scaled.T @ scaled)
    at, step = np.array([E, np.log(A), ALPHA, np.log(B), BETA]), 1e-5
    slope = [
        np.log(optimum(BUDGET, *np.exp(p[[1, 3]]), p[2], p[4]) / optimum(BUDGET, *np.exp(q[[1, 3]]), q[2], q[4]))
        for p, q in ((at + step * unit, at - step * unit) for unit in np.eye(5))
    ]
    directions = {
        "E": np.eye(5)[0], "alpha": np.eye(5)[2], "beta": np.eye(5)[4],
        "N_opt": np.array(slope) / (2 * step), "L": gradient(N_STAR, D_STAR)[0],
    }  # fmt: skip
    widths = {n: 2 * 1.959964 * float(np.sqrt(g @ covariance @ g)) for n, g in directions.items()}
    widths["new_run"] = float(np.hypot(2 * 1.959964 * NOISE * TRUTH["L"], widths["L"]))
    return widths


def bayescale(table: pd.DataFrame, seed: int) -> dict[str, Any]:
    import bayescale as bs

    fit = bs.fit("chinchilla", table, seed=seed)
    rows = fit.summary(0.95).rename_axis("quantity").reset_index()
    optimum = fit.allocate(BUDGET, interval=0.95)
    predictions = fit.predict(N=N_STAR, D=D_STAR, interval=0.95)
    found = {
        **{r.quantity: r for r in rows.itertuples()},
        "N_opt": next(r for r in optimum.itertuples() if r.quantity == "N"),
        "L": next(r for r in predictions.itertuples() if r.quantity == "mean_curve"),
        "new_run": next(r for r in predictions.itertuples() if r.quantity == "new_run"),
    }
    intervals = {n: [float(getattr(found[n], k)) for k in ("median", "low", "high")] for n in TRUTH}
    note = {"converged": fit.converged, "sampler": fit.samples.method, "failures": list(fit.failures)}
    return {"intervals": intervals, **note}


class SimpleScalingLaws:
    """simple-scaling-laws in an interpreter of its own, which stays up between tables."""

    def __init__(self, python: str) -> None:
        self.process = subprocess.Popen(
            [python, "-W", "ignore", str(HERE / "peer_ssl.py"), str(N_STAR), str(D_STAR), str(BUDGET)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def __call__(self, table: pd.DataFrame, seed: int) -> dict[str, Any]:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps({"seed": seed, **table.to_dict("list")}) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise SystemExit("simple-scaling-laws ended without an answer; its message is above")
        found: dict[str, Any] = json.loads(answer)
        return found


def real_rows() -> Iterator[tuple[str, pd.DataFrame]]:
    """The digitised runs of Hoffmann et al. 2022: the 240 that were fitted, and all 245."""
    folder = Path(os.environ.get("BAYESCALE_DATA") or HERE.parent.parent / "shared" / "data")
    rows = pd.read_csv(folder / "epoch_chinchilla" / "tidy.csv")
    yield "real240", rows.loc[rows["epoch_in_fit"] == 1, ["N", "D", "loss"]].reset_index(drop=True)
    yield "real245", rows[["N", "D", "loss"]]


def run(methods: dict[str, Callable[..., Any]], designs: list[str], replicates: dict[str, int], cache: Path) -> None:
    """Fill the cache, design by design and table by table."""
    done = {(r["method"], r["design"], r["index"]) for r in read(cache).to_dict("records")}
    real = dict(real_rows()) if set(designs) & set(REAL) else {}
    for design in designs:
        for name, method in methods.items():
            for index in range(1 if design in REAL else replicates[name]):
                if (name, design, index) in done:
                    continue
                table = real[design] if design in REAL else simulate(design, index)
                begun = time.perf_counter()
                found = method(table, index)
                row = {"method": name, "design": design, "index": index, "seconds": time.perf_counter() - begun}
                with cache.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(row | found) + "\n")
                print(f"{name} {design} {index}: {row['seconds']:.1f} s", flush=True)


def read(cache: Path) -> pd.DataFrame:
    if not cache.is_file():
        return pd.DataFrame(columns=["method", "design", "index"])
    return pd.DataFrame([json.loads(line) for line in cache.read_text(encoding="utf-8").splitlines()])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", default="bayescale,huber,least_squares,ssl")
    parser.add_argument("--designs", default=",".join([*DESIGNS, *REAL]))
    parser.add_argument("--replicates", type=int, default=200)
    parser.add_argument("--ssl", metavar="PYTHON", help="an interpreter that has simple-scaling-laws")
    parser.add_argument("--ssl-replicates", type=int, default=100)
    parser.add_argument("--cache", type=Path, default=HERE / "peers.jsonl")
    parser.add_argument("--write", type=Path, default=HERE.parent / "docs" / "peers.md")
    options = parser.parse_args()
    known: dict[str, Callable[..., Any]] = {
        "bayescale": bayescale, "huber": huber_bootstrap, "least_squares": least_squares_bootstrap,
    }  # fmt: skip
    if options.ssl and "ssl" in options.methods:
        known["ssl"] = SimpleScalingLaws(options.ssl)
    methods = {n: known[n] for n in options.methods.split(",") if n in known}
    replicates = {n: options.ssl_replicates if n == "ssl" else options.replicates for n in methods}
    run(methods, options.designs.split(","), replicates, options.cache)
    if options.write.parent.is_dir():
        from peer_page import page

        options.write.write_text(page(read(options.cache)), encoding="utf-8")


if __name__ == "__main__":
    main()
