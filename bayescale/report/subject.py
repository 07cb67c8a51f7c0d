"""What a report is about, a fit or a comparison, asked in one way."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from bayescale.answers.allocate import allocate
from bayescale.answers.predict import predict
from bayescale.arrays import Numbers
from bayescale.errors import BayescaleError, UsageError
from bayescale.fit import Fit
from bayescale.law.fields import UNSEEN
from bayescale.law.groups import groups_asked
from bayescale.runs.cost import Cost
from bayescale.runs.features import numeric
from bayescale.studies.compare import Comparison
from bayescale.studies.compare.average import Columns


@dataclass(frozen=True)
class Subject:
    """A fit, or a comparison and its best fit.

    Attributes
    ----------
    lead : Fit
        The fit, or that of the law which the evidence favours.
    weights : dict
        Name -> weight of each law that predictions come from.
    fits : dict of Fit
    comparison : Comparison or None
    interval : float
        Mass of the intervals.
    """

    lead: Fit
    weights: dict[str, float]
    fits: dict[str, Fit]
    comparison: Comparison | None
    interval: float

    @property
    def converged(self) -> bool:
        """Whether the numbers are an answer."""
        return self.comparison.converged if self.comparison else self.lead.converged

    @property
    def failures(self) -> tuple[str, ...]:
        """Why they are not."""
        return self.comparison.failures if self.comparison else self.lead.failures

    @property
    def metric(self) -> str:
        """What the laws predict."""
        return self.lead.law.metric

    @property
    def inputs(self) -> tuple[str, ...]:
        """What they predict it from, in the order of the lead's formula."""
        return self.lead.law.inputs

    @property
    def cost(self) -> Cost:
        """What a run costs, as the runs' table counts it."""
        return self.lead.runs.cost

    @cached_property
    def columns(self) -> Columns:
        """The columns that any of the laws is pooled by."""
        return Columns.of((self.lead, *self.fits.values()))

    @cached_property
    def groups(self) -> list[dict[str, str]]:
        """Every group, by its columns and names; of fits without groups one that names none."""
        return groups_asked(self.columns, self.columns.asked, {})

    @property
    def plans(self) -> list[dict[str, str]]:
        """The groups that the planner answers for: every one, and one that the table lacks."""
        asked = self.columns.asked
        return [*self.groups, dict.fromkeys(asked, UNSEEN)] if asked else self.groups

    @cached_property
    def seen(self) -> dict[str, tuple[float, float]]:
        """Least and greatest value of each input in the runs, with C where the laws have N and D."""
        columns = {n: self.lead.runs.inputs[n] for n in self.inputs}
        if {"N", "D"} <= set(columns) and "C" not in columns:
            columns["C"] = self.cost.flops(columns["N"], columns["D"])
        return {n: (float(x.min()), float(x.max())) for n, x in columns.items()}

    @property
    def others(self) -> dict[str, float]:
        """The inputs besides N and D, at the centre of the runs, where an allocation holds them."""
        return {n: self.lead.centre.values[n] for n in self.inputs if n not in ("N", "D")}

    @cached_property
    def no_allocation(self) -> str:
        """Why the laws do not split compute between N and D, or ''."""
        if not {"N", "D"} <= set(self.inputs) or self.metric != "loss" or "C" in self.inputs:
            return f"a law of {', '.join(self.inputs)} does not split compute between N and D"
        if not self.weights:
            return "no law has converged"
        try:
            self.allocate(np.array([10 ** round(np.log10(self.seen["C"][1]))]))
        except BayescaleError as error:
            return str(error)
        return ""

    def predict(self, **inputs: Any) -> pd.DataFrame:
        """Predictions with intervals, averaged over the laws of a comparison; a group is named by its columns."""
        if self.comparison and self.weights:
            return self.comparison.predict(interval=self.interval, **inputs)
        known = {n: x for n, x in inputs.items() if n in self.inputs or n in self.lead.law.columns}
        return predict(self.lead, interval=self.interval, **known)

    def allocate(self, budgets: Numbers, group: dict[str, str] | None = None) -> pd.DataFrame:
        """The optimum of budgets, with intervals; where `no_allocation` says why there is none, an error."""
        held: dict[str, Any] = {**self.others, **(group or {})}
        if self.comparison:
            return self.comparison.allocate(budgets, interval=self.interval, **held)
        return allocate(self.lead, budgets, interval=self.interval, **held)


def subject_of(found: Fit | Comparison, interval: float) -> Subject:
    """A fit or a comparison as a subject.

    Raises
    ------
    UsageError
        It is neither, or of a law of schedules.
    """
    if isinstance(found, Fit):
        made = Subject(found, {found.law.name: 1.0}, {found.law.name: found}, None, interval)
    else:
        made = _of_comparison(found, interval)
    if not numeric(made.inputs):
        raise UsageError(
            "a report shows laws of numbers, and this one is of a learning-rate schedule: use plot and predict"
        )
    return made


def _of_comparison(found: Comparison, interval: float) -> Subject:
    if not isinstance(found, Comparison):
        raise UsageError(f"a report is of a fit or a comparison, not of {type(found).__name__}")
    try:
        weights = found.weights("evidence")
    except BayescaleError:
        weights = {}
    best = max(weights, key=lambda n: weights[n]) if weights else next(iter(found.fits))
    return Subject(found.fits[best], weights, {n: found.fits[n] for n in weights}, found, interval)
