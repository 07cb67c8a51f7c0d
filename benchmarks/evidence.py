"""Log evidence of the additive family on real runs, beside a nested slice sampler; writes docs/evidence.md.

    python benchmarks/evidence.py [--live 500] [--steps-per-dimension 12] [--laws chinchilla,coupled] [--cache FILE]
    python benchmarks/evidence.py --own      # the engine's own numbers and times again, for all that is in the cache

Needs BlackJAX (`pip install "blackjax>=1.7"`) and the epoch_chinchilla data set. Finished runs are
kept in the cache file, so that an interrupted benchmark goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist

import bayescale as bs
from bayescale.answers.scores.evidence import log_evidence
from bayescale.compiled import use_persistent_cache
from bayescale.fit import Fit
from bayescale.law import Param
from bayescale.likelihood import Normal
from bayescale.posterior.data import Data, centre_of, padded
from bayescale.posterior.density import Target

LAWS = ("chinchilla", "chinchilla_tied", "chinchilla_no_floor", "coupled", "kaplan_nd", "kaplan_e")
DOC = Path(__file__).parents[1] / "docs" / "evidence.md"
CENTRE = """## Priors that the data place

Most laws state their priors through what they imply at the centre of the runs, and the centre holds the median of the
observed metric: an empirical-Bayes step, in which the rows are used twice. It costs all laws alike what it costs: the
level of the loss is known beforehand. What differs from law to law is how dense its prior is at that level. The prior
standard deviation of log L(N0, D0)/L0 is 0.37 for chinchilla, 0.41 for kaplan_e and 0.24 for kaplan_nd, so that the
step is worth up to log(0.41/0.24) = 0.5 nat between two of them: nothing to a Bayes factor that decides, and more than
a difference of 0.3 nats. A law with a prior that is stated outright, as one of your own may be, can be off by more.
`centre=` states priors elsewhere, and `bs.compare` says where fits have different centres. Hold-outs state priors at
the centre of the rows that are trained on, or at the `centre=` that was given; leaving rows out one at a time keeps
the centre of all.
"""


def nested(target: Target, data: Data, *, live: int, steps: int, seed: int) -> dict[str, float]:
    """Log evidence of a target by BlackJAX's nested slice sampler, from prior draws in the engine's coordinates.

    Parameters
    ----------
    live : int
        Live points; a tenth of them is replaced at each step.
    steps : int
        Slice moves for each new point.

    Returns
    -------
    dict
        log_evidence, its standard error (sd over simulated shrinkages), seconds, iterations.
    """
    import blackjax
    from blackjax.ns.utils import finalise, log_weights

    unseen = data._replace(mask=np.zeros_like(data.mask))
    begun = time.perf_counter()
    use_persistent_cache()
    with jax.enable_x64(True):

        def log_prior(z: Any) -> Any:
            return target.log_density(z, unseen)

        def log_likelihood(z: Any) -> Any:
            return target.log_density(z, data) - log_prior(z)

        sampler = blackjax.nss(
            logprior_fn=log_prior, loglikelihood_fn=log_likelihood, num_inner_steps=steps, num_delete=max(live // 10, 1)
        )
        points = jnp.asarray(target.prior_draws(live, seed, data))
        state = jax.jit(sampler.init)(points)

        @jax.jit
        def many(key: Any, state: Any) -> Any:
            return jax.lax.scan(lambda s, k: sampler.step(k, s), state, jax.random.split(key, 10))

        key, dead = jax.random.key(seed), []
        while float(state.integrator.logZ_live - state.integrator.logZ) > -6.0:
            key, use = jax.random.split(key)
            state, info = many(use, state)
            dead += [jax.tree.map(lambda x, i=i: x[i], info) for i in range(10)]
        final = finalise(state, dead)
        w = np.asarray(jax.vmap(lambda k: jax.nn.logsumexp(log_weights(k, final, shape=1)))(jax.random.split(key, 200)))
    return {
        "log_evidence": float(w.mean()),
        "se": float(w.std(ddof=1)),
        "seconds": time.perf_counter() - begun,
        "iterations": len(dead),
    }


def exact_case() -> tuple[Target, Data, float]:
    """A law that is linear in normal constants, with its exact log evidence: a check on the referee."""
    from scipy import stats

    class Loglinear(bs.Law):
        """log L = a + b x

        A check.
        """

        a: Param = dist.Normal(0.0, 1.0)
        b: Param = dist.Normal(0.0, 0.5)

        def loss(self, x: Any) -> Any:
            return jnp.exp(self.a + self.b * x)

    rng = np.random.default_rng(0)
    x, scale = np.linspace(0.5, 4.0, 20), 0.3
    log_y = 0.7 - 0.2 * x + scale * rng.standard_normal(20)
    design, prior = np.stack([np.ones(20), x], axis=1), np.array([1.0, 0.25])
    marginal = design * prior @ design.T + scale**2 * np.eye(20)
    exact = stats.multivariate_normal(np.zeros(20), marginal).logpdf(log_y) - log_y.sum()
    y = np.exp(log_y)
    data = padded({"x": x}, y, None, centre_of({"x": x}, "loss", y), "loss")
    return Target(Loglinear(), Normal(sigma=scale)), data, float(exact)


def ours(fit: Fit) -> dict[str, float]:
    """The engine's own estimates, and the time they took once compiled."""
    log_evidence(fit)
    found = log_evidence(fit)
    return {
        "bridge": found.log_evidence,
        "bridge_se": found.se,
        "importance": found.importance,
        "importance_se": found.importance_se,
        "k_hat": found.k_hat,
        "seconds": found.seconds,
        "fit_seconds": fit.seconds["total"],
    }


