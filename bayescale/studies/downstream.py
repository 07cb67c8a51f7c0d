"""Downstream metrics: from a run to its loss, and from its loss to an error rate, as one prediction."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from bayescale import intervals
from bayescale.answers.predict import blocks_of, decades_beyond, filled_blocks, points_named, together
from bayescale.arrays import Numbers
from bayescale.catalogue import LawLike, law_from
from bayescale.compiled import Program
from bayescale.errors import NotConverged, UsageError
from bayescale.fit import Fit, fit
from bayescale.law import AnyLaw, at_rows
from bayescale.law.groups import asked_about, in_every_group
from bayescale.law.labels import coded, groups_of, labelled, of_new_runs
from bayescale.progress import Progress, silent
from bayescale.runs import Source, read_runs
from bayescale.runs.partial import filled, named_runs
from bayescale.storage.fit import check_writable, tree_of
from bayescale.storage.netcdf import write_tree
from bayescale.text.fit import fits_text

if TYPE_CHECKING:
    import xarray

Arrays = Mapping[str, jax.Array]
QUANTITIES = ("mean_curve", "new_run")
OWN = "the task's "
"""Before the names of the task's columns of groups, where they stand beside those of the loss."""
LARGE = 0.3
"""Of the scatter of the task's metric: what errors of the losses may add to it before a warning says so."""
DERIVED_FROM: dict[str, list[tuple[str, ...]]] = {"C": [("N", "D"), ("N", "S", "B")], "D": [("S", "B"), ("N", "C")]}
"""Columns that stand in for one that a table lacks, as `read_runs` derives it."""


