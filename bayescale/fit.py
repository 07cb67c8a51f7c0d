"""`fit` and `Fit`: what a user holds between a table of runs and its predictions."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
import pandas as pd

from bayescale import intervals
from bayescale.errors import NotConverged, UsageError
from bayescale.law import Centre, Law
from bayescale.law.labels import by_groups, group_quantity, large_effects
from bayescale.law.pool import Pooled
from bayescale.law.prior_text import law_from
from bayescale.likelihood import Likelihood, likelihood_from
from bayescale.posterior.density import Data, Target, centre_of, padded, target_of
from bayescale.posterior.nuts import CHUNK
from bayescale.posterior.policy import Effort, Samples, sample
from bayescale.progress import Progress, silent
from bayescale.runs import Observations, observations, read_runs
from bayescale.runs.curves import row_before

if TYPE_CHECKING:
    import xarray

    from bayescale.answers.identifiability import Identifiability
    from bayescale.answers.optimum import Terms
    from bayescale.answers.scores.evidence import Evidence
    from bayescale.answers.scores.holdout import Holdout
    from bayescale.answers.scores.loo import Loo

METHODS = ("nuts", "laplace")


@dataclass(frozen=True, eq=False)
class Fit:
    """A law's posterior given a table of runs.

    Attributes
    ----------
    law : Law
        As it was fitted, with its priors.
    likelihood : Likelihood
    runs : Observations
        The rows that were fitted.
    centre : Centre
        Where the priors are stated.
    samples : Samples
        Draws, diagnostics and how they came about.
    seed : int
    seconds : dict
        Wall time of the fit: 'total' and 'sampling'.
    centre_given : bool
        Whether the centre is one that was asked for, and not the rows' own: fits of some of the rows then keep it.
    """

    law: Law
    likelihood: Likelihood
    runs: Observations
    centre: Centre
    samples: Samples
    seed: int
    seconds: Mapping[str, float] = field(default_factory=dict)
    centre_given: bool = False

    @property
    def converged(self) -> bool:
        """Whether the draws passed every check; if not, `failures` says why and they are no answer."""
        return not self.samples.failures

    @property
    def failures(self) -> tuple[str, ...]:
        """Why the draws are not to be trusted, a sentence each."""
        return self.samples.failures

    @cached_property
    def warnings(self) -> tuple[str, ...]:
        """What to distrust: failures, the posterior's notes, what the data leave open, the table's oddities."""
        told = (*self.samples.notes, *large_effects(self), *self.identifiability.sentences)
        return (*self.failures, *told, *self.runs.warnings)

    @cached_property
    def identifiability(self) -> Identifiability:
        """What the rows tell of each constant beyond its prior; see `bayescale.answers.identifiability`."""
        from bayescale.answers.identifiability import identifiability

        return identifiability(self)

    @property
    def constants(self) -> dict[str, np.ndarray]:
        """Draws of the law's and the noise's constants, shape (chain, draw) each."""
        return self.samples.constants

    @cached_property
    def target(self) -> Target:
        """The posterior as a density, with its compiled programs."""
        return target_of(self.law, self.likelihood)

    @cached_property
    def padded(self) -> Data:
        """The rows as the compiled programs read them."""
        return data_of(self.runs, self.centre, self.law.metric, self.likelihood)

    def thinned(self, most: int = 4000) -> dict[str, np.ndarray]:
        """At most `most` evenly spaced draws of each constant, chains joined, shape (draw,)."""
        flat = {n: x.reshape(-1) for n, x in self.constants.items()}
        total = len(next(iter(flat.values())))
        step = max(1, -(-total // most))
        return {n: x[::step] for n, x in flat.items()}

    def _warn(self) -> None:
        if not self.converged:
            message = f"this fit of {self.law.name} has not converged and is no answer: {'; '.join(self.failures)}"
            warnings.warn(message, NotConverged, stacklevel=3)

    def summary(self, interval: float = intervals.INTERVAL) -> pd.DataFrame:
        """Constants and derived quantities with intervals and diagnostics.

        Of a fit with `pool` the constants are the population's, with the spread tau_<constant> between groups, then
        each group's, ``E[c4]``, and a new one's; those of the metric, ``loss[run 3]``, are factors on the law.

        Parameters
        ----------
        interval : float
            Mass of the equal-tailed interval.

        Returns
        -------
        DataFrame
            Index: constants of the law, of the noise, and derived quantities that need no inputs. Columns:
            median, mean, sd, low, high, r_hat, ess_bulk, ess_tail (NaN for derived quantities).
        """
        intervals.checked_interval(interval)
        rows: dict[str, dict[str, Any]] = {}
        for name, draws in self.constants.items():
            rows[name] = {**intervals.summarise(draws.ravel(), interval), **self.samples.diagnostics[name]}
        for name, needs in type(self.law).quantities().items():
            if not needs:
                of_each = {name: self.derive_draws(name), **group_quantity(self, name)}
                rows |= {n: intervals.summarise(draws, interval) for n, draws in of_each.items()}
        return pd.DataFrame.from_dict(rows, orient="index").astype(float)

    def derive_draws(self, quantity: str, **inputs: Any) -> np.ndarray:
        """A derived quantity of the law at every draw, shape (draw,) or (draw, point); see `derive`."""
        from bayescale.answers.predict import quantity_draws

        return quantity_draws(self, quantity, inputs)

    def derive(self, quantity: str, *, interval: float = intervals.INTERVAL, **inputs: Any) -> pd.DataFrame:
        """A derived quantity of the law, with an interval.

        Parameters
        ----------
        quantity : str
            A method of the law that is marked `derived` (``type(fit.law).quantities()`` lists them).
        **inputs : array_like
            What it needs, each a number or an array.

        Returns
        -------
        DataFrame
            The inputs and median, mean, sd, low, high; one row a point.
        """
        from bayescale.answers.predict import derive

        self._warn()
        return derive(self, quantity, interval=interval, **inputs)

    def predict(self, runs: Any = None, *, interval: float = intervals.INTERVAL, **inputs: Any) -> pd.DataFrame:
        """The law's value and a new run's, with intervals; see `bayescale.answers.predict.predict`."""
        from bayescale.answers.predict import predict

        self._warn()
        return predict(self, runs, interval=interval, **inputs)

    def predict_draws(self, runs: Any = None, **inputs: Any) -> xarray.Dataset:
        """Draws behind `predict`: variables mean_curve and new_run, dimensions (draw, point)."""
        from bayescale.answers.predict import predict_draws

        self._warn()
        return predict_draws(self, runs, **inputs)

    def allocate(
        self,
        C: Any = None,
        *,
        loss: Any = None,
        N: Any = None,
        interval: float = intervals.INTERVAL,
        **terms: Unpack[Terms],
    ) -> pd.DataFrame:
        """The compute-optimal N, D and loss of budgets, or the compute for a loss; see `bayescale.answers.allocate`.

        `terms` are what the budget also has to pay for and keep to: inference_tokens, inference_cost, max_N, max_D,
        fixed.
        """
        from bayescale.answers.allocate import allocate

        self._warn()
        return allocate(self, C, loss=loss, N=N, interval=interval, **terms)

    def allocate_draws(self, C: Any, **terms: Unpack[Terms]) -> xarray.Dataset:
        """Draws behind `allocate`: variables N, D, tokens_per_parameter, loss, dimensions (draw, C)."""
        from bayescale.answers.allocate import allocate_draws

        self._warn()
        return allocate_draws(self, C, **terms)

    def penalty(self, N: Any, D: Any, *, interval: float = intervals.INTERVAL, **terms: Unpack[Terms]) -> pd.DataFrame:
        """What training N parameters on D tokens costs against the optimum; see `bayescale.answers.allocate`."""
        from bayescale.answers.allocate import penalty

        self._warn()
        return penalty(self, N, D, interval=interval, **terms)

    def evidence(self) -> Evidence:
        """The log evidence of the law, with its error and a cross-check; see `bayescale.answers.scores.evidence`."""
        from bayescale.answers.scores.evidence import log_evidence

        return log_evidence(self)

    def loo(self) -> Loo:
        """Leave-one-out predictive density, with k-hat a row; see `bayescale.answers.scores.loo.loo`."""
        from bayescale.answers.scores.loo import loo

        return loo(self)

    def holdout(self) -> Holdout:
        """How well the largest budgets are predicted from the others; see `bayescale.answers.scores.holdout`."""
        from bayescale.answers.scores.holdout import holdout

        return holdout(self)

    @cached_property
    def data(self) -> xarray.DataTree:
        """Everything as an xarray DataTree in ArviZ's schema: any ``arviz`` function takes it."""
        from bayescale.storage.fit import data_tree

        return data_tree(self)

    def save(self, path: str | Path) -> None:
        """Write the fit to a NetCDF file, whole or not at all; `bayescale.load` reads it."""
        from bayescale.storage.fit import save

        save(self, path)

    def __repr__(self) -> str:
        from bayescale.text.fit import fit_text

        return fit_text(self)


