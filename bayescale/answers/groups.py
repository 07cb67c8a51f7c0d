"""What a pooled law's posterior says of its groups: their derived quantities, and effects too large to be effects."""

from __future__ import annotations

from typing import Any

import numpy as np

from bayescale.answers.predict import evaluate_every_draw
from bayescale.law.pool import EFFECT, Pooled, spread
from bayescale.posterior.posterior import Posterior


def group_quantity(fit: Posterior, quantity: str) -> dict[str, np.ndarray]:
    """A derived quantity of each group at every draw, where it differs from the population's: name -> (draw,)."""
    found: dict[str, np.ndarray] = {}
    if not isinstance(fit.law, Pooled):
        return found
    population = evaluate_every_draw(fit, quantity, {})
    for grouping in fit.law.groupings:
        if set(grouping.constants) == {fit.law.base.metric}:
            continue
        draws = evaluate_every_draw(fit, quantity, {grouping.column: np.arange(1.0, grouping.new + 1)})
        if not np.array_equal(draws[:, 0], population):
            found |= {f"{quantity}[{m}]": draws[:, i] for i, m in enumerate(grouping.members)}
    return found


def large_effects(fit: Posterior) -> tuple[str, ...]:
    """Says where effects on the law are so large that they stand in for what the law misses."""
    law: Any = fit.law
    told = []
    for grouping in law.groupings if isinstance(law, Pooled) else ():
        name = spread(law.base.metric)
        if law.base.metric in grouping.constants and name in fit.constants:
            median = float(np.median(fit.constants[name]))
            if median > EFFECT:
                told.append(
                    f"effects of {grouping.column} spread by {median:.0%}, more than runs of one law differ: they "
                    f"stand in for what {law.base.name} misses along each of them; try a law of another shape"
                )
    return tuple(told)