@dataclass(frozen=True, eq=False)
class Downstream:
    """A law of the loss and a law of a task's metric in the loss, each fitted, and what they predict together.

    The metric depends on how a run was made through the loss alone. Given the losses that were observed, the joint
    posterior of the two laws is then the product of the two posteriors, and a pair of draws, one of each, is a draw of
    it: nothing is lost by fitting one law after the other. That holds where losses are known to well below what the
    scatter of the metric hides; `warnings` says where their standard errors are not, and the law of the metric is then
    flatter than the true one. Losses must be of one evaluation set in both.

    ``Downstream(bs.fit("chinchilla", a), bs.fit("error_exponential", b))`` joins fits of one's own: either may have
    groups (`pool`: corpora of the loss, tasks of the metric) and may come from a file (`bayescale.load`).

    Attributes
    ----------
    loss : Fit
        Of a law that predicts the loss.
    task : Fit
        Of a law that predicts a metric from the loss.
    """

    loss: Fit
    task: Fit

    def __post_init__(self) -> None:
        _check(self.loss.law, self.task.law)

    @property
    def fits(self) -> dict[str, Fit]:
        """Both fits by the names of their laws."""
        return {f.law.name: f for f in (self.loss, self.task)}

    @property
    def converged(self) -> bool:
        """Whether the draws of both fits passed every check."""
        return self.loss.converged and self.task.converged

    @property
    def failures(self) -> tuple[str, ...]:
        """Why the draws of either are not to be trusted."""
        return tuple(f"{name}: {text}" for name, f in self.fits.items() for text in f.failures)

    @cached_property
    def warnings(self) -> tuple[str, ...]:
        """What to distrust in either fit, and in joining them."""
        told = [f"{name}: {text}" for name, f in self.fits.items() for text in f.warnings]
        return (*told, *_errors_of_losses(self))

    def predict(
        self, runs: Source | None = None, *, interval: float = intervals.INTERVAL, **inputs: Numbers
    ) -> pd.DataFrame:
        """The loss and the task's metric at any inputs of the loss's law, with intervals.

        Parameters
        ----------
        runs : DataFrame, optional
            A table with the inputs as columns, instead of `inputs`.
        interval : float
            Mass of the equal-tailed intervals.
        **inputs : array_like
            As for `Fit.predict`: N parameters, D tokens, ..., and groups of either law by name, ``task="arc_easy"``;
            where none is named, every group.

        Returns
        -------
        DataFrame
            Four rows a point: metric 'loss' and the task's, each with quantity 'mean_curve' and 'new_run'. The mean
            curve of the task is its law at the mean curve of the loss; a new run's is its law at a new run's loss, with
            the scatter of the metric itself. Columns: the inputs, metric, quantity, median, mean, sd, low, high,
            decades_<input>, and decades_loss: how many powers of ten the median of the mean loss lies outside the
            losses that the task's law was fitted to.

        Raises
        ------
        UsageError
            An input is missing, unknown, not positive, or of another length than the rest.
        """
        intervals.checked_interval(interval)
        self._warn()
        moments = {"loss": self.loss.likelihood.has_moments(self.loss.constants)}
        moments[self.task.law.metric] = moments["loss"] and self.task.likelihood.has_moments(self.task.constants)
        parts, at = [], 0
        for points, named, draws in self._draws(runs, inputs):
            median = np.median(draws["loss"][0], axis=0)
            beyond = decades_beyond(self.loss, points) | decades_beyond(self.task, {"loss": median})
            place = pd.DataFrame({**named, "point": at + np.arange(len(median))})
            at += len(median)
            for metric, (mean, new_run) in draws.items():
                for name, values in zip(QUANTITIES, (mean, new_run), strict=True):
                    numbers = intervals.summarise(values, interval, moments=name == "mean_curve" or moments[metric])
                    parts.append(place.assign(metric=metric, quantity=name, **numbers, **beyond))
        order = [*named, "metric", "quantity", *intervals.COLUMNS, *beyond]
        return pd.concat(parts).sort_values("point", kind="stable")[order].reset_index(drop=True)

    def predict_draws(self, runs: Source | None = None, **inputs: Numbers) -> xarray.Dataset:
        """Draws behind `predict`.

        Returns
        -------
        xarray.Dataset
            A variable for the loss and one for the task's metric, dimensions (quantity, draw, point): quantity is
            'mean_curve' or 'new_run', draws are at most 4000; the inputs as coordinates.
        """
        import xarray

        self._warn()
        found = list(self._draws(runs, inputs))
        named = {n: np.concatenate([x[n] for _, x, _ in found]) for n in found[0][1]}
        metrics = {m: np.concatenate([d[m] for _, _, d in found], axis=2) for m in found[0][2]}
        return xarray.Dataset(
            {m: (("quantity", "draw", "point"), x) for m, x in metrics.items()},
            coords={
                "quantity": list(QUANTITIES),
                **{n: ("point", x.astype(str) if x.dtype == object else x) for n, x in named.items()},
            },
        )

    def save(self, path: str | Path) -> None:
        """Write both fits to one NetCDF file, whole or not at all; `bayescale.load` reads it.

        Raises
        ------
        UsageError
            The folder does not exist or cannot be written to, or a prior was given that no text makes.
        """
        check_writable((self.loss, self.task))
        write_tree(tree_of((self.loss.data, self.task.data), {"downstream": list(self.fits)}), path)

    def _draws(
        self, runs: Source | None, inputs: dict[str, Any]
    ) -> Iterator[tuple[dict[str, np.ndarray], dict[str, np.ndarray], dict[str, np.ndarray]]]:
        """Blocks of points of the loss's law, the same with all groups by name, and draws of both metrics there.

        Draws have shape (quantity, draw, point).
        """
        task = self.task.thinned()
        size = len(next(iter(task.values())))
        rng = np.random.default_rng((self.loss.seed, self.task.seed, 2))
        order = rng.permutation(size)  # draws of one seed are not independent of one another
        points, codes = self._points(runs, inputs)
        done = 0
        for block, mean, new_run in blocks_of(self.loss, points):
            n = min(size, len(mean))
            pairs = {k: x[order[:n]] for k, x in task.items()}
            losses = np.stack([x[np.arange(n) * len(x) // n] for x in (mean, new_run)])
            groups = {c: x[done : done + losses.shape[2]] for c, x in codes.items()}
            across, count = next(filled_blocks({"loss": np.arange(losses.shape[2]), **groups}))
            there = losses[:, :, across["loss"].astype(int)].transpose(1, 0, 2)
            about = of_new_runs(self.task.law, across) or across
            keys = rng.integers(0, 2**32, (n, 2), dtype=np.uint32)
            found = np.asarray(self._program()(pairs, there, across, about, keys))[:, :, :count]
            done += count
            named = {**labelled(self.loss.law, block), **labelled(self.task.law, groups)}
            yield block, named, {"loss": losses, self.task.law.metric: found.transpose(1, 0, 2)}

    def _points(
        self, runs: Source | None, inputs: dict[str, Any]
    ) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Points of the loss's law and codes of the task's groups there, in every group where none is named."""
        of_task, of_loss = (set(x.law.columns) for x in (self.task, self.loss))
        if runs is None:
            points = points_named(self.loss, None, {n: x for n, x in inputs.items() if n not in of_task - of_loss})
            named = {n: x for n, x in inputs.items() if n in of_task}
        else:
            points, named = points_named(self.loss, runs, inputs), groups_of(self.task.law, read_runs(runs))
        _, codes = coded(self.task.law, named, strict=runs is None)
        of_both = together({**points, **{_own(n): x for n, x in codes.items()}})
        of_both = in_every_group(of_both, asked_about(self.loss.law, self.loss.runs.inputs))
        for name in of_task & of_loss - set(codes):  # a group of the loss is the task's of the same name
            if name in of_both:
                label = labelled(self.loss.law, {name: of_both[name]})
                of_both[_own(name)] = coded(self.task.law, label, strict=False)[1][name]
        rows = asked_about(self.task.law, self.task.runs.inputs)
        of_both = in_every_group(of_both, {_own(n): x for n, x in rows.items()})
        return (
            {n: of_both[n] for n in of_both if not n.startswith(OWN)},
            {n: of_both[_own(n)] for n in self.task.law.columns if _own(n) in of_both},
        )

    def _program(self) -> Program:
        """Constants, losses and groups, of the mean curve and of a new run, and a key -> the metric there, (2, point).

        Constants, losses and keys are of each draw.
        """
        target = self.task.target

        def one(constants: Arrays, losses: jax.Array, groups: Arrays, of_new_run: Arrays, key: jax.Array) -> jax.Array:
            law, noise = target.law_at(constants), self.task.likelihood.drawn(constants)
            mean, median = (at_rows(law, {**g, "loss": x}) for x, g in zip(losses, (groups, of_new_run), strict=True))
            return jnp.stack([mean, self.task.likelihood.scatter(median, noise).sample(key)])

        return target.quantities.setdefault("downstream", Program(jax.vmap(one, in_axes=(0, 0, None, None, 0))))

    def _warn(self) -> None:
        if not self.converged:
            message = f"this prediction is no answer, for a fit has not converged: {'; '.join(self.failures)}"
            warnings.warn(message, NotConverged, stacklevel=3)

    def __repr__(self) -> str:
        return fits_text(self.fits, self.warnings)


def _own(column: str) -> str:
    return f"{OWN}{column}"


def fit_downstream(
    law: LawLike,
    task_law: LawLike,
    runs: Source,
    *,
    columns: Mapping[str, str] | None = None,
    seed: int = 0,
    progress: Progress = silent,
    **options: Any,
) -> Downstream:
    """Fit a law of the loss and a law of a downstream metric in the loss to one table; see `Downstream`.

    Parameters
    ----------
    law : str, Law or type
        Predicts the loss: "chinchilla".
    task_law : str, Law or type
        Predicts a metric from the loss: "error_exponential", "error_sigmoid" (an error rate, or an accuracy that is
        turned into one), "transfer_offset".
    runs : DataFrame, str or Path
        Rows with the law's inputs and a loss tell the law of the loss, rows with a loss and the metric that of the
        metric: a run without the metric is of use to the first, a model of another family without N or D to the second.
    columns : mapping, optional
        Standard name -> the table's own name, as for `read_runs`.
    seed : int
    progress : callable
        Told of (stage, done, total).
    **options
        Of both fits, as for `fit`: likelihood, method, chains, draws, limit.

    Returns
    -------
    Downstream

    Raises
    ------
    DataError
        The table cannot determine one of the laws, or has cells that are no measurements.
    UsageError
        An option, name or file is wrong, or a law is not of the loss.
    """
    first, second = law_from(law), law_from(task_law)
    _check(first, second)
    if unknown := set(options) - {"likelihood", "method", "chains", "draws", "limit"}:
        raise UsageError(
            f"fit_downstream has no option {sorted(unknown)[0]!r}: it takes likelihood, method, chains, draws and "
            "limit for both fits; fits with options of their own are joined by Downstream(loss, task)"
        )
    table = named_runs(runs, columns=columns)
    of_loss = fit(first, filled(table, _needed(first, table)), seed=seed, progress=progress, **options)
    of_task = fit(second, filled(table, _needed(second, table)), seed=seed, progress=progress, **options)
    return Downstream(of_loss, of_task)


def _check(law: AnyLaw, task_law: AnyLaw) -> None:
    if law.metric != "loss":
        raise UsageError(
            f"law {law.name} predicts {law.metric}; the first law is to predict the loss, as chinchilla does"
        )
    if task_law.inputs != ("loss",) or task_law.metric == "loss":
        raise UsageError(
            f"law {task_law.name} predicts {task_law.metric} from {', '.join(task_law.inputs)}; the second law is to "
            "predict a metric from the loss alone, as error_exponential does"
        )


def _needed(law: AnyLaw, table: pd.DataFrame) -> list[str]:
    """The columns that a row must have filled to tell a law something."""
    names: list[str] = []
    for name in law.inputs:
        sources = [(name,), *DERIVED_FROM.get(name, [])]
        names += next((s for s in sources if set(s) <= set(table)), (name,))
    by_accuracy = law.metric == "error" and "error" not in table and "accuracy" in table
    return list(dict.fromkeys([*names, "accuracy" if by_accuracy else law.metric]))


def _errors_of_losses(found: Downstream) -> list[str]:
    """Says where standard errors of the loss are not small against the scatter of the task's metric."""
    if found.loss.runs.se is None:
        return []
    task = {n: np.array([np.median(x)]) for n, x in found.task.thinned().items()}
    seen, step = found.task.runs.inputs["loss"], 1e-3
    low, high = (np.asarray(found.task.target.curve(task, {"loss": seen * f}))[0] for f in (1 - step, 1 + step))
    slope = np.log(high / low) / (2 * step * seen)
    added = float(np.median(np.abs(slope)) * np.median(found.loss.runs.se))
    scatter = float(task["sigma"][0]) if "sigma" in task else 0.0
    if added <= LARGE * scatter:
        return []
    return [
        f"standard errors of the loss are worth {added:.2g} of log {found.task.law.metric}, against a scatter of "
        f"{scatter:.2g}: {found.task.law.name} is fitted as if losses were exact and comes out too flat"
    ]
