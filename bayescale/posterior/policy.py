"""The policy: how a posterior is sampled, checked, and sampled harder until it passes or is refused."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from bayescale.posterior import nuts
from bayescale.posterior.data import Data
from bayescale.posterior.density import PRIOR_DRAWS, Line, Target, in_blocks
from bayescale.posterior.diagnostics import ess_bulk, ess_tail, r_hat
from bayescale.posterior.fields import settled_modes, shares_seen
from bayescale.posterior.importance import Weighted, importance_sample
from bayescale.posterior.mode import Mode, find_modes, straightened

R_HAT_LIMIT = 1.01
R_HAT_HOPELESS = 1.2
ESS_LIMIT = 400.0
STEPS_LIMIT = 4e6
"""Leapfrog steps of one attempt, over which it is given up: about a minute on a small table."""
K_HAT_CONDITION = 0.7
"""Above this the mode's curvature does not describe the posterior, and coordinates made from it mislead."""
K_HAT_QUICK = 0.5
EVIDENCE_SE_QUICK = 0.05


@dataclass(frozen=True)
class Effort:
    """How much sampling is asked for and allowed.

    Attributes
    ----------
    chains : int
        At least four.
    draws : int
        Draws a chain to begin with.
    limit : int
        Draws a chain at which sampling stops, converged or not.
    target_acceptance : float
        Of the step size's adaptation.
    """

    chains: int = 4
    draws: int = 1000
    limit: int = 8000
    target_acceptance: float = 0.8


@dataclass(frozen=True, eq=False)
class Samples:
    """Draws of the posterior with what is known of their quality.

    Attributes
    ----------
    z : ndarray, shape (chain, draw, d)
        Unconstrained coordinates.
    constants : dict of ndarray, shape (chain, draw)
    stats : dict of ndarray, shape (chain, draw)
        ArviZ's sample_stats.
    prior : ndarray, shape (draw, d)
        Prior draws in the same coordinates.
    diagnostics : dict
        Constant -> {'r_hat', 'ess_bulk', 'ess_tail'}.
    failures : tuple of str
        Why the draws are not to be trusted; empty when they passed.
    notes : tuple of str
        What a careful reader should know of a posterior that passed: several modes, a fall-back.
    method : str
        'nuts' (conditioned), 'nuts (adaptive)' or 'laplace'.
    k_hat, log_evidence, log_evidence_se : float
        Of the importance-weighted Laplace approximation.
    modes : tuple of Mode
    seconds : dict
        'prepare' (compiling, the mode) and 'sampling'.
    """

    z: np.ndarray
    constants: dict[str, np.ndarray]
    stats: dict[str, np.ndarray]
    prior: np.ndarray
    diagnostics: dict[str, dict[str, float]]
    failures: tuple[str, ...]
    notes: tuple[str, ...]
    method: str
    k_hat: float
    log_evidence: float
    log_evidence_se: float
    modes: tuple[Mode, ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)


