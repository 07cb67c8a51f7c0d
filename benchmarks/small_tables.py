"""Sixty small tables, and a long run of another sampler on each: is a fit that says it converged ever wrong?

    python benchmarks/small_tables.py            # all sixty; adds to small_tables.csv, skips what is there
    python benchmarks/small_tables.py --tables 4 # the first four

Tables of 12 to 24 rows are simulated from Chinchilla's law with constants drawn about the published ones: half of them
narrow (less than a decade in N and in D), half isoFLOP. The reference is sequential Monte Carlo from the prior to the
posterior through adaptively chosen powers of the likelihood (Del Moral et al. 2006), which sees nothing of the fit: no
gradient, no mode, no curvature, and whose thousands of particles start wherever the prior has mass. It is run eight
times, four with each of two kernels (random-walk Metropolis with the particles' covariance; ter Braak 2006's
differential evolution): their scatter is its error, and it counts only where the two kernels agree.
"""

from __future__ import annotations

import argparse
import csv
import multiprocessing
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

HERE = Path(__file__).resolve().parent
TABLES = 60
PARTICLES, RUNS = 4096, 4
"""Of each kernel."""
NEAR = 100
"""Ranks within which particles have nearly the same scale of the scatter."""
MOVES, LAST_MOVES = 12, 200
"""Metropolis steps after each change of power, and after the last."""
LEVELS = (0.05, 0.5, 0.95)
SILENT_MEAN = 0.2
"""Of a posterior sd: a converged fit whose mean is further off is wrong."""
SILENT_QUANTILE = 4.5
"""Monte Carlo errors: of 60 x 7 x 3 comparisons about 0.01 are beyond by chance."""
AGREE = 0.05
"""Of a posterior sd: references that disagree by more are no reference."""


