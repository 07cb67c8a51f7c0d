"""Sweeps of a learning rate or a batch within a size: what is left of them is each sweep's best, not scatter."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from bayescale.errors import UsageError, did_you_mean, in_words
from bayescale.runs.checkpoints import CURVES, NAMES, STATES
from bayescale.runs.features import feature_of
from bayescale.runs.notes import DROPPED

HOW = ("best", "all")
TUNED = re.compile(
    r"(?:.*[/.])?(?:(?:peak|max|base|init|initial|final|global|train|training)[\s_-]*)?"
    r"(?:lr|learning[\s_-]*rate|batch|b|bs|bsz|batch[\s_-]*size(?:[\s_-]*tokens)?|batch[\s_-]*tokens|weight[\s_-]*decay|"
    r"wd|warm[\s_-]*up(?:[\s_-]*(?:steps|tokens|ratio))?|momentum|adam[\s_-]*beta[\s_-]*[12]|beta[\s_-]?[12]|eta)",
    re.I,
)
"""Names of what is tuned at each size."""
SAME = 0.01
"""Powers of ten within which runs have one D: whole batches of different sizes."""
KINDS = 20
"""Values that a column of text has at most which tells kinds of runs apart."""


def best_of_sweeps(
    frame: pd.DataFrame, inputs: Sequence[str], metric: str, how: str = "best", *, grouped: Iterable[str] = ()
) -> pd.DataFrame:
    """A table with the best of each sweep alone; other rows stay, and the notes say what was left out.

    A sweep is runs alike in a law's inputs, and in whatever else tells kinds of runs apart, that differ in what
    people tune. Its best is the setting with the lowest mean, all of whose runs stay: seeds are replicates.

    Parameters
    ----------
    frame : DataFrame
        With standard columns.
    inputs : sequence of str
        The law's: what it takes is no matter of tuning.
    metric : str
        What is to be low.
    how : {'best', 'all'}
        All rows, with what was tuned as scatter.
    grouped : iterable of str
        Columns that the law varies by.

    Raises
    ------
    UsageError
        There is no such `how`.
    """
    if how not in HOW:
        raise UsageError(
            f"{in_words('sweeps', '--sweeps')} {how!r}{did_you_mean(how, HOW)}; there are {', '.join(HOW)}"
        )
    tuned = [c for c in frame if TUNED.fullmatch(str(c).strip()) and c not in (*inputs, *grouped)]
    tuned = [c for c in tuned if frame[c].nunique() > 1]
    scaled = {"N", "D", "C"} & set(inputs) and not set(CURVES) & set(inputs)
    if not tuned or not scaled or not {*inputs, metric} <= set(frame.columns):
        return frame
    groups = set(grouped)
    cells = _cells(frame, inputs, [c for c in frame if c in groups or _tells_apart(frame, c, (*inputs, *tuned))])
    setting = frame.groupby(tuned, sort=False, dropna=False).ngroup().to_numpy()
    many = pd.Series(setting).groupby(cells).transform("nunique").to_numpy()
    sweeps = len(np.unique(cells[many > 1]))
    if sweeps < 2 and many.max(initial=0) < 3:
        return frame
    values = pd.Series(frame[metric].to_numpy(float))
    mean = values.groupby([cells, setting]).transform("mean")
    keep = (mean == mean.groupby(cells).transform("min")).to_numpy() | (many < 2)
    if keep.all() or (sweeps < 2 and many.max() < 3):
        return frame
    names = " and ".join(str(c) for c in tuned if (frame[c].groupby(cells).nunique() > 1).any())
    alike = ", ".join(inputs)
    said = f"{names} differ{'s' * (' and ' not in names)} between runs of one {alike}, in {sweeps} sweeps"
    if how == "all":
        note = f"{said}: all {len(frame)} rows are fitted, with what was tuned as scatter"
    else:
        note = (
            f"{said}: the best of each is fitted, {keep.sum()} of {len(frame)} rows; "
            f"{in_words('sweeps=', '--sweeps ')}{in_words(repr('all'), 'all')} fits all of them"
        )
    result = frame[keep] if how == "best" else frame
    result = result.copy(deep=False)
    result.attrs = {**frame.attrs, "notes": [*frame.attrs.get("notes", ()), DROPPED + note]}
    return result


def _cells(frame: pd.DataFrame, inputs: Sequence[str], kinds: Sequence[object]) -> np.ndarray:
    """Which rows are alike but for tuning, as a number a row."""
    parts = {}
    for name in inputs:
        cells = frame[name]
        if feature_of(name).numeric and (cells > 0).all():
            logs = np.log10(cells.to_numpy(float))
            order = np.argsort(logs, kind="stable")
            apart = np.diff(logs[order], prepend=logs[order[0]]) > (0 if name == "N" else SAME)
            code = np.empty(len(logs), int)
            code[order] = np.cumsum(apart)
            parts[name] = code
        else:
            parts[name] = cells.astype(str).to_numpy()
    parts |= {f"{i} {c}": frame[c].astype(str).to_numpy() for i, c in enumerate(kinds)}
    return np.asarray(pd.DataFrame(parts).groupby(list(parts), sort=False).ngroup())


def _tells_apart(frame: pd.DataFrame, column: object, known: Sequence[object]) -> bool:
    """Whether a column of text names kinds of runs: a corpus, a recipe."""
    if column in known or NAMES.fullmatch(str(column)) or STATES.fullmatch(str(column)):
        return False
    cells = frame[column]
    return cells.dtype.kind not in "biufc" and 1 < cells.nunique() <= min(KINDS, len(frame) // 2)
