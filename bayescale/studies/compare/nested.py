"""Pairs of laws of which one pins a constant of the other: the Savage-Dickey ratio as a check of their evidences."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import permutations

import numpy as np
from numpyro.distributions import Distribution

from bayescale.answers.scores.evidence import Evidence
from bayescale.answers.scores.savage_dickey import savage_dickey
from bayescale.fit import Fit
from bayescale.law import AnyLaw
from bayescale.studies.compare.comparable import alike


def nested(fits: Mapping[str, Fit], evidence: Mapping[str, Evidence]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Savage-Dickey ratios of nested pairs in words, and warnings where they contradict the evidences."""
    checks, doubts = [], []
    for a, b in permutations(evidence, 2):
        pin = pinned_in(fits[a].law, fits[b].law)
        if pin is None or repr(fits[a].likelihood) != repr(fits[b].likelihood):
            continue
        ratio, se = savage_dickey(fits[b], *pin)
        if not np.isfinite(se):
            checks.append(
                f"the draws of {b} do not reach {pin[0]} = {pin[1]:g}: no Savage-Dickey ratio to check {a} by"
            )
            continue
        gap = evidence[a].log_evidence - evidence[b].log_evidence
        error = float(np.hypot(evidence[a].se, evidence[b].se))
        agree = abs(ratio - gap) <= 3 * np.hypot(se, error) + 0.02
        said = f"log Bayes factor {gap:.2f} +- {error:.2f} by bridge sampling, {ratio:.2f} +- {se:.2f} by Savage-Dickey"
        checks.append(f"{a} against {b}: {said}")
        if not agree:
            doubts.append(f"{a} against {b}: {said}; the two disagree, and neither is to be trusted")
    return tuple(checks), tuple(doubts)


def pinned_in(pinned: AnyLaw, free: AnyLaw) -> tuple[str, float] | None:
    """The one constant that a law pins and another, else alike, leaves free with a prior of its own; and its value.

    The Savage-Dickey ratio applies to such a pair; laws with fields are not held to it.
    """
    if pinned.latent or free.latent:
        return None
    differ = [n for n in free.fields if n in free.free and n not in pinned.free]
    if pinned.fields != free.fields or len(differ) != 1 or not alike(pinned.law, free.law, but=differ[0]):
        return None
    prior, value = getattr(free, differ[0]), getattr(pinned, differ[0])
    return (differ[0], float(value)) if isinstance(prior, Distribution) and isinstance(value, int | float) else None
