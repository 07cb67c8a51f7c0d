"""A plan of runs where there is no table: inputs spread over the range that a law is used in, in groups or runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from bayescale.errors import UsageError
from bayescale.law import Law
from bayescale.runs.columns import standard_name

RANGES = {
    "N": (1e6, 1e11),
    "D": (1e8, 1e13),
    "C": (1e17, 1e23),
    "S": (1e2, 1e7),
    "B": (1e4, 1e8),
    "U": (1e8, 1e13),
    "E": (1.0, 512.0),
    "loss": (2.0, 4.5),
}
"""Of inputs, in the units of a run table. Five decades, so that most data sets tell something about each constant."""

SCHEDULES = (
    "0:0 2000:3e-4",
    "0:0 2000:3e-4 cosine 1000000:3e-5",
    "0:0 2000:3e-4 20000:3e-4 20000:3e-5",
    "0:0 2000:3e-4 100000:3e-4 exp 1000000:3e-6",
)
"""Of laws of a learning-rate schedule, along each of which rows are spread over `STEPS`."""

STEPS = (2500.0, 1e6)

ROWS = 40
GROUPS = 4
"""Groups by which constants vary."""

ROWS_OF_RUN = 5
"""Rows that share an effect, or whose residuals follow one another."""

ALONG = 4.0
"""How far along a run its rows go, as a ratio of steps: near enough to one another that residuals remember."""


def plan(law: Law, rows: int = ROWS, pool: Any = None, *, along_runs: bool = False) -> pd.DataFrame:
    """Rows spread evenly over the `RANGES` of a law's inputs.

    Parameters
    ----------
    law : Law
    rows : int
    pool : mapping, optional
        As `fit` takes it. Groups take rows in turn: `GROUPS` of them where a constant varies, and as many as have
        `ROWS_OF_RUN` rows each where only an effect on the law does.
    along_runs : bool
        Whether rows come `ROWS_OF_RUN` a run, which share all inputs but how far they are along it; groups then take
        whole runs.

    Returns
    -------
    DataFrame
        The inputs, a column for each in `pool`, and run where rows go along runs; ``attrs["source"]`` is a sentence.

    Raises
    ------
    UsageError
        An input has no range, or there are fewer rows than constants.
    """
    inputs, run = _along_runs(law, rows) if along_runs else (_spread(law, rows), np.arange(rows))
    limits = {n: STEPS if "schedule" in inputs else RANGES[n] for n in inputs if n != "schedule"}
    source = f"{rows} rows spread over " + ", ".join(f"{n} {low:g} to {high:g}" for n, (low, high) in limits.items())
    source += f" of {len(SCHEDULES)} schedules" if "schedule" in inputs else ""
    source += f" along {run.max() + 1} runs" if along_runs else ""
    table = pd.DataFrame(inputs)
    for column, names in (pool if isinstance(pool, Mapping) else {}).items():
        if column in (*table.columns, law.metric):
            continue  # refused with the reason where groups are made
        effects = list([names] if isinstance(names, str) else names) == [law.metric]
        if along_runs and standard_name(str(column)) == "run":
            table[column] = _labels("run", run)
            continue
        count = max(rows // ROWS_OF_RUN, 2) if effects else GROUPS
        table[column] = _labels(str(column), run % count)
        source += f", in {count} groups by {column}"
    if along_runs and "run" not in map(standard_name, map(str, table.columns)):
        table["run"] = _labels("run", run)
    table.attrs["source"] = source
    return table


def _labels(column: str, code: np.ndarray) -> list[str]:
    width = len(str(code.max() + 1))
    return [f"{column} {i + 1:0{width}}" for i in code]


def _spread(law: Law, rows: int) -> dict[str, np.ndarray]:
    if law.inputs == ("S", "schedule"):
        some = -(-rows // len(SCHEDULES))
        steps = np.geomspace(*STEPS, some)
        return {
            "S": np.tile(steps, len(SCHEDULES))[:rows],
            "schedule": np.repeat(SCHEDULES, some)[:rows].astype(object),
        }
    _check(law, rows)
    return _filled({n: RANGES[n] for n in law.inputs}, rows)


def _along_runs(law: Law, rows: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Inputs, and the number of each row's run."""
    along = next((n for n in ("S", "D") if n in law.inputs), None)
    if along is None or law.inputs == ("S", "schedule"):
        each = ROWS_OF_RUN if along is None else -(-rows // len(SCHEDULES))
        return _spread(law, rows), np.arange(rows) // each
    _check(law, rows)
    run, row = np.divmod(np.arange(rows), ROWS_OF_RUN)
    low, high = RANGES[along]
    last = _filled({n: RANGES[n] for n in law.inputs} | {along: (low * ALONG, high)}, int(run.max()) + 1)
    inputs = {n: x[run] for n, x in last.items()}
    return inputs | {along: inputs[along] * ALONG ** (row / (ROWS_OF_RUN - 1) - 1)}, run


def _check(law: Law, rows: int) -> None:
    if missing := [n for n in law.inputs if n not in RANGES]:
        raise UsageError(
            f"there is no default design for {', '.join(missing)} of law {law.name}; give a table of runs that has "
            f"{', '.join(law.inputs)}"
        )
    if rows < len(law.free) + 2:
        raise UsageError(f"law {law.name} has {len(law.free)} free constants; {rows} rows are too few")


def _filled(ranges: Mapping[str, tuple[float, float]], count: int) -> dict[str, np.ndarray]:
    """Points of a box: the additive recurrence of the generalised golden ratio fills it evenly in any dimension."""
    dimension = len(ranges)
    ratio = 2.0
    for _ in range(60):
        ratio = (1 + ratio) ** (1 / (dimension + 1))
    places = (0.5 + np.outer(np.arange(1, count + 1), ratio ** -np.arange(1.0, dimension + 1))) % 1
    limits = {n: np.log(x) for n, x in ranges.items()}
    return {n: np.exp(x[0] + places[:, i] * np.ptp(x)) for i, (n, x) in enumerate(limits.items())}
