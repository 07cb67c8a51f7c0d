"""Log evidence of a fit by warp-III bridge sampling, with its error and a cross-check that shares no draws with it."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp

from bayescale.answers.scores.bridge import DRAWS, bridge, enough
from bayescale.errors import UsageError
from bayescale.posterior.diagnostics import pareto_k
from bayescale.posterior.importance import K_HAT_LIMIT, student_t
from bayescale.posterior.posterior import Posterior

RIVAL = 5.0
"""A second mode within this many nats of the first holds enough mass to matter (0.7 %)."""

SE_LIMIT = 0.1
"""An error above this, in nats, is too large to tell two laws apart by a Bayes factor that people quote."""


@dataclass(frozen=True)
class Evidence:
    """The log evidence of a law, log p(rows | law), on the metric's own scale.

    The densities of observations include the Jacobian of the logarithm, so that any two laws of one
    metric on the same rows can be compared.

    Attributes
    ----------
    log_evidence : float
        In nats.
    se : float
        Its standard error, autocorrelation of the draws included.
    method : str
        'bridge' (warp-III), 'importance' (importance-weighted Laplace, for fits by that method), or 'none' where there
        is no estimate: `log_evidence` is NaN, and the first of the warnings says why.
    importance, importance_se, k_hat : float
        The importance-weighted Laplace estimate, which does not depend on the chains, its standard error and
        the Pareto k-hat of its weights (above 0.7 it says little). Where the mode's curvature makes no usable
        proposal (k-hat above 0.7), the proposal is fitted to the draws instead.
    agreement : str
        'agree', 'disagree', or 'unchecked' where k-hat is too high for the cross-check to speak.
    warnings : tuple of str
        Why the number is not to be trusted, or what it rests on alone.
    trusted : bool
        False where the estimators disagree, modes rival each other, the draws failed or the error is large.
    seconds : float
        Wall time after the fit.
    """

    log_evidence: float
    se: float
    method: str
    importance: float
    importance_se: float
    k_hat: float
    agreement: str
    warnings: tuple[str, ...]
    trusted: bool
    seconds: float

    def __repr__(self) -> str:
        text = (
            f"log evidence {self.log_evidence:.3f} +- {self.se:.3f} ({self.method}); importance-weighted Laplace "
            f"{self.importance:.3f} +- {self.importance_se:.3f} (k-hat {self.k_hat:.2f}): {self.agreement}"
        )
        return "\n".join([text, *(f"  - {w}" for w in self.warnings)])


def log_evidence(fit: Posterior) -> Evidence:
    """The log evidence of a fit.

    Warp-III bridge sampling (Meng & Wong 1996; Meng & Schilling 2002, section 3; Gronau et al. 2017,
    arXiv:1703.05984) on the unconstrained draws, beside the importance-weighted Laplace estimate that the
    fit made before it sampled.

    Parameters
    ----------
    fit : Posterior

    Returns
    -------
    Evidence
        Check `Evidence.trusted`.
    """
    begun = time.perf_counter()
    samples = fit.samples
    warnings = [f"the draws are not to be trusted ({f})" for f in fit.failures]
    if samples.method == "laplace":
        value, se, method = samples.log_evidence, samples.log_evidence_se, "importance"
    else:
        value, se, method = float("nan"), float("nan"), "none"
    if method == "none" and samples.stats:
        try:
            value, se = bridge(lambda z: fit.target.evaluate(z, fit.padded)[0], enough(samples.z), seed=fit.seed)
            method = "bridge"
        except UsageError as error:
            warnings.append(f"it has no log evidence: {error}")
    importance, importance_se, k_hat = samples.log_evidence, samples.log_evidence_se, samples.k_hat
    if method == "bridge" and not k_hat < K_HAT_LIMIT:
        again = _importance(fit)
        if again[2] < k_hat:
            importance, importance_se, k_hat = again
    agreement, told = _cross_check(value, se, importance, importance_se, k_hat, method)
    if agreement == "disagree":
        warnings.append(told)
    if method != "none" and not se <= SE_LIMIT:
        warnings.append(f"the log evidence is known to {se:.2f} nats only, {SE_LIMIT} is needed")
    rivals = [m for m in samples.modes if m.log_evidence > samples.modes[0].log_evidence - RIVAL]
    if len(rivals) > 1:
        masses = ", ".join(f"{m.log_evidence - rivals[0].log_evidence:+.1f}" for m in rivals)
        warnings.append(f"{len(rivals)} modes rival each other (log mass {masses}): chains may weigh them wrongly")
    trusted = not warnings and method != "none"
    if agreement == "unchecked" and told:
        warnings.append(told)
    return Evidence(
        value,
        se,
        method,
        importance,
        importance_se,
        k_hat,
        agreement,
        tuple(warnings),
        trusted,
        time.perf_counter() - begun,
    )


def _cross_check(value: float, se: float, other: float, other_se: float, k_hat: float, method: str) -> tuple[str, str]:
    if method == "none":
        return "unchecked", ""
    if method == "importance":
        return (
            "unchecked",
            "the importance-weighted Laplace estimate stands alone; method='nuts' adds a bridge",
        )
    if not k_hat < K_HAT_LIMIT:
        return "unchecked", (
            f"the importance-weighted Laplace check cannot speak (Pareto k-hat {k_hat:.2f}): "
            "the number rests on the draws alone"
        )
    error = float(np.hypot(se, other_se))
    if abs(value - other) <= 4 * error + 0.01:
        return "agree", ""
    return "disagree", (
        f"bridge sampling says {value:.2f} and importance-weighted Laplace {other:.2f}, "
        f"{abs(value - other) / error:.0f} times their joint error apart: one of them misses part of the posterior"
    )


def _importance(fit: Posterior) -> tuple[float, float, float]:
    """Log evidence, its standard error and k-hat by importance sampling with a proposal fitted to the draws."""
    z = fit.samples.z.reshape(-1, fit.samples.z.shape[-1])
    factor = np.linalg.cholesky(np.cov(z.T).reshape(z.shape[1], -1))
    points, log_proposal = student_t(z.mean(axis=0), factor, DRAWS, np.random.default_rng((fit.seed, 8)))
    log_weights = fit.target.evaluate(points, fit.padded)[0] - log_proposal
    w = np.exp(log_weights - np.max(log_weights))
    pairs = w.reshape(2, -1).mean(axis=0)
    se = float(pairs.std(ddof=1) / np.sqrt(len(pairs)) / w.mean())
    return float(logsumexp(log_weights) - np.log(len(w))), se, pareto_k(log_weights)
