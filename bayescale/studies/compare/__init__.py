"""`compare`: which of several laws the same rows support, how strongly, and how that hangs on the priors."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bayescale import intervals
from bayescale.answers.predict import evaluate_draws
from bayescale.answers.scores.power_scaling import POWERS
from bayescale.answers.scores.score import Score, score
from bayescale.arrays import Numbers
from bayescale.catalogue import LawLike, law_from, laws
from bayescale.errors import DataError, UsageError
from bayescale.fit import Fit
from bayescale.fit import fit as fit_law
from bayescale.law import Law
from bayescale.likelihood import LikelihoodLike, likelihood_from
from bayescale.progress import Progress, silent
from bayescale.runs import Observations, Source, indexed, observations, read_runs
from bayescale.runs.checkpoints import CheckpointsLike, of_runs
from bayescale.runs.sweeps import best_of_sweeps
from bayescale.studies.compare import average
from bayescale.studies.compare.comparable import alike, centres_apart, check_weights, same_question, same_rows
from bayescale.studies.compare.compared import Compared
from bayescale.studies.compare.file import save_comparison
from bayescale.studies.compare.nested import nested
from bayescale.studies.compare.table import as_table, record_of, weigh
from bayescale.studies.compare.text import comparison_text
from bayescale.studies.compare.verdict import cautions, conflicts, verdict_of


class Comparison(Compared):
    """Several laws beside one another, on the same rows, and their averages.

    Its data are those of `bayescale.studies.compare.compared.Compared`: table, fits, evidence, sensitivity, verdict,
    warnings, checks.
    """

    @classmethod
    def of(cls, found: Compared) -> Comparison:
        """The verbs for what was compared already."""
        return cls(**{f.name: getattr(found, f.name) for f in fields(found)})

    def weights(self, rule: str | Mapping[str, float] = "evidence") -> dict[str, float]:
        """The weights by which `predict` and `allocate` average; see `bayescale.studies.compare.average`."""
        return average.law_weights(self, rule)

    def predict(
        self,
        runs: Source | None = None,
        *,
        weights: str | Mapping[str, float] = "evidence",
        interval: float = intervals.INTERVAL,
        **inputs: Numbers,
    ) -> pd.DataFrame:
        """Predictions averaged over laws; see `bayescale.studies.compare.average.predict`."""
        return average.predict(self, runs, weights=weights, interval=interval, **inputs)

    def allocate(
        self,
        C: Numbers | None = None,
        *,
        loss: Numbers | None = None,
        N: Numbers | None = None,
        weights: str | Mapping[str, float] = "evidence",
        interval: float = intervals.INTERVAL,
        **terms: Numbers,
    ) -> pd.DataFrame:
        """Compute-optimal N, D, D/N and loss averaged over laws; see `bayescale.studies.compare.average.allocate`."""
        return average.allocate(self, C, loss=loss, N=N, weights=weights, interval=interval, **terms)

    def save(self, path: str | Path) -> None:
        """Write the comparison and its fits to a NetCDF file, whole or not at all; `bayescale.load` reads it."""
        save_comparison(self, path)

    def __repr__(self) -> str:
        return comparison_text(self)


def compare(
    laws: Iterable[LawLike | Fit] | Mapping[str, LawLike | Fit] | None = None,
    runs: Source | None = None,
    *,
    prior_weights: Mapping[str, float] | None = None,
    likelihood: LikelihoodLike = "student_t",
    method: str = "nuts",
    seed: int = 0,
    checkpoints: str = "auto",
    sweeps: str = "best",
    progress: Progress = silent,
) -> Comparison:
    """Compare laws on the same rows: evidence, cross-validation, forecasts, and what hangs on the priors.

    Parameters
    ----------
    laws : sequence or mapping, optional
        Laws as `fit` takes them, or fits; a mapping gives them names. Default: every law that the table suits.
    runs : DataFrame, str or Path
        As for `fit`; not needed where every law is a fit already.
    prior_weights : mapping, optional
        Law -> prior weight, where they are not equal; a law that is not named has weight 1.
    likelihood, method, seed, checkpoints, sweeps, progress
        As for `fit`.

    Returns
    -------
    Comparison
        ``print`` it: the verdict, the table, and what to distrust.

    Raises
    ------
    UsageError
        Laws of different inputs or metric, fits of different rows, fewer than two laws, or wrong weights.
    DataError
        The table suits none of the laws.
    """
    given = _named(laws, runs)
    specs = {n: g.law if isinstance(g, Fit) else g for n, g in given.items()}
    same_question(specs)
    check_weights(prior_weights, specs)
    fits, failed = _fitted(given, runs, likelihood, checkpoints, sweeps, method=method, seed=seed, progress=progress)
    return assess(fits, failed=failed, prior_weights=prior_weights, progress=progress)


def assess(
    fits: Mapping[str, Fit],
    *,
    failed: Mapping[str, str] | None = None,
    prior_weights: Mapping[str, float] | None = None,
    progress: Progress = silent,
) -> Comparison:
    """Compare fits; see `compare`. `failed` says why further laws have none."""
    failed = dict(failed or {})
    same_rows({n: f.runs for n, f in fits.items()})
    # scored alike: where the rows of one law's runs follow one another, whole runs are left out of all
    runs = next((f.runs.run for f in fits.values() if f.likelihood.along_runs), None)
    scores: dict[str, Score] = {}
    records: dict[str, dict[str, object]] = {n: {} for n in failed}
    warnings = [f"{n} could not be fitted: {why}" for n, why in failed.items()]
    for done, (name, fit) in enumerate(fits.items()):
        progress("scores", done, len(fits))
        begun = time.perf_counter()
        records[name] = {"converged": fit.converged, **_quality(fit)}
        if fit.converged:
            scores[name] = score(fit, runs=runs)
            records[name] |= record_of(scores[name])
            warnings += [f"{name}: {w}" for w in scores[name].warnings]
        else:
            warnings.append(f"{name} has not converged and is left out: {fit.failures[0]}")
        records[name]["seconds"] = fit.seconds.get("total", np.nan) + time.perf_counter() - begun
    progress("scores", len(fits), len(fits))
    table = weigh(as_table(records), scores, prior_weights)
    shifts = {n: scores[n].shifts for n in table.index[np.isfinite(table["log_evidence"])]}
    sensitivity = pd.DataFrame(shifts, index=[f"{p:.3g}" for p in POWERS]).T
    evidence = {n: s.evidence for n, s in scores.items()}
    checks, doubts = nested(fits, {n: e for n, e in evidence.items() if n in shifts})
    warnings += [*centres_apart(fits), *cautions(table, sensitivity), *conflicts(table, scores), *doubts]
    verdict = verdict_of(table, sensitivity, fits, prior_weights)
    return Comparison(table, dict(fits), evidence, sensitivity, verdict, tuple(warnings), checks)


def _quality(fit: Fit) -> dict[str, float]:
    """Residual scale, tail index and share of the variance of the log metric that the median curve explains."""
    median = {n: float(np.median(x)) for n, x in fit.constants.items()}
    rows = dict(fit.runs.inputs)
    curve = np.median(evaluate_draws(fit, fit.law.metric, rows), axis=0)
    observed = np.log(fit.runs.observed)
    residual = observed - np.log(curve)
    return {
        "sigma": median.get("sigma", float("nan")),
        "nu": median.get("nu", float("nan")),
        "r2": float(1 - (residual**2).sum() / ((observed - observed.mean()) ** 2).sum()),
    }


def _named(
    given: Iterable[LawLike | Fit] | Mapping[str, LawLike | Fit] | None, runs: Source | None
) -> dict[str, Law | Fit]:
    if given is None:
        if runs is None:
            raise UsageError("give laws or fits to compare, or a table of runs that suitable laws are found for")
        return {n: law() for n, law in suitable(runs).items()}
    if isinstance(given, str | Law | Fit) or not isinstance(given, Iterable):
        raise UsageError("give at least two laws or fits to compare, as a list or as a mapping of names to laws")
    if isinstance(given, Mapping):
        found = {str(n): g if isinstance(g, Fit) else law_from(g) for n, g in given.items()}
    else:
        found = {}
        for spec in (g if isinstance(g, Fit) else law_from(g) for g in given):
            law = spec.law if isinstance(spec, Fit) else spec
            name = law.name
            if name in found:
                name = f"{name}{repr(law)[len(type(law).__name__) :]}" if "()" not in repr(law) else name
            if name in found and isinstance(spec, Fit):
                name = f"{name}, {spec.likelihood.name}"
            if name in found:
                raise UsageError(f"{name} is given twice; give a mapping of names to laws to tell them apart")
            found[name] = spec
    if len(found) < 2:
        raise UsageError(f"a comparison needs at least two laws; found {', '.join(found) or 'none'}")
    return found


def suitable(runs: Source) -> dict[str, type[Law]]:
    """The laws that a table has the inputs and the metric for: of those, the largest group that shares its inputs.

    Of laws with one formula and the same priors, which no evidence can tell apart, only the first; none that is
    compared by name only.

    Raises
    ------
    DataError
        There are fewer than two.
    """
    table = read_runs(runs)
    groups: dict[tuple[Any, ...], dict[str, type[Law]]] = {}
    for name, law in laws().items():
        if {*law.inputs, law.metric} <= set(table.columns) and not law.by_name_only:
            group = groups.setdefault((law.metric, *sorted(law.inputs)), {})
            if not any(alike(law, other) for other in group.values()):
                group[name] = law
    best = max(groups.values(), key=lambda g: (len(g), len(next(iter(g.values())).inputs)), default={})
    if len(best) < 2:
        found = ", ".join(best) or "none"
        raise DataError(f"the table has the columns of {len(best)} laws ({found}); a comparison needs two")
    return best


def _fitted(
    given: Mapping[str, Law | Fit],
    runs: Source | None,
    likelihood: LikelihoodLike,
    checkpoints: str,
    sweeps: str,
    **settings: Any,
) -> tuple[dict[str, Fit], dict[str, str]]:
    """Check that all have the same rows, and fit what is not fitted yet and the table can determine."""
    tables: dict[str, Observations] = {}
    failed: dict[str, str] = {}
    to_fit = {n: g for n, g in given.items() if isinstance(g, Law)}
    if to_fit and runs is None:
        raise UsageError(f"give the table of runs to fit {', '.join(to_fit)} to")
    scatter = likelihood_from(likelihood)
    table: Any = None if runs is None else indexed(runs)
    taken: CheckpointsLike = "all"
    if to_fit:  # the same rows for all laws: those that the one with the most constants needs
        most = max(to_fit.values(), key=lambda law: len(law.free))
        table, found = of_runs(table, most.inputs, len(most.free), checkpoints, dependent=scatter.along_runs)
        table = best_of_sweeps(table, most.inputs, most.metric, sweeps)
        taken = found or "all"
    error: DataError | None = None
    for name, spec in given.items():
        if isinstance(spec, Fit):
            tables[name] = spec.runs
            continue
        try:
            tables[name] = observations(
                table,
                inputs=spec.inputs,
                metric=spec.metric,
                constants=len(spec.free),
                law=spec.name,
                may_rise=spec.may_rise,
            )
        except DataError as refused:
            failed[name], error = str(refused), refused
    if not tables and error is not None:
        raise error
    same_rows(tables)
    fits = {
        n: g if isinstance(g, Fit) else fit_law(g, table, likelihood=scatter, checkpoints=taken, **settings)
        for n, g in given.items()
        if n in tables
    }
    return fits, failed
