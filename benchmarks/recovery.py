"""Law recovery: data simulated from each of five laws, compared by evidence; writes docs/recovery.md.

    python benchmarks/recovery.py [--sets 300] [--processes 2] [--cache FILE]

Each data set is drawn from the prior predictive distribution of a law chosen at random, on one of three designs, so
that posterior model probabilities must be calibrated if evidences are right. Finished data sets are kept in the cache
file (a JSON line each), so that an interrupted benchmark goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import time
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpyro.distributions as dist
import pandas as pd

import bayescale as bs
from bayescale.law import Centre, Law, Param, stated
from bayescale.likelihood import StudentT
from bayescale.posterior.data import padded
from bayescale.posterior.density import target_of

DOC = Path(__file__).parents[1] / "docs" / "recovery.md"
K_HAT, BEHIND = 1.0, 8.0
"""NUTS samples a law whose k-hat in the quick mode is above the first, and that is less far behind than the second."""

L0 = 2.8
"""The metric's value at the centre, where priors are stated, nats/token."""


class PowerLawOffset(Law):
    """L(N, D) = L_inf + (C_c/(6 N D))^alpha

    Henighan et al. 2020 (arXiv:2010.14701), eq. 1.1, of compute alone, as a law of N and D.
    """

    L_inf: Param = stated("L_inf / L0", dist.Beta(2.0, 1.2), lambda share, law, at: share * at.loss)
    alpha: Param = dist.LogNormal(np.log(0.2), 0.7)
    C_c: Param = stated(
        "(L(C0) - L_inf) / L0",
        dist.LogNormal(np.log(0.3), 0.8),
        lambda q, law, at: 6 * at.N * at.D * (q * at.loss) ** (1 / law.alpha),
    )

    def loss(self, N: Any, D: Any) -> Any:
        return self.L_inf + (self.C_c / (6 * N * D)) ** self.alpha


LAWS: dict[str, Any] = {
    "chinchilla": bs.models.Chinchilla,
    "chinchilla_tied": bs.models.ChinchillaTied,
    "kaplan_nd": bs.models.KaplanND,
    "coupled": bs.models.Coupled,
    "power_law_offset": PowerLawOffset,
}


def designs(rng: np.random.Generator) -> tuple[str, np.ndarray, np.ndarray]:
    """A design such as the field uses: name, N and D, shape (row,) each."""
    kind = ("isoflop", "grid", "sweep")[rng.integers(3)]
    if kind == "isoflop":
        C = np.repeat(10 ** rng.uniform(17.5, 18.5) * 10.0 ** np.arange(0, 4, 0.5), 7)
        N = np.sqrt(C / 120) * np.tile(np.geomspace(0.25, 4, 7), 8) * 10 ** rng.normal(0, 0.02, 56)
        return kind, N, C / (6 * N)
    if kind == "grid":
        N, D = np.meshgrid(np.geomspace(5e7, 5e9, 8), np.geomspace(1e9, 1e11, 7))
        return kind, N.ravel(), D.ravel()
    N = 10 ** rng.uniform(7.5, 10, 120)
    return kind, N, N * 20 * 10 ** rng.normal(0, 0.5, 120)


def simulated(index: int) -> dict[str, Any]:
    """Data set number `index`: the law it is from, the design, and the table."""
    rng = np.random.default_rng((2026, index))
    name = list(LAWS)[rng.integers(len(LAWS))]
    kind, N, D = designs(rng)
    centre = {"N": float(np.exp(np.log(N).mean())), "D": float(np.exp(np.log(D).mean())), "loss": L0}
    target = target_of(LAWS[name](), StudentT())
    data = padded({"N": N, "D": D}, np.full(len(N), L0), None, Centre(centre), "loss")
    for attempt in range(100):
        # a few scatters of Student-t tails overflow; none such is a table that anyone would fit
        z = target.prior_draws(1000, 1000 * index + attempt, data)[:1]
        constants = {n: x[:1] for n, x in target.constants_at(np.repeat(z, 2, axis=0), data).items()}
        mean = np.asarray(target.curve(constants, {"N": data.inputs["N"], "D": data.inputs["D"]}))[:, : len(N)]
        key = rng.integers(0, 2**32, (1, 2), dtype=np.uint32)
        loss = np.asarray(target.new_run(constants, mean, key))[0]
        if np.isfinite(loss).all() and (loss > 0).all():
            break
    return {"law": name, "design": kind, "centre": centre, "table": pd.DataFrame({"N": N, "D": D, "loss": loss})}


def assessed(index: int) -> dict[str, Any]:
    """Evidence of every law on data set `index`."""
    case = simulated(index)
    begun = time.perf_counter()
    found: dict[str, Any] = {}
    settings = {"centre": case["centre"], "seed": index}
    quick = {n: bs.fit(law(), case["table"], method="laplace", **settings) for n, law in LAWS.items()}
    best = max(fit.samples.log_evidence for fit in quick.values())
    for name, law in LAWS.items():
        fit = quick[name]
        # errors below a tenth of a nat do not show in a probability, nor does a law that is far behind
        if not fit.samples.k_hat < K_HAT and fit.samples.log_evidence > best - BEHIND:
            fit = bs.fit(law(), case["table"], limit=2000, **settings)
        evidence = fit.evidence()
        found[name] = {
            "log_evidence": evidence.log_evidence,
            "se": evidence.se,
            "method": fit.samples.method,
            "trusted": evidence.trusted,
        }
    values = np.array([found[n]["log_evidence"] for n in LAWS])
    mass = np.exp(values - np.nanmax(values))
    probability = np.nan_to_num(mass) / np.nansum(mass)
    return {
        "index": index,
        "law": case["law"],
        "design": case["design"],
        "rows": len(case["table"]),
        "probability": dict(zip(LAWS, probability.tolist(), strict=True)),
        "evidence": found,
        "seconds": time.perf_counter() - begun,
    }


