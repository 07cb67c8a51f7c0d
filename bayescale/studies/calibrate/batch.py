"""The posteriors of many tables at once, which share their inputs and differ in what was observed.

Each table goes the way of `bayescale.posterior.policy`: its mode, straightened coordinates, an importance-weighted
proposal, and NUTS in the coordinates conditioned by it. The chains of many tables are one batch of one program, put
beside others of like pace, because a batch waits for its longest trajectory.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import numpy as np

from bayescale.posterior import nuts
from bayescale.posterior.data import Data
from bayescale.posterior.density import Line, Target, in_blocks
from bayescale.posterior.importance import Weighted, importance_sample
from bayescale.posterior.mode import find_modes, straightened
from bayescale.posterior.policy import (
    EVIDENCE_SE_QUICK,
    K_HAT_QUICK,
    Effort,
    quality,
    sample,
    shortfalls,
)

CHAINS = 4
WIDTH = 32
"""Chains in a batch on a CPU."""
CLIMBS = 9
"""Starts of the search for modes; every start of a fit would cost as much as its chains."""
K_HAT_HOPELESS = 1.5
"""Above this the importance weights know nothing of the posterior; `sample` takes over at once."""
ACCEPTANCES = (0.95, 0.99)
"""What step sizes are adapted to; the second where the first did not pass."""
MANY = nuts.Plan(warmup=nuts.CHUNK, adapt_metric=False, depths=(4, 8), many=True)
LENGTHS = (1, 2, 4, 8)
"""Chunks a chain after which draws are checked, and kept or continued."""
REFIT = Effort(draws=1000, limit=4000)


@dataclass(frozen=True, eq=False)
class Drawn:
    """Some draws of one table's posterior.

    Attributes
    ----------
    z : ndarray, shape (draw, d)
        Nearly independent draws, thinned from the chains.
    method : str
        'batch', or what `sample` says where it took over.
    failures : tuple of str
        Why the draws are not to be trusted; empty where they passed the checks of every fit.
    """

    z: np.ndarray
    method: str
    failures: tuple[str, ...]


class _Case(NamedTuple):
    """A table on its way into a batch."""

    table: int
    frame: nuts.Frame
    starts: np.ndarray


def sample_many(
    target: Target,
    tables: Sequence[Data],
    prior: np.ndarray,
    seeds: Sequence[int],
    draws: int,
    *,
    method: str = "nuts",
    refit: bool = True,
    tick: Callable[[int], None] = lambda n: None,
) -> list[Drawn]:
    """Draws of the posterior of each table.

    Parameters
    ----------
    target : Target
    tables : sequence of Data
        Alike but for `observed`.
    prior : ndarray, shape (n, d)
        Prior draws, to start from and to scale by.
    seeds : sequence of int
        One a table.
    draws : int
        How many draws to keep of each.
    method : {'nuts', 'laplace'}
        As in `bayescale.fit`.
    refit : bool
        Hand tables that the batch cannot do to `sample`, which tries harder. What is left undone has failures.
    tick : callable
        Told of tables done.
    """
    found: dict[int, Drawn] = {}
    weighted = _in_threads(lambda i: _propose(target, tables[i], prior, seeds[i]), range(len(tables)))
    if method == "laplace":
        for i, w in enumerate(weighted):
            if not isinstance(w, str) and w.k_hat < K_HAT_QUICK and w.log_evidence_se < EVIDENCE_SE_QUICK:
                y = w.resample(draws, np.random.default_rng((seeds[i], 2)))
                found[i] = Drawn(in_blocks(target.bend, y, tables[i], w.line)[0], "batch", ())
                tick(1)
    else:
        cases = [_case(i, w, seeds[i]) for i, w in enumerate(weighted) if not isinstance(w, str)]
        for acceptance in ACCEPTANCES:
            passed = _nuts(target, tables, [c for c in cases if c.table not in found], seeds, draws, acceptance)
            found |= passed
            tick(len(passed))
    for i in range(len(tables)):
        if i not in found:
            found[i] = _alone(target, tables[i], seeds[i], draws, refit, weighted[i])
            tick(1)
    return [found[i] for i in range(len(tables))]


def _propose(target: Target, data: Data, prior: np.ndarray, seed: int) -> Weighted | str:
    """The importance-weighted proposal, or why there is none to build on."""
    modes = find_modes(target, data, prior, CLIMBS)
    if not modes:
        return "the density is not finite at any prior draw"
    if sum(m.log_evidence > modes[0].log_evidence - 12.0 for m in modes) > 1:
        return f"the posterior has {len(modes)} modes"
    spread = prior.std(axis=0)
    line = target.line_at(modes[0].z, modes[0].hessian, spread, data)
    rng = np.random.default_rng((seed, 0))
    weighted = importance_sample(target, data, straightened(target, data, modes[0], line, spread), line, rng)
    if not weighted.k_hat < K_HAT_HOPELESS:
        return f"the Laplace proposal does not cover the posterior (Pareto k-hat {weighted.k_hat:.2f})"
    return weighted


def _case(index: int, weighted: Weighted, seed: int) -> _Case:
    rng = np.random.default_rng((seed, 1))
    frame = nuts.Frame(weighted.location, weighted.factor, weighted.line)
    starts = frame.location + 1.5 * rng.standard_normal((CHAINS, len(frame.location))) @ frame.factor.T
    return _Case(index, frame, starts)


class _Batch:
    """All chains of all cases; any of them can be advanced, `WIDTH` at a time."""

    def __init__(
        self, target: Target, tables: Sequence[Data], cases: list[_Case], seeds: Sequence[int], acceptance: float
    ) -> None:
        self.acceptance = np.float64(acceptance)
        self.program, blank = nuts.sampler(target, MANY)
        self.data = tables[0]
        frames = [c.frame for c in cases for _ in range(CHAINS)]
        self.frame = nuts.Frame(
            np.stack([f.location for f in frames]),
            np.stack([f.factor for f in frames]),
            Line(*(np.stack(x) for x in zip(*(f.line for f in frames), strict=True))),
        )
        self.observed = np.stack([tables[c.table].observed for c in cases for _ in range(CHAINS)])
        starts = np.concatenate([c.starts for c in cases])
        w = np.linalg.solve(self.frame.factor, (starts - self.frame.location)[..., None])[..., 0]
        at = [target.evaluate(c.starts, tables[c.table], c.frame.line) for c in cases]
        value, gradient = (np.concatenate(x) for x in zip(*at, strict=True))
        gradient = np.einsum("nd,nde->ne", gradient, self.frame.factor)
        keys = [np.random.default_rng((seeds[c.table], 3)).integers(0, 2**32, (CHAINS, 2), np.uint32) for c in cases]
        self.first = (w, -value, -gradient, np.concatenate(keys))
        self.states = jax.tree.map(lambda x: np.stack([x] * len(w)), blank)
        self.width = WIDTH if jax.default_backend() == "cpu" else -(-len(w) // WIDTH) * WIDTH

    def advance(self, chains: np.ndarray, begin: bool) -> nuts.Transitions:
        """Move `chains`, shape (n,), on by a chunk."""
        groups = np.split(chains, range(self.width, len(chains), self.width))
        parts = _in_threads(lambda group: self._group(group, begin), groups)
        return nuts.Transitions(*(np.concatenate(x) for x in zip(*parts, strict=True)))

    def _group(self, chains: np.ndarray, begin: bool) -> nuts.Transitions:
        rows = np.concatenate([chains, np.repeat(chains[-1:], self.width - len(chains))])

        def take(tree: Any) -> Any:
            return jax.tree.map(lambda x: x[rows], tree)

        data = self.data._replace(observed=self.observed[rows])
        state, kept = self.program(
            np.bool_(begin), take(self.first), take(self.states), self.acceptance, data, take(self.frame)
        )

        def put(mine: np.ndarray, new: Any) -> None:
            mine[chains] = np.asarray(new)[: len(chains)]

        jax.tree.map(put, self.states, state)
        return nuts.Transitions(*(np.asarray(x)[: len(chains)] for x in kept))


def _nuts(
    target: Target, tables: Sequence[Data], cases: list[_Case], seeds: Sequence[int], draws: int, acceptance: float
) -> dict[int, Drawn]:
    """The cases whose draws passed the checks of a fit."""
    if not cases:
        return {}
    batch = _Batch(target, tables, cases, seeds, acceptance)
    chains = np.arange(CHAINS * len(cases)).reshape(len(cases), CHAINS)
    warmup = batch.advance(chains.ravel(), True)
    pace = warmup.steps[:, -nuts.CHUNK // 2 :].reshape(len(cases), -1).mean(axis=1)
    active = np.argsort(pace)
    kept: dict[int, list[nuts.Transitions]] = {int(k): [] for k in active}
    found: dict[int, Drawn] = {}
    length = 0
    for more in LENGTHS:
        for _ in range(more - length):
            part = batch.advance(chains[active].ravel(), False)
            for row, k in enumerate(active):
                kept[int(k)].append(jax.tree.map(lambda x, r=row: x[CHAINS * r : CHAINS * (r + 1)], part))
        length = more
        still = []
        for k in active:
            case, drawn = cases[k], nuts.Transitions(*(np.concatenate(x, 1) for x in zip(*kept[int(k)], strict=True)))
            y = (case.frame.location + drawn.w @ case.frame.factor.T).reshape(-1, target.dimension)
            z = in_blocks(target.bend, y, tables[case.table], case.frame.line)[0]
            constants = target.constants_at(z.reshape(CHAINS, -1, target.dimension), tables[case.table])
            if not shortfalls(quality(constants), int(drawn.diverging.sum()), drawn.diverging.size):
                found[case.table] = Drawn(thinned(z, draws), "batch", ())
            elif not drawn.diverging.any():
                still.append(k)
        active = np.array(still, int)
        if not still:
            break
    return found


def _alone(target: Target, data: Data, seed: int, draws: int, refit: bool, proposal: Weighted | str) -> Drawn:
    if not refit:
        why = proposal if isinstance(proposal, str) else f"its draws did not pass (k-hat {proposal.k_hat:.2f})"
        return Drawn(np.full((draws, target.dimension), np.nan), "none", (why,))
    done = sample(target, data, seed=seed, effort=REFIT)
    return Drawn(thinned(done.z.reshape(-1, target.dimension), draws), done.method, done.failures)


def thinned(z: np.ndarray, draws: int) -> np.ndarray:
    """`draws` rows of z, evenly spaced."""
    return z[(np.arange(draws) * len(z)) // draws + len(z) // draws // 2]


def _in_threads(function: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        return list(pool.map(function, items))
