"""What sampling gives: draws, and what is known of their quality."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from bayescale.law import AnyLaw
from bayescale.law.varying import scalars
from bayescale.posterior.diagnostics import ess_bulk, ess_tail, r_hat
from bayescale.posterior.mode import Mode

R_HAT_LIMIT = 1.01
R_HAT_HOPELESS = 1.2
ESS_LIMIT = 400.0

Quality = dict[str, dict[str, float]]
"""Constant -> {'r_hat', 'ess_bulk', 'ess_tail'}."""


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
        Of a law with fields also what these give, shape (chain, draw, member), in numbers beyond the table too.
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
    diagnostics: Quality
    failures: tuple[str, ...]
    notes: tuple[str, ...]
    method: str
    k_hat: float
    log_evidence: float
    log_evidence_se: float
    modes: tuple[Mode, ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)


class Outcome(NamedTuple):
    """What an attempt at sampling gave; see `Samples`."""

    z: np.ndarray
    constants: dict[str, np.ndarray]
    stats: dict[str, np.ndarray]
    diagnostics: Quality
    failures: tuple[str, ...]
    method: str


def quality(law: AnyLaw, constants: dict[str, np.ndarray]) -> Quality:
    """R-hat and ESS of each number that the table determines, from draws of shape (chain, draw, ...)."""
    numbers = scalars(law, constants, fresh=False)
    return {n: {"r_hat": r_hat(x), "ess_bulk": ess_bulk(x), "ess_tail": ess_tail(x)} for n, x in numbers.items()}


def shortfalls(diagnostics: Quality, divergences: int, draws: int) -> tuple[str, ...]:
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