def page(results: dict[str, Any]) -> str:
    """The results as a page of markdown."""
    lines = [
        "# Log evidence against nested sampling",
        "",
        "`python benchmarks/evidence.py` on the 240 rows of epoch_chinchilla that Besiroglu et al. 2024 fitted, and "
        "on all 245: the additive family, log evidence in nats on the scale of the loss. *bridge* is what "
        "`Fit.evidence()` gives (warp-III on the draws), *importance* its cross-check (importance-weighted Laplace), "
        "*nested* BlackJAX's nested slice sampler; *effort* is its live points and its slice moves a dimension for "
        "each new point.",
        "",
        "| rows | law | bridge | importance | k-hat | nested | effort | bridge - nested | in errors "
        "| s (bridge) | s (nested) |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for key, r in results.items():
        if key.startswith("exact"):
            continue
        rows, law, live, steps = key.split()
        gap = r["bridge"] - r["log_evidence"]
        error = float(np.hypot(r["bridge_se"], r["se"]))
        lines.append(
            f"| {rows} | {law} | {r['bridge']:.3f} ± {r['bridge_se']:.3f} "
            f"| {r['importance']:.3f} ± {r['importance_se']:.3f} "
            f"| {r['k_hat']:.2f} | {r['log_evidence']:.2f} ± {r['se']:.2f} | {live}, {steps} "
            f"| {gap:+.3f} | {abs(gap) / error:.1f} | {r['own_seconds']:.2f} | {r['seconds']:.0f} |"
        )
    checks = [r for key, r in results.items() if key.startswith("exact")]
    if checks:
        text = "; ".join(f"{r['log_evidence']:.2f} ± {r['se']:.2f} (exact {r['exact']:.2f})" for r in checks)
        lines += ["", f"The referee on a conjugate model of two constants whose log evidence is known: {text}."]
    return "\n".join([*lines, "", CENTRE])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--live", type=int, default=500)
    parser.add_argument("--steps-per-dimension", type=int, default=12)
    parser.add_argument("--laws", default=",".join(LAWS))
    parser.add_argument("--rows", default="240,245")
    parser.add_argument("--own", action="store_true", help="Do not run the nested sampler.")
    parser.add_argument("--cache", type=Path, default=Path(__file__).with_suffix(".json"))
    parser.add_argument("--output", type=Path, default=DOC)
    arguments = parser.parse_args()
    results: dict[str, Any] = json.loads(arguments.cache.read_text()) if arguments.cache.is_file() else {}
    runs = bs.read_runs("epoch_chinchilla")
    tables = {"240": runs[runs["epoch_in_fit"] == 1], "245": runs}
    effort = f"{arguments.live} {arguments.steps_per_dimension}"

    def keep(key: str, value: dict[str, Any]) -> None:
        results[key] = value
        arguments.cache.write_text(json.dumps(results, indent=1))
        print(key, {k: round(v, 3) for k, v in value.items()}, flush=True)

    if arguments.own:
        for key in [k for k in results if not k.startswith("exact")]:
            rows, law, *_ = key.split()
            own = ours(bs.fit(law, tables[rows]))
            keep(key, {**results[key], **own, "own_seconds": own["seconds"], "seconds": results[key]["seconds"]})
        arguments.output.write_text(page(results), encoding="utf-8")
        return
    for seed in (0, 1):
        if (key := f"exact {seed} {effort}") not in results:
            target, data, exact = exact_case()
            found = nested(target, data, live=arguments.live, steps=2 * arguments.steps_per_dimension, seed=seed)
            keep(key, {**found, "exact": exact})
    for rows in arguments.rows.split(","):
        for law in arguments.laws.split(","):
            if (key := f"{rows} {law} {effort}") in results:
                continue
            fit = bs.fit(law, tables[rows])
            own = ours(fit)
            steps = arguments.steps_per_dimension * fit.target.dimension
            referee = nested(fit.target, fit.padded, live=arguments.live, steps=steps, seed=1)
            keep(key, {**own, "own_seconds": own["seconds"], **referee})
    arguments.output.parent.mkdir(exist_ok=True)
    arguments.output.write_text(page(results), encoding="utf-8")


if __name__ == "__main__":
    main()
