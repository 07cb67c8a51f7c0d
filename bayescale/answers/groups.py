"""What a posterior says of groups of runs: their derived quantities, and effects too large to be effects."""

from __future__ import annotations

import numpy as np

from bayescale.answers.predict import evaluate_every_draw
from bayescale.law.pool import EFFECT, spread
from bayescale.posterior.posterior import Posterior


def group_quantity(fit: Posterior, quantity: str) -> dict[str, np.ndarray]:
    """A derived quantity of each group at every draw, where it differs from the population's: name -> (draw,)."""
    found: dict[str, np.ndarray] = {}
    if not fit.law.columns:
        return found
    population = evaluate_every_draw(fit, quantity, {})
    for column, labels in fit.law.columns.items():
        if set(fit.law.varied(column)) == {fit.law.metric}:
            continue
        members = next(f.members for f in fit.law.latent if f.separate == column)
        draws = evaluate_every_draw(fit, quantity, {column: np.arange(1.0, len(labels) + 2)})
        if not np.array_equal(draws[:, 0], population):
            found |= {f"{quantity}[{m}]": draws[:, i] for i, m in enumerate(members)}
    return found


def large_effects(fit: Posterior) -> tuple[str, ...]:
    """Says where effects on the law are so large that they stand in for what the law misses."""
    told = []
    name = spread(fit.law.metric)
    for column in fit.law.effects:
        if name in fit.constants and (median := float(np.median(fit.constants[name]))) > EFFECT:
            told.append(
                f"effects of {column} spread by {median:.0%}, more than runs of one law differ: they "
                f"stand in for what {fit.law.law.name} misses along each of them; try a law of another shape"
            )
    return tuple(told)
