"""Learning curves as evidence: whole curves in, rows that a likelihood of independent rows may read out.

Rows of one run are not independent, for two reasons. Neighbours on a curve share the noise of their mini-batches and
of any smoothing: `thin_curves` measures how far that reaches and keeps rows further apart. All rows of a run share its
seed, its shape, its luck: no spacing removes that. `bayescale.answers.design_effect` measures it after a fit, and says
how many rows of each run to keep. That mends most of it, not all: of twelve simulated runs with an offset of 0.6 % and
lasting noise of 0.8 %, 90 % intervals of the constants of `kaplan_ns` held the truth in 61 % of cases from all rows and
in 83 % from the rows so kept (40 replicates).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from bayescale.errors import DataError, UsageError
from bayescale.runs import Observations, Source, read_runs
from bayescale.runs.columns import listed

SMOOTH = 3
"""Degree of the polynomial in log S about which a curve's noise is measured."""

FAR = 1e6
"""Log of a ratio of steps across which nothing is remembered; finite, as a gradient needs it."""

STAGGER = (5**0.5 - 1) / 2
"""Shift of the kept steps from run to run, in spacings: few rows of each run still cover the whole curve."""


def thin_curves(runs: Source, *, warmup: float, points: int = 16) -> pd.DataFrame:
    """Learning curves without their warm-up, thinned to rows that are nearly independent along each curve.

    Rows are taken at steps spaced geometrically, at most `points` a run and staggered from run to run, and never
    closer together than the noise is correlated: the integrated autocorrelation time of log loss about a smooth
    curve (a cubic in log S), in logged rows, pooled over the runs. What all rows of a run share stays; see
    `bayescale.answers.design_effect`.

    Parameters
    ----------
    runs : DataFrame, str or Path
        Whatever `read_runs` takes, with the columns run, S and loss: a row each time that a run was evaluated,
        at regular intervals.
    warmup : float
        Rows up to this step are dropped; below 1, up to this fraction of each run's last step.
    points : int
        Rows of each run to keep at most, at least 2.

    Returns
    -------
    DataFrame
        The kept rows in their order, every column as it was; ``attrs["notes"]`` says what was kept, and
        ``attrs["autocorrelation"]`` is the distance between independent rows.

    Raises
    ------
    DataError
        A column is missing; a run has fewer than two steps after its warm-up, or two rows at one step.
    UsageError
        `warmup` is negative or `points` is below 2.
    """
    if not np.isfinite(warmup) or warmup < 0:
        raise UsageError(f"warmup is a number of steps, or a fraction of each run below 1, from 0 up; not {warmup}")
    if points < 2:
        raise UsageError(f"points is at least 2, so that a curve stays a curve; not {points}")
    table = read_runs(runs)
    source = str(table.attrs["source"])
    for name in ("run", "S", "loss"):
        if name not in table:
            raise DataError(
                f"{source}: learning curves need the column {name}; the table has {', '.join(map(str, table.columns))}"
            )
    curves = {str(run): _curve(part, str(run), warmup, source) for run, part in table.groupby("run", sort=False)}
    gap = autocorrelation_time([_noise(c) for c in curves.values()], SMOOTH)
    phases = (np.arange(len(curves)) * STAGGER) % 1
    rows = [c.iloc[_spread(c["S"].to_numpy(), points, gap, p)] for c, p in zip(curves.values(), phases, strict=True)]
    kept = pd.concat(rows).sort_index().reset_index(drop=True)
    note = (
        f"{len(kept)} of {len(table)} rows of {len(curves)} learning curves kept: after warm-up, "
        f"at least {gap:.3g} logged rows apart"
    )
    kept.attrs = {"source": source, "notes": [*table.attrs["notes"], note], "autocorrelation": gap}
    return kept


