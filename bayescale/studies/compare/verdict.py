"""A comparison in a sentence: how strong the evidence is, and how it hangs on the priors."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from bayescale.answers.scores.loo import se_of_sum
from bayescale.answers.scores.power_scaling import POWERS
from bayescale.answers.scores.score import Score
from bayescale.fit import Fit

WORDS = ((2.0, "not worth more than a bare mention"), (6.0, "positive"), (10.0, "strong"), (np.inf, "very strong"))
"""Kass & Raftery 1995, section 3.2: words for twice the natural log of a Bayes factor, up to each bound."""


def strength(log_bayes_factor: float) -> str:
    """Kass & Raftery's words for a natural log Bayes factor that is a number, whatever its sign."""
    return next(word for bound, word in WORDS if 2 * abs(log_bayes_factor) <= bound)


CLEAR = 3
"""Standard errors of a difference of log evidences below which it tells no laws apart."""


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
    converged = int(table["converged"].sum())
    if not converged:
        return "No law converged: there is nothing to compare."
    if not usable:
        return "No law has a log evidence: there is nothing to compare by; elpd and the warnings say what is known."
    best = usable[0]
    rows = fits[best].runs.rows
    if len(usable) == 1:
        what = "converged" if converged == 1 else "has a log evidence"
        return f"Only {best} {what}: there is nothing to compare it with."
    other = usable[1]
    factor = float(table["log_evidence"][best] - table["log_evidence"][other])
    error = _joint_error(table, best, other)
    low, high = factor_range(sensitivity, table, best, other)
    word = strength(factor)
    weights = "equal prior weights" if not prior_weights else "the prior weights given"
    share = probability_text(float(table["probability"][best]))
    weak = word == WORDS[0][1]
    tied = weak or factor < CLEAR * error
    numbers = f"log Bayes factor {factor:.2f} +- {error:.2f}{f', {word}' if weak else ''}"
    said = f"cannot tell {best} from {other}" if tied else f"are {word} evidence for {best} over {other}"
    text = f"These {rows} rows {said}, the next best ({numbers}; probability {share} with {weights})"
    powers = f"{POWERS[0]:g} to {POWERS[-1]:g}"
    span = f"priors power-scaled from {powers} move the log Bayes factor between {low:.2f} and {high:.2f}"
    if not np.isfinite([low, high]).all():
        text += "; how it hangs on the priors is not known"
    elif low < 0:
        text += f", but it hangs on the priors: {span}, which turns the {'order' if tied else 'verdict'} around"
    elif strength(low) != word:
        text += f"; {span}, at its least {strength(low)}"
    elif tied and strength(high) != word:
        text += f"; {span}, at its most {strength(high)}"
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
        if low < 0:  # where it is not known, the law's own warning says so
            found.append(
                f"the order of {best} and {other} hangs on the priors: with their densities raised to powers between "
                f"{POWERS[0]:g} and {POWERS[-1]:g} the log Bayes factor falls to {low:.2f}"
            )
        error = _joint_error(table, best, other)
        factor = -float(table["log_bayes_factor"][other])
        if factor < CLEAR * error:
            found.append(
                f"{best} and {other} cannot be told apart: log evidences are apart by {factor:.3f} +- {error:.3f}"
            )
    return found


def conflicts(table: pd.DataFrame, scores: Mapping[str, Score]) -> list[str]:
    """Warnings where leaving rows out, or holding the largest budgets out, clearly favours a law that the evidence does
    not.
    """
    laws = [str(n) for n in table.index[np.isfinite(table["log_evidence"])]]
    found = []
    for column, difference in (("elpd_loo", _left_out), ("elpd_holdout", _held_out)):
        values = table.loc[laws, column].dropna()
        if len(values) < 2 or laws[0] not in values or values.idxmax() == laws[0]:
            continue
        ahead = str(values.idxmax())
        gap = float(values[ahead] - values[laws[0]])
        what, error, clear = difference(scores[laws[0]], scores[ahead])
        if gap > clear:
            found.append(f"{what} favours {ahead} over {laws[0]} by {gap:.1f} +- {error:.1f} nats, unlike the evidence")
    return found


def _left_out(a: Score, b: Score) -> tuple[str, float, float]:
    """What is left out, the standard error of the difference of elpd_loo, and the least that is clear: twice that."""
    assert a.loo is not None and b.loo is not None
    error = se_of_sum(a.loo.pointwise - b.loo.pointwise)
    return f"leaving {a.loo.unit}s out one at a time", error, 2 * error


def _held_out(a: Score, b: Score) -> tuple[str, float, float]:
    """The same of elpd_holdout, whose difference is a log Bayes factor: the least is one that is worth a mention."""
    error = float(np.hypot(a.holdout.se, b.holdout.se))
    return "holding out the largest budgets", error, max(WORDS[0][0] / 2, 2 * error)


def _joint_error(table: pd.DataFrame, best: str, other: str) -> float:
    return float(np.hypot(table["log_evidence_se"][best], table["log_evidence_se"][other]))


def probability_text(probability: float) -> str:
    """A probability as text, bounded where its digits would say nothing."""
    if probability > 0.9995:
        return "> 0.999"
    return f"{probability:.3f}" if probability >= 0.0005 else "< 0.001"
