"""NumPyro's NUTS in one compiled program: all chains and all tables of a size share it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpyro.infer.hmc import hmc
from numpyro.infer.util import ParamInfo

from bayescale.compiled import Program, cores
from bayescale.posterior.coordinates import Coordinates
from bayescale.posterior.data import Data
from bayescale.posterior.density import Target

CHUNK = 250
"""Transitions a call of the program: how often progress is shown and an interrupt is seen."""

WIDTH = 32
"""Chains in a batch on a CPU."""


@dataclass(frozen=True)
class Plan:
    """How to adapt: what is compiled into a sampler's program.

    Attributes
    ----------
    warmup : int
        Transitions of adaptation, a multiple of `CHUNK`.
    adapt_metric : bool
        Learn a dense metric in warm-up, or keep the unit metric of conditioned coordinates.
    vectorised : bool
        Chains in step in batches, which an accelerator wants and many tables do, or each on its own.
    depths : tuple of int
        Doublings of a trajectory at most, in warm-up (shorter while the metric is still wrong) and after it.
    """

    warmup: int
    adapt_metric: bool
    vectorised: bool = False
    depths: tuple[int, int] = (9, 10)


CONDITIONED = Plan(warmup=CHUNK, adapt_metric=False)
ADAPTIVE = Plan(warmup=4 * CHUNK, adapt_metric=True)


def on_this_device(plan: Plan, tables: int = 1) -> Plan:
    """The plan as the default device wants it: many chains in step, whose longest trajectory is the time of all."""
    if tables == 1 and jax.default_backend() == "cpu":
        return plan
    return replace(plan, vectorised=True, depths=plan.depths if tables == 1 else (4, 8))


class Frame(NamedTuple):
    """Coordinates w of the sampler: y = location + factor w, in the coordinates `at`."""

    location: np.ndarray
    factor: np.ndarray
    at: Coordinates


class Transitions(NamedTuple):
    """What is kept of each transition, leading axes (chain, draw)."""

    w: np.ndarray
    log_density: np.ndarray
    energy: np.ndarray
    steps: np.ndarray
    acceptance: np.ndarray
    diverging: np.ndarray
    step_size: np.ndarray


class Case(NamedTuple):
    """A table's chains before they are run.

    Attributes
    ----------
    data : Data
    frame : Frame
        Coordinates to sample in.
    starts : ndarray, shape (chain, d)
        Where the chains start, in coordinates y.
    target_acceptance : float
        What the step size is adapted to.
    seed : int
        Chains get independent streams of it.
    """

    data: Data
    frame: Frame
    starts: np.ndarray
    target_acceptance: float
    seed: int


class Chains:
    """Chains of NUTS, of one table or of several of a size, that can be advanced as far as needed.

    Parameters
    ----------
    target : Target
    plan : Plan
    cases : sequence of Case
        Each of as many chains.
    """

    def __init__(self, target: Target, plan: Plan, cases: Sequence[Case]) -> None:
        self.plan = plan
        self.each = len(cases[0].starts)
        self.program, blank = sampler(target, plan)
        begun = [self._first(target, case) for case in cases]
        chains = [tuple(x[i] for x in first) for first in begun for i in range(self.each)]
        shared = [(np.float64(c.target_acceptance), c.data, c.frame) for c in cases for _ in range(self.each)]
        self.inputs: list[Any] = list(zip(chains, shared, strict=True))
        self.states: list[Any] = [blank] * len(chains)
        # a batch in step is as wide as an accelerator likes; on a CPU it waits for its longest trajectory
        width = WIDTH if jax.default_backend() == "cpu" else -(-len(chains) // WIDTH) * WIDTH
        self.width = min(width, len(chains)) if plan.vectorised else 1
        self.started = self.stopped = False

    @staticmethod
    def _first(target: Target, case: Case) -> tuple[np.ndarray, ...]:
        value, gradient = target.evaluate(case.starts, case.data, case.frame.at)
        w = np.linalg.solve(case.frame.factor, (case.starts - case.frame.location).T).T
        keys = np.random.default_rng(case.seed).integers(0, 2**32, (len(case.starts), 2), dtype=np.uint32)
        return w, -value, -gradient @ case.frame.factor, keys

    def advance(
        self, which: Sequence[int], chunks: int, tick: Callable[[int], None] = lambda n: None
    ) -> list[Transitions]:
        """Move the chains of some cases on by `chunks` times `CHUNK` transitions each, shape (chain, draw) of each.

        `tick` is told of transitions done.
        """
        chains = [i for case in which for i in range(case * self.each, (case + 1) * self.each)]
        groups = [chains[i : i + self.width] for i in range(0, len(chains), self.width)]

        def run(group: list[int]) -> list[Transitions]:
            parts = []
            for c in range(chunks):
                if self.stopped:
                    break
                parts.append(self._chunk(group, not self.started and c == 0))
                tick(CHUNK * len(group))
            return [
                Transitions(*(np.concatenate(x) for x in zip(*of_one, strict=True)))
                for of_one in zip(*parts, strict=True)
            ]

        # XLA runs one small program on one core and lets go of the interpreter: threads are free chains
        with ThreadPoolExecutor(max_workers=cores()) as pool:
            try:
                moved = [x for group in pool.map(run, groups) for x in group]
            except BaseException:  # an interrupt: let the threads end at their next chunk
                self.stopped = True
                raise
        self.started = True
        of_cases = [moved[i : i + self.each] for i in range(0, len(moved), self.each)]
        return [Transitions(*(np.stack(x) for x in zip(*case, strict=True))) for case in of_cases]

    def _chunk(self, group: list[int], begin: bool) -> list[Transitions]:
        """The next chunk of each chain of a group."""
        if not self.plan.vectorised:
            (i,) = group
            first, shared = self.inputs[i]
            self.states[i], part = self.program(np.bool_(begin), first, self.states[i], *shared)
            return [jax.tree.map(np.asarray, part)]
        filled = [*group, *[group[-1]] * (self.width - len(group))]
        first, shared = _stacked([self.inputs[i] for i in filled])
        states, parts = self.program(np.bool_(begin), first, _stacked([self.states[i] for i in filled]), *shared)
        states, parts = (jax.tree.map(np.asarray, x) for x in (states, parts))
        for row, i in enumerate(group):
            self.states[i] = jax.tree.map(lambda x, row=row: x[row], states)
        return [jax.tree.map(lambda x, row=row: x[row], parts) for row in range(len(group))]


def sampler(target: Target, plan: Plan) -> tuple[Program, Any]:
    """The program that advances a chain (or a batch of them) by one chunk, and a chain's blank state."""
    with jax.enable_x64(True):
        shapes = jax.eval_shape(lambda: _start(plan, jnp.sum, _blank_start(target.dimension), 0.8)[0])
    blank = jax.tree.map(lambda s: np.zeros(s.shape, s.dtype), shapes)
    if plan not in target.samplers:
        advance = _advance(target, plan)
        if plan.vectorised:
            advance = jax.vmap(advance, in_axes=(None, 0, 0, 0, 0, 0))
        target.samplers[plan] = Program(advance)
    return target.samplers[plan], blank


