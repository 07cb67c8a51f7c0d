"""Groups of a pooled law by name: a table's labels as the codes that the law takes, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from bayescale.errors import DataError, UsageError, did_you_mean
from bayescale.law import Law
from bayescale.law.pool import EFFECT, Grouping, Pooled, pooled, spread
from bayescale.runs import Observations, read_runs
from bayescale.runs.columns import listed, missing, standard_name

if TYPE_CHECKING:
    from bayescale.fit import Fit

RESERVED = ("runs", "interval", "weights", "quantity")
"""Names that `predict` and `derive` take for something else."""

SHOWN = 8
"""Groups of a column that a printed fit lists one by one."""

MOST = 400
"""Groups of all columns together: each is a coordinate of the posterior for every constant that varies by it."""


def by_groups(law: Law, table: Observations, frame: pd.DataFrame, pool: Mapping[str, Any]) -> tuple[Any, Observations]:
    """The law pooled by columns of a table, and the rows with a code for each column among their inputs.

    Parameters
    ----------
    law : Law
    table : Observations
        Taken from `frame`, row by row.
    frame : DataFrame
    pool : mapping
        Column -> constants of the law, or its metric; or a mapping of them to priors of their spread.

    Raises
    ------
    UsageError
        No column or constant has the name, or there are more than `MOST` groups.
    DataError
        A cell of a column is empty, the column has one group only, or every row is a group of its own.
    """
    if not isinstance(pool, Mapping) or not pool:
        raise UsageError(
            f"pool maps columns of the table to what varies by them, {{'corpus': ['E', 'A']}}, and is not {pool!r}"
        )
    runs = read_runs(frame)
    groupings: list[Grouping] = []
    spreads: dict[str, Any] = {}
    codes: dict[str, np.ndarray] = {}
    for column, given in pool.items():
        names = [given] if isinstance(given, str) else list(given)
        if not names or not all(isinstance(n, str) for n in names):
            raise UsageError(f"pool: name what varies by {column!r}: constants of {law.name}, or {law.metric!r}")
        labels = _labels(law, table, runs, str(column))
        groups = tuple(sorted(set(labels.tolist())))
        groupings.append(Grouping(str(column), groups, tuple(names)))
        spreads |= {n: given[n] for n in names} if isinstance(given, Mapping) else {}
        codes[str(column)] = np.searchsorted(np.array(groups, dtype=object), labels.astype(object)) + 1.0
    if (many := sum(len(g.labels) for g in groupings)) > MOST:
        raise UsageError(f"pool: {many} groups are too many to sample together; at most {MOST}, or thin the table")
    return pooled(law, groupings, spreads), replace(table, inputs={**table.inputs, **codes})


def _labels(law: Law, table: Observations, runs: pd.DataFrame, column: str) -> np.ndarray:
    """A column's cells as text, one a row."""
    found = column if column in runs else standard_name(column)
    if found not in runs:
        columns = [str(c) for c in runs.columns]
        raise UsageError(
            f"pool: the table has no column {column!r}{did_you_mean(column, columns)}; it has {listed(columns)}"
        )
    if found in (*law.inputs, law.metric):
        what = "an input of" if found in law.inputs else "what is predicted by"
        raise UsageError(f"pool: {column} is {what} law {law.name} and tells no groups apart; name a column that does")
    if column in RESERVED:
        raise UsageError(f"pool: {column!r} is the name of an option of predict; call the column something else")
    cells = runs[found]
    if (empty := missing(cells)).any():
        rows = ", ".join(str(x) for x in table.labels[empty][:5])
        raise DataError(
            f"{table.source}: {empty.sum()} rows have no {column} (rows {rows}); fill it in or leave them out"
        )
    labels = cells.astype(str).to_numpy(str)
    groups = len(set(labels.tolist()))
    if groups == 1:
        raise DataError(
            f"{table.source}: {column} is {str(labels[0])!r} in every row; one group does not tell how groups differ: "
            "fit without pool"
        )
    if groups == len(labels):
        raise DataError(
            f"{table.source}: every row has a {column} of its own, so that groups cannot be told from the scatter of "
            "rows: fit without pool, or pool by a column that several rows share"
        )
    return labels


def coded(law: Any, inputs: Mapping[str, Any], *, strict: bool = True) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Inputs of a law without those that name groups, and these as codes.

    A group is named as the table named it; None is a new one. Where not `strict`, so is a name that the table lacked.

    Raises
    ------
    UsageError
        There is no such group.
    """
    if not isinstance(law, Pooled):
        return dict(inputs), {}
    rest, given = law.split(inputs)
    codes = {}
    for grouping in law.groupings:
        if grouping.column in given:
            labels = np.asarray(given[grouping.column], dtype=object)
            found = [_code(grouping, x, strict) for x in labels.ravel()]
            codes[grouping.column] = np.array(found, dtype=float).reshape(labels.shape)
    return rest, codes


def _code(grouping: Grouping, label: Any, strict: bool) -> int:
    if label is None or (isinstance(label, float) and np.isnan(label)):
        return grouping.typical
    if str(label) in grouping.labels:
        return grouping.labels.index(str(label)) + 1
    for i, known in enumerate(grouping.labels):
        if _equal_numbers(known, label):
            return i + 1
    if not strict:
        return grouping.typical
    raise UsageError(
        f"the fit has no {grouping.column} {str(label)!r}{did_you_mean(str(label), grouping.labels)}; it has "
        f"{listed(grouping.labels)}; leave {grouping.column} out for a new one"
    )


def _equal_numbers(known: str, label: Any) -> bool:
    try:
        return float(known) == float(label)
    except (TypeError, ValueError):
        return False


def labelled(law: Any, points: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Points with the names of groups instead of their codes."""
    named = dict(points)
    for grouping in law.groupings if isinstance(law, Pooled) else ():
        if grouping.column in points:
            names = np.array([*grouping.labels, "new", "new"], dtype=object)
            named[grouping.column] = names[points[grouping.column].astype(int) - 1]
    return named