def fit(
    law: Any,
    runs: Any,
    *,
    likelihood: Any = "student_t",
    method: str = "nuts",
    seed: int = 0,
    chains: int = 4,
    draws: int = 1000,
    limit: int = 8000,
    centre: Mapping[str, float] | None = None,
    pool: Mapping[str, Any] | None = None,
    progress: Progress = silent,
) -> Fit:
    """Fit a law to a table of runs.

    Parameters
    ----------
    law : str, Law or type
        A law's name, a law (``models.Chinchilla(E=1.69)``), its class, or ``"file.py:Name"``.
    runs : DataFrame, str or Path
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
    pool : mapping, optional
        Column of the table -> the constants that vary by it, about a population's with a spread that is learned:
        ``{"corpus": ["E", "A"]}``. The law's metric in place of a constant, ``{"run": ["loss"]}``, is a factor on the
        law that a group's rows share. A mapping gives priors of spreads: ``{"corpus": {"E": "HalfNormal(0.1)"}}``.
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
    spec = law_from(law)
    if isinstance(spec, Pooled):
        raise UsageError(f"{spec!r} is pooled already; give fit the law itself, and pool=")
    scatter = likelihood_from(likelihood)
    _check_effort(method, seed, chains, draws, limit)
    frame = read_runs(runs) if isinstance(runs, str | Path) else runs
    table = observations(
        frame,
        inputs=spec.inputs,
        metric=spec.metric,
        constants=len(spec.free),
        law=spec.name,
    )
    at = centre_of(table.inputs, spec.metric, table.observed)
    if centre is not None:
        at = Centre({**at.values, **{n: float(v) for n, v in centre.items()}})
    if pool is not None:
        spec, table = by_groups(spec, table, frame, pool)
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


def data_of(runs: Observations, centre: Centre, metric: str, likelihood: Likelihood) -> Data:
    """Rows as the compiled programs read them, with the order along runs where the likelihood needs it."""
    follows = row_before(runs) if likelihood.along_runs else None
    return padded(runs.inputs, runs.observed, runs.se, centre, metric, follows)


def _check_effort(method: str, seed: int, chains: int, draws: int, limit: int) -> None:
    if method not in METHODS:
        raise UsageError(f"there is no method {method!r}; there are: {', '.join(METHODS)}")
    if not isinstance(seed, int | np.integer) or seed < 0:
        raise UsageError(f"seed is a whole number from 0 up, not {seed!r}")
    if chains < 4:
        raise UsageError(f"chains is at least 4, so that their disagreement can be seen; not {chains}")
    if draws < CHUNK or draws % CHUNK or limit < draws:
        raise UsageError(f"draws is a multiple of {CHUNK} and at most limit; found draws={draws}, limit={limit}")
