"""Metrics that a law can be fitted to: losses and error rates, in per cent or not, and never one that rises."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd

from bayescale.errors import DataError, in_words
from bayescale.runs.columns import Claim
from bayescale.runs.names import EVALUATIONS
from bayescale.runs.notes import WARNING
from bayescale.runs.numbers import Array
from bayescale.runs.table import Table

RISING = 3.0
"""Standard errors of a rank correlation from which a metric is said to rise; of few rows, all but one in order."""


def in_per_cent(claims: dict[str, Claim], table: Table) -> list[str]:
    """Read rates that are in per cent as such, and say what of it is doubtful.

    A rate above 1 and none above 100 can be nothing else.
    """
    notes = []
    for name in EVALUATIONS:
        if name not in claims or claims[name].expression or claims[name].meaning.factor != 1:
            continue
        values = claims[name].values(table, table.decimal)
        if not 1 < (most := np.nanmax(values, initial=0)) <= 100:
            continue
        unit = f"per cent, since it reaches {most:g}"
        claims[name] = replace(claims[name], meaning=replace(claims[name].meaning, factor=0.01, unit=unit))
        if ((values <= 1) & (values > 0)).any() and most > 50:
            row = int(np.argmax((values <= 1) & (values > 0)))
            notes.append(f"{WARNING}{name} is in per cent, and {values[row]:g} at {table.where(row)}: is that a rate?")
    return notes


def refuse_rising(
    points: Mapping[str, Array], metric: str, observed: Array, column: str, law: str, source: str
) -> None:
    """Refuse a metric that rises with every input that counts scale: laws of a loss fall.

    Raises
    ------
    DataError
        The metric's ranks rise with those of the product of the inputs, and by no input alone does it fall.
    """
    scale = {n: np.log(x) for n, x in points.items() if n in ("N", "D", "C", "S", "U") and (np.asarray(x) > 0).all()}
    if metric not in ("loss", "error") or not scale or set(scale) != set(points) or len(observed) < 4:
        return
    ranks = _ranks(observed)
    if np.ptp(ranks) == 0:
        return
    together = _correlation(_ranks(np.sum(list(scale.values()), axis=0)), ranks)
    apart = [_correlation(_ranks(x), ranks) for x in scale.values() if np.ptp(x) > 0]
    certain = min(0.9, RISING / np.sqrt(len(observed) - 1))
    if together < certain or min(apart, default=1.0) < -0.1:
        return
    says = f"{column} rises with {' and '.join(scale)} (rank correlation {together:.2g} over {len(observed)} rows)"
    raise DataError(f"{source}: {says}, and {law} falls. {_turned(column, observed, metric)}", code="metric_rises")


def _turned(column: str, observed: Array, metric: str) -> str:
    most = observed.max()
    if metric == "error":
        return "If it is an accuracy, name the column accuracy: the error is derived from it"
    if most <= 100:
        of = "" if most <= 1 else "/100"
        accuracy = in_words(
            f"columns={{'accuracy': {column!r}}}, metric='error'", f"--column 'accuracy={column}' --metric error"
        )
        error = in_words(f"columns={{'error': '1 - {column}{of}'}}", f"--column 'error=1 - {column}{of}'")
        return f"Of an accuracy the error rate is fitted: {accuracy} (or {error})"
    turned = in_words("columns={'loss': 'K - " + column + "'}", f"--column 'loss=K - {column}'")
    return f"Turn it over, with K what it cannot exceed: {turned}"


def _ranks(x: Array) -> Array:
    return np.asarray(pd.Series(x).rank(), dtype=np.float64)


def _correlation(a: Array, b: Array) -> float:
    return float(np.corrcoef(a, b)[0, 1]) if np.ptp(a) > 0 and np.ptp(b) > 0 else 0.0


def negative_advice(loss: Array, column: str) -> str:
    """What to do with losses below zero: of densities they have no least value."""
    low = float(np.nanmin(loss))
    return (
        f". A loss below zero ({low:g}) is that of a density: it depends on the units of the data, and no power law "
        "holds for it. Add what makes it the loss of the data as they are stored, the log of one over their "
        f"resolution, or any K above {-low:.3g}: "
        + in_words(f"columns={{'loss': '{column} + K'}}", f"--column 'loss={column} + K'")
        + ". Exponents and optima do not depend on K, and E is K higher"
    )
