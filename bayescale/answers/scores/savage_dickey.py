"""The Savage-Dickey ratio: a Bayes factor of a constant's value from draws of the law that leaves it free."""

from __future__ import annotations

import jax
import numpy as np
from numpyro.distributions import Distribution

from bayescale.answers.scores.bridge import DRAWS
from bayescale.errors import UsageError
from bayescale.posterior.diagnostics import ess_mean, pareto_k
from bayescale.posterior.importance import K_HAT_LIMIT
from bayescale.posterior.posterior import Posterior


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