def of_new_runs(law: Any, points: Mapping[str, np.ndarray]) -> dict[str, np.ndarray] | None:
    """Points at which the law is a new run's, with an effect of its own; None where the mean curve's will do."""
    effects = [g for g in law.groupings if law.base.metric in g.constants] if isinstance(law, Pooled) else []
    if not effects:
        return None
    found = dict(points)
    for grouping in effects:
        count = len(next(iter(points.values())))
        codes = points.get(grouping.column, np.full(count, float(grouping.typical)))
        found[grouping.column] = np.where(codes == grouping.typical, float(grouping.new), codes)
    return found


def groups_of(law: Any, table: pd.DataFrame) -> dict[str, np.ndarray]:
    """The columns of a table that name groups of the law."""
    groupings = law.groupings if isinstance(law, Pooled) else ()
    names = {g.column: g.column if g.column in table else standard_name(g.column) for g in groupings}
    return {n: table[found].astype(str).to_numpy(object) for n, found in names.items() if found in table}


def new_effect(law: Any, constants: Mapping[str, np.ndarray]) -> Any:
    """The factor on the law that a new run has at draws of its constants; 1 where runs have none."""
    effect: Any = 1.0
    for grouping in law.groupings if isinstance(law, Pooled) else ():
        if law.base.metric in grouping.constants:
            effect = effect * constants[f"{law.base.metric}[{grouping.members[-1]}]"]
    return effect


def group_quantity(fit: Fit, quantity: str) -> dict[str, np.ndarray]:
    """A derived quantity of each group at every draw, where it differs from the population's: name -> (draw,)."""
    from bayescale.answers.predict import evaluate_draws

    found: dict[str, np.ndarray] = {}
    if not isinstance(fit.law, Pooled):
        return found
    population = evaluate_draws(fit, quantity, {})
    for grouping in fit.law.groupings:
        if set(grouping.constants) == {fit.law.base.metric}:
            continue
        draws = evaluate_draws(fit, quantity, {grouping.column: np.arange(1.0, grouping.new + 1)})
        if not np.array_equal(draws[:, 0], population):
            found |= {f"{quantity}[{m}]": draws[:, i] for i, m in enumerate(grouping.members)}
    return found


def large_effects(fit: Fit) -> tuple[str, ...]:
    """Says where effects on the law are so large that they stand in for what the law misses."""
    law: Any = fit.law
    told = []
    for grouping in law.groupings if isinstance(law, Pooled) else ():
        name = spread(law.base.metric)
        if law.base.metric in grouping.constants and name in fit.constants:
            median = float(np.median(fit.constants[name]))
            if median > EFFECT:
                told.append(
                    f"effects of {grouping.column} spread by {median:.0%}, more than runs of one law differ: they "
                    f"stand in for what {law.base.name} misses along each of them; try a law of another shape"
                )
    return tuple(told)


class GroupRows(NamedTuple):
    """How a fit's summary is shown where it has rows of groups.

    Attributes
    ----------
    names : set of str
        Rows of groups, shown after those of the population.
    hidden : set of str
        Those among them that are too many to be shown one by one.
    sentences : list of str
        What is said of these instead.
    """

    names: set[str]
    hidden: set[str]
    sentences: list[str]


def groups_rows(fit: Fit) -> GroupRows:
    """How the summary of a fit is shown; of a column with more than `SHOWN` groups, what their medians span."""
    found = GroupRows(set(), set(), [])
    for grouping in fit.law.groupings if isinstance(fit.law, Pooled) else ():
        ends = tuple(f"[{m}]" for m in grouping.members)
        constants = [n for n in fit.constants if n.endswith(ends)]
        derived = [f"{q}{end}" for q in type(fit.law).quantities() for end in ends]
        found.names.update(constants, derived)
        if len(grouping.labels) <= SHOWN:
            continue
        found.hidden.update(n for n in (*constants, *derived) if not n.endswith(ends[-1]))
        for constant in dict.fromkeys(n[: n.index("[")] for n in constants):
            medians = [float(np.median(fit.constants[f"{constant}{end}"])) for end in ends[:-1]]
            low, high = int(np.argmin(medians)), int(np.argmax(medians))
            found.sentences.append(
                f"{constant} of {len(medians)} groups by {grouping.column}: medians from {medians[low]:.4g} "
                f"({grouping.labels[low]}) to {medians[high]:.4g} ({grouping.labels[high]}); summary() lists them."
            )
    return found
