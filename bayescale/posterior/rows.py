"""Some of a table's rows: the others masked, in place, or left out; links along runs skip what does not count."""

from __future__ import annotations

import jax
import numpy as np

from bayescale.posterior.data import Data
from bayescale.runs.curves import FAR


def masked(data: Data, keep: np.ndarray) -> Data:
    """The table of which only the rows `keep` count, each following the last one before it in its run that does.

    The density is that of a table without the other rows: nothing of them moves it. The shape stays, so that
    programs are reused.

    Parameters
    ----------
    data : Data
    keep : ndarray of bool, shape (row,)
        Of the table's rows, or of these and the padding.
    """
    mask = np.zeros_like(data.mask)
    mask[: len(keep)] = keep
    mask &= data.mask
    if data.before is None or data.gap is None:
        return data._replace(mask=mask)
    own = np.arange(len(mask))
    before, gap = data.before.copy(), data.gap.copy()
    while (torn := (before != own) & ~mask[before]).any():
        first = before[before] == before  # of its run: nothing is left to follow
        gap = np.where(torn, np.where(first, FAR, gap + gap[before]), gap)
        before = np.where(torn, np.where(first, own, before[before]), before)
    return data._replace(mask=mask, before=before, gap=gap)


def unseen(data: Data) -> Data:
    """The table with no row that counts: the density is the prior's."""
    return masked(data, np.zeros_like(data.mask))


def run_of(data: Data) -> np.ndarray:
    """The run of each row that others follow or that follows, as the position of its first row, shape (row,)."""
    assert data.before is not None
    first = data.before
    while (first[first] != first).any():
        first = first[first]
    return first


def some(data: Data, most: int) -> Data:
    """At most `most` rows that count, the same ones each time, with priors stated at the whole table's centre.

    Where rows follow one another, whole runs; of a run that is longer, its first rows.
    """
    rng = np.random.default_rng(0)
    rows = np.flatnonzero(data.mask)
    if data.before is None:
        return _taken(data, rng.choice(rows, min(most, len(rows)), replace=False), most)
    run = run_of(data)[rows]
    kept: list[np.ndarray] = []
    left = most
    for first in rng.permutation(np.unique(run)):
        members = rows[run == first]
        if len(members) <= left:
            kept.append(members)
            left -= len(members)
        elif not kept:
            depth = _depth(data)[members]
            return _taken(data, members[np.argsort(depth)][:most], most)
    return _taken(data, np.sort(np.concatenate(kept)), most)


def _taken(data: Data, rows: np.ndarray, size: int) -> Data:
    """Rows as a table of their own, filled up to `size` with rows that do not count."""
    filled = np.concatenate([rows, np.repeat(rows[-1:], size - len(rows))])
    rowwise = {n: getattr(data, n) for n in Data._fields if n not in ("centre", "mask", "before")}
    found = data._replace(**jax.tree.map(lambda x: x[filled], rowwise), mask=np.arange(size) < len(rows))
    if data.before is None or data.gap is None:
        return found
    place = np.full(len(data.mask), -1)
    place[rows] = np.arange(len(rows))
    own = np.arange(size)
    before = np.where(own < len(rows), place[data.before[filled]], own)
    gap = np.where(before < 0, FAR, data.gap[filled])
    return found._replace(before=np.where(before < 0, own, before), gap=gap)


def _depth(data: Data) -> np.ndarray:
    """How many rows of its run are before each row, shape (row,)."""
    assert data.before is not None
    own = np.arange(len(data.before))
    depth, at = np.zeros(len(own), int), own
    while (data.before[at] != at).any():
        depth += data.before[at] != at
        at = data.before[at]
    return depth
