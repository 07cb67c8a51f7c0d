"""Learning-rate schedules of runs whose rates were logged step by step."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from bayescale.errors import DataError
from bayescale.runs import Source, read_runs
from bayescale.runs.columns import listed
from bayescale.runs.numbers import numbers
from bayescale.runs.schedule import Schedule


def with_schedules(runs: Source, *, warmup: float = 0.0) -> pd.DataFrame:
    """A table of learning curves with the schedule of each run, from the rates that were logged with it.

    Parameters
    ----------
    runs : DataFrame, str or Path
        Whatever `read_runs` takes, with the columns run, S (steps) and lr (the rate at that step).
    warmup : float
        Steps over which the rate rose from zero to the first that was logged.

    Returns
    -------
    DataFrame
        The table with a column ``schedule``; knots are at the logged steps, less those on a line between others.

    Raises
    ------
    DataError
        A column is missing, a rate is no number from 0 up, or a run was logged first during its warm-up.
    """
    table = read_runs(runs)
    source = str(table.attrs["source"])
    for name in ("run", "S", "lr"):
        if name not in table:
            raise DataError(
                f"{source}: schedules are read from the columns run, S and lr; the table has no {name}, and has "
                f"{listed([str(c) for c in table.columns])}"
            )
    rates = numbers(table["lr"])
    if (bad := ~(np.isfinite(rates) & (rates >= 0))).any():
        row = int(np.argmax(bad))
        raise DataError(f"{source}: lr is {table['lr'].iloc[row]} in row {row}; a learning rate is a number from 0 up")
    texts = pd.Series(index=table.index, dtype=object)
    for run, part in table.assign(lr=rates).groupby("run", sort=False):
        curve = part.sort_values("S", kind="stable").drop_duplicates("S")
        step, rate = curve["S"].to_numpy(float), curve["lr"].to_numpy(float)
        if step[0] < warmup:
            raise DataError(
                f"{source}: run {run} was logged first at step {step[0]:g}, within its warm-up of {warmup:g} steps"
            )
        start = [(0.0, 0.0), (warmup, rate[0])] if warmup else [(0.0, rate[0])]
        texts[part.index] = str(_of_knots([*start, *zip(step, rate, strict=True)]))
    found = table.assign(schedule=texts)
    found.attrs = {**table.attrs, "notes": [*table.attrs["notes"], "schedule read from lr"]}
    return found


def _of_knots(knots: Sequence[tuple[float, float]]) -> Schedule:
    """Knots joined by lines, without those that a line between their neighbours passes through."""
    kept = [knots[0]]
    for i in range(1, len(knots) - 1):
        (a, x), (b, y), (c, z) = kept[-1], knots[i], knots[i + 1]
        on_line = x + (z - x) * (b - a) / max(c - a, 1e-300)
        if abs(y - on_line) > 1e-9 * max(x, y, z):
            kept.append(knots[i])
    kept += [knots[-1]] if len(knots) > 1 else []
    return Schedule(tuple(s for s, _ in kept), tuple(r for _, r in kept), ("linear",) * len(kept))
