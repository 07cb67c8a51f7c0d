"""A fit's predictions at any inputs: the mean curve, a new run, and how far from the data they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bayescale import intervals
from bayescale.arrays import Numbers
from bayescale.errors import UsageError, did_you_mean
from bayescale.law.groups import asked_about, in_every_group
from bayescale.law.labels import coded, groups_of, labelled, of_new_runs
from bayescale.posterior.density import Target
from bayescale.posterior.posterior import MOST, Posterior
from bayescale.runs import Source, read_runs
from bayescale.runs.cost import recounted
from bayescale.runs.features import encoded, feature_of
from bayescale.runs.inputs import checked_inputs

if TYPE_CHECKING:
    import xarray

FAR = 3.5
"""Powers of ten beyond the data from which on an answer says so in words."""

BLOCK = 512
"""Points evaluated together: with 4000 draws, a few arrays of 16 MB at a time."""


def predict(
    fit: Posterior, runs: Source | None = None, *, interval: float = intervals.INTERVAL, **inputs: Numbers
) -> pd.DataFrame:
    """The law's value and a new run's at any inputs, with intervals.

    Parameters
    ----------
    fit : Posterior
    runs : DataFrame, optional
        A table with the law's inputs as columns, instead of `inputs`.
    interval : float
        Mass of the equal-tailed intervals.
    **inputs : array_like
        The law's inputs, in its units (N parameters, D tokens, C FLOPs): numbers, or arrays of one length. Of N and D
        one follows from the other and a budget C, by the table's count of FLOPs. Of a fit with `pool` also groups by
        name, ``corpus="c4"``; ``corpus="unseen"`` is one that the table lacks, drawn from the population. A column that
        is left out is answered for each of its groups (of several columns, for each combination that the table has);
        one that tells runs apart, for a new run.

    Returns
    -------
    DataFrame
        Two rows a point: quantity 'mean_curve' is the law itself, 'new_run' adds a run's scatter about it.
        Columns: the inputs, quantity, median, mean, sd, low, high, and decades_<input>: how many powers of
        ten the point lies outside the data's range (0 inside), with decades_C where the law has N and D.
        The mean and sd of a new run are NaN where there are none, as of Student-t scatter of the log: the median and
        the interval always are. Groups are columns after the inputs. Where runs have effects on the law (`pool`), the
        mean curve has that of a run that is named, and no other; a new run has one of its own.

    Raises
    ------
    UsageError
        An input is missing, unknown, not positive, or of another length than the rest.
    """
    intervals.checked_interval(interval)
    points = points_of(fit, runs, inputs)
    moments = fit.likelihood.has_moments(fit.constants)
    parts: list[pd.DataFrame] = []
    for block, mean, new_run in blocks_of(fit, points):
        place = pd.DataFrame({**labelled(fit.law, block), "point": len(parts) * BLOCK + np.arange(mean.shape[1])})
        beyond = decades_beyond(fit, block)
        both = [
            place.assign(quantity=name, **intervals.summarise(draws, interval, moments=there), **beyond)
            for name, draws, there in (("mean_curve", mean, True), ("new_run", new_run, moments))
        ]
        parts.append(pd.concat(both).sort_values(["point", "quantity"], kind="stable"))
    order = [*points, "quantity", *intervals.COLUMNS, *beyond]
    return pd.concat(parts)[order].reset_index(drop=True)


def predict_draws(fit: Posterior, runs: Source | None = None, **inputs: Numbers) -> xarray.Dataset:
    """Draws behind `predict`.

    Returns
    -------
    xarray.Dataset
        Variables mean_curve and new_run, dimensions (draw, point), at most 4000 draws; the inputs as coordinates.
    """
    import xarray

    points = points_of(fit, runs, inputs)
    blocks = [(mean, new_run) for _, mean, new_run in blocks_of(fit, points)]
    return xarray.Dataset(
        {
            name: (("draw", "point"), np.concatenate([b[i] for b in blocks], axis=1))
            for i, name in enumerate(("mean_curve", "new_run"))
        },
        coords={n: ("point", x.astype(str) if x.dtype == object else x) for n, x in labelled(fit.law, points).items()},
    )


def derive(fit: Posterior, quantity: str, *, interval: float = intervals.INTERVAL, **inputs: Numbers) -> pd.DataFrame:
    """A derived quantity of the law with an interval; see `Fit.derive`."""
    intervals.checked_interval(interval)
    draws = quantity_draws(fit, quantity, inputs)
    needs = fit.law.quantities()[quantity]
    points = labelled(fit.law, _given(fit, needs, inputs)) if inputs else {}
    return pd.DataFrame({**points, **{k: np.atleast_1d(v) for k, v in intervals.summarise(draws, interval).items()}})


def quantity_draws(fit: Posterior, quantity: str, inputs: dict[str, Any]) -> np.ndarray:
    """A derived quantity at every draw: shape (draw,) where it needs no inputs, else (draw, point)."""
    known = fit.law.quantities()
    if quantity not in known:
        there = ", ".join(known) or "none"
        raise UsageError(
            f"law {fit.law.name} has no derived quantity {quantity!r}{did_you_mean(quantity, known)}; there are {there}"
        )
    return evaluate_draws(fit, quantity, _given(fit, known[quantity], inputs))


def evaluate_draws(fit: Posterior, method: str, points: dict[str, np.ndarray]) -> np.ndarray:
    """A method of the law at the thinned draws and every point, shape (draw, point), or (draw,) without inputs."""
    return evaluate_at(fit.target, fit.thinned(), method, points)


def evaluate_every_draw(fit: Posterior, method: str, points: dict[str, np.ndarray]) -> np.ndarray:
    """As `evaluate_draws`, at draws that are not thinned; in blocks of as many as those, which one program serves."""
    flat = fit.flat()
    total = len(next(iter(flat.values())))
    size = min(MOST, total)
    blocks = [
        {n: np.resize(x[i : i + size], (size, *x.shape[1:])) for n, x in flat.items()} for i in range(0, total, size)
    ]
    return np.concatenate([evaluate_at(fit.target, block, method, points) for block in blocks])[:total]


def evaluate_at(
    target: Target, constants: Mapping[str, np.ndarray], method: str, points: dict[str, np.ndarray]
) -> np.ndarray:
    """A method of a law at draws of its constants, shape (draw,) each; see `evaluate_draws`."""
    program = target.quantity(method)
    if not points:
        draws = len(next(iter(constants.values())))
        return np.broadcast_to(np.asarray(program(constants, {})), (draws,))
    return np.concatenate(
        [np.asarray(program(constants, filled))[:, :size] for filled, size in filled_blocks(points)], axis=1
    )


def decades_beyond(fit: Posterior, points: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Powers of ten that points lie outside the fitted rows' range, by input and by compute: ``decades_N``, ..."""
    seen = dict(fit.runs.inputs)
    points = dict(points)
    if {"N", "D"} <= set(points) and "C" not in points:
        for table in (seen, points):
            table["C"] = fit.runs.cost.flops(table["N"], table["D"])
    beyond = {}
    for name, x in points.items():
        if (name not in fit.law.inputs and name != "C") or not feature_of(name).numeric:
            continue  # a group's code, or no number
        low, high = seen[name].min(), seen[name].max()
        if low <= 0 or (x <= 0).any():
            continue  # powers of ten are of positive numbers
        beyond[f"decades_{name}"] = np.maximum(0.0, np.maximum(np.log10(x / high), np.log10(low / x)))
    return beyond


