"""How long a posterior takes, beside Hoffmann's point estimate and PyMC with nutpie, on the same 240 rows.

    python benchmarks/speed.py --peers PYTHON

PYTHON is an interpreter that has pymc and nutpie (``python -m venv peers; peers/bin/pip install pymc nutpie pandas``);
without it their rows are left out. Writes speed.md beside this file.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent

# --- bayescale, in a process of its own ---------------------------------------------------------------------------

OURS = """
import sys
import bayescale as bs
fit = bs.fit("chinchilla", sys.argv[1])
import json
print(json.dumps({"converged": fit.converged, "seconds": dict(fit.seconds)}))
"""


def process(command: list[str], **environment: str) -> tuple[float, dict[str, Any]]:
    """Wall time of a command from start to exit, and the JSON of its last line."""
    begun = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment})
    wall = time.perf_counter() - begun
    if done.returncode:
        raise SystemExit(f"{' '.join(command[:3])} failed:\n{done.stderr[-3000:]}")
    return wall, json.loads(done.stdout.strip().splitlines()[-1])


def ours(rows: Path, scratch: Path, repeats: int) -> dict[str, float]:
    import bayescale as bs
    from bayescale.posterior.diagnostics import ess_bulk

    command, cold, warm = [sys.executable, "-c", OURS, str(rows)], [], []
    for i in range(repeats):
        cache = str(scratch / f"programs{i}")
        for kept in (cold, warm):
            wall, said = process(command, BAYESCALE_CACHE=cache)
            assert said["converged"], "a fit that has not converged has no time"
            kept.append(wall)
    os.environ["BAYESCALE_CACHE"] = str(scratch / "programs0")
    table = bs.read_runs(rows)
    bs.fit("chinchilla", table)
    total, sampling, ess = [], [], []
    for seed in range(1, 2 * repeats + 1):
        begun = time.perf_counter()
        fit = bs.fit("chinchilla", table, seed=seed)
        total.append(time.perf_counter() - begun)
        sampling.append(fit.seconds["sampling"])
        ess.append(min(ess_bulk(x) for x in fit.constants.values()))
        assert fit.converged
    return {
        "cold": statistics.median(cold),
        "warm": statistics.median(warm),
        "inside": statistics.median(total),
        "sampling": statistics.median(sampling),
        "ess": statistics.median(ess),
        "rate": statistics.median(e / s for e, s in zip(ess, sampling, strict=True)),
        "rate_total": statistics.median(e / s for e, s in zip(ess, total, strict=True)),
    }


# --- (a) Hoffmann's recipe ----------------------------------------------------------------------------------------

GRID = list(
    itertools.product(
        np.arange(0, 30, 5.0),
        np.arange(0, 30, 5.0),
        np.arange(-1, 1.5, 0.5),
        np.arange(0, 2.5, 0.5),
        np.arange(0, 2.5, 0.5),
    )
)
"""Starts (a, b, e, alpha, beta) of Hoffmann et al. 2022, appendix D.2: 4500."""


def huber(
    N: np.ndarray, D: np.ndarray, loss: np.ndarray, delta: float = 1e-3
) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Sum of Huber losses of log-sum-exp residuals, alone and with its gradient."""
    n, d, y = np.log(N), np.log(D), np.log(loss)

    def value_and_gradient(p: np.ndarray) -> tuple[float, np.ndarray]:
        a, b, e, alpha, beta = p
        terms = np.stack([a - alpha * n, b - beta * d, np.full_like(n, e)])
        top = terms.max(axis=0)
        share = np.exp(terms - top)
        total = share.sum(axis=0)
        r = top + np.log(total) - y
        small = np.abs(r) <= delta
        value = np.where(small, 0.5 * r**2, delta * (np.abs(r) - 0.5 * delta)).sum()
        slope = np.where(small, r, delta * np.sign(r)) * share / total
        return value, np.array([slope[0].sum(), slope[1].sum(), slope[2].sum(), -slope[0] @ n, -slope[1] @ d])

    return (lambda p: value_and_gradient(p)[0]), value_and_gradient


def hoffmann(rows: Path, starts: int, gradient: bool) -> dict[str, float]:
    import pandas as pd
    from scipy.optimize import minimize

    table = pd.read_csv(rows)
    value, both = huber(*(table[n].to_numpy() for n in ("N", "D", "loss")))
    chosen = np.random.default_rng(0).permutation(len(GRID))[:starts]
    begun, best, reached = time.perf_counter(), [], 0
    for i in chosen:
        found = minimize(both if gradient else value, np.array(GRID[i]), jac=gradient or None, method="L-BFGS-B")
        best.append(found.fun)
    spent = time.perf_counter() - begun
    reached = sum(f < 1.0182740e-3 * 1.001 for f in best)
    return {"cold": spent * len(GRID) / starts, "starts": starts, "reached": reached / starts, "best": min(best)}


