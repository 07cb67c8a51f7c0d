"""Tables of another shape, turned into one row a run or a measurement: charts, a column a run, a row a metric."""

from __future__ import annotations

import re
from collections.abc import Hashable

import numpy as np
import pandas as pd

from bayescale.runs.names import Meaning, meaning
from bayescale.runs.numbers import missing, quantity, size_in
from bayescale.runs.table import Table

AXES = 4  # columns of a chart that are not of a run
TAGS = ("metric", "tag", "key", "metricname", "metric.name", "metrickey", "metric_name", "metric_key", "variable")
TIMES = ("walltime", "timestamp", "time", "relativetime", "createdat", "datetime")
INPUTS = ("N", "D", "C", "S", "U", "B")


def as_rows(table: Table) -> Table:
    """The table with a row a run or a measurement, where it has the shape of a chart, of a grid or of a log."""
    for turned in (_chart, _log, _grid):
        if (found := turned(table)) is not None:
            return found
    return table


def _chart(table: Table) -> Table | None:
    """What a tracker's chart is exported as: Step, "run1 - eval/loss", "run1 - eval/loss__MIN", ..."""
    columns: dict[str, dict[str, Hashable]] = {}
    bounds, of_runs = False, set()
    for label in table.frame.columns:
        if found := re.fullmatch(r"(.+) - (.+?)(__MIN|__MAX)?", str(label)):
            of_runs.add(label)
            bounds |= bool(found[3])
            if not found[3]:
                columns.setdefault(found[1], {})[found[2]] = label
    axes = [label for label in table.frame.columns if label not in of_runs]
    metrics = [m for of_run in columns.values() for m in of_run]
    shared = len(metrics) > len(set(metrics))
    if not columns or len(axes) > AXES or not (bounds or shared or any(meaning(m) for m in metrics)):
        return None
    parts, rows = [], []
    for run, of_run in columns.items():
        part = table.frame[list(of_run.values())].set_axis(list(of_run), axis=1)
        there = np.flatnonzero(~np.all([missing(part[m]) for m in part], axis=0))
        own = [a for a in axes if a not in of_run]
        whole = pd.concat([table.frame[own], part], axis=1).iloc[there]
        parts.append(whole.assign(run=run) if "run" not in whole else whole)
        rows.append(there)
    note = f"a chart's columns turned into rows: {len(columns)} runs, {', '.join(dict.fromkeys(metrics))}"
    return table.of(pd.concat(parts, ignore_index=True), np.concatenate(rows), note)


def _log(table: Table) -> Table | None:
    """A row a metric, as logs are kept: run, step, metric, value."""
    plain = {re.sub(r"[\s_-]+", "", str(x)).lower(): x for x in table.frame.columns}
    value = plain.get("value", plain.get("metric.value", plain.get("metricvalue")))
    tag = next((plain[t.replace("_", "")] for t in TAGS if t.replace("_", "") in plain), None)
    if value is None or tag is None or value == tag or missing(table.frame[tag]).any():
        return None
    keys = [x for x in table.frame.columns if x not in (value, tag) and _short(x) not in TIMES]
    names = table.frame[tag].astype(str)
    if not keys or not any(meaning(name) for name in names.unique()):
        return None
    groups = table.frame.groupby([table.frame[k].astype(str) for k in keys], sort=False).ngroup().to_numpy()
    first = np.unique(groups, return_index=True)[1]
    wide = table.frame[keys].iloc[first].reset_index(drop=True)
    for name in names.unique():
        cells = pd.Series([None] * len(first), dtype=object)
        of_name = (names == name).to_numpy()
        cells.iloc[groups[of_name]] = table.frame[value][of_name].to_numpy(object)
        wide[name] = pd.to_numeric(cells) if table.frame[value].dtype.kind in "iuf" else cells
    note = f"rows of one metric each turned into columns: {', '.join(map(str, names.unique()[:8]))}"
    return table.of(wide, first, note)


def _grid(table: Table) -> Table | None:
    """A column a size: tokens, 70M, 160M, 410M, or tokens, "N=70M", ..., with losses in the cells."""
    labels = list(table.frame.columns)
    known: dict[Hashable, Meaning | None] = {x: meaning(x) if isinstance(x, str) else None for x in labels}
    if any(m and m.name in ("loss", "error", "accuracy") for m in known.values()):
        return None
    axes = {m.name for m in known.values() if m and m.name in INPUTS}
    sized = {x: found for x in labels if not known[x] and (found := _size(str(x)))}
    names = {name for name, _, _ in sized.values() if name}
    if len(sized) < 2 or len({size for _, size, _ in sized.values()}) < len(sized) or not axes or len(names) > 1:
        return None
    if any(pd.api.types.is_bool_dtype(table.frame[x]) for x in sized):
        return None
    name = names.pop() if names else ("N" if "N" not in axes else "D" if not axes & {"D", "C"} else "")
    if not name or name in axes:
        return None
    rest = [x for x in labels if x not in sized]
    parts, rows = [], []
    for label, (_, size, plain) in sized.items():
        there = np.flatnonzero(~missing(table.frame[label]))
        part = table.frame[rest].iloc[there].copy()
        part[name], part["loss"] = size, table.frame[label].iloc[there]
        if not plain:
            part["run"] = str(label)
        parts.append(part)
        rows.append(there)
    shown = ", ".join(str(x) for x in list(sized)[:6])
    note = f"columns {shown} turned into rows: {name} is in their names, loss in their cells"
    return table.of(pd.concat(parts, ignore_index=True), np.concatenate(rows), note)


def _size(label: str) -> tuple[str, float, bool] | None:
    """The input and size that a column's name is, and whether it is nothing else."""
    units = {"parameters": "N", "tokens": "D", "FLOPs": "C"}
    if named := re.fullmatch(r"\s*([NDC])\s*=\s*(.+)", label):
        read = quantity(named[2])
        return (named[1], read.value, True) if read and np.isfinite(read.value) and read.value > 0 else None
    if read := quantity(label):
        usable = np.isfinite(read.value) and read.value >= 1e3 and (read.scaled or read.value >= 1e5)
        return (units.get(read.unit, ""), read.value, True) if usable and read.unit in ("", *units) else None
    size = size_in(label)
    return ("", size, False) if np.isfinite(size) and size >= 1e5 else None


def _short(label: object) -> str:
    return re.sub(r"[\s_-]+", "", str(label)).lower()