def far_beyond(table: pd.DataFrame) -> tuple[str, ...]:
    """Says where the points of an answer, rows with columns ``decades_N``, ..., lie very far beyond the data."""
    columns = [c for c in table.columns if str(c).startswith("decades_")]
    most, name = max(((float(table[c].max()), str(c).removeprefix("decades_")) for c in columns), default=(0.0, ""))
    if most < FAR:
        return ()
    return (f"this is up to {most:.0f} powers of ten beyond the data (in {name}), where nothing was ever measured",)


def points_of(fit: Posterior, runs: Source | None, inputs: dict[str, Any]) -> dict[str, np.ndarray]:
    """Inputs of a law and codes of groups, checked, as arrays of one length: in every group where none is named."""
    return in_every_group(points_named(fit, runs, inputs), asked_about(fit.law, fit.runs.inputs))


def points_named(fit: Posterior, runs: Source | None, inputs: dict[str, Any]) -> dict[str, np.ndarray]:
    """Inputs of a law, from a table or by name, and codes of the groups that are named, as arrays of one length."""
    names = fit.law.inputs
    if runs is not None:
        if inputs:
            raise UsageError(f"give the points as a table or as {', '.join(inputs)}, not both")
        table = recounted(read_runs(runs), fit.runs.cost)
        inputs = {n: table[n].to_numpy() for n in names if n in table} | groups_of(fit.law, table)
    return _given(fit, names, _split(fit, inputs), strict=runs is None)


