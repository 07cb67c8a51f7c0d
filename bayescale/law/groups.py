"""Which groups a question is of: those it names, or every group that the table has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from bayescale.law.labels import Codes, Grouped, coded, labelled
from bayescale.law.varying import AnyLaw
from bayescale.runs.columns import standard_name

OF_A_RUN = ("N", "U", "E")
"""Inputs that one training run has one value of."""


def asked_about(law: AnyLaw, rows: Mapping[str, np.ndarray]) -> Codes:
    """The columns of which every group gets an answer where none is named, with the codes of the table's rows.

    All columns but those that tell runs apart: a question is seldom of an old run, so that where none is named the mean
    curve has no effect, and a new run has one of its own.
    """
    return {c: rows[c] for c in law.columns if c in rows and not _tells_runs_apart(law, c, rows)}


def _tells_runs_apart(law: AnyLaw, column: str, rows: Mapping[str, np.ndarray]) -> bool:
    """Whether a column gives effects on the law and nothing else, to groups of one model each or by a run's name."""
    if set(law.varied(column)) != {law.metric}:
        return False
    of_a_run = [rows[n] for n in OF_A_RUN if n in law.inputs]
    pairs = np.unique(np.stack([rows[column], *of_a_run], axis=1), axis=0)
    return standard_name(column) == "run" or (bool(of_a_run) and len(pairs) == len(np.unique(rows[column])))


def groups_asked(of: Grouped, rows: Codes, named: Mapping[str, Any]) -> list[dict[str, str]]:
    """The groups that a question is of, by column and name: those named, each with each, and all that are left open.

    Parameters
    ----------
    of : Law or Varying
        Whose groups they are.
    rows : mapping
        Column -> codes of the table's rows, `asked_about`.
    named : mapping
        Column -> a name or several.

    Returns
    -------
    list of dict
        Of a law without groups, and where columns tell runs apart, one that names none.
    """
    _, codes = coded(of, named)
    crossed = np.meshgrid(np.zeros(1), *(x.ravel() for x in codes.values()), indexing="ij")
    points = dict(zip(("", *codes), (x.ravel() for x in crossed), strict=True))
    found = labelled(of, in_every_group(points, rows))
    columns = [c for c in of.columns if c in found]
    return [{c: str(found[c][i]) for c in columns} for i in range(len(found[""]))]


def in_every_group(points: Mapping[str, np.ndarray], rows: Codes) -> dict[str, np.ndarray]:
    """Points, each in every group of the columns that it leaves open, in combinations that the table has.

    Parameters
    ----------
    points : mapping
        Inputs and codes of groups, shape (point,) each.
    rows : mapping
        Column -> codes of the table's rows, shape (row,).

    Returns
    -------
    dict
        The same and the columns that were open, shape (point times groups,), one point's groups after another.
    """
    still_open = [c for c in rows if c not in points]
    if not still_open:
        return dict(points)
    columns = [c for c in rows if c in points] + still_open
    known = np.unique(np.stack([rows[c] for c in columns], axis=1), axis=0)
    named = np.stack([np.zeros(len(next(iter(points.values())))), *(points[c] for c in columns if c in points)], axis=1)
    kinds, kind = np.unique(named[:, 1:], axis=0, return_inverse=True)
    answers = [_completed(known, codes) for codes in kinds]
    kind = kind.reshape(-1)
    which = np.repeat(np.arange(len(named)), [len(answers[k]) for k in kind])
    codes = np.concatenate([answers[k] for k in kind])
    return {n: x[which] for n, x in points.items()} | dict(zip(still_open, codes.T, strict=True))


def _completed(known: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Codes of the open columns, the last ones of `known`, that go with those of the first; all where none do."""
    for i, code in enumerate(codes):
        alike = known[:, i] == code
        known = known[alike] if alike.any() else known
    return np.unique(known[:, len(codes) :], axis=0)
