"""NumPyro's NUTS in one compiled program: all chains and all tables of a size share it."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpyro.infer.hmc import hmc
from numpyro.infer.util import ParamInfo

from bayescale.compiled import Program
from bayescale.posterior.data import Data
from bayescale.posterior.density import Line, Target

CHUNK = 250
"""Transitions a call of the program: how often progress is shown and an interrupt is seen."""


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
        All chains in step in one batch, which an accelerator wants, or each on its own.
    depths : tuple of int
        Doublings of a trajectory at most, in warm-up (shorter while the metric is still wrong) and after it.
    many : bool
        Chains of a batch have tables of their own, which differ in what was observed only, and frames of their own.
    """

    warmup: int
    adapt_metric: bool
    vectorised: bool = False
    depths: tuple[int, int] = (9, 10)
    many: bool = False


CONDITIONED = Plan(warmup=CHUNK, adapt_metric=False)
ADAPTIVE = Plan(warmup=4 * CHUNK, adapt_metric=True)


def on_this_device(plan: Plan) -> Plan:
    """The plan as the default device wants it."""
    return replace(plan, vectorised=jax.default_backend() != "cpu")


class Frame(NamedTuple):
    """Coordinates w of the sampler: y = location + factor w, in the straightened coordinates of `line`."""

    location: np.ndarray
    factor: np.ndarray
    line: Line


class Transitions(NamedTuple):
    """What is kept of each transition, leading axes (chain, draw)."""

    w: np.ndarray
    log_density: np.ndarray
    energy: np.ndarray
    steps: np.ndarray
    acceptance: np.ndarray
    diverging: np.ndarray
    step_size: np.ndarray


class Chains:
    """Chains of NUTS that can be advanced as far as needed.

    Parameters
    ----------
    target, data : Target, Data
    plan : Plan
    frame : Frame
        Coordinates to sample in.
    starts : ndarray, shape (chain, d)
        Where the chains start, in coordinates y.
    target_acceptance : float
        What the step size is adapted to.
    seed : int
        Chains get independent streams of it.
    """

    def __init__(
        self,
        target: Target,
        data: Data,
        plan: Plan,
        frame: Frame,
        starts: np.ndarray,
        target_acceptance: float,
        seed: int,
    ) -> None:
        self.plan = plan
        self.program, blank = sampler(target, plan)
        value, gradient = target.evaluate(starts, data, frame.line)
        w = np.linalg.solve(frame.factor, (starts - frame.location).T).T
        keys = np.random.default_rng(seed).integers(0, 2**32, (len(starts), 2), dtype=np.uint32)
        first = (w, -value, -gradient @ frame.factor, keys)
        self.constant = (np.float64(target_acceptance), data, frame)
        # on an accelerator all chains are one program's batch; on a CPU each is a thread's
        self.batches: list[Any] = (
            [first] if plan.vectorised else [tuple(x[i] for x in first) for i in range(len(starts))]
        )
        self.states: list[Any] = [_repeated(blank, len(starts)) if plan.vectorised else blank for _ in self.batches]
        self.started = self.stopped = False

    def advance(self, chunks: int, tick: Callable[[int], None] = lambda n: None) -> Transitions:
        """Move every chain on by `chunks` times `CHUNK` transitions; `tick` is told of transitions done."""

        def run(i: int) -> Transitions:
            parts = []
            for c in range(chunks):
                if self.stopped:
                    break
                begin = np.bool_(not self.started and c == 0)
                self.states[i], part = self.program(begin, self.batches[i], self.states[i], *self.constant)
                parts.append(jax.tree.map(np.asarray, part))
                tick(CHUNK * (parts[0].diverging.shape[0] if self.plan.vectorised else 1))
            along = 1 if self.plan.vectorised else 0
            return Transitions(*(np.concatenate(x, axis=along) for x in zip(*parts, strict=True)))

        if self.plan.vectorised:
            return self._done(run(0))
        # XLA runs one small program on one core and lets go of the interpreter: threads are free chains
        with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
            try:
                chains = list(pool.map(run, range(len(self.batches))))
            except BaseException:  # an interrupt: let the threads end at their next chunk
                self.stopped = True
                raise
        return self._done(Transitions(*(np.stack(x) for x in zip(*chains, strict=True))))

    def _done(self, drawn: Transitions) -> Transitions:
        self.started = True
        return drawn


def sampler(target: Target, plan: Plan) -> tuple[Program, Any]:
    """The program that advances a chain (or a batch of them) by one chunk, and a chain's blank state."""
    with jax.enable_x64(True):
        shapes = jax.eval_shape(lambda: _start(plan, jnp.sum, _blank_start(target.dimension), 0.8)[0])
    blank = jax.tree.map(lambda s: np.zeros(s.shape, s.dtype), shapes)
    if plan not in target.samplers:
        advance = _advance(target, plan)
        if plan.many:
            observed = Data(inputs=None, observed=0, log_se=None, mask=None, centre=None)  # type: ignore[arg-type]
            advance = jax.vmap(advance, in_axes=(None, 0, 0, None, observed, 0))
        elif plan.vectorised:
            advance = jax.vmap(advance, in_axes=(None, 0, 0, None, None, None))
        target.samplers[plan] = Program(advance)
    return target.samplers[plan], blank


def prepare(target: Target, data: Data, plan: Plan, chains: int) -> None:
    """Start compiling the sampler's program for tables of this size in the background."""
    program, blank = sampler(target, plan)
    d = target.dimension
    first = tuple(np.asarray(x) for x in _blank_start(d))
    if plan.vectorised:
        first, blank = _repeated(first, chains), _repeated(blank, chains)
    frame = Frame(np.zeros(d), np.eye(d), target.as_they_are())
    program.prepare(np.bool_(True), first, blank, np.float64(0.8), data, frame)


def _repeated(tree: Any, times: int) -> Any:
    return jax.tree.map(lambda x: np.stack([x] * times), tree)


def _blank_start(d: int) -> tuple[Any, ...]:
    return np.zeros(d), np.float64(0.0), np.zeros(d), np.zeros(2, np.uint32)


def _start(plan: Plan, potential: Any, first: tuple[Any, ...], target_acceptance: Any) -> Any:
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
    def advance(begin: Any, first: Any, state: Any, target_acceptance: Any, data: Data, frame: Frame) -> Any:
        def potential(w: Any) -> Any:
            return -target.straight_log_density(frame.location + frame.factor @ w, data, frame.line)

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