def prepare(target: Target, data: Data, plan: Plan, chains: int) -> None:
    """Start compiling the sampler's program for tables of this size in the background."""
    program, blank = sampler(target, plan)
    d = target.dimension
    first = tuple(np.asarray(x) for x in _blank_start(d))
    frame = Frame(np.zeros(d), np.eye(d), target.as_they_are())
    inputs = (first, blank, np.float64(0.8), data, frame)
    program.prepare(np.bool_(True), *(_stacked([inputs] * chains) if plan.vectorised else inputs))


def _stacked(trees: Sequence[Any]) -> Any:
    return jax.tree.map(lambda *x: np.stack(x), *trees)


def _blank_start(d: int) -> tuple[Any, ...]:
    return np.zeros(d), np.float64(0.0), np.zeros(d), np.zeros(2, np.uint32)


def _start(
    plan: Plan,
    potential: Callable[[jax.Array], jax.Array],
    first: tuple[Any, ...],
    target_acceptance: jax.Array | float,
) -> Any:
    w, value, gradient, key = first
    init, transition = hmc(potential, algo="NUTS")
    state = init(
        ParamInfo(w, value, gradient),
        num_warmup=plan.warmup,
        step_size=0.5,
        inverse_mass_matrix=None if plan.adapt_metric else jnp.ones(w.shape),
        adapt_mass_matrix=plan.adapt_metric,
        dense_mass=plan.adapt_metric,
        target_accept_prob=target_acceptance,
        max_tree_depth=plan.depths,
        rng_key=key,
    )
    return state, transition


def _advance(target: Target, plan: Plan) -> Callable[..., Any]:
    def advance(
        begin: jax.Array,
        first: tuple[Any, ...],
        state: Any,
        target_acceptance: jax.Array,
        data: Data,
        frame: Frame,
    ) -> Any:
        def potential(w: jax.Array) -> Any:
            return -target.straight_log_density(frame.location + frame.factor @ w, data, frame.at)

        fresh, transition = _start(plan, potential, first, target_acceptance)
        state = jax.tree.map(lambda new, old: jnp.where(begin, new, old), fresh, state)

        def step(state: Any, _: None) -> Any:
            state = transition(state)
            kept = Transitions(
                state.z,
                -state.potential_energy,
                state.energy,
                state.num_steps,
                state.accept_prob,
                state.diverging,
                state.adapt_state.step_size,
            )
            return state, kept

        return jax.lax.scan(step, state, None, length=CHUNK)

    return advance
