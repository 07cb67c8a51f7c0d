"""One law for several groups of runs, each with constants of its own: architectures, corpora, shapes, model sizes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from bayescale import intervals
from bayescale.catalogue import LawLike
from bayescale.errors import DataError, UsageError, did_you_mean
from bayescale.fit import Fit, fit
from bayescale.runs import Source, read_runs, select


def fit_groups(law: LawLike, runs: Source, *, by: str = "group", **options: Any) -> dict[str, Fit]:
    """Fit a law to each group of a table by itself: no constant is shared, and none informs another.

    Parameters
    ----------
    law : str, Law or type
        As for `fit`.
    runs : DataFrame, str or Path
        A table with the column `by`.
    by : str
        The column that tells the groups apart.
    **options
        As for `fit`: seed, method, likelihood, ...

    Returns
    -------
    dict
        Group -> its fit, in the order in which groups appear.

    Raises
    ------
    UsageError
        The table has no column `by`.
    DataError
        A group cannot determine the law; the message names it.
    """
    table = read_runs(runs)
    if by not in table:
        columns = [str(c) for c in table.columns]
        raise UsageError(f"the table has no column {by!r}{did_you_mean(by, columns)}; it has {', '.join(columns)}")
    fits = {}
    for group in table[by].unique():
        part = select(table, {by: str(group)})
        try:
            fits[str(group)] = fit(law, part, **options)
        except DataError as error:
            raise DataError(f"group {group} of {by}: {error}") from error
    return fits


def group_summary(fits: Mapping[str, Fit], interval: float = intervals.INTERVAL) -> pd.DataFrame:
    """The constants and derived quantities of each group's fit side by side.

    Returns
    -------
    DataFrame
        Columns group, quantity, median, mean, sd, low, high, converged.
    """
    parts = []
    for group, found in fits.items():
        table = found.summary(interval)[list(intervals.COLUMNS)].rename_axis("quantity").reset_index()
        table.insert(0, "group", group)
        parts.append(table.assign(converged=found.converged))
    return pd.concat(parts, ignore_index=True)
