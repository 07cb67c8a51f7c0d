"""Coverage of pooled fits: population, spreads and forecasts of groups on simulated tables; writes pooling.md.

    python benchmarks/pooling.py [--tables 200] [--groups 4] [--rows 40]

Each table has groups of runs of a Chinchilla law whose E, A and B differ by group about a population's, as the pooled
law has it; groups are drawn anew for each table. A table is fitted as `bayescale.fit` fits it, priors stated at its own
centre, and 90 % intervals are held against what made it. Tables are fitted in batches by the sampler that `fit` uses.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import expit, logit
from scipy.stats import beta

from bayescale.answers.optimum import Deployment, optimum_at
from bayescale.law.labels import by_groups
from bayescale.likelihood import StudentT
from bayescale.models import Chinchilla
from bayescale.posterior.data import centre_of, data_of
from bayescale.posterior.density import target_of
from bayescale.posterior.samples import Samples
from bayescale.posterior.sampling import sample_many
from bayescale.runs import observations

POPULATION = {"E": 1.75, "A": 400.0, "alpha": 0.34, "B": 430.0, "beta": 0.285}
SPREADS = {"E": 0.12, "A": 0.08, "B": 0.06}
"""In the coordinates in which the constants vary: the logit of E's share of the loss, the logs of the others'."""
SIGMA, BUDGET, MASS, BLOCK = 0.004, 1e24, 0.9, 20


def simulated(rng: np.random.Generator, groups: int, rows: int) -> tuple[pd.DataFrame, list[dict[str, float]]]:
    """A table, and the constants of its groups."""
    N, D = 10 ** rng.uniform(7.3, 9.8, (groups, rows)), 10 ** rng.uniform(9, 11, (groups, rows))
    N0, D0 = np.exp(np.log(N).mean()), np.exp(np.log(D).mean())
    k = POPULATION
    L0 = k["E"] + k["A"] / N0 ** k["alpha"] + k["B"] / D0 ** k["beta"]
    units = rng.standard_normal((groups, len(SPREADS)))
    moved = units * np.array(list(SPREADS.values()))
    constants = [
        {**k, "E": L0 * expit(logit(k["E"] / L0) + e), "A": k["A"] * np.exp(a), "B": k["B"] * np.exp(b)}
        for e, a, b in moved
    ]
    loss = np.stack(
        [c["E"] + c["A"] / n ** c["alpha"] + c["B"] / d ** c["beta"] for c, n, d in zip(constants, N, D, strict=True)]
    )
    loss = loss * np.exp(SIGMA * rng.standard_t(5, loss.shape))
    mix = np.repeat([f"mix {i}" for i in range(groups)], rows)
    return pd.DataFrame({"mix": mix, "N": N.ravel(), "D": D.ravel(), "loss": loss.ravel()}), constants


def best_loss(k: dict[str, float], C: float) -> float:
    """The least loss of a budget."""
    N = np.geomspace(1e8, 1e13, 20_001)
    return float(np.min(k["E"] + k["A"] / N ** k["alpha"] + k["B"] / (C / 6 / N) ** k["beta"]))


def inside(draws: np.ndarray, truth: float) -> bool:
    """Whether the equal-tailed interval holds the truth."""
    low, high = np.quantile(draws, [(1 - MASS) / 2, (1 + MASS) / 2])
    return bool(low <= truth <= high)


def held(samples: Samples, target: object, constants: list[dict[str, float]]) -> dict[str, bool]:
    """Which intervals hold what made the table."""
    flat = {n: x.reshape(-1, *x.shape[2:]) for n, x in samples.constants.items()}
    found = {n: inside(flat[n], x) for n, x in POPULATION.items()}
    found |= {f"tau_{n}": inside(flat[f"tau_{n}"], x) for n, x in SPREADS.items()}
    found |= {f"{n} of a group": inside(flat[f"{n} by mix"][:, 0], constants[0][n]) for n in SPREADS}
    best = optimum_at(target, flat, np.array([BUDGET]), Deployment(fixed={"mix": 1.0}))  # type: ignore[arg-type]
    return found | {"loss of a group at 1e24": inside(best["loss"][:, 0], best_loss(constants[0], BUDGET))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", type=int, default=200)
    parser.add_argument("--groups", type=int, default=4)
    parser.add_argument("--rows", type=int, default=40)
    options = parser.parse_args()
    law, begun, results, refused = Chinchilla(), time.perf_counter(), [], 0
    for start in range(0, options.tables, BLOCK):
        seeds = range(start, min(start + BLOCK, options.tables))
        tables, truths = zip(
            *(simulated(np.random.default_rng((8, s)), options.groups, options.rows) for s in seeds), strict=True
        )
        data = []
        for table in tables:
            runs = observations(table, inputs=law.inputs, metric="loss", constants=5, law=law.name)
            spec, rows = by_groups(law, runs, table, {"mix": list(SPREADS)})
            data.append(data_of(rows, centre_of(runs.inputs, "loss", runs.observed), "loss", StudentT()))
        target = target_of(spec, StudentT())
        for samples, constants in zip(sample_many(target, data, list(seeds)), truths, strict=True):
            if samples.failures:
                refused += 1
                print("refused:", samples.failures[0], flush=True)
                continue
            results.append(held(samples, target, constants))
        print(
            start + len(seeds),
            f"{time.perf_counter() - begun:.0f} s",
            dict(pd.DataFrame(results).mean().round(3)),
            flush=True,
        )
    table = pd.DataFrame(results)
    count = len(table)
    low, high = beta.interval(0.95, MASS * count + 1, (1 - MASS) * count + 1)
    lines = [
        "# Coverage of pooled fits",
        "",
        f"{count} simulated tables of {options.groups} groups of {options.rows} rows, `chinchilla` with E, A and B",
        f"pooled by group, scatter {SIGMA:.1%}; {refused} fits did not converge and are left out. 90 % intervals; by",
        f"chance alone between {low:.0%} and {high:.0%} of them hold. Made by",
        f"`python benchmarks/pooling.py --tables {options.tables}`.",
        "",
        "| quantity | intervals that hold |",
        "|---|---|",
        *(f"| {n} | {x:.1%} |" for n, x in table.mean().items()),
    ]
    (Path(__file__).parent / "pooling.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
