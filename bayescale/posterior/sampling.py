"""Sample the posterior of one table, or of many of a size, by the same policy."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, TypeVar

import numpy as np

from bayescale.compiled import cores
from bayescale.posterior import nuts
from bayescale.posterior.data import Data
from bayescale.posterior.density import PRIOR_DRAWS, Target, in_blocks
from bayescale.posterior.importance import Weighted
from bayescale.posterior.mode import Mode
from bayescale.posterior.policy import Attempt, Attempts, Proposal, attempts, propose
from bayescale.posterior.samples import R_HAT_HOPELESS, Effort, Outcome, Samples, quality, shortfalls

STEPS_LIMIT = 4e6
"""Leapfrog steps of one attempt, over which it is given up: about a minute on a small table."""

K_HAT_QUICK = 0.5
EVIDENCE_SE_QUICK = 0.05

Progress = Callable[[str, int, int], None]


def sample(
    target: Target,
    data: Data,
    *,
    method: str = "nuts",
    seed: int = 0,
    effort: Effort | None = None,
    progress: Progress = lambda stage, done, total: None,
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
    target.prepare(data)
    if method == "nuts":
        nuts.prepare(target, data, nuts.on_this_device(nuts.CONDITIONED), effort.chains)
    progress("mode", 0, 1)
    work = _Work.begun(target, data, seed)
    if isinstance(work, Samples):
        return work
    if method == "laplace":
        return work.samples(_quick(target, data, work.proposal.weighted, work.rng, effort, seed))
    policy, outcome = work.attempts(effort), None
    while attempt := _next(policy, outcome):
        plan = nuts.on_this_device(attempt.plan)
        (outcome,) = _run(target, plan, [work.case(attempt)], [seed], effort, progress)
        if not outcome.failures:
            break
    assert outcome is not None
    return work.samples(outcome)


def sample_many(
    target: Target,
    tables: Sequence[Data],
    seeds: Sequence[int],
    *,
    method: str = "nuts",
    effort: Effort | None = None,
    alone: bool = True,
    tick: Callable[[int], None] = lambda n: None,
) -> list[Samples]:
    """Sample the posterior of each table, as `sample` would, with the chains of all tables in batches.

    Parameters
    ----------
    target : Target
    tables : sequence of Data
        Of one padded size, and with the same optional columns.
    seeds : sequence of int
        One a table.
    method : {'nuts', 'laplace'}
    effort : Effort, optional
    alone : bool
        Whether a posterior that no conditioned attempt has done is sampled by itself, which takes its time; if not, it
        comes with failures.
    tick : callable
        Told of tables done.
    """
    effort = effort or Effort()
    works = _in_threads(lambda i: _Work.begun(target, tables[i], seeds[i]), range(len(tables)))
    found = {i: w for i, w in enumerate(works) if isinstance(w, Samples)}
    open_ = {i: w for i, w in enumerate(works) if isinstance(w, _Work)}
    if method == "laplace":
        found |= {
            i: w.samples(_quick(target, w.data, w.proposal.weighted, w.rng, effort, w.seed)) for i, w in open_.items()
        }
        tick(len(tables))
        return [found[i] for i in range(len(tables))]
    tick(len(found))
    policies = {i: w.attempts(effort) for i, w in open_.items()}
    pending = {i: _next(policies[i], None) for i in open_}
    last: dict[int, Outcome] = {}
    while batch := [i for i, a in pending.items() if a is not None and not a.plan.adapt_metric]:
        # a batch waits for its longest trajectory: chains of like pace go together
        batch.sort(key=lambda i: open_[i].proposal.weighted.k_hat)
        cases = [open_[i].case(a) for i in batch if (a := pending[i]) is not None]
        plan = nuts.on_this_device(nuts.CONDITIONED, tables=max(2, len(cases)))
        for i, outcome in zip(batch, _run(target, plan, cases, [seeds[i] for i in batch], effort), strict=True):
            last[i] = outcome
            if outcome.failures:
                pending[i] = _next(policies[i], outcome)
            else:
                found[i] = open_[i].samples(outcome)
                pending[i] = None
                tick(1)
    for i, work in open_.items():
        if i in found:
            continue
        if alone:
            found[i] = sample(target, tables[i], seed=seeds[i], effort=effort)
        else:
            found[i] = work.samples(last[i]) if i in last else _nothing(target, work.data, work.prior, NOT_ALONE)
        tick(1)
    return [found[i] for i in range(len(tables))]


NOT_ALONE = "its posterior is not near normal, and sampling it by itself was not asked for"


class _Work(NamedTuple):
    """A table on its way to draws."""

    target: Target
    data: Data
    seed: int
    prior: np.ndarray
    proposal: Proposal
    rng: np.random.Generator
    begun_at: float
    ready_at: float

    @classmethod
    def begun(cls, target: Target, data: Data, seed: int) -> _Work | Samples:
        """The table with its proposal; samples that say why, where there is none."""
        begun = time.perf_counter()
        rng = np.random.default_rng(seed)
        prior = target.prior_draws(PRIOR_DRAWS, int(rng.integers(2**31)), data)
        proposal = propose(target, data, prior, rng)
        if isinstance(proposal, str):
            return _nothing(target, data, prior, proposal)
        return cls(target, data, seed, prior, proposal, rng, begun, time.perf_counter())

    def attempts(self, effort: Effort) -> Attempts:
        """The attempts at its posterior."""
        return attempts(self.target, self.data, self.proposal, self.prior, self.rng, effort)

    def case(self, attempt: Attempt) -> nuts.Case:
        """An attempt as chains to be run."""
        seed = int(self.rng.integers(2**31))
        return nuts.Case(self.data, attempt.frame, attempt.starts, attempt.acceptance, seed)

    def samples(self, outcome: Outcome) -> Samples:
        """What came of it."""
        modes, weighted = self.proposal
        return Samples(
            z=outcome.z,
            constants=outcome.constants,
            stats=outcome.stats,
            prior=self.prior,
            diagnostics=outcome.diagnostics,
            failures=outcome.failures,
            notes=(_modes_text(self.target, self.data, modes),) if len(modes) > 1 else (),
            method=outcome.method,
            k_hat=weighted.k_hat,
            log_evidence=weighted.log_evidence,
            log_evidence_se=weighted.log_evidence_se,
            modes=modes,
            seconds={"prepare": self.ready_at - self.begun_at, "sampling": time.perf_counter() - self.ready_at},
        )


def _next(policy: Attempts, outcome: Outcome | None) -> Attempt | None:
    """The next attempt, given what the last one gave; None where there is none left."""
    try:
        return next(policy) if outcome is None else policy.send(outcome)
    except StopIteration:
        return None


def _run(
    target: Target,
    plan: nuts.Plan,
    cases: Sequence[nuts.Case],
    seeds: Sequence[int],
    effort: Effort,
    progress: Progress = lambda stage, done, total: None,
) -> list[Outcome]:
    """Run chains until they pass, or until more of them would not help."""
    chains = nuts.Chains(target, plan, cases)
    each = len(cases[0].starts)
    done, total = 0, len(cases) * each * (plan.warmup + effort.draws)
    method = "nuts (adaptive)" if plan.adapt_metric else "nuts"

    def tick(transitions: int) -> None:
        nonlocal done
        done += transitions
        progress("NUTS", done, total)

    found: dict[int, Outcome] = {}
    active = list(range(len(cases)))
    for i, warmup in zip(active, chains.advance(active, plan.warmup // nuts.CHUNK, tick), strict=True):
        pace = float(warmup.steps[:, -nuts.CHUNK :].mean())
        if pace * each * effort.draws > STEPS_LIMIT:
            z, _ = _in_z(target, cases[i], warmup.w[:, -nuts.CHUNK :])
            why = (
                f"after warm-up the chains still need {pace:.0f} steps a transition: these data do not pin the law down"
            )
            constants = target.constants_at(z, cases[i].data, seeds[i])
            found[i] = Outcome(z, constants, {}, quality(target.law, constants), (why,), method)
    active = [i for i in active if i not in found]
    kept: dict[int, list[nuts.Transitions]] = {i: [] for i in active}
    more = max(effort.draws // nuts.CHUNK, 1)
    while active:
        for i, part in zip(active, chains.advance(active, more, tick), strict=True):
            kept[i].append(part)
            drawn = nuts.Transitions(*(np.concatenate(x, axis=1) for x in zip(*kept[i], strict=True)))
            outcome, over = _checked(target, cases[i], drawn, method, seeds[i], effort)
            if over:
                found[i] = outcome
        active = [i for i in active if i not in found]
        if active:
            length = sum(part.diverging.shape[1] for part in kept[active[0]])
            more = min(length, effort.limit - length) // nuts.CHUNK or 1
            total += len(active) * each * more * nuts.CHUNK
    return [found[i] for i in range(len(cases))]


def _checked(
    target: Target, case: nuts.Case, drawn: nuts.Transitions, method: str, seed: int, effort: Effort
) -> tuple[Outcome, bool]:
    """What chains have given so far, and whether that is all that they will give."""
    z, log_det = _in_z(target, case, drawn.w)
    constants = target.constants_at(z, case.data, seed)
    diagnostics = quality(target.law, constants)
    failures = shortfalls(diagnostics, int(drawn.diverging.sum()), drawn.diverging.size)
    # more of the same chains undoes neither a divergence nor a chain that is lost
    hopeless = max(q["r_hat"] for q in diagnostics.values()) > R_HAT_HOPELESS
    spent = float(drawn.steps.sum()) >= STEPS_LIMIT
    over = not failures or z.shape[1] >= effort.limit or bool(drawn.diverging.any()) or hopeless or spent
    stats = {
        "lp": drawn.log_density - log_det,
        "energy": drawn.energy,
        "n_steps": drawn.steps,
        "acceptance_rate": drawn.acceptance,
        "diverging": drawn.diverging,
        "step_size": drawn.step_size,
    }
    return Outcome(z, constants, stats, diagnostics, failures, method), over


def _in_z(target: Target, case: nuts.Case, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """From the sampler's coordinates, shape (chain, draw, d), to z, with the log Jacobian, shape (chain, draw)."""
    y = case.frame.location + w @ case.frame.factor.T
    z, log_det = in_blocks(target.bend, y.reshape(-1, y.shape[-1]), case.data, case.frame.at)
    return z.reshape(y.shape), log_det.reshape(y.shape[:-1])