def sample(
    target: Target,
    data: Data,
    *,
    method: str = "nuts",
    seed: int = 0,
    effort: Effort | None = None,
    progress: Callable[[str, int, int], None] = lambda stage, done, total: None,
) -> Samples:
    """Sample the posterior of `target` given `data`.

    Parameters
    ----------
    method : {'nuts', 'laplace'}
        NumPyro's NUTS, or the quick importance-weighted Laplace approximation.
    seed : int
        Same seed, same machine: same draws.
    effort : Effort, optional
    progress : callable
        Told of (stage, done, total) as work goes on.
    """
    effort = effort or Effort()
    begun = time.perf_counter()
    rng = np.random.default_rng(seed)
    target.prepare(data)
    if method == "nuts":
        nuts.prepare(target, data, nuts.on_this_device(nuts.CONDITIONED), effort.chains)
    prior = target.prior_draws(PRIOR_DRAWS, int(rng.integers(2**31)), data)
    progress("mode", 0, 1)
    pooled = settled_modes(target, data, prior) if len(target.offset_index) else []
    modes = tuple(m for m, _ in pooled) or tuple(find_modes(target, data, prior))
    if not modes:
        return _nothing(
            target, data, prior, "the density is not finite at any prior draw: the law does not fit these data at all"
        )
    spread = prior.std(axis=0)
    line = target.line_at(modes[0].z, modes[0].hessian, spread, data)
    if pooled:
        middle, bent = pooled[0]
        line = bent._replace(**{n: getattr(line, n) for n in Line._fields[:5]})
    else:
        middle = straightened(target, data, modes[0], line, spread)
    weighted = importance_sample(target, data, middle, line, rng)
    ready = time.perf_counter()
    if method == "laplace":
        outcome = _quick(target, data, weighted, rng, effort)
    else:
        outcome = _nuts(target, data, weighted, prior, modes, rng, effort, progress)
    return Samples(
        z=outcome.z,
        constants=outcome.constants,
        stats=outcome.stats,
        prior=prior,
        diagnostics=outcome.diagnostics,
        failures=outcome.failures,
        notes=(_modes_text(target, data, modes),) if len(modes) > 1 else (),
        method=outcome.method,
        k_hat=weighted.k_hat,
        log_evidence=weighted.log_evidence,
        log_evidence_se=weighted.log_evidence_se,
        modes=modes,
        seconds={"prepare": ready - begun, "sampling": time.perf_counter() - ready},
    )


def quality(constants: dict[str, np.ndarray]) -> dict[str, dict[str, float]]:
    """R-hat and ESS of each constant, from draws of shape (chain, draw)."""
    return {n: {"r_hat": r_hat(x), "ess_bulk": ess_bulk(x), "ess_tail": ess_tail(x)} for n, x in constants.items()}


def shortfalls(diagnostics: dict[str, dict[str, float]], divergences: int, draws: int) -> tuple[str, ...]:
    """What keeps draws of this `quality` from being trusted, a sentence each; empty when nothing does."""
    failures = []
    for name, q in diagnostics.items():
        short = []
        if not q["r_hat"] <= R_HAT_LIMIT:
            short.append(f"split R-hat {q['r_hat']:.3f} is above {R_HAT_LIMIT}")
        for kind in ("bulk", "tail"):
            if not q[f"ess_{kind}"] >= ESS_LIMIT:
                short.append(f"{kind} ESS {q[f'ess_{kind}']:.0f} is below {ESS_LIMIT:.0f}")
        if short:
            failures.append(f"{name}: {', '.join(short)}")
    if divergences:
        failures.append(f"{divergences} of {draws} transitions diverged: part of the posterior may be out of reach")
    return tuple(failures)


class _Outcome(NamedTuple):
    z: np.ndarray
    constants: dict[str, np.ndarray]
    stats: dict[str, np.ndarray]
    diagnostics: dict[str, dict[str, float]]
    failures: tuple[str, ...]
    method: str


def _nuts(
    target: Target,
    data: Data,
    weighted: Weighted,
    prior: np.ndarray,
    modes: tuple[Mode, ...],
    rng: np.random.Generator,
    effort: Effort,
    progress: Callable[[str, int, int], None],
) -> _Outcome:
    if len(target.offset_index):
        return _nuts_refitting(target, data, weighted, rng, effort, progress)
    rivals = [m for m in modes if m.log_evidence > modes[0].log_evidence - 12.0]
    if weighted.k_hat < K_HAT_CONDITION and len(rivals) == 1:
        frame = nuts.Frame(weighted.location, weighted.factor, weighted.line)
        starts = weighted.location + 1.5 * rng.standard_normal((effort.chains, target.dimension)) @ weighted.factor.T
        for acceptance in (effort.target_acceptance, 0.95):
            outcome = _run(target, data, nuts.CONDITIONED, frame, starts, acceptance, rng, effort, progress)
            if not outcome.failures:
                return outcome
    plain = nuts.Frame(prior.mean(axis=0), np.diag(prior.std(axis=0)), target.as_they_are())
    straight = nuts.Frame(weighted.location, weighted.factor, weighted.line)
    for frame, acceptance in ((straight, 0.95), (plain, 0.95), (plain, 0.99)):
        starts = _dispersed(target, data, weighted, prior, rivals, rng, effort.chains, frame.line)
        outcome = _run(target, data, nuts.ADAPTIVE, frame, starts, acceptance, rng, effort, progress)
        if not outcome.failures:
            break
    return outcome._replace(method="nuts (adaptive)")


