"""The posterior of some of a fit's rows, and how it predicts the others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from scipy.special import logsumexp

from bayescale.answers.scores.evidence import RIVAL, SE_LIMIT
from bayescale.posterior.data import Data
from bayescale.posterior.density import Target
from bayescale.posterior.importance import K_HAT_LIMIT
from bayescale.posterior.posterior import Posterior
from bayescale.posterior.rows import masked
from bayescale.posterior.samples import Effort, Samples
from bayescale.posterior.sampling import sample

DRAWS, LIMIT = 500, 4000
"""Draws a chain without some rows: enough for a mean of densities, and where sampling stops."""

TOGETHER = 2**24
"""Numbers in a block of log densities, draws by rows."""


def pointwise_log_likelihood(fit: Posterior, step: int = 1) -> np.ndarray:
    """Log likelihood of every row at every `step`-th draw, shape (chain, draw, run); on the metric's own scale."""
    values = log_likelihoods(fit.target, _joined(fit.samples, step), fit.padded)[:, : fit.runs.rows]
    return values.reshape(fit.samples.z.shape[0], -1, fit.runs.rows)


def log_likelihoods(target: Target, constants: Mapping[str, np.ndarray], data: Data) -> np.ndarray:
    """Log likelihood of every row at draws of the constants, chains joined; padding included, shape (draw, row)."""
    total, parts = len(next(iter(constants.values()))), []
    block = int(np.clip(TOGETHER // len(data.mask), 1, 1000))
    for start in range(0, total, block):
        some = {n: x[start : start + block] for n, x in constants.items()}
        parts.append(np.asarray(target.log_likelihood(some, data)))
    return np.concatenate(parts)


def without(fit: Posterior, keep: np.ndarray, data: Data, *, seed: int) -> Samples:
    """Sample the posterior of the rows `keep`, shape (row,); the others stay in place, masked."""
    kept = masked(data, keep)
    quick = sample(fit.target, kept, method="laplace", seed=seed)
    # a mean of densities asks less of the weights than the evidence does, for which the quick mode's own gate is set
    if quick.k_hat < K_HAT_LIMIT and quick.log_evidence_se < SE_LIMIT and not _rivals(quick):
        return replace(quick, failures=())
    if fit.samples.method == "laplace":
        return quick
    return sample(fit.target, kept, method="nuts", seed=seed, effort=Effort(draws=DRAWS, limit=LIMIT))


def log_joint(fit: Posterior, samples: Samples, data: Data, keep: np.ndarray) -> np.ndarray:
    """Log density of all the rows that are not kept, together, given those that are, at every draw; (chain, draw).

    Where rows follow one another it is that of all rows over that of the kept ones, which needs no order.
    """
    flat = _joined(samples)
    rows = len(keep)
    found = log_likelihoods(fit.target, flat, data)[:, :rows]
    if data.before is None:
        total = found[:, ~keep].sum(axis=1)
    else:
        rest = log_likelihoods(fit.target, flat, masked(data, keep))[:, :rows]
        total = found.sum(axis=1) - rest[:, keep].sum(axis=1)
    return np.asarray(total.reshape(samples.z.shape[:2]))


def log_marginals(fit: Posterior, samples: Samples, data: Data, keep: np.ndarray) -> np.ndarray:
    """Log predictive density of each row that is not kept by itself, whatever the others were, shape (row,)."""
    flat = _joined(samples)
    return log_mean_exp(log_likelihoods(fit.target, flat, masked(data, keep))[:, : len(keep)][:, ~keep])


def log_mean_exp(values: np.ndarray) -> np.ndarray:
    """Log of the mean of exponentials over the first axis."""
    return np.asarray(logsumexp(values, axis=0) - np.log(len(values)))


def _joined(samples: Samples, step: int = 1) -> dict[str, np.ndarray]:
    """Every `step`-th draw of each constant, chains joined, as programs take them."""
    return {n: x[:, ::step].reshape(-1, *x.shape[2:]) for n, x in samples.constants.items()}


def _rivals(samples: Samples) -> bool:
    return sum(m.log_evidence > samples.modes[0].log_evidence - RIVAL for m in samples.modes) > 1