# --- (b) PyMC and nutpie; this part runs under the other interpreter and must not import bayescale --------------------


def peer(rows: str, adaptation: str, out: str) -> None:
    begun = time.perf_counter()
    import nutpie
    import pandas as pd
    import pymc as pm

    table = pd.read_csv(rows)
    N, D, loss = (table[n].to_numpy() for n in ("N", "D", "loss"))
    N0, D0, L0 = np.exp(np.log(N).mean()), np.exp(np.log(D).mean()), np.median(loss)
    with pm.Model() as model:
        E = pm.Deterministic("E", L0 * pm.Beta("E_share", 2.0, 1.2))
        alpha, beta = (pm.LogNormal(n, np.log(0.3), 0.5) for n in ("alpha", "beta"))
        A_share, B_share = (pm.LogNormal(f"{n}_share", np.log(0.15), 0.8) for n in ("A", "B"))
        pm.Deterministic("A", A_share * L0 * N0**alpha)
        pm.Deterministic("B", B_share * L0 * D0**beta)
        sigma, nu = pm.LogNormal("sigma", np.log(0.01), 1.0), pm.LogNormal("nu", np.log(5.0), 1.0)
        mean = E + A_share * L0 * (N / N0) ** -alpha + B_share * L0 * (D / D0) ** -beta
        pm.StudentT("log_loss", nu=nu, mu=pm.math.log(mean), sigma=sigma, observed=np.log(loss))
    imported = time.perf_counter()
    compiled = nutpie.compile_pymc_model(model)
    ready = time.perf_counter()

    def draw(seed: int) -> Any:
        return nutpie.sample(compiled, draws=1000, chains=4, seed=seed, progress_bar=False, **PEER_OPTIONS[adaptation])

    trace = draw(0)
    first = time.perf_counter()
    trace = draw(1)
    names = ("E", "A", "alpha", "B", "beta", "sigma", "nu")
    np.savez(
        out, **{n: trace.posterior[n].to_numpy() for n in names}, diverging=trace.sample_stats["diverging"].to_numpy()
    )
    said = {
        "model": imported - begun, "compile": ready - imported, "first": first - ready,
        "second": time.perf_counter() - first, "pymc": pm.__version__, "nutpie": nutpie.__version__,
    }  # fmt: skip
    print(json.dumps(said))


PEER_OPTIONS: dict[str, dict[str, Any]] = {"diagonal": {}, "low-rank": {"low_rank_modified_mass_matrix": True}}


def peers(python: str, rows: Path, adaptation: str, scratch: Path) -> dict[str, Any]:
    from bayescale.posterior.diagnostics import ess_bulk, ess_tail, r_hat

    out = scratch / f"{adaptation}.npz"
    command = [python, "-W", "ignore", __file__, "--peer", adaptation, "--rows", str(rows), "--out", str(out)]
    # a compile cache of its own, empty at first
    caches = {
        "PYTENSOR_FLAGS": f"base_compiledir={scratch / adaptation}",
        "NUMBA_CACHE_DIR": str(scratch / f"{adaptation}-numba"),
    }
    cold, said = process(command, **caches)
    warm, again = process(command, **caches)
    draws = np.load(out)
    constants = [draws[n] for n in draws.files if n != "diverging"]
    ess = min(ess_bulk(x) for x in constants)
    return {
        "cold": cold - said["second"],  # the second sampling is not part of a first posterior
        "warm": warm - again["second"],
        "sampling": again["second"],
        "ess": ess,
        "rate": ess / again["second"],
        "r_hat": max(r_hat(x) for x in constants),
        "ess_tail": min(ess_tail(x) for x in constants),
        "divergences": int(draws["diverging"].sum()),
        "versions": {"pymc": said["pymc"], "nutpie": said["nutpie"]},
    }


# --- the table ----------------------------------------------------------------------------------------------------


def machine() -> str:
    try:
        model = next(
            x.split(":")[1].strip() for x in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in x
        )
    except (OSError, StopIteration):
        model = platform.processor() or platform.machine()
    load = f", load average {os.getloadavg()[0]:.1f} at the start" if hasattr(os, "getloadavg") else ""
    return f"{model}, {os.cpu_count()} cores, Python {platform.python_version()}, {platform.system()}{load}"


def seconds(x: float) -> str:
    return f"{x:.2f}" if x < 10 else f"{x:.0f}"