def simulate(index: int) -> pd.DataFrame:
    """Table `index`: even ones narrow, odd ones isoFLOP."""
    rng = np.random.default_rng((2026, index))
    rows = int(rng.integers(12, 25))
    E, alpha, beta = rng.uniform(1.5, 2.0), rng.uniform(0.25, 0.45), rng.uniform(0.25, 0.45)
    A, B = np.exp(rng.normal(np.log([0.3, 0.3]), 0.4)) * [1e9**alpha, 2e10**beta]
    centre = 10 ** rng.uniform(-0.7, 0.7, 2) * [1e9, 2e10]
    if index % 2 == 0:
        N, D = (c * 10 ** rng.uniform(-0.4, 0.4, rows) for c in centre)
    else:
        budgets = 6 * centre.prod() * 10.0 ** np.arange(-1, 2)
        C = np.repeat(budgets, -(-rows // 3))[:rows]
        best = (alpha * A / (beta * B)) ** (1 / (alpha + beta)) * (C / 6) ** (beta / (alpha + beta))
        N = best * 10 ** rng.uniform(-0.6, 0.6, rows)
        D = C / 6 / N
    loss = E + A * N**-alpha + B * D**-beta
    sigma = 10 ** rng.uniform(-2.7, -2.0)
    return pd.DataFrame({"N": N, "D": D, "loss": loss * np.exp(sigma * rng.standard_t(5, rows))})


def tempering(target: Any) -> Any:
    """A program: (prior draws (n, d), data, key, kernel 0 or 1) -> (posterior draws (n, d), powers, acceptance)."""
    import jax
    import jax.numpy as jnp
    from jax import lax, random
    from numpyro.infer.util import log_density

    from bayescale.compiled import Program

    n, d, scale = PARTICLES, target.dimension, list(target.sites).index("sigma")

    def run(starts: Any, data: Any, key: Any, kernel: Any) -> Any:
        def prior_density(z: Any) -> Any:
            values, log_det = target._values(z)
            return log_density(lambda: target.model(data, observe=False), (), {}, values)[0] + log_det

        def densities(z: Any) -> Any:
            prior = jax.vmap(prior_density)(z)
            fit = jax.vmap(target.log_density, (0, None))(z, data) - prior
            finite = jnp.isfinite(prior) & jnp.isfinite(fit)
            return jnp.where(finite, prior, -jnp.inf), jnp.where(finite, fit, -1e300)

        def next_power(power: Any, fit: Any) -> Any:
            """The largest that keeps 70 % of the particles effective."""

            def effective(new: Any) -> Any:
                w = jax.nn.softmax((new - power) * fit)
                return 1 / jnp.sum(w**2)

            def halve(_: Any, bracket: Any) -> Any:
                low, high = bracket
                middle = (low + high) / 2
                enough = effective(middle) > 0.7 * n
                return jnp.where(enough, middle, low), jnp.where(enough, high, middle)

            _, high = lax.fori_loop(0, 60, halve, (power, jnp.ones(())))
            return jnp.where(effective(1.0) > 0.7 * n, 1.0, jnp.maximum(high, power + 1e-12))

        def moves(z: Any, prior: Any, fit: Any, power: Any, key: Any, times: Any) -> Any:
            factor, donors = jnp.linalg.cholesky(jnp.cov(z.T) + 1e-10 * jnp.eye(d)), z
            by_scale = jnp.argsort(z[:, scale])
            scales = z[by_scale, scale]

            def move(_: Any, state: Any) -> Any:
                z, prior, fit, key, accepted = state
                key, *keys = random.split(key, 9)
                size = jnp.array([1.0, 0.4, 0.12])[random.randint(keys[0], (n, 1), 0, 3)]
                one, two = (random.randint(k, (n,), 0, n) for k in keys[1:3])
                walk = size * 2.38 / jnp.sqrt(d) * random.normal(keys[3], (n, d)) @ factor.T
                differential = size * 2.38 / jnp.sqrt(2 * d) * (donors[one] - donors[two])
                differential += 1e-3 * random.normal(keys[4], (n, d)) @ factor.T
                whole = jnp.where(kernel == 0, walk, differential)
                # constants narrow as the scatter shrinks: differences of donors of nearly the particle's own scale,
                # which such a move does not change, so that it is its own reverse
                rank = jnp.searchsorted(scales, z[:, scale])
                near = jnp.clip(rank[:, None] + random.randint(keys[5], (n, 2), -NEAR, NEAR + 1), 0, n - 1)
                like = donors[by_scale[near[:, 0]]] - donors[by_scale[near[:, 1]]]
                like = (size * 2.38 / jnp.sqrt(2 * (d - 1)) * like).at[:, scale].set(0.0)
                alone = size * 2.38 * jnp.std(donors, axis=0) * random.normal(keys[6], (n, d))
                alone = jnp.where(jnp.arange(d) == random.randint(keys[7], (n, 1), 0, d), alone, 0.0)
                alone = jnp.where(random.uniform(keys[4], (n, 1)) < 0.7, alone, 0.3 * alone)
                kind = random.randint(keys[2], (n, 1), 0, 4)
                proposal = z + jnp.where(kind == 0, whole, jnp.where(kind == 1, alone, like))
                new_prior, new_fit = densities(proposal)
                gain = new_prior - prior + power * (new_fit - fit)
                yes = jnp.log(random.uniform(keys[5], (n,))) < gain
                z = jnp.where(yes[:, None], proposal, z)
                return z, jnp.where(yes, new_prior, prior), jnp.where(yes, new_fit, fit), key, accepted + yes.mean()

            z, prior, fit, _, accepted = lax.fori_loop(0, times, move, (z, prior, fit, key, 0.0))
            return z, prior, fit, accepted / times

        def stage(state: Any) -> Any:
            z, prior, fit, power, key, stages, _ = state
            key, pick, walk = random.split(key, 3)
            new = next_power(power, fit)
            edges = jnp.cumsum(jax.nn.softmax((new - power) * fit))
            chosen = jnp.searchsorted(edges, (jnp.arange(n) + random.uniform(pick)) / n * edges[-1])
            chosen = jnp.minimum(chosen, n - 1)
            times = jnp.where(new >= 1, LAST_MOVES, MOVES)
            z, prior, fit, accepted = moves(z[chosen], prior[chosen], fit[chosen], new, walk, times)
            return z, prior, fit, new, key, stages + 1, accepted

        prior, fit = densities(starts)
        begin = (starts, prior, fit, jnp.zeros(()), key, 0, 0.0)
        z, *_, stages, accepted = lax.while_loop(lambda s: (s[3] < 1) & (s[5] < 400), stage, begin)
        return z, stages, accepted

    return Program(run)


def reference(program: Any, target: Any, data: Any, seed: int, kernel: int) -> np.ndarray:
    """Draws of one run, shape (particle, d)."""
    starts = target.prior_draws(PARTICLES, seed, data)
    key = np.random.default_rng(seed).integers(0, 2**32, 2, dtype=np.uint32)
    z, stages, _ = program(starts, data, key, np.int64(kernel))
    assert int(stages) < 400, "the powers did not reach one"
    return np.asarray(z)


def compare(z: np.ndarray, references: np.ndarray) -> dict[str, float]:
    """A fit's draws (chain, draw, d) against those of the references (kernel, run, particle, d)."""
    from bayescale.posterior.diagnostics import ess_mean

    d, runs = z.shape[-1], references.reshape(-1, *references.shape[2:])
    both = runs.reshape(-1, d)
    sd = both.std(axis=0)
    worst = 0.0
    for i in range(d):
        for q in LEVELS:
            cut = np.quantile(both[:, i], q)
            ours, theirs = (z[..., i] < cut).astype(float), (runs[..., i] < cut).mean(axis=1)
            # a chain that is never (or always) below the cut has no ESS of its own there
            ess = min(ess_mean(ours), ess_mean(z[..., i])) if 0 < ours.mean() < 1 else ess_mean(z[..., i])
            error = np.sqrt(q * (1 - q) / ess + theirs.var(ddof=1) / len(theirs))
            worst = max(worst, abs(ours.mean() - q) / error)
    ratio = z.std(axis=(0, 1)) / sd
    by_kernel = references.mean(axis=(1, 2))
    return {
        "mean_difference": float(np.max(np.abs(z.mean(axis=(0, 1)) - both.mean(axis=0)) / sd)),
        "sd_ratio": float(ratio[np.argmax(np.abs(np.log(ratio)))]),
        "quantile_errors": float(worst),
        "references_differ": float(np.max(np.abs(by_kernel[0] - by_kernel[1]) / sd)),
        "reference_error": float(np.max(runs.mean(axis=1).std(axis=0, ddof=1) / np.sqrt(len(runs)) / sd)),
    }


_PROGRAM: list[Any] = []


def one_table(index: int) -> dict[str, Any]:
    import bayescale as bs

    table = simulate(index)
    begun = time.perf_counter()
    fit = bs.fit("chinchilla", table)
    fitted = time.perf_counter()
    if not _PROGRAM:
        _PROGRAM.append(tempering(fit.target))
    references = [
        [
            reference(_PROGRAM[0], fit.target, fit.padded, 1000 * index + 10 * kernel + run, kernel)
            for run in range(RUNS)
        ]
        for kernel in range(2)
    ]
    found = compare(fit.samples.z, np.array(references))
    trusted = found["references_differ"] <= AGREE
    wrong = found["mean_difference"] > SILENT_MEAN or found["quantile_errors"] > SILENT_QUANTILE
    return {
        "table": index,
        "design": "isoFLOP" if index % 2 else "narrow",
        "rows": len(table),
        "converged": fit.converged,
        "method": fit.samples.method,
        "draws": fit.samples.z.shape[1],
        "k_hat": round(fit.samples.k_hat, 2),
        "seconds": round(fitted - begun, 2),
        "reference_seconds": round(time.perf_counter() - fitted, 1),
        **{n: round(x, 4) for n, x in found.items()},
        "reference_trusted": trusted,
        "silent_error": fit.converged and trusted and wrong,
        "failures": "; ".join(fit.failures),
    }


def totals(rows: pd.DataFrame) -> str:
    converged, trusted = rows[rows["converged"]], rows[rows["reference_trusted"]]
    checked = converged[converged["reference_trusted"]]
    lines = [
        f"{len(rows)} tables of {rows['rows'].min()} to {rows['rows'].max()} rows",
        f"converged: {len(converged)} ({len(converged) / len(rows):.0%}); "
        + ", ".join(f"{d}: {part['converged'].mean():.0%}" for d, part in rows.groupby("design"))
        + "; "
        + ", ".join(f"{m}: {n}" for m, n in rows["method"].value_counts().items()),
        f"references that agree with each other to {AGREE} sd: {len(trusted)} "
        f"(worst {rows['references_differ'].max():.3f} sd)",
        f"converged and checked: {len(checked)}; worst mean difference {checked['mean_difference'].max():.3f} sd, "
        f"worst quantile {checked['quantile_errors'].max():.1f} Monte Carlo errors",
        f"silent errors: {int(rows['silent_error'].sum())}",
        f"a fit takes {rows['seconds'].median():.1f} s (longest {rows['seconds'].max():.0f} s)",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", type=int, default=TABLES, help="how many of the sixty, from the first")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--write", type=Path, default=HERE / "small_tables.csv")
    options = parser.parse_args()
    there = set(pd.read_csv(options.write)["table"]) if options.write.is_file() else set()
    todo = [i for i in range(options.tables) if i not in there]
    if todo:
        with multiprocessing.get_context("spawn").Pool(min(options.processes, len(todo))) as pool:
            for row in pool.imap_unordered(one_table, todo):
                fresh = not options.write.is_file()
                with options.write.open("a", newline="", encoding="utf-8") as file:
                    writer = csv.DictWriter(file, list(row))
                    if fresh:
                        writer.writeheader()
                    writer.writerow(row)
                    file.flush()
                    os.fsync(file.fileno())
                print(
                    f"{row['table']:3d} {row['design']:8s} {row['rows']:3d} rows  converged {row['converged']!s:5s} "
                    f"{row['method']:16s} {row['seconds']:6.1f} s  mean {row['mean_difference']:.3f} sd  "
                    f"quantiles {row['quantile_errors']:.1f}  references {row['references_differ']:.3f} sd "
                    f"(error {row['reference_error']:.3f}, {row['reference_seconds']:.0f} s)",
                    flush=True,
                )
    found = pd.read_csv(options.write)
    print(totals(found[found["table"] < options.tables]))


if __name__ == "__main__":
    main()