def _nuts_refitting(
    target: Target,
    data: Data,
    weighted: Weighted,
    rng: np.random.Generator,
    effort: Effort,
    progress: Callable[[str, int, int], None],
) -> _Outcome:
    """For a pooled law: its many coordinates are conditioned by the draws of all chains, again until they pass."""
    frame = nuts.Frame(weighted.location, weighted.factor, weighted.line)
    refitted = False
    for acceptance in (effort.target_acceptance, 0.9, 0.95, 0.99):
        starts = frame.location + 1.5 * rng.standard_normal((effort.chains, target.dimension)) @ frame.factor.T
        outcome = _run(target, data, nuts.CONDITIONED, frame, starts, acceptance, rng, effort, progress)
        if not outcome.failures:
            break
        refitted = True
        z = outcome.z.reshape(-1, target.dimension)
        frame = frame._replace(line=frame.line._replace(share=shares_seen(target, data, z, frame.line)))
        y = in_blocks(target.straighten, z, data, frame.line)
        covariance = np.cov(y.T) + 1e-12 * np.diag(y.var(axis=0))
        frame = frame._replace(location=y.mean(axis=0), factor=np.linalg.cholesky(covariance))
    return outcome._replace(method="nuts (adaptive)") if refitted else outcome


def _dispersed(
    target: Target,
    data: Data,
    weighted: Weighted,
    prior: np.ndarray,
    rivals: list[Mode],
    rng: np.random.Generator,
    chains: int,
    line: Line,
) -> np.ndarray:
    """Starts that the posterior should have to forget, in the coordinates of `line`.

    Every mode, prior draws that fit best, and wide draws about the first mode, in turn.
    """
    wide = weighted.location + 2.0 * rng.standard_normal((64, target.dimension)) @ weighted.factor.T
    wide, _ = (np.asarray(x) for x in target.bend(wide, data, weighted.line))
    value = target.evaluate(wide, data)[0]
    wide = wide[np.isfinite(value)]
    value = target.evaluate(prior, data)[0]
    plausible = prior[np.argsort(-value)[:20]]
    pools = [np.array([m.z for m in rivals]), rng.permutation(plausible), wide]
    starts: list[np.ndarray] = []
    for i in range(max(len(p) for p in pools)):
        starts.extend(p[i] for p in pools if i < len(p))
    return np.array([np.asarray(target.straighten(s[None], data, line))[0] for s in starts[:chains]])


