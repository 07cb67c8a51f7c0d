"""Rows that are checkpoints of one training run: which rows those are, and what a fit makes of them.

Rows of one run share its seed, its data and its luck, so that independent scatter gives intervals that are far too
narrow. A law of final losses takes the last row of each run; where these are too few to determine it, or where the law
is of learning curves, rows along each run are fitted with residuals that follow one another.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import pandas as pd

from bayescale.errors import DataError, UsageError, did_you_mean, in_words
from bayescale.runs.columns import own_label
from bayescale.runs.curves import SMOOTH, STAGGER
from bayescale.runs.features import feature_of
from bayescale.runs.names import standard_name
from bayescale.runs.notes import DROPPED
from bayescale.runs.observations import COLLINEAR
from bayescale.runs.taken import Checkpoints as Checkpoints

HOW = ("auto", "last", "along", "effects", "all")
ORDER = ("D", "S", "C")
"""What rows of a run are ordered by, the first that the table has."""
CURVES = ("S", "schedule")
"""Inputs of laws that are of learning curves."""
ENOUGH = 2
"""Last rows a constant from which they determine a law by themselves."""
MOST_ALONG = 400
"""Rows along runs that are kept together: more tell little, since neighbours follow one another, and take minutes."""
LEAST_ALONG = 16
"""Rows of each run that are kept at least."""
REMEMBERED = 0.3
"""The middle of the prior of an ar1 likelihood's memory, in its unit."""

NAMES = re.compile(
    r"(?:.*[/.])?(?:(?:run|trial|experiment|exp|job|model)?[\s_-]*(?:id|name|uuid|key)|run|trial|experiment|job)", re.I
)
STATES = re.compile(r"(?:.*[/.])?(?:run[\s_-]*)?(?:state|status)", re.I)
SEEDS = re.compile(r"(?:.*[/._])?seed", re.I)
DONE = {"finished", "completed", "complete", "done", "succeeded", "success", "finish"}
NOT_DONE = {
    "crashed", "failed", "running", "killed", "preempted", "preempting", "canceled", "cancelled", "timeout", "pending",
    "aborted", "error", "stopped", "interrupted", "scheduled", "queued", "out_of_memory", "node_fail",
}  # fmt: skip


CheckpointsLike: TypeAlias = str | Checkpoints
"""One of `HOW`, or what another fit made of the same rows."""


def of_runs(
    frame: pd.DataFrame,
    inputs: Sequence[str],
    constants: int,
    how: str = "auto",
    *,
    grouped: Sequence[str] = (),
    dependent: bool = False,
) -> tuple[pd.DataFrame, Checkpoints | None]:
    """The rows of a table that a law is fitted to, and what they are of their runs; None where no run has two rows.

    Parameters
    ----------
    frame : DataFrame
        With standard columns, from `read_runs`.
    inputs : sequence of str
        The law's inputs.
    constants : int
        How many free constants the law has.
    how : {'auto', 'last', 'along', 'effects', 'all'}
        See `Checkpoints`; 'auto' takes the last rows where they determine the law, else rows along each run.
    grouped : sequence of str
        Columns that the law varies by already.
    dependent : bool
        Whether the likelihood follows runs already.

    Raises
    ------
    UsageError
        There is no such `how`.
    DataError
        The table has no runs, or no order along them, and `how` needs it.
    """
    if how not in HOW:
        raise UsageError(
            f"{in_words('checkpoints', '--checkpoints')} {how!r}{did_you_mean(how, HOW)}; there are {', '.join(HOW)}"
        )
    column = run_column(frame)
    if column is None or not frame[column].duplicated().any():
        if how in ("along", "effects"):
            raise DataError(f"{frame.attrs['source']}: no run has two rows, and checkpoints={how} is of runs that have")
        return frame, None
    settled = dependent or any(standard_name(g) == column or own_label([column], g) for g in grouped)
    if settled and how == "auto":
        return frame, None
    along = next((n for n in (CURVES[0], *ORDER) if n in inputs), None) or next((n for n in ORDER if n in frame), None)
    labels, lost = _labels(frame, column, along), ""
    if how == "auto" and not {*ORDER, *CURVES, "N"} & set(inputs):
        how = "all"
    if how != "all":
        frame, labels, lost = _finished(frame, labels)
    if how == "auto":
        how = _choice(frame, labels, inputs, constants, along)
    rows, runs, unit = len(labels), len(np.unique(labels)), None
    at = np.arange(rows)
    if how == "last":
        at, said = _last(frame, labels, along), "the last row of each is fitted"
    elif how == "along":
        if along not in ("S", "D") or along not in inputs:
            raise DataError(
                f"{frame.attrs['source']}: rows are along a run for a law of D or S; last or effects may do"
            )
        at, unit = _spaced(frame, labels, along)
        some = " at growing distances" if len(at) < rows else ""
        clock = f"of log {along}" if unit is None else f"of about {REMEMBERED * unit:.2g} in {along}"
        said = f"rows along each run{some} are fitted, with residuals that follow one another (ar1, a memory {clock})"
        if along == "D":
            said += ". Where learning rates decay, a row before a run's end lies above what a run of its D reaches"
    elif how == "effects":
        said = "each run has an effect of its own on the law, which its rows share"
    else:
        said = "all are fitted as if each were a run, so that intervals are too narrow"
    others = ", ".join(x for x in HOW[1:] if x != how)
    sentence = f"{rows} rows are of {runs} runs ({column}{lost}): {said}; " + in_words(
        f"checkpoints= takes {others}", f"--checkpoints takes {others}"
    )
    result = frame.iloc[at].assign(run=labels[at])
    result.attrs = {**frame.attrs, "notes": [*frame.attrs.get("notes", ()), DROPPED + sentence]}
    return result, Checkpoints(how, column, runs, rows, len(at), sentence, unit)