def _quick(
    target: Target, data: Data, weighted: Weighted, rng: np.random.Generator, effort: Effort, seed: int
) -> Outcome:
    draws = min(effort.draws, len(weighted.y) // effort.chains)
    y = weighted.resample(effort.chains * draws, rng)
    z = in_blocks(target.bend, y, data, weighted.at)[0].reshape(effort.chains, draws, -1)
    constants = target.constants_at(z, data, seed)
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
    return Outcome(z, constants, stats, quality(target.law, constants), failures, "laplace")


def _modes_text(target: Target, data: Data, modes: tuple[Mode, ...]) -> str:
    top = modes[:3]
    constants = {n: x for n, x in target.constants_at(np.array([m.z for m in top]), data).items() if x.ndim == 1}
    described = []
    for i, m in enumerate(top):
        values = ", ".join(f"{n} {float(v[i]):.3g}" for n, v in constants.items() if n not in ("sigma", "nu"))
        described.append(f"({values}; log mass {m.log_evidence - modes[0].log_evidence:+.1f})")
    return f"the posterior has {len(modes)} modes: {' and '.join(described)}"


def _nothing(target: Target, data: Data, prior: np.ndarray, why: str) -> Samples:
    z = prior[:1000].reshape(4, -1, prior.shape[1])
    constants = target.constants_at(z, data)
    nan = float("nan")
    return Samples(z, constants, {}, prior, quality(target.law, constants), (why,), (), "none", nan, nan, nan)


T = TypeVar("T")
R = TypeVar("R")


def _in_threads(function: Callable[[T], R], items: Sequence[T]) -> list[R]:
    with ThreadPoolExecutor(max_workers=cores()) as pool:
        return list(pool.map(function, items))
