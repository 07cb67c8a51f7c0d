"""`fit` and `Fit`: what a user holds between a table of runs and its predictions."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping
from dataclasses import fields, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bayescale import intervals
from bayescale.answers.allocate import allocate, allocate_draws, penalty
from bayescale.answers.identifiability import Identifiability, identifiability
from bayescale.answers.predict import derive, predict, predict_draws, quantity_draws
from bayescale.answers.scores.evidence import Evidence, log_evidence
from bayescale.answers.scores.holdout import Holdout, holdout
from bayescale.answers.scores.loo import Loo, loo
from bayescale.answers.summary import cautions, summary
from bayescale.arrays import Numbers
from bayescale.catalogue import LawLike, law_from
from bayescale.errors import NotConverged, UsageError
from bayescale.law import AnyLaw, Centre, Varying
from bayescale.law.labels import by_groups
from bayescale.likelihood import LikelihoodLike, following, likelihood_from
from bayescale.posterior.data import centre_of, data_of
from bayescale.posterior.density import target_of
from bayescale.posterior.nuts import CHUNK
from bayescale.posterior.posterior import Posterior
from bayescale.posterior.samples import Effort
from bayescale.posterior.sampling import sample
from bayescale.progress import Progress, silent
from bayescale.runs import Source, indexed, observations
from bayescale.runs.checkpoints import Checkpoints, CheckpointsLike, of_runs
from bayescale.runs.cost import CostLike, cost_from, recounted
from bayescale.runs.sweeps import best_of_sweeps
from bayescale.storage.fit import check_writable, data_tree
from bayescale.storage.netcdf import write_tree
from bayescale.text.fit import fit_text

if TYPE_CHECKING:
    import xarray

METHODS = ("nuts", "laplace")


class Fit(Posterior):
    """A law's posterior given a table of runs, with what a user asks of it.

    Its data are those of `bayescale.posterior.posterior.Posterior`: law, likelihood, runs, centre, samples, seed,
    seconds, centre_given.
    """

    @classmethod
    def of(cls, posterior: Posterior) -> Fit:
        """The verbs for a posterior that is there already."""
        return cls(**{f.name: getattr(posterior, f.name) for f in fields(posterior)})

    @cached_property
    def identifiability(self) -> Identifiability:
        """What the rows tell of each constant beyond its prior; see `bayescale.answers.identifiability`."""
        return identifiability(self)

    @cached_property
    def warnings(self) -> tuple[str, ...]:
        """What to distrust: failures, the posterior's notes, what the data leave open, the table's oddities."""
        return cautions(self, self.identifiability)

    def _warn(self) -> None:
        if not self.converged:
            message = f"this fit of {self.law.name} has not converged and is no answer: {'; '.join(self.failures)}"
            warnings.warn(message, NotConverged, stacklevel=3)

    def summary(self, interval: float = intervals.INTERVAL) -> pd.DataFrame:
        """Constants and derived quantities with intervals and diagnostics; see `bayescale.answers.summary.summary`."""
        return summary(self, interval)

    def derive_draws(self, quantity: str, **inputs: Numbers) -> np.ndarray:
        """A derived quantity at 4000 draws or all there are, shape (draw,) or (draw, point); see `derive`."""
        return quantity_draws(self, quantity, inputs)

    def derive(self, quantity: str, *, interval: float = intervals.INTERVAL, **inputs: Numbers) -> pd.DataFrame:
        """A derived quantity of the law, with an interval.

        Parameters
        ----------
        quantity : str
            A method of the law that is marked `derived` (``fit.law.quantities()`` lists them).
        **inputs : array_like
            What it needs, each a number or an array.

        Returns
        -------
        DataFrame
            The inputs and median, mean, sd, low, high; one row a point.
        """
        self._warn()
        return derive(self, quantity, interval=interval, **inputs)

    def predict(
        self, runs: Source | None = None, *, interval: float = intervals.INTERVAL, **inputs: Numbers
    ) -> pd.DataFrame:
        """The law's value and a new run's, with intervals; see `bayescale.answers.predict.predict`."""
        self._warn()
        return predict(self, runs, interval=interval, **inputs)

    def predict_draws(self, runs: Source | None = None, **inputs: Numbers) -> xarray.Dataset:
        """Draws behind `predict`: variables mean_curve and new_run, dimensions (draw, point)."""
        self._warn()
        return predict_draws(self, runs, **inputs)

    def allocate(
        self,
        C: Numbers | None = None,
        *,
        loss: Numbers | None = None,
        N: Numbers | None = None,
        interval: float = intervals.INTERVAL,
        **terms: Numbers,
    ) -> pd.DataFrame:
        """The compute-optimal N, D and loss of budgets, or the compute for a loss; see `bayescale.answers.allocate`.

        `terms` are what the budget also has to pay for and keep to, and how it is counted (inference_tokens,
        inference_cost, max_N, max_D, cost), and the law's other inputs and groups by name.
        """
        self._warn()
        return allocate(self, C, loss=loss, N=N, interval=interval, **terms)

    def allocate_draws(self, C: Numbers, **terms: Numbers) -> xarray.Dataset:
        """Draws behind `allocate`: variables N, D, tokens_per_parameter, loss, dimensions (draw, C)."""
        self._warn()
        return allocate_draws(self, C, **terms)

    def penalty(
        self, N: Numbers, D: Numbers, *, interval: float = intervals.INTERVAL, **terms: Numbers
    ) -> pd.DataFrame:
        """What training N parameters on D tokens costs against the optimum; see `bayescale.answers.allocate`."""
        self._warn()
        return penalty(self, N, D, interval=interval, **terms)

    def evidence(self) -> Evidence:
        """The log evidence of the law, with its error and a cross-check; see `bayescale.answers.scores.evidence`."""
        return log_evidence(self)

    def loo(self) -> Loo:
        """Leave-one-out predictive density, with k-hat a row; see `bayescale.answers.scores.loo.loo`."""
        return loo(self)

    def holdout(self) -> Holdout:
        """How well the largest budgets are predicted from the others; see `bayescale.answers.scores.holdout`."""
        return holdout(self)

    @cached_property
    def data(self) -> xarray.DataTree:
        """Everything as an xarray DataTree in ArviZ's schema: any ``arviz`` function takes it."""
        return data_tree(self)

    def save(self, path: str | Path) -> None:
        """Write the fit to a NetCDF file, whole or not at all; `bayescale.load` reads it.

        Raises
        ------
        UsageError
            The folder does not exist or cannot be written to, or a prior was given that no text makes.
        """
        check_writable((self,))
        write_tree(self.data, path)

    def __repr__(self) -> str:
        return fit_text(self)