def run_column(frame: pd.DataFrame) -> str | None:
    """The column that names runs: `run`, or an identifier that repeats along a count of steps."""
    if "run" in frame:
        return "run"
    if "S" not in frame and "step" not in {re.split(r"[/._]", str(c))[-1].lower() for c in frame}:
        return None  # a name may be that of a model, or of a set-up
    step = "S" if "S" in frame else next(c for c in frame if re.split(r"[/._]", str(c))[-1].lower() == "step")
    for name in (c for c in frame.columns if NAMES.fullmatch(str(c).strip())):
        cells = frame[name]
        if cells.isna().any() or not cells.duplicated().any() or cells.nunique() < 2:
            continue
        groups = frame.groupby(cells.to_numpy(), sort=False)
        one_size = "N" not in frame or bool((groups["N"].nunique() == 1).all())
        if one_size and not pd.DataFrame({"run": cells, "at": frame[step]}).duplicated().any():
            return str(name)
    return None


def _labels(frame: pd.DataFrame, column: str, along: str | None) -> np.ndarray:
    """What run each row is of: seeds are replicates, also where they share the name of their set-up."""
    labels = frame[column].astype(str)
    seed = next((c for c in frame if SEEDS.fullmatch(str(c))), None)
    if seed is not None and along is not None and pd.DataFrame({"run": labels, "at": frame[along]}).duplicated().any():
        labels = labels + " seed " + frame[seed].astype(str)
    return labels.to_numpy(str)


def _finished(frame: pd.DataFrame, labels: np.ndarray) -> tuple[pd.DataFrame, np.ndarray, str]:
    """The rows of runs that a column of states calls finished, where it knows of others."""
    for name in (c for c in frame if STATES.fullmatch(str(c).strip())):
        states = frame[name].astype(str).str.strip().str.lower().to_numpy(str)
        if set(states) <= DONE | NOT_DONE and set(states) & DONE and set(states) & NOT_DONE:
            done = np.isin(states, sorted(DONE))
            lost, others = len(np.unique(labels[~done])), sorted(set(states[~done]))
            said = f"; {lost} that are {' or '.join(others)} left out"
            return frame[done], labels[done], said
    return frame, labels, ""


def _choice(frame: pd.DataFrame, labels: np.ndarray, inputs: Sequence[str], constants: int, along: str | None) -> str:
    """Last rows where they determine the law; else rows along the runs, or effects of runs."""
    if along is None:
        return "effects" if 1 < len(np.unique(labels)) < len(labels) else "all"
    there = [n for n in inputs if n in frame]
    if not set(CURVES) & set(inputs) and _determine(frame.iloc[_last(frame, labels, along)], there, constants):
        return "last"
    return "along" if along in ("S", "D") and along in inputs else "last"