def _run(
    target: Target,
    data: Data,
    plan: nuts.Plan,
    frame: nuts.Frame,
    starts: np.ndarray,
    acceptance: float,
    rng: np.random.Generator,
    effort: Effort,
    progress: Callable[[str, int, int], None],
) -> _Outcome:
    chains = nuts.Chains(target, data, nuts.on_this_device(plan), frame, starts, acceptance, int(rng.integers(2**31)))
    done, total = 0, effort.chains * (plan.warmup + effort.draws)

    def tick(transitions: int) -> None:
        nonlocal done
        done += transitions
        progress("NUTS", done, total)

    warmup = chains.advance(plan.warmup // nuts.CHUNK, tick)
    pace = float(warmup.steps[:, -nuts.CHUNK :].mean())
    if pace * effort.chains * effort.draws > STEPS_LIMIT:
        z, _ = _in_z(target, data, frame, warmup.w[:, -nuts.CHUNK :])
        why = f"after warm-up the chains still need {pace:.0f} steps a transition: these data do not pin the law down"
        constants = target.constants_at(z, data)
        return _Outcome(z, constants, {}, quality(constants), (why,), "nuts")
    kept: list[nuts.Transitions] = []
    more = max(effort.draws // nuts.CHUNK, 1)
    while True:
        kept.append(chains.advance(more, tick))
        drawn = nuts.Transitions(*(np.concatenate(x, axis=1) for x in zip(*kept, strict=True)))
        z, log_det = _in_z(target, data, frame, drawn.w)
        constants = target.constants_at(z, data)
        diagnostics = quality(constants)
        failures = shortfalls(diagnostics, int(drawn.diverging.sum()), drawn.diverging.size)
        length = z.shape[1]
        # more of the same chains undoes neither a divergence nor a chain that is lost
        hopeless = max(q["r_hat"] for q in diagnostics.values()) > R_HAT_HOPELESS
        spent = float(drawn.steps.sum()) >= STEPS_LIMIT
        if not failures or length >= effort.limit or drawn.diverging.any() or hopeless or spent:
            break
        more = min(length, effort.limit - length) // nuts.CHUNK or 1
        total += effort.chains * more * nuts.CHUNK
    stats = {
        "lp": drawn.log_density - log_det,
        "energy": drawn.energy,
        "n_steps": drawn.steps,
        "acceptance_rate": drawn.acceptance,
        "diverging": drawn.diverging,
        "step_size": drawn.step_size,
    }
    return _Outcome(z, constants, stats, diagnostics, failures, "nuts")


def _in_z(target: Target, data: Data, frame: nuts.Frame, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """From the sampler's coordinates, shape (chain, draw, d), to z, with the log Jacobian, shape (chain, draw)."""
    y = frame.location + w @ frame.factor.T
    z, log_det = in_blocks(target.bend, y.reshape(-1, y.shape[-1]), data, frame.line)
    return z.reshape(y.shape), log_det.reshape(y.shape[:-1])


def _quick(target: Target, data: Data, weighted: Weighted, rng: np.random.Generator, effort: Effort) -> _Outcome:
    draws = min(effort.draws, len(weighted.y) // effort.chains)
    y = weighted.resample(effort.chains * draws, rng)
    z = in_blocks(target.bend, y, data, weighted.line)[0].reshape(effort.chains, draws, -1)
    constants = target.constants_at(z, data)
    failures: tuple[str, ...] = ()
    if not weighted.k_hat < K_HAT_QUICK:
        failures += (
            f"the Laplace proposal does not cover the posterior (Pareto k-hat {weighted.k_hat:.2f}, "
            f"at most {K_HAT_QUICK} is safe); use method='nuts'",
        )
    if not weighted.log_evidence_se < EVIDENCE_SE_QUICK:
        failures += (
            f"the importance weights are too uneven (log evidence known to {weighted.log_evidence_se:.2f}, "
            f"{EVIDENCE_SE_QUICK} is needed); use method='nuts'",
        )
    points, again = np.unique(z.reshape(-1, z.shape[-1]), axis=0, return_inverse=True)
    stats = {"lp": target.evaluate(points, data)[0][again].reshape(z.shape[:2])}
    return _Outcome(z, constants, stats, quality(constants), failures, "laplace")


def _modes_text(target: Target, data: Data, modes: tuple[Mode, ...]) -> str:
    top = modes[:3]
    constants = target.constants_at(np.array([m.z for m in top]), data)
    described = []
    for i, m in enumerate(top):
        values = ", ".join(f"{n} {float(v[i]):.3g}" for n, v in constants.items() if n not in ("sigma", "nu"))
        described.append(f"({values}; log mass {m.log_evidence - modes[0].log_evidence:+.1f})")
    return f"the posterior has {len(modes)} modes: {' and '.join(described)}"


def _nothing(target: Target, data: Data, prior: np.ndarray, why: str) -> Samples:
    z = prior[:1000].reshape(4, -1, prior.shape[1])
    constants = target.constants_at(z, data)
    nan = float("nan")
    return Samples(z, constants, {}, prior, quality(constants), (why,), (), "none", nan, nan, nan)