def fit(
    law: LawLike,
    runs: Source,
    *,
    likelihood: LikelihoodLike = "student_t",
    method: str = "nuts",
    seed: int = 0,
    chains: int = 4,
    draws: int = 1000,
    limit: int = 8000,
    centre: Mapping[str, float] | None = None,
    metric: str | None = None,
    pool: Mapping[str, Any] | None = None,
    cost: CostLike = None,
    checkpoints: CheckpointsLike = "auto",
    sweeps: str = "best",
    progress: Progress = silent,
) -> Fit:
    """Fit a law to a table of runs.

    Parameters
    ----------
    law : str, Law or type
        A law's name, a law (``models.Chinchilla(E=1.69)``), its class, or ``"file.py:Name"``.
    runs : DataFrame, str, Path, mapping or sequence
        A table with the law's inputs and its metric; whatever `read_runs` takes.
    likelihood : {'student_t', 'normal', 'laplace', 'ar1'} or Likelihood
        How observations scatter about the law on the log scale; 'ar1': with residuals that follow one another along a
        run.
    method : {'nuts', 'laplace'}
        NUTS, or importance-weighted Laplace: tens of milliseconds, refused by its own gate where it would be wrong.
    seed : int
        Same seed, same draws.
    chains, draws, limit : int
        Chains (at least 4), draws a chain to begin with (a multiple of 250), and draws a chain at which
        sampling stops even if it has not converged.
    centre : mapping, optional
        Where priors are stated (input and metric -> value), instead of the data's own centre.
    metric : str, optional
        The column that the law is fitted to, where it is not the law's own: ``"error"`` fits a law of the loss to error
        rates, which it then calls loss. Not one that rises with scale.
    pool : mapping, optional
        Column of the table -> the constants that vary by it, about a population's with a spread that is learned:
        ``{"corpus": ["E", "A"]}``. The law's metric in place of a constant, ``{"run": ["loss"]}``, is a factor on the
        law that a group's rows share. A mapping gives priors of spreads: ``{"corpus": {"E": "HalfNormal(0.1)"}}``.
    cost : str or Cost, optional
        What a run costs, ``"6*N*D"`` or ``"7.2*N^0.98*D"`` FLOPs: what budgets are then counted in. By default what
        the table's own C says, where it has one that is not 6ND.
    checkpoints : {'auto', 'last', 'along', 'effects', 'all'}
        What is made of several rows of one run (a column run, or an identifier that repeats along steps): 'last' row of
        each run; rows 'along' each run, with likelihood 'ar1'; 'effects' of runs on the law; or 'all', as if each row
        were a run. 'auto' takes the last rows where they determine the law, else rows along the runs, or effects
        where nothing orders them; nothing where `likelihood` or `pool` deal with runs. Of runs that a column of
        states calls crashed, failed or running none is taken, but by 'all'.
    sweeps : {'best', 'all'}
        What is made of runs alike in the law's inputs that differ in a learning rate, a batch size or the like: the
        best setting of each sweep, or all of them, as scatter.
    progress : callable
        Told of (stage, done, total).

    Returns
    -------
    Fit
        Check `Fit.converged` before use; ``print(fit)`` leads with it.

    Raises
    ------
    DataError
        The table cannot determine the law, or has cells that are no measurements.
    UsageError
        An option, name or file is wrong.
    """
    begun = time.perf_counter()
    if isinstance(law, Varying):
        raise UsageError(f"{law!r} is pooled already; give fit the law itself, and pool=")
    base = law_from(law)
    scatter = likelihood_from(likelihood)
    _check_effort(method, seed, chains, draws, limit)
    counted = cost_from(cost)
    frame = recounted(indexed(runs), counted)
    dependent = scatter.along_runs
    if isinstance(checkpoints, Checkpoints):
        taken: Checkpoints | None = checkpoints
    else:
        of = {"grouped": list(pool or ())}
        frame, taken = of_runs(frame, base.inputs, len(base.free), checkpoints, dependent=dependent, **of)
        frame = best_of_sweeps(frame, base.inputs, metric or base.metric, sweeps, **of)
    if taken and taken.how == "along":
        scatter = following(scatter)
    if taken and taken.how == "effects":
        pool = {**(pool or {}), "run": [base.metric]}
    table = observations(
        frame,
        inputs=base.inputs,
        metric=base.metric,
        column=metric,
        constants=len(base.free),
        law=base.name,
        may_rise=base.may_rise,
        cost=counted,
    )
    at = centre_of(table.inputs, base.metric, table.observed)
    if centre is not None:
        at = Centre({**at.values, **{n: float(v) for n, v in centre.items()}})
    table = replace(table, checkpoints=taken)
    spec: AnyLaw = base
    if pool is not None:
        spec, table = by_groups(base, table, frame, pool)
    samples = sample(
        target_of(spec, scatter),
        data_of(table, at, spec.metric, scatter),
        method=method,
        seed=seed,
        effort=Effort(chains=chains, draws=draws, limit=limit),
        progress=progress,
    )
    seconds = {"total": time.perf_counter() - begun, "sampling": samples.seconds.get("sampling", 0.0)}
    return Fit(spec, scatter, table, at, samples, seed, seconds, centre is not None)


def _check_effort(method: str, seed: int, chains: int, draws: int, limit: int) -> None:
    if method not in METHODS:
        raise UsageError(f"there is no method {method!r}; there are: {', '.join(METHODS)}")
    if not isinstance(seed, int | np.integer) or seed < 0:
        raise UsageError(f"seed is a whole number from 0 up, not {seed!r}")
    if chains < 4:
        raise UsageError(f"chains is at least 4, so that their disagreement can be seen; not {chains}")
    if draws < CHUNK or draws % CHUNK or limit < draws:
        raise UsageError(f"draws is a multiple of {CHUNK} and at most limit; found draws={draws}, limit={limit}")