def autocorrelation_time(noises: Sequence[np.ndarray], degree: int = 0) -> float:
    """How many rows the noise of curves takes to forget: ``(1 + r) / (1 - r)``, of first-order autoregressive noise.

    r is the correlation of neighbours, pooled over the curves. What was fitted to a curve to find its noise lowers it
    by ``(degree + 1 + (degree + 3) r) / rows`` to first order (Kendall 1954 for degree 0), which is put back.

    Parameters
    ----------
    noises : sequence of ndarray, shape (row,) each
        Residuals of curves about polynomials.
    degree : int
        Of the polynomials.

    Returns
    -------
    float
        1 for independent rows; at most the length of the longest curve.
    """
    longest = max((len(x) for x in noises), default=0)
    products = sum(float(x[1:] @ x[:-1]) for x in noises)
    squares = sum(float(x @ x) for x in noises)
    curves, rows = sum(len(x) > 0 for x in noises), sum(len(x) for x in noises)
    if not squares or rows <= curves * (degree + 3):
        return 1.0
    mean_rows = rows / curves
    r = (products / squares * mean_rows + degree + 1) / (mean_rows - degree - 3)
    return float(longest if r >= 1 else np.clip((1 + r) / (1 - r), 1.0, longest))


def row_before(runs: Observations) -> tuple[np.ndarray, np.ndarray]:
    """Of each row the one before it in its run, and how far that is.

    Parameters
    ----------
    runs : Observations
        With runs, of a law of S or D.

    Returns
    -------
    before : ndarray of int, shape (row,)
        The position of the row before, of a run's first row its own.
    gap : ndarray, shape (row,)
        Log of the ratio of their steps, or their difference in the unit in which the runs forget; `FAR` for a run's
        first row.

    Raises
    ------
    DataError
        The table has no runs or no steps, no run has two rows, or a run has two rows at one step.
    """
    along = next((n for n in ("S", "D") if n in runs.inputs), None)
    if runs.run is None or along is None:
        raise DataError(
            f"{runs.source}: residuals that follow one another along a run need the column run, and a law of S or D; "
            f"{'the table has no column run' if runs.run is None else f'the law takes {listed(list(runs.inputs))}'}"
        )
    step = runs.inputs[along]
    _, code = np.unique(runs.run, return_inverse=True)
    order = np.lexsort((step, code))
    same = code[order[1:]] == code[order[:-1]]
    if not same.any():
        raise DataError(f"{runs.source}: every run has one row, and none follows another; use another likelihood")
    before, gap = np.arange(runs.rows), np.full(runs.rows, FAR)
    before[order[1:][same]] = order[:-1][same]
    later, earlier = step[order[1:][same]], step[order[:-1][same]]
    unit = runs.checkpoints.unit if runs.checkpoints else None
    gap[order[1:][same]] = np.log(later / earlier) if unit is None else (later - earlier) / unit
    if (gap == 0).any():
        row = int(np.argmin(gap))
        raise DataError(
            f"{runs.source}: run {runs.run[row]} has two rows at {along} = {step[row]:g} (rows "
            f"{runs.labels[before[row]]} and {runs.labels[row]}); keep one, or name the runs apart"
        )
    return before, gap


def _curve(part: pd.DataFrame, run: str, warmup: float, source: str) -> pd.DataFrame:
    curve = part.sort_values("S", kind="stable")
    steps = curve["S"]
    repeated = steps[steps.duplicated()]
    if len(repeated):
        raise DataError(
            f"{source}: run {run} has more than one row at step {repeated.iloc[0]:g}; keep one, or name the runs apart"
        )
    first = warmup if warmup >= 1 else warmup * float(steps.max())
    after = curve[steps > first]
    if len(after) < 2:
        raise DataError(
            f"{source}: run {run} has {len(after)} step{'s' * (len(after) != 1)} after its warm-up (up to step "
            f"{first:g} of {steps.max():g}), and a learning curve needs two; log more steps, lower warmup, "
            "or leave the run out"
        )
    return after


def _noise(curve: pd.DataFrame) -> np.ndarray:
    """log loss about a smooth curve."""
    x, y = np.log(curve["S"].to_numpy()), np.log(curve["loss"].to_numpy())
    if len(x) < 4 * (SMOOTH + 1):
        return np.zeros(0)
    smooth = np.polynomial.Polynomial.fit(x, y, SMOOTH)
    return np.asarray(y - smooth(x))


def _spread(steps: np.ndarray, points: int, gap: float, phase: float) -> list[int]:
    """Positions nearest to geometrically spaced steps, none nearer than `gap` rows to the next, at least two."""
    targets = steps[-1] * (steps[0] / steps[-1]) ** ((np.arange(points) + phase) / points)
    kept: list[int] = []
    for target in targets:
        nearest = int(np.argmin(np.abs(np.log(steps / target))))
        if not kept or kept[-1] - nearest >= gap:
            kept.append(nearest)
    return sorted(kept if len(kept) > 1 else [0, len(steps) - 1])
