"""What the page computes with: the law as JavaScript, posterior draws, the runs, and the curves of the pictures."""

from __future__ import annotations

import base64
from dataclasses import fields
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from bayescale.fit import Fit
from bayescale.law.labels import new_effect
from bayescale.report import words
from bayescale.report.javascript import UntranslatableError, law_function
from bayescale.report.subject import Subject

MOST_NUMBERS = 250_000
"""Posterior numbers in a page: 2 MB of float64, 2.7 MB as text."""


def planner(subject: Subject, table: pd.DataFrame) -> tuple[dict[str, Any], list[str], str]:
    """The planner's data, the laws as JavaScript functions, and why there is none, or ''.

    Parameters
    ----------
    subject : Subject
    table : DataFrame
        Runs with the law's value, `content.fitted`.
    """
    if not subject.fits:
        return {}, [], "no law has converged."
    entries, functions = [], []
    numbers = sum((len(f.constants) + 1) * _draws(f) for f in subject.fits.values())
    step = -(-numbers // MOST_NUMBERS)
    for name, fit in subject.fits.items():
        noise = {f.name for f in fields(fit.likelihood)}
        constants = [n for n in fit.constants if n not in noise]
        try:
            functions.append(law_function(fit, constants))
            scatter = _scatter(fit)[::step]
        except UntranslatableError as error:
            return (
                {},
                [],
                f"the planner cannot evaluate {name} in a browser: {error}. The numbers above come from Python.",
            )
        except Exception as error:  # whatever a law of someone's own does when it is traced at one point
            reason = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
            return (
                {},
                [],
                f"the planner cannot evaluate {name} in a browser ({reason}). The numbers above come from Python.",
            )
        thinned = fit.thinned()
        draws = np.stack([thinned[n][::step] for n in constants], axis=1)
        entries.append(
            {
                "name": name,
                "weight": subject.weights[name],
                "inputs": list(fit.law.inputs),
                "constants": constants,
                "count": len(draws),
                "draws": _packed(draws),
                "scatter": _packed(scatter),
            }
        )
    columns = [n for n in ("C", *subject.inputs, subject.metric) if n in table]
    content = {
        "laws": entries,
        "metric": subject.metric,
        "inputs": list(subject.inputs),
        "cost": {n: getattr(subject.cost, n) for n in ("k", "a", "b")},
        "allocates": not subject.no_allocation,
        "interval": subject.interval,
        "seen": {n: list(span) for n, span in subject.seen.items()},
        "centre": {n: subject.lead.centre.values[n] for n in subject.inputs},
        "units": words.UNITS,
        "runs": {n: table[n].tolist() for n in columns} | {"row": table["the row"].tolist()},
    }
    return content, functions, ""


def pictures(subject: Subject, table: pd.DataFrame) -> dict[str, Any]:
    """The data of the pictures that do not move: fitted against observed, residuals, priors, weights."""
    across = "C" if "C" in table else subject.inputs[0]
    fit = subject.lead
    found: dict[str, Any] = {
        "metric": subject.metric,
        "units": words.UNITS,
        "runs": {
            "observed": table[subject.metric].tolist(),
            "law": table["the law"].tolist(),
            "residual": table["off by"].tolist(),
            "across": table[across].tolist(),
            "row": table["the row"].tolist(),
        },
        "across": across,
        "scatter": [float(x) for x in 100 * np.quantile(_scatter(fit), [0.05, 0.95])],
        "constants": priors(fit),
    }
    if subject.comparison:
        rows = subject.comparison.table
        usable = rows.index[np.isfinite(rows["log_evidence"])]
        found["weights"] = {
            "laws": [str(n) for n in usable],
            "evidence": rows.loc[usable, "probability"].tolist(),
            "stacking": rows.loc[usable, "weight"].tolist(),
            "holdout": [None if np.isnan(x) else x for x in rows.loc[usable, "weight_holdout"]],
        }
    return found


def priors(fit: Fit) -> list[dict[str, Any]]:
    """Densities of each constant's prior and posterior on one grid, each scaled to a height of one."""
    prior = fit.target.constants_at(fit.samples.prior, fit.padded)
    found = []
    for name, draws in fit.constants.items():
        if name not in prior or prior[name].ndim > 1:
            continue
        before, after = prior[name].ravel(), draws.ravel()[:: max(1, draws.size // 2000)]
        if np.ptp(before) == 0:
            continue
        logged = bool((before > 0).all() and (after > 0).all() and _ratio(np.concatenate([before, after])) > 30)
        u, v = (np.log10(before), np.log10(after)) if logged else (before, after)
        low = min(np.quantile(u, 0.03), np.quantile(v, 0.001))
        high = max(np.quantile(u, 0.97), np.quantile(v, 0.999))
        width = np.quantile(v, 0.999) - np.quantile(v, 0.001)
        inner = np.linspace(np.quantile(v, 0.001) - 0.3 * width, np.quantile(v, 0.999) + 0.3 * width, 80)
        grid = np.unique(np.clip(np.concatenate([np.linspace(low, high, 80), inner]), low, high))
        curves = [stats.gaussian_kde(x)(grid) for x in (u, v)]
        x = 10**grid if logged else grid
        scaled = [np.round(c / c.max(), 5).tolist() for c in curves]
        found.append(
            {
                "name": name,
                "log": logged,
                "x": [float(f"{i:.6g}") for i in x],
                "prior": scaled[0],
                "posterior": scaled[1],
            }
        )
    return found


def _ratio(values: np.ndarray) -> float:
    low, high = np.quantile(values, [0.02, 0.98])
    return float(high / low) if low > 0 else np.inf


def _draws(fit: Fit) -> int:
    return len(next(iter(fit.thinned().values())))


def _scatter(fit: Fit) -> np.ndarray:
    """Log of a new run over the law at every draw, shape (draw,): what `predict` adds to the mean curve."""
    constants = fit.thinned()
    keys = np.random.default_rng((fit.seed, 1)).integers(0, 2**32, (_draws(fit), 2), dtype=np.uint32)
    ones = np.ones((_draws(fit), 1)) * np.reshape(new_effect(fit.law, constants), (-1, 1))
    new_run = np.asarray(fit.target.new_run(constants, ones, keys))[:, 0]
    with np.errstate(divide="ignore"):  # tails so heavy that a draw underflows
        return np.asarray(np.log(new_run))


def _packed(values: np.ndarray) -> str:
    """Base64 of little-endian float64, row by row."""
    return base64.b64encode(np.ascontiguousarray(values, dtype="<f8").tobytes()).decode("ascii")
