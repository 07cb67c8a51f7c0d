"""Log evidence of a fit by warp-III bridge sampling, with its error and a cross-check that shares no draws with it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import jax
import numpy as np
from numpyro.distributions import Distribution

from bayescale.errors import UsageError
from bayescale.posterior.diagnostics import ess_mean, pareto_k
from bayescale.posterior.importance import student_t
from bayescale.posterior.posterior import Posterior

DRAWS = 4000
"""Draws used at most, all chains together: more would cost more time than they take off the error."""

K_HAT_LIMIT = 0.7
"""Pareto k-hat above which the importance estimate has no error worth the name (Vehtari et al. 2024)."""

RIVAL = 5.0
"""A second mode within this many nats of the first holds enough mass to matter (0.7 %)."""

HALVES_CORRELATE = 0.25
"""Of the two halves' errors, each half being fitted on the other: 0 for skewed posteriors, 0.46 for normal ones."""

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
        'bridge' (warp-III) or 'importance' (importance-weighted Laplace, for fits by that method).
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
    elif samples.stats:
        step = -(-samples.z.shape[0] * samples.z.shape[1] // DRAWS)
        value, se = bridge(
            lambda z: fit.target.evaluate(z, fit.padded)[0],
            samples.z[:, ::step],
            seed=fit.seed,
        )
        method = "bridge"
    else:
        value = se = float("nan")
        method = "none"
    importance, importance_se, k_hat = samples.log_evidence, samples.log_evidence_se, samples.k_hat
    if method == "bridge" and not k_hat < K_HAT_LIMIT:
        again = _importance(fit)
        if again[2] < k_hat:
            importance, importance_se, k_hat = again
    agreement, told = _cross_check(value, se, importance, importance_se, k_hat, method)
    if agreement == "disagree":
        warnings.append(told)
    if not se <= SE_LIMIT:
        warnings.append(f"the log evidence is known to {se:.2f} nats only, {SE_LIMIT} is needed")
    rivals = [m for m in samples.modes if m.log_evidence > samples.modes[0].log_evidence - RIVAL]
    if len(rivals) > 1:
        masses = ", ".join(f"{m.log_evidence - rivals[0].log_evidence:+.1f}" for m in rivals)
        warnings.append(f"{len(rivals)} modes rival each other (log mass {masses}): chains may weigh them wrongly")
    trusted = not warnings
    if agreement == "unchecked":
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


def bridge(
    log_density: Callable[[np.ndarray], np.ndarray],
    draws: np.ndarray,
    *,
    log_density_at_draws: np.ndarray | None = None,
    seed: int = 0,
) -> tuple[float, float]:
    """Log of the normalising constant of a density, from draws of it, by warp-III bridge sampling.

    The density is centred, whitened and made symmetric by the mean and covariance of one half of the draws
    and bridged to a standard normal with the other half; then the halves swap roles.

    Parameters
    ----------
    log_density : callable
        Log of the unnormalised density at points, (n, d) -> (n,); -inf where it vanishes.
    draws : ndarray, shape (chain, draw, d)
        Draws of the density; neighbours within a chain may be correlated.
    log_density_at_draws : ndarray, shape (chain, draw), optional
        Where it is known already.
    seed : int
        Of the normal's draws.

    Returns
    -------
    tuple of float
        The log normalising constant and its standard error: the relative mean squared error of Gronau et al.
        2017 (eq. 16) with the effective size of the draws' own terms of it.

    Raises
    ------
    UsageError
        The draws are too few to fit a covariance to each half.
    """
    chains, length, d = draws.shape
    half = length // 2
    if chains * half < 10 * d:
        raise UsageError(f"bridge sampling in {d} dimensions needs at least {20 * d} draws; found {chains * length}")
    if log_density_at_draws is None:
        log_density_at_draws = log_density(draws.reshape(-1, d)).reshape(chains, length)
    rng = np.random.default_rng((seed, 7))
    parts = [slice(0, half), slice(half, 2 * half)]
    runs = [
        _bridge_half(log_density, draws[:, fit], draws[:, use], log_density_at_draws[:, use], rng)
        for fit, use in (parts, parts[::-1])
    ]
    (first, first_se), (second, second_se) = runs
    variance = first_se**2 + second_se**2 + 2 * HALVES_CORRELATE * first_se * second_se
    return (first + second) / 2, float(np.sqrt(variance)) / 2


def _bridge_half(
    log_density: Callable[[np.ndarray], np.ndarray],
    fitted: np.ndarray,
    used: np.ndarray,
    at_used: np.ndarray,
    rng: np.random.Generator,
) -> tuple[float, float]:
    chains, length, d = used.shape
    flat = fitted.reshape(-1, d)
    location, factor = flat.mean(axis=0), np.linalg.cholesky(np.cov(flat.T).reshape(d, d))
    log_det = float(np.log(np.diag(factor)).sum())
    normal = rng.standard_normal((chains * length, d))
    white = np.linalg.solve(factor, (used.reshape(-1, d) - location).T).T

    def log_ratio(w: np.ndarray, at_plus: np.ndarray, at_minus: np.ndarray) -> np.ndarray:
        log_warped = np.logaddexp(at_plus, at_minus) - np.log(2.0) + log_det
        return np.asarray(log_warped + 0.5 * (w**2).sum(axis=1) + 0.5 * d * np.log(2 * np.pi))

    w = np.concatenate([-white, normal, -normal])
    mirrored, plus, minus = np.split(log_density(location + w @ factor.T), 3)
    of_draws = log_ratio(white, at_used.reshape(-1), mirrored)
    of_normal = log_ratio(normal, plus, minus)
    top = float(np.median(of_draws))
    log_p, log_q = of_draws - top, of_normal - top
    share = min(ess_mean(at_used), 1.0 * log_p.size)
    share /= share + log_q.size
    log_r = 0.0
    for _ in range(1000):
        # both terms as shares of the pooled density: neither can overflow
        a = np.exp(log_q - np.logaddexp(np.log(share) + log_q, np.log1p(-share) + log_r))
        b = np.exp(log_r - np.logaddexp(np.log(share) + log_p, np.log1p(-share) + log_r))
        step = float(np.log(a.mean() / b.mean()))
        log_r += step
        if abs(step) <= 1e-10:
            break
    effective = min(ess_mean(b.reshape(chains, length)), 1.0 * b.size)
    variance = a.var() / a.mean() ** 2 / a.size + b.var() / b.mean() ** 2 / effective
    return top + log_r, float(np.sqrt(variance))


def _cross_check(value: float, se: float, other: float, other_se: float, k_hat: float, method: str) -> tuple[str, str]:
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
    top = float(np.max(log_weights))
    w = np.exp(log_weights - top)
    pairs = w.reshape(2, -1).mean(axis=0)
    se = float(pairs.std(ddof=1) / np.sqrt(len(pairs)) / w.mean())
    return top + float(np.log(w.mean())), se, pareto_k(log_weights)


def savage_dickey(fit: Posterior, constant: str, value: float) -> tuple[float, float]:
    """Log Bayes factor of a constant being `value` against its being free, by the Savage-Dickey ratio.

    The law with the constant pinned must have the other constants' priors of this one; the ratio of posterior to
    prior density at `value` then is the Bayes factor (Dickey 1971). The posterior density is estimated as Chen
    1994 does, by the mean over draws of w(z_k) p(value, shifted rest) / p(z), which needs no kernel and no draws
    near `value`.

    Parameters
    ----------
    fit : Posterior
        With `constant` free.
    constant : str
        A constant of the law whose prior is a distribution of its own.
    value : float
        Inside the prior's support.

    Returns
    -------
    tuple of float
        Log Bayes factor in favour of the pinned law, and its standard error: infinite where the draws do not reach
        far enough towards `value` for an estimate (Pareto k-hat of the terms above 0.7).

    Raises
    ------
    UsageError
        The constant is not free with a prior of its own, or `value` is outside the prior's support.
    """
    prior = getattr(fit.law, constant, None) if constant in fit.law.fields else None
    if not isinstance(prior, Distribution):
        free = [n for n in fit.law.free if isinstance(getattr(fit.law, n), Distribution)]
        raise UsageError(
            f"law {fit.law.name} has no constant {constant!r} with a prior of its own; "
            f"the Savage-Dickey ratio applies to {', '.join(free)}"
        )
    k = fit.target.coordinates.index(constant)
    transform = fit.target.sites[constant][0]
    with jax.enable_x64(True):
        point = float(transform.inv(value))
        if not np.isfinite(point):
            raise UsageError(f"{constant} = {value:g} is outside, or at the edge of, the support of its prior")
        log_prior = float(prior.log_prob(value) + transform.log_abs_det_jacobian(point, value))
    step = -(-fit.samples.z.shape[0] * fit.samples.z.shape[1] // DRAWS)
    z = fit.samples.z[:, ::step]
    flat = z.reshape(-1, z.shape[-1])
    scale = flat[:, k].std()
    standard, target = (flat[:, k] - flat[:, k].mean()) / scale, (point - flat[:, k].mean()) / scale
    # the rest follows the ridge: its regression on z_k, with curvature, is a shift whose Jacobian is 1
    powers = np.column_stack([np.ones_like(standard), standard, standard**2])
    coefficients = np.linalg.lstsq(powers, flat, rcond=None)[0]
    shifted = flat + np.array([1.0, target, target**2]) @ coefficients - powers @ coefficients
    shifted[:, k] = point
    here = fit.target.evaluate(flat, fit.padded)[0]
    there = fit.target.evaluate(shifted, fit.padded)[0]
    log_terms = there - here - 0.5 * standard**2 - 0.5 * np.log(2 * np.pi) - np.log(scale)
    top = float(np.max(log_terms))
    terms = np.exp(log_terms - top).reshape(z.shape[:2])
    se = float(terms.std() / terms.mean() / np.sqrt(min(ess_mean(terms), terms.size)))
    return top + float(np.log(terms.mean())) - log_prior, se if pareto_k(log_terms) < K_HAT_LIMIT else float("inf")
