"""What the page computes with: the law as JavaScript, posterior draws, the runs, and the curves of the pictures."""

from __future__ import annotations

import base64
from collections.abc import Collection
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from bayescale.fit import Fit
from bayescale.law.fields import UNSEEN
from bayescale.law.labels import constants_in, new_effect
from bayescale.report import words
from bayescale.report.javascript import EFFECT, UntranslatableError, law_function
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
    plans = subject.plans
    numbers = sum((len(f.law.law.fields) + 1) * _draws(f) for f in subject.fits.values()) * len(plans)
    step = -(-numbers // MOST_NUMBERS)
    for name, fit in subject.fits.items():
        constants = [n for n in fit.law.law.fields if n in fit.constants]
        try:
            functions.append(law_function(fit, [*constants, EFFECT] if fit.law.effects else constants))
            of_groups = [_in_group(fit, constants, group, step) for group in plans]
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
        entries.append(
            {
                "name": name,
                "weight": subject.weights[name],
                "inputs": list(fit.law.inputs),
                "constants": constants,
                "groups": of_groups,
                "count": -(-_draws(fit) // step),
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
        "groups": [words.group(group) for group in plans],
        "runs": {n: table[n].tolist() for n in columns}
        | {"row": table["the row"].tolist(), "group": group_names(subject, table)},
    }
    return content, functions, ""


def group_names(subject: Subject, table: pd.DataFrame) -> list[str]:
    """The group of each of the runs, as the planner names it."""
    columns = [c for c in subject.groups[0] if c in table]
    return [words.group(dict(zip(columns, row, strict=True))) for row in table[columns].itertuples(index=False)]


def _in_group(fit: Fit, constants: list[str], group: dict[str, str], step: int) -> dict[str, str]:
    """What the page knows of a law in a group: draws of its constants, and of a new run over the law."""
    names = {c: x for c, x in group.items() if c in fit.law.columns}
    own, factor = constants_in(fit.law, fit.thinned(), names)
    columns = [own[n] for n in constants]
    if fit.law.effects:
        columns.append(np.broadcast_to(factor, columns[0].shape))
    known = [c for c, x in names.items() if x != UNSEEN]
    return {
        "draws": _packed(np.stack(columns, axis=1)[::step]),
        "scatter": _packed(_scatter(fit, known)[::step]),
    }


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
            "group": group_names(subject, table),
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


def _scatter(fit: Fit, known: Collection[str] = ()) -> np.ndarray:
    """Log of a new run over the law at every draw, shape (draw,): what `predict` adds to the mean curve.

    Of a run whose group is known by some columns.
    """
    constants = fit.thinned()
    keys = np.random.default_rng((fit.seed, 1)).integers(0, 2**32, (_draws(fit), 2), dtype=np.uint32)
    ones = np.ones((_draws(fit), 1)) * np.reshape(new_effect(fit.law, constants, known), (-1, 1))
    new_run = np.asarray(fit.target.new_run(constants, ones, keys))[:, 0]
    with np.errstate(divide="ignore"):  # tails so heavy that a draw underflows
        return np.asarray(np.log(new_run))


def _packed(values: np.ndarray) -> str:
    """Base64 of little-endian float64, row by row."""
    return base64.b64encode(np.ascontiguousarray(values, dtype="<f8").tobytes()).decode("ascii")