def _determine(last: pd.DataFrame, inputs: Sequence[str], constants: int) -> bool:
    points = last[list(inputs)].drop_duplicates()
    if len(points) < ENOUGH * constants:
        return False
    logs = [np.log(points[n].to_numpy(float)) for n in inputs if feature_of(n).numeric and (points[n] > 0).all()]
    if any(len(np.unique(x)) < 3 for x in logs):
        return False
    return len(logs) < 2 or bool((np.abs(np.corrcoef(logs)[np.triu_indices(len(logs), 1)]) < COLLINEAR).all())


def _last(frame: pd.DataFrame, labels: np.ndarray, along: str | None) -> np.ndarray:
    """Positions of the last row of each run, in the table's order; seeds of one name are runs of their own."""
    if along is None:
        raise DataError(f"{frame.attrs['source']}: which row of a run is its last is told by D, S or C; there is none")
    steps = pd.Series(frame[along].to_numpy(float))
    return np.flatnonzero(steps == steps.groupby(labels).transform("max"))


def _spaced(frame: pd.DataFrame, labels: np.ndarray, along: str) -> tuple[np.ndarray, float | None]:
    """Positions of rows of each run, geometrically spaced and staggered from run to run, and the unit of their memory.

    Of a step that was logged twice the later row counts. Where there are few rows all are kept.
    """
    at = frame[along].to_numpy(float)
    once = ~pd.DataFrame({"run": labels, "at": at}).duplicated(keep="last").to_numpy()
    curves = [p[np.argsort(at[p])] for r in np.unique(labels) for p in [np.flatnonzero((labels == r) & once)]]
    unit = memory_unit([(at[p], x) for p in curves if len(x := _noise(frame, p, along))])
    points = max(MOST_ALONG // len(curves), LEAST_ALONG)
    return np.sort(np.concatenate([p[_spread(at[p], points, i)] for i, p in enumerate(curves)])), unit


def _spread(steps: np.ndarray, points: int, curve: int) -> np.ndarray:
    """Positions nearest to geometrically spaced steps, the last among them."""
    if len(steps) <= points:
        return np.arange(len(steps))
    shares = np.append(0.0, (np.arange(1, points) + curve * STAGGER % 1) / points)
    targets = np.log(steps[-1]) + shares * np.log(steps[0] / steps[-1])
    return np.unique(np.abs(np.log(steps)[:, None] - targets).argmin(axis=0))


def memory_unit(curves: Sequence[tuple[np.ndarray, np.ndarray]]) -> float | None:
    """Whether residuals along runs forget by steps, and then in which unit; None where by powers of them.

    Of first-order autoregressive noise the likelihood decides, with the memory and the scale that fit best by either
    clock. A unit is so long that the noise is remembered over `REMEMBERED` of it.

    Parameters
    ----------
    curves : sequence of pairs
        Steps in order, and residuals about something smooth.
    """
    if not curves:
        return None
    best: dict[str, tuple[float, float]] = {}
    for clock in ("log", "steps"):
        gaps = [np.diff(np.log(s) if clock == "log" else s) for s, _ in curves]
        middle = float(np.median(np.concatenate(gaps)))
        fits = [(_follows(curves, gaps, tau), tau) for tau in middle * np.geomspace(0.1, 1e3, 60)]
        best[clock] = max(fits)
    return best["steps"][1] / REMEMBERED if best["steps"][0] > best["log"][0] else None


def _follows(curves: Sequence[tuple[np.ndarray, np.ndarray]], gaps: Sequence[np.ndarray], tau: float) -> float:
    """The log likelihood of residuals that follow one another with memory `tau`, at the scale that fits best."""
    decay = np.concatenate(gaps) / tau
    before, after = (np.concatenate([x[part] for _, x in curves]) for part in (slice(None, -1), slice(1, None)))
    spread = -np.expm1(-2 * decay)
    squares = (after - np.exp(-decay) * before) ** 2 / spread
    return float(-0.5 * (len(squares) * np.log(squares.mean()) + np.log(spread).sum()))


def _noise(frame: pd.DataFrame, rows: np.ndarray, along: str) -> np.ndarray:
    """Log loss of a run about a smooth curve."""
    metric = next((n for n in ("loss", "error") if n in frame), None)
    if metric is None or len(rows) < 4 * (SMOOTH + 1):
        return np.zeros(0)
    x, y = (np.log(frame[n].to_numpy(float)[rows]) for n in (along, metric))
    return np.asarray(y - np.polynomial.Polynomial.fit(x, y, SMOOTH)(x)) if np.isfinite(y).all() else np.zeros(0)