def calibration(results: list[dict[str, Any]]) -> dict[str, float]:
    """How the probabilities of the true laws compare with what calibration expects.

    Returns
    -------
    dict
        expected: sum over sets of the chance that the most probable law is the true one; hits: how often it was;
        z: their difference in standard deviations; log_score: mean log probability of the true law; and brier.
    """
    p = np.array([[r["probability"][n] for n in LAWS] for r in results])
    truth = np.array([list(LAWS).index(r["law"]) for r in results])
    top = p.max(axis=1)
    hits = p.argmax(axis=1) == truth
    spread = np.sqrt((top * (1 - top)).sum())
    given = p[np.arange(len(p)), truth]
    return {
        "sets": len(p),
        "expected": float(top.sum()),
        "hits": float(hits.sum()),
        "z": float((hits.sum() - top.sum()) / max(spread, 1e-9)),
        "log_score": float(np.log(np.maximum(given, 1e-300)).mean()),
        "brier": float(((p - np.eye(len(LAWS))[truth]) ** 2).sum(axis=1).mean()),
    }


def page(results: list[dict[str, Any]]) -> str:
    """The results as a page of markdown."""
    names = list(LAWS)
    summary = calibration(results)
    lines = [
        "# Are model probabilities right?",
        "",
        f"`python benchmarks/recovery.py --sets {len(results)}`: {len(results)} data sets, each drawn from the prior "
        "predictive distribution of a law chosen at random (56 or 120 rows: isoFLOP profiles, a grid, or a sweep about "
        "20 tokens a parameter), and every law's evidence on it. If evidences are right, of the laws given probability "
        "p a share p is the true one.",
        "",
        "## Confusion matrix",
        "",
        "Mean posterior probability of each law (columns), by the law that made the data (rows).",
        "",
        "| made by | sets | " + " | ".join(names) + " | most probable |",
        "|---|---|" + "---|" * (len(names) + 1),
    ]
    for truth in names:
        mine = [r for r in results if r["law"] == truth]
        if not mine:
            continue
        mean = [np.mean([r["probability"][n] for r in mine]) for n in names]
        hit = np.mean([max(r["probability"], key=r["probability"].get) == truth for r in mine])
        lines.append(f"| {truth} | {len(mine)} | " + " | ".join(f"{m:.2f}" for m in mean) + f" | {hit:.0%} |")
    lines += [
        "",
        "## Reliability",
        "",
        "| probability given | cases | mean given | were true | expected sd |",
        "|---|---|---|---|---|",
    ]
    p = np.array([[r["probability"][n] for n in names] for r in results]).ravel()
    true = np.array([[n == r["law"] for n in names] for r in results]).ravel()
    edges = [0, 0.01, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95, 0.99, 1.0001]
    for low, high in pairwise(edges):
        here = (p >= low) & (p < high)
        if here.any():
            sd = np.sqrt((p[here] * (1 - p[here])).sum()) / here.sum()
            lines.append(
                f"| {low:.2f} to {min(high, 1):.2f} | {here.sum()} | {p[here].mean():.3f} "
                f"| {true[here].mean():.3f} | {sd:.3f} |"
            )
    doubtful = sum(not all(e["trusted"] for e in r["evidence"].values() if e["method"] != "laplace") for r in results)
    sampled = np.mean([e["method"] != "laplace" for r in results for e in r["evidence"].values()])
    lines += [
        "",
        f"The most probable law was the true one in {summary['hits']:.0f} of {summary['sets']} sets; its probabilities "
        f"promised {summary['expected']:.1f} ({summary['z']:+.1f} standard deviations). Mean log probability of the "
        f"true law {summary['log_score']:.3f}, Brier score {summary['brier']:.3f}. {sampled:.0%} of the fits needed "
        f"NUTS; in {doubtful} sets an evidence was marked as not to be trusted. "
        f"{np.mean([r['seconds'] for r in results]):.1f} s a set.",
    ]
    return "\n".join(lines) + "\n"


def run(indices: Iterable[int], cache: Path, processes: int) -> list[dict[str, Any]]:
    """Assess data sets that the cache file lacks, and return all of them."""
    indices = list(indices)
    done = [json.loads(line) for line in cache.read_text().splitlines()] if cache.is_file() else []
    known = {r["index"] for r in done}
    todo = [i for i in indices if i not in known]
    with cache.open("a", encoding="utf-8") as file:
        if processes > 1:
            with multiprocessing.get_context("spawn").Pool(processes) as pool:
                for result in pool.imap_unordered(assessed, todo):
                    _keep(result, done, file, len(indices))
        else:
            for i in todo:
                _keep(assessed(i), done, file, len(indices))
    return [r for r in sorted(done, key=lambda r: r["index"]) if r["index"] in set(indices)]


def _keep(result: dict[str, Any], done: list[dict[str, Any]], file: Any, total: int) -> None:
    done.append(result)
    file.write(json.dumps(result) + "\n")
    file.flush()
    print(
        f"{len(done)}/{total}: {result['law']} {result['probability'][result['law']]:.3f}, {result['seconds']:.1f} s",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", type=int, default=300)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--cache", type=Path, default=Path(__file__).with_suffix(".jsonl"))
    parser.add_argument("--output", type=Path, default=DOC)
    arguments = parser.parse_args()
    results = run(range(arguments.sets), arguments.cache, arguments.processes)
    print(calibration(results))
    arguments.output.parent.mkdir(exist_ok=True)
    arguments.output.write_text(page(results), encoding="utf-8")


if __name__ == "__main__":
    main()