def report(
    us: dict[str, float], points: dict[str, dict[str, float]], others: dict[str, dict[str, Any]], about: str
) -> str:
    versions = {p: version(p) for p in ("bayescale", "jax", "numpyro", "numpy", "scipy")}
    for other in others.values():
        versions |= other["versions"]
    lines = [
        "# From a table to a converged posterior",
        "",
        "The 240 Chinchilla runs of Besiroglu et al. 2024, law `chinchilla`, Student-t noise, the package's priors.",
        "Cold: process start to result with an empty compilation cache; warm: with the cache of a first run;",
        "inside: a further fit in the same process. ESS is the least bulk ESS over constants. Seconds of wall time.",
        "",
        f"Machine: {about}.  ",
        f"Versions: {', '.join(f'{p} {v}' for p, v in versions.items())}.",
        "",
        "| what | cold | warm | inside | sampling | ESS | ESS/s sampling | ESS/s inside |",
        "|---|---|---|---|---|---|---|---|",
        f"| **bayescale**, NUTS, posterior | {seconds(us['cold'])} | {seconds(us['warm'])} | {us['inside']:.3f} | "
        f"{us['sampling']:.3f} | {us['ess']:.0f} | {us['rate']:.0f} | {us['rate_total']:.0f} |",
    ]
    for name, p in points.items():
        how = "all 4500 starts" if p["starts"] == len(GRID) else f"scaled from {p['starts']:.0f} of the 4500 starts"
        lines.append(
            f"| Hoffmann's recipe, {name}: one point ({how}; {p['reached']:.0%} reach the optimum) | "
            f"{seconds(p['cold'])} | | | | | | |"
        )
    for name, o in others.items():
        state = f"R-hat {o['r_hat']:.3f}, tail ESS {o['ess_tail']:.0f}, {o['divergences']} divergences"
        lines.append(
            f"| PyMC and nutpie, {name} ({state}) | {seconds(o['cold'])} | {seconds(o['warm'])} | "
            f"{seconds(o['sampling'])} | "
            f"{seconds(o['sampling'])} | {o['ess']:.0f} | {o['rate']:.0f} | {o['rate']:.0f} |"
        )
    lines += [
        "",
        "| ratio | value | aim |",
        "|---|---|---|",
        f"| cold with cache, s | {us['warm']:.2f} | < 3 |",
        f"| in-process, s | {us['inside']:.3f} | < 0.5 |",
    ]
    for name, p in points.items():
        lines.append(f"| Hoffmann's recipe ({name}) over bayescale, cold | {p['cold'] / us['cold']:.0f} | >= 50 |")
        lines.append(f"| the same over bayescale with its cache | {p['cold'] / us['warm']:.0f} | |")
    for name, o in others.items():
        lines.append(f"| nutpie {name} over bayescale, cold to cold | {o['cold'] / us['cold']:.1f} | >= 5 |")
        aim = 20 if name == "diagonal" else 2
        lines.append(f"| ESS/s of sampling, bayescale over nutpie {name} | {us['rate'] / o['rate']:.1f} | >= {aim} |")
        lines.append(
            f"| ESS/s, bayescale's whole fit over nutpie {name}'s sampling | {us['rate_total'] / o['rate']:.1f} | |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", metavar="PYTHON", help="an interpreter with pymc and nutpie")
    parser.add_argument("--starts", type=int, default=60, help="how many of the 4500 starts to time")
    parser.add_argument("--all", action="store_true", help="run all 4500 starts")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--write", type=Path, default=HERE / "speed.md")
    parser.add_argument("--peer", help=argparse.SUPPRESS)
    parser.add_argument("--rows", help=argparse.SUPPRESS)
    parser.add_argument("--out", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peer:
        peer(options.rows, options.peer, options.out)
        return
    about = machine()
    shared = HERE.parents[1] / "shared" / "data"
    if shared.is_dir():
        os.environ.setdefault("BAYESCALE_DATA", str(shared))
    from bayescale import datasets

    table = datasets.load("epoch_chinchilla")
    with tempfile.TemporaryDirectory() as folder:
        rows = Path(folder) / "rows.csv"
        table[table["epoch_in_fit"] == 1][["N", "D", "loss"]].to_csv(rows, index=False)
        us = ours(rows, Path(folder), options.repeats)
        starts = len(GRID) if options.all else options.starts
        points = {
            "numerical gradient": hoffmann(rows, starts, gradient=False),
            "analytic gradient": hoffmann(rows, starts, gradient=True),
        }
        others = {n: peers(options.peers, rows, n, Path(folder)) for n in PEER_OPTIONS} if options.peers else {}
    text = report(us, points, others, about)
    options.write.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
