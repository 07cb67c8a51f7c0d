"""A comparison in a sentence: how strong the evidence is, and how it hangs on the priors."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from bayescale.answers.scores.power_scaling import POWERS
from bayescale.fit import Fit

WORDS = ((2.0, "not worth more than a bare mention"), (6.0, "positive"), (10.0, "strong"), (np.inf, "very strong"))
"""Kass & Raftery 1995, section 3.2: words for twice the natural log of a Bayes factor, up to each bound."""


def strength(log_bayes_factor: float) -> str:
    """Kass & Raftery's words for a natural log Bayes factor, whatever its sign."""
    return next(word for bound, word in WORDS if 2 * abs(log_bayes_factor) <= bound)


def factor_range(sensitivity: pd.DataFrame, table: pd.DataFrame, best: str, other: str) -> tuple[float, float]:
    """Least and greatest log Bayes factor of `best` against `other`, as the priors of either or both are scaled."""
    base = float(table["log_evidence"][best] - table["log_evidence"][other])
    a, b = sensitivity.loc[best].to_numpy(), sensitivity.loc[other].to_numpy()
    changes = np.concatenate([a, -b, a - b])
    return base + float(changes.min()), base + float(changes.max())


def verdict_of(
    table: pd.DataFrame, sensitivity: pd.DataFrame, fits: Mapping[str, Fit], prior_weights: Mapping[str, float] | None
) -> str:
    """One sentence: which law the rows support, how strongly, and how that depends on the priors."""
    usable = list(sensitivity.index)
    if not usable:
        return "No law converged: there is nothing to compare."
    best = usable[0]
    rows = fits[best].runs.rows
    if len(usable) == 1:
        return f"Only {best} converged: there is nothing to compare it with."
    other = usable[1]
    factor = float(table["log_evidence"][best] - table["log_evidence"][other])
    error = _joint_error(table, best, other)
    low, high = factor_range(sensitivity, table, best, other)
    word = strength(factor)
    said = f"evidence {word}" if word.startswith("not") else f"{word} evidence"
    weights = "equal prior weights" if not prior_weights else "the prior weights given"
    share = probability_text(float(table["probability"][best]))
    text = (
        f"These {rows} rows are {said} for {best} over {other}, the next best "
        f"(log Bayes factor {factor:.2f} +- {error:.2f}; probability {share} with {weights})"
    )
    powers = f"{POWERS[0]:g} to {POWERS[-1]:g}"
    span = f"priors power-scaled from {powers} move the log Bayes factor between {low:.2f} and {high:.2f}"
    if low < 0:
        text += f", but it hangs on the priors: {span}, which turns the verdict around"
    elif strength(low) != word:
        text += f"; {span}, at its least {strength(low)}"
    else:
        text += f"; it does not hang on the priors: {span}"
    doubted = [n for n in (best, other) if not table["trusted"][n]]
    if doubted:
        text += f"; but the evidence of {' and '.join(doubted)} is not to be trusted"
    return text + "."


def cautions(table: pd.DataFrame, sensitivity: pd.DataFrame) -> list[str]:
    """Warnings that come of the laws taken together."""
    found: list[str] = []
    usable = list(sensitivity.index)
    if len(usable) < 2:
        return found
    best = usable[0]
    for other in usable[1:]:
        low, _ = factor_range(sensitivity, table, best, other)
        if low < 0:
            found.append(
                f"the order of {best} and {other} hangs on the priors: with their densities raised to powers between "
                f"{POWERS[0]:g} and {POWERS[-1]:g} the log Bayes factor falls to {low:.2f}"
            )
        error = _joint_error(table, best, other)
        factor = -float(table["log_bayes_factor"][other])
        if factor < 3 * error:
            found.append(
                f"{best} and {other} cannot be told apart: log evidences are apart by {factor:.3f} +- {error:.3f}"
            )
    scores = {"elpd_loo": "leaving rows out one at a time", "elpd_lfo": "forecasting the largest budgets"}
    for column, what in scores.items():
        values = table.loc[usable, column]
        if values.notna().sum() > 1 and values.idxmax() != best:
            gap = float(values.max() - values[best])
            found.append(f"{what} favours {values.idxmax()} over {best} by {gap:.1f} nats, unlike the evidence")
    return found


def _joint_error(table: pd.DataFrame, best: str, other: str) -> float:
    return float(np.hypot(table["log_evidence_se"][best], table["log_evidence_se"][other]))


def probability_text(probability: float) -> str:
    """A probability as text, bounded where its digits would say nothing."""
    if probability > 0.9995:
        return "> 0.999"
    return f"{probability:.3f}" if probability >= 0.0005 else "< 0.001"
