"""Groups of a pooled law by name: a table's labels as the codes that the law takes, and back."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
import pandas as pd

from bayescale.errors import DataError, UsageError, did_you_mean
from bayescale.law import Law
from bayescale.law.fields import UNSEEN, Effects, OfGroups
from bayescale.law.pool import Grouping, pooled
from bayescale.law.varying import AnyLaw, Varying, by
from bayescale.runs import Observations, read_runs
from bayescale.runs.columns import listed, missing, standard_name

RESERVED = (
    "runs", "interval", "weights", "quantity", "loss", "N", "D", "C",
    "inference_tokens", "inference_cost", "max_N", "max_D",
)  # fmt: skip
"""Names that `predict`, `derive` and `allocate` take for something else."""

Codes = dict[str, np.ndarray]
"""Of rows or points, by column: the codes of their groups, or their names."""


class Grouped(Protocol):
    """A law with groups, or whatever else has columns of them."""

    @property
    def columns(self) -> Mapping[str, tuple[str, ...]]:
        """Columns of groups -> their labels."""


MOST = 400
"""Groups of all columns together: each is a coordinate of the posterior for every constant that varies by it."""


def by_groups(
    law: Law, table: Observations, frame: pd.DataFrame, pool: Mapping[str, Any]
) -> tuple[Varying, Observations]:
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
        raise UsageError(
            f"pool: {column!r} is the name of an option of predict or allocate; call the column something else"
        )
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


def typical(labels: tuple[str, ...]) -> float:
    """The code of a group that the table lacks as the mean curve has it: constants of its own, no effect on the law."""
    return len(labels) + 2.0


def coded(law: Grouped, inputs: Mapping[str, Any], *, strict: bool = True) -> tuple[dict[str, Any], Codes]:
    """Inputs of a law without those that name groups, and these as codes.

    A group is named as the table named it; None is one that it lacks. Where not `strict`, so is any other name.

    Raises
    ------
    UsageError
        There is no such group.
    """
    given = {n: x for n, x in inputs.items() if n in law.columns}
    rest = {n: x for n, x in inputs.items() if n not in given}
    codes = {}
    for column, labels in law.columns.items():
        if column in given:
            asked = np.asarray(given[column], dtype=object)
            found = [_code(column, labels, x, strict) for x in asked.ravel()]
            codes[column] = np.array(found, dtype=float).reshape(asked.shape)
    return rest, codes


def _code(column: str, labels: tuple[str, ...], label: object, strict: bool) -> float:
    if label is None or (isinstance(label, float) and np.isnan(label)):
        return typical(labels)
    if str(label) in labels:
        return labels.index(str(label)) + 1.0
    for i, known in enumerate(labels):
        if _equal_numbers(known, label):
            return i + 1.0
    if not strict or str(label) == UNSEEN:
        return typical(labels)
    raise UsageError(
        f"the fit has no {column} {str(label)!r}{did_you_mean(str(label), labels)}; it has "
        f"{listed(labels)}; {UNSEEN!r} is one that the table lacks"
    )


def _equal_numbers(known: str, label: Any) -> bool:
    try:
        return float(known) == float(label)
    except (TypeError, ValueError):
        return False


def labelled(law: Grouped, points: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Points with the names of groups instead of their codes."""
    named = dict(points)
    for column, labels in law.columns.items():
        if column in points:
            names = np.array([*labels, UNSEEN, UNSEEN], dtype=object)
            named[column] = names[points[column].astype(int) - 1]
    return named


def of_new_runs(law: AnyLaw, points: Mapping[str, np.ndarray]) -> dict[str, np.ndarray] | None:
    """Points at which the law is a new run's, with an effect of its own; None where the mean curve's will do."""
    if not law.effects:
        return None
    found = dict(points)
    for column in law.effects:
        labels = law.columns[column]
        count = len(next(iter(points.values())))
        codes = points.get(column, np.full(count, typical(labels)))
        found[column] = np.where(codes == typical(labels), len(labels) + 1.0, codes)
    return found


def groups_of(law: Grouped, table: pd.DataFrame) -> Codes:
    """The columns of a table that name groups of the law."""
    names = {c: c if c in table else standard_name(c) for c in law.columns}
    return {n: table[found].astype(str).to_numpy(object) for n, found in names.items() if found in table}


def constants_in(
    law: AnyLaw, constants: Mapping[str, np.ndarray], group: Mapping[str, str]
) -> tuple[dict[str, np.ndarray], np.ndarray | float]:
    """The law's own constants at draws, shape (draw,) each, in a group, and the factor on the law that it has there."""
    own = {n: x for n, x in constants.items() if n in law.law.fields}
    factor: np.ndarray | float = 1.0
    _, codes = coded(law, group)
    for name, field in law.vectors.items():
        if not isinstance(field, OfGroups):
            continue
        column, size = field.column, field.size
        code = int(codes[column].item()) if column in codes else size + 2
        if isinstance(field, Effects):
            factor = factor * (constants[name][:, code - 1] if code <= size else 1.0)
        else:
            own[name.removesuffix(by("", column))] = constants[name][:, min(code, size + 1) - 1]
    return own, factor


def new_effect(law: AnyLaw, constants: Mapping[str, np.ndarray], known: Collection[str] = ()) -> np.ndarray | float:
    """The factor on the law that a new run has, beside those of its `known` columns; 1 where runs have none."""
    effect: np.ndarray | float = 1.0
    for column in set(law.effects) - set(known):
        effect = effect * constants[by(law.metric, column)][..., -1]
    return effect
