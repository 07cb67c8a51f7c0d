"""The policy: what is tried on a posterior, one attempt after another, until one passes the checks or none is left."""

from __future__ import annotations

from collections.abc import Generator
from typing import NamedTuple

import numpy as np

from bayescale.posterior import nuts
from bayescale.posterior.coordinates import Coordinates
from bayescale.posterior.data import Data
from bayescale.posterior.density import Target, in_blocks
from bayescale.posterior.fields import conditioning, settled_modes
from bayescale.posterior.importance import Weighted, importance_sample
from bayescale.posterior.mode import Mode, find_modes, straightened
from bayescale.posterior.samples import Effort, Outcome

K_HAT_CONDITION = 0.7
"""Above this the mode's curvature does not describe the posterior, and coordinates made from it mislead."""

RIVAL = 12.0
"""Nats below the heaviest mode within which another one counts."""


class Proposal(NamedTuple):
    """What a sampler starts from: the modes, the heaviest first, and weighted draws about the first."""

    modes: tuple[Mode, ...]
    weighted: Weighted


class Attempt(NamedTuple):
    """Chains to be run: how they adapt, the coordinates they run in, where they start, and what the step adapts to."""

    plan: nuts.Plan
    frame: nuts.Frame
    starts: np.ndarray
    acceptance: float


Attempts = Generator[Attempt, Outcome, None]


def propose(target: Target, data: Data, prior: np.ndarray, rng: np.random.Generator) -> Proposal | str:
    """Find the modes, coordinates about the first and weighted draws there; or say why there is nothing to propose.

    Parameters
    ----------
    prior : ndarray, shape (draw, d)
        Prior draws in coordinates z, to start from and to scale by.
    """
    at: Coordinates
    if target.law.latent:
        settled = settled_modes(target, data, prior)
        modes = tuple(m.moved(np.asarray(target.bend(m.z[None], data, at)[0])[0]) for m, at in settled)
        if settled:
            middle, at = settled[0]
    else:
        modes = tuple(find_modes(target, data, prior))
        if modes:
            spread = prior.std(axis=0)
            at = target.straightening(modes[0].z, modes[0].hessian, spread, data)
            middle = straightened(target, data, modes[0], at, spread)
    if not modes:
        return "the density is not finite at any prior draw: the law does not fit these data at all"
    return Proposal(modes, importance_sample(target, data, middle, at, rng))


def attempts(
    target: Target, data: Data, proposal: Proposal, prior: np.ndarray, rng: np.random.Generator, effort: Effort
) -> Attempts:
    """The attempts at a posterior in their order; what each gave is sent back, and the first that passes ends them."""
    modes, weighted = proposal
    if target.law.latent:
        yield from _refitting(target, data, weighted, prior, rng, effort)
        return
    frame = nuts.Frame(weighted.location, weighted.factor, weighted.at)
    rivals = [m for m in modes if m.log_evidence > modes[0].log_evidence - RIVAL]
    if weighted.k_hat < K_HAT_CONDITION and len(rivals) == 1:
        starts = _about(frame, rng, effort.chains)
        for acceptance in (effort.target_acceptance, 0.95):
            yield Attempt(nuts.CONDITIONED, frame, starts, acceptance)
    plain = nuts.Frame(prior.mean(axis=0), np.diag(prior.std(axis=0)), target.as_they_are())
    for other, acceptance in ((frame, 0.95), (plain, 0.95), (plain, 0.99)):
        starts = _dispersed(target, data, weighted, prior, rivals, rng, effort.chains, other.at)
        yield Attempt(nuts.ADAPTIVE, other, starts, acceptance)


def _refitting(
    target: Target, data: Data, weighted: Weighted, prior: np.ndarray, rng: np.random.Generator, effort: Effort
) -> Attempts:
    """Of a law with fields: its many coordinates are conditioned by the draws of all chains, again until they pass."""
    frame = nuts.Frame(weighted.location, weighted.factor, weighted.at)
    for acceptance in (effort.target_acceptance, 0.9, 0.95, 0.99, 0.998):
        outcome = yield Attempt(nuts.CONDITIONED, frame, _about(frame, rng, effort.chains), acceptance)
        z = outcome.z.reshape(-1, target.dimension)
        at = conditioning(target, np.median(z, axis=0), prior, data)
        y = in_blocks(target.straighten, z, data, at)
        covariance = np.cov(y.T) + 1e-12 * np.diag(y.var(axis=0))
        frame = nuts.Frame(y.mean(axis=0), np.linalg.cholesky(covariance), at)


def _about(frame: nuts.Frame, rng: np.random.Generator, chains: int) -> np.ndarray:
    """Starts one and a half times as wide as the frame, shape (chain, d)."""
    wide = rng.standard_normal((chains, len(frame.location))) @ frame.factor.T
    return np.asarray(frame.location + 1.5 * wide)


def _dispersed(
    target: Target,
    data: Data,
    weighted: Weighted,
    prior: np.ndarray,
    rivals: list[Mode],
    rng: np.random.Generator,
    chains: int,
    at: Coordinates,
) -> np.ndarray:
    """Starts that the posterior should have to forget, in the coordinates `at`.

    Every mode, prior draws that fit best, and wide draws about the first mode, in turn.
    """
    wide = weighted.location + 2.0 * rng.standard_normal((64, target.dimension)) @ weighted.factor.T
    wide, _ = (np.asarray(x) for x in target.bend(wide, data, weighted.at))
    value = target.evaluate(wide, data)[0]
    wide = wide[np.isfinite(value)]
    value = target.evaluate(prior, data)[0]
    plausible = prior[np.argsort(-value)[:20]]
    pools = [np.array([m.z for m in rivals]), rng.permutation(plausible), wide]
    starts: list[np.ndarray] = []
    for i in range(max(len(p) for p in pools)):
        starts.extend(p[i] for p in pools if i < len(p))
    return np.array([np.asarray(target.straighten(s[None], data, at))[0] for s in starts[:chains]])