def _split(fit: Posterior, inputs: dict[str, Any]) -> dict[str, Any]:
    """Inputs of a law of N and D, one of which may be given by a budget C."""
    names, cost = fit.law.inputs, fit.runs.cost
    if "C" not in inputs or "C" in names or not {"N", "D"} <= set(names):
        return inputs
    given = [n for n in ("N", "D") if n in inputs]
    if len(given) != 1:
        raise UsageError(
            f"a budget C goes with one of N and D, and the other follows: C = {cost.text} (allocate finds both)"
        )
    known = checked_inputs("predict", ("C", *given), {n: inputs[n] for n in ("C", *given)})
    C, x = known["C"], known[given[0]]
    follows = {"D": cost.tokens(C, x)} if given == ["N"] else {"N": cost.parameters(C, x)}
    return {n: x for n, x in inputs.items() if n != "C"} | follows


def _given(
    fit: Posterior, names: tuple[str, ...], inputs: dict[str, Any], *, strict: bool = True
) -> dict[str, np.ndarray]:
    """Inputs by name, checked, and the codes of groups, as arrays of one length."""
    rest, codes = coded(fit.law, inputs, strict=strict)
    return together({**checked_inputs(fit.law.name, names, rest), **codes})


def together(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Arrays that go together, as arrays of one length.

    Raises
    ------
    UsageError
        Their lengths differ.
    """
    try:
        flat = np.broadcast_arrays(*(np.atleast_1d(a) for a in arrays.values()))
    except ValueError:
        sizes = ", ".join(f"{n} has {np.size(a)}" for n, a in arrays.items())
        raise UsageError(f"inputs and groups must have one length, or be single ones: {sizes}") from None
    return {n: np.ascontiguousarray(a.ravel()) for n, a in zip(arrays, flat, strict=True)}


def filled_blocks(points: dict[str, np.ndarray]) -> Iterator[tuple[dict[str, np.ndarray], int]]:
    """Blocks of points as programs read them, filled up to one of two sizes: two programs serve any number."""
    count = len(next(iter(points.values())))
    size = 16 if count <= 16 else BLOCK
    for start in range(0, count, size):
        block = {n: x[start : start + size] for n, x in points.items()}
        there = min(size, count - start)
        yield encoded({n: np.concatenate([x, np.repeat(x[-1:], size - there)]) for n, x in block.items()}), there


def blocks_of(
    fit: Posterior, points: dict[str, np.ndarray]
) -> Iterator[tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]]:
    """Blocks of points with draws of the mean curve and of a new run there, shape (draw, point) each."""
    constants = fit.thinned()
    draws = len(next(iter(constants.values())))
    rng = np.random.default_rng((fit.seed, 1))
    done = 0
    for filled, size in filled_blocks(points):
        mean = median = fit.target.curve(constants, filled)
        if (about := of_new_runs(fit.law, filled)) is not None:
            median = fit.target.curve(constants, about)
        keys = rng.integers(0, 2**32, (draws, 2), dtype=np.uint32)
        new_run = fit.target.new_run(constants, median, keys)
        block = {n: x[done : done + size] for n, x in points.items()}
        done += size
        yield block, np.asarray(mean)[:, :size], np.asarray(new_run)[:, :size]
