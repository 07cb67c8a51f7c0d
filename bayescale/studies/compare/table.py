"""The table of a comparison: its columns, and the weights of laws beside one another."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy.special import logsumexp

from bayescale.answers.scores.score import Score
from bayescale.errors import DataError

DTYPES: dict[str, type] = {
    "log_evidence": float,
    "log_evidence_se": float,
    "log_bayes_factor": float,
    "probability": float,
    "elpd_loo": float,
    "elpd_loo_se": float,
    "weight": float,
    "elpd_holdout": float,
    "elpd_holdout_se": float,
    "weight_holdout": float,
    "sigma": float,
    "nu": float,
    "r2": float,
    "seconds": float,
    "converged": bool,
    "trusted": bool,
}
COLUMNS = tuple(DTYPES)


def as_table(records: Mapping[str, Mapping[str, object]]) -> pd.DataFrame:
    """Records by law as a table of the columns and types that all comparisons have; a number that lacks is NaN."""
    whole = [{"converged": False, "trusted": False, **record} for record in records.values()]
    index = pd.Index(list(records), name="law")
    return pd.DataFrame.from_records(whole, index=index, columns=list(COLUMNS)).astype(DTYPES)


def record_of(score: Score) -> dict[str, object]:
    """The scores of a law as its row has them."""
    return {
        "log_evidence": score.evidence.log_evidence,
        "log_evidence_se": score.evidence.se,
        "elpd_loo": np.nan if score.loo is None else score.loo.elpd,
        "elpd_loo_se": np.nan if score.loo is None else score.loo.se,
        "elpd_holdout": score.holdout.elpd,
        "elpd_holdout_se": score.holdout.se,
        "trusted": score.evidence.trusted,
    }


def weigh(table: pd.DataFrame, scores: Mapping[str, Score], prior_weights: Mapping[str, float] | None) -> pd.DataFrame:
    """The table, the best supported law first, with Bayes factors, probabilities and stacking weights.

    Raises
    ------
    DataError
        Every law that has a log evidence has prior weight 0.
    """
    table = table.sort_values("log_evidence", ascending=False, na_position="last", kind="stable")
    usable = list(table.index[np.isfinite(table["log_evidence"])])
    if usable:
        values = table.loc[usable, "log_evidence"].to_numpy()
        table.loc[usable, "log_bayes_factor"] = values - values[0]
        table.loc[usable, "probability"] = probabilities(values, usable, prior_weights)
    left_out = {n: s.loo.pointwise for n, s in scores.items() if s.loo is not None and np.isfinite(s.loo.elpd)}
    ahead = {n: s.holdout.pointwise for n, s in scores.items() if np.isfinite(s.holdout.elpd)}
    for column, pointwise in (("weight", left_out), ("weight_holdout", ahead)):
        if pointwise:
            table.loc[list(scores), column] = 0.0
            table.loc[list(pointwise), column] = stack(np.column_stack(list(pointwise.values())))
    return table


def probabilities(log_evidence: np.ndarray, laws: list[str], prior_weights: Mapping[str, float] | None) -> np.ndarray:
    """Posterior probabilities of laws from their log evidences and prior weights, shape (law,)."""
    prior = np.array([(prior_weights or {}).get(n, 1.0) for n in laws])
    if not prior.any():
        raise DataError(f"none of the laws that converged has a prior weight; those that did: {', '.join(laws)}")
    log_mass = log_evidence + np.log(prior, where=prior > 0, out=np.full(len(prior), -np.inf))
    return np.asarray(np.exp(log_mass - logsumexp(log_mass)))


def stack(pointwise: np.ndarray, iterations: int = 20000, tolerance: float = 1e-10) -> np.ndarray:
    """Stacking weights: the mixture of laws with the greatest summed log predictive density.

    Yao et al. 2018 (arXiv:1704.02030), eq. 4. The objective is concave, and the fixed-point iteration w_k <- w_k
    mean_i(p_ik / sum_j w_j p_ij), which never lowers it, is that of a mixture's shares.

    Parameters
    ----------
    pointwise : ndarray, shape (row, law)
        Log predictive density of every row by every law.

    Returns
    -------
    ndarray, shape (law,)
        Summing to one.
    """
    p = np.exp(pointwise - pointwise.max(axis=1, keepdims=True))
    w = np.full(p.shape[1], 1 / p.shape[1])
    for _ in range(iterations):
        gain = (p / (p @ w)[:, None]).mean(axis=0)
        if gain.max() < 1 + tolerance:
            break
        w = w * gain
    return np.asarray(w / w.sum())
